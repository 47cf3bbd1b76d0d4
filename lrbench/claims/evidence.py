"""What a claim is judged from: the tables of the parts, as losses by line, rate and seed, and what is found in them."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from lrbench.analysis.bootstrap import interval, resamples
from lrbench.analysis.groups import Floats, Ints, group, line_columns
from lrbench.analysis.labels import labels
from lrbench.analysis.objective import best_final, losses
from lrbench.analysis.rates import least, lines, median, stable_rates
from lrbench.analysis.thresholds import Thresholds
from lrbench.tables.base import StudyTables

NOWHERE = float("nan")


class NotMeasured(Exception):
    """What a claim needs is not there; the text says what."""


class Finding(NamedTuple):
    """One number that was measured for a claim, and whether it speaks for it.

    Args:
        what: what was measured, in words.
        value: the number, with the ends `low` and `high` of its 95 % interval over seeds, where it has one.
        unit: of the number.
        rule: what the number must be for the claim to hold; empty for one that is only told.
        met: whether it is.
    """

    what: str
    value: float
    low: float = NOWHERE
    high: float = NOWHERE
    unit: str = ""
    rule: str = ""
    met: bool | None = None


class Part:
    """The tables of one part, with the runs as arrays [line, rate, seed].

    Args:
        name: of the part, for messages.
        tables: its results.

    Raises:
        NotMeasured: if runs are lacking.
    """

    def __init__(self, name: str, tables: StudyTables) -> None:
        self.name, self.tables, self.runs = name, tables, tables.runs
        self.objectives: Mapping[str, str] = tables.manifest.get("objectives", {})
        self.limits = Thresholds()
        found = list(lines(self.runs, self.objectives))
        if len(found) != 1 or np.isnan(found[0].ok).any():
            raise NotMeasured(f"part {name} lacks runs")
        self.rate: Floats = found[0].rate[0]
        self.loss: Floats = found[0].loss
        self.ok: Floats = found[0].ok
        self.initial: Floats = found[0].initial
        code, first = group(self.runs, line_columns(self.runs))
        problem, star = best_final(self.runs, *losses(self.runs, self.objectives), self.limits.stable)
        self.star: Floats = star[problem[first]]
        self.span: Floats = np.where(self.initial > self.star, self.initial - self.star, np.nan)
        self.names = labels(self.runs).iloc[first].reset_index(drop=True)
        self.settings = self.runs.iloc[first].reset_index(drop=True)
        self.line = code

    @functools.cached_property
    def draws(self) -> tuple[Ints, Floats]:
        """Resamples of the seeds [resample, seed], and their weights; the first row is the seeds themselves."""
        index, weight = resamples(self.loss.shape[2], self.limits.resamples)
        itself = np.arange(self.loss.shape[2])[None]
        return np.concatenate([itself, index]), np.concatenate([[0.0], weight])

    @functools.cached_property
    def middle(self) -> Floats:
        """ℓ(η) in every resample: [resample, line, rate]; the first is of the seeds themselves."""
        return np.stack([median(self.loss[..., row]) for row in self.draws[0]])

    @functools.cached_property
    def stable(self) -> npt.NDArray[np.bool_]:
        """Whether a rate is stable in every resample: [resample, line, rate]."""
        return np.stack([stable_rates(self.ok[..., row], self.limits.stable) for row in self.draws[0]])

    @functools.cached_property
    def best(self) -> Ints:
        """The place of the best rate in every resample: [resample, line]."""
        return least(self.middle, self.stable)[0]

    @functools.cached_property
    def good(self) -> npt.NDArray[np.bool_]:
        """Whether a rate is good in every resample: [resample, line, rate]."""
        bar = self.star + self.limits.good * np.maximum(self.initial - self.star, 0.0)
        found: npt.NDArray[np.bool_] = self.middle <= bar[:, None]
        return found

    def where(self, **wanted: str) -> Ints:
        """The lines of that problem, optimizer or schedule, by their labels."""
        keep = np.ones(len(self.names), dtype=bool)
        for kind, name in wanted.items():
            keep &= (self.names[kind] == name).to_numpy()
        if not keep.any():
            raise NotMeasured(f"part {self.name} has no {', '.join(wanted.values())}")
        return np.flatnonzero(keep)

    def at(self, rate: float) -> int:
        """The place of a rate."""
        found = np.flatnonzero(np.isclose(self.rate, rate))
        if not len(found):
            raise NotMeasured(f"part {self.name} has no rate {rate:g}")
        return int(found[0])

    @functools.cached_property
    def _ordered(self) -> pd.DataFrame:
        """The runs, line by line, rate by rate, seed by seed."""
        keys = ["_line", "learning_rate", "seed"]
        return self.runs.assign(_line=self.line).sort_values(keys, kind="stable")

    def column(self, name: str) -> Floats:
        """A column of the runs as [line, rate, seed]."""
        return self._ordered[name].to_numpy(dtype=np.float64, na_value=np.nan).reshape(self.loss.shape)

    def verdicts(self) -> npt.NDArray[np.str_]:
        """The verdicts as [line, rate, seed]."""
        return self._ordered["verdict"].to_numpy(dtype=str).reshape(self.loss.shape)

    def curve(self, name: str) -> tuple[Ints, Floats]:
        """A curve as [line, rate, seed, evaluation], and the steps of the evaluations."""
        table = self.tables.curves
        if name not in table:
            raise NotMeasured(f"part {self.name} has no probe {name}")
        wide = table.pivot(index="run_id", columns="step", values=name).reindex(self._ordered["run_id"])
        values = wide.to_numpy(dtype=np.float64, na_value=np.nan)
        return wide.columns.to_numpy(dtype=np.int64), values.reshape(*self.loss.shape, -1)

    def spread(self, drawn: Floats) -> tuple[float, float, float]:
        """A statistic [resample], the first of them of the seeds themselves, as value and interval."""
        low, high = interval(drawn[1:], self.draws[1][1:], self.limits.confidence)
        return float(drawn[0]), float(low), float(high)

    def mean(self, of_seed: Floats) -> tuple[float, float, float]:
        """The mean of a number per seed [seed], and its interval."""
        return self.spread(of_seed[self.draws[0]].mean(axis=1))


class Evidence:
    """The parts of a study, read when a claim asks for them."""

    def __init__(self, parts: Mapping[str, StudyTables]) -> None:
        self._parts = parts
        self._read: dict[str, Part] = {}

    def __getitem__(self, name: str) -> Part:
        """The part of that name; `NotMeasured` if it is not there, or lacks runs."""
        if name not in self._parts:
            raise NotMeasured(f"there is no part {name}")
        runs = self._parts[name].manifest.get("runs")
        if isinstance(runs, Mapping) and runs.get("left"):
            raise NotMeasured(f"part {name} lacks {runs['left']:,} runs")
        if name not in self._read:
            self._read[name] = Part(name, self._parts[name])
        return self._read[name]
