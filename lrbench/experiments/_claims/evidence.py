"""What claims are judged by: the runs of each study as arrays."""

from __future__ import annotations

import functools
from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import pandas as pd

from lrbench.analysis.bootstrap import interval, resamples
from lrbench.analysis.groups import Floats, Ints, group, line_columns
from lrbench.analysis.labels import labels
from lrbench.analysis.mean_loss import levels
from lrbench.analysis.objective import objectives_of
from lrbench.analysis.rates import least, lines, median, stable_rates
from lrbench.analysis.thresholds import Thresholds
from lrbench.tables.base import StudyTables

NAN = float("nan")


class NotMeasured(Exception):
    """The studies lack something that a claim requires; the message says what."""


class StudyArrays:
    """The tables of one study, with its runs as arrays [line, rate, seed].

    Args:
        name: of the study, for messages.
        tables: its results.

    Raises:
        NotMeasured: if runs are missing.
    """

    def __init__(self, name: str, tables: StudyTables) -> None:
        self.name, self.tables, self.runs = name, tables, tables.runs
        self.objectives = objectives_of(tables.manifest)
        self.limits = Thresholds()
        found = list(lines(self.runs, self.objectives))
        if len(found) != 1 or np.isnan(found[0].ok).any():
            raise NotMeasured(f"runs of study {name} are missing")
        self.rate: Floats = found[0].rate[0]
        self.loss: Floats = found[0].loss
        self.ok: Floats = found[0].ok
        self.initial: Floats = found[0].initial
        code, first = group(self.runs, line_columns(self.runs))
        self.star: Floats = levels(self.runs, self.limits, self.objectives).of_lines(first).least
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
    def median_loss(self) -> Floats:
        """ℓ(η) in every resample: [resample, line, rate]; the first is that of the seeds themselves."""
        return np.stack([median(self.loss[..., row]) for row in self.draws[0]])

    @functools.cached_property
    def stable(self) -> npt.NDArray[np.bool_]:
        """Whether a rate is stable in every resample: [resample, line, rate]."""
        return np.stack([stable_rates(self.ok[..., row], self.limits.stable) for row in self.draws[0]])

    @functools.cached_property
    def best(self) -> Ints:
        """The index of the best rate in every resample: [resample, line]."""
        return least(self.median_loss, self.stable)[0]

    @functools.cached_property
    def good(self) -> npt.NDArray[np.bool_]:
        """Whether a rate is good in every resample: [resample, line, rate]."""
        bar = self.star + self.limits.good * np.maximum(self.initial - self.star, 0.0)
        good: npt.NDArray[np.bool_] = self.median_loss <= bar[:, None]
        return good

    def where(self, **wanted: str) -> Ints:
        """The lines of that problem, optimizer or schedule, by their labels."""
        match = np.ones(len(self.names), dtype=bool)
        for kind, name in wanted.items():
            match &= (self.names[kind] == name).to_numpy()
        if not match.any():
            raise NotMeasured(f"study {self.name} has no {', '.join(wanted.values())}")
        return np.flatnonzero(match)

    def matching(self, lines: Ints, **other: str) -> Ints:
        """For each of some lines, the line that differs from it only in having the other optimizer or schedule."""
        ((kind, name),) = other.items()
        same = [str(column) for column in self.names if column != kind]
        out = []
        for line in lines:
            wanted = {column: str(self.names[column].iloc[line]) for column in same} | {kind: name}
            out.append(int(self.where(**wanted)[0]))
        return np.array(out, dtype=np.int64)

    def at(self, rate: float) -> int:
        """The index of a rate."""
        found = np.flatnonzero(np.isclose(self.rate, rate))
        if not len(found):
            raise NotMeasured(f"study {self.name} has no rate {rate:g}")
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
        """The verdicts of the runs as [line, rate, seed]."""
        return self._ordered["verdict"].to_numpy(dtype=str).reshape(self.loss.shape)

    def broken(self) -> npt.NDArray[np.bool_]:
        """Whether a run oscillates, collapses or diverges: [line, rate, seed]."""
        return np.isin(self.verdicts(), ["collapsed", "diverged", "oscillating"])

    def curve(self, name: str) -> tuple[Ints, Floats]:
        """The steps of the evaluations, and a curve as [line, rate, seed, evaluation]."""
        table = self.tables.curves
        if name not in table:
            raise NotMeasured(f"study {self.name} has no probe {name}")
        wide = table.pivot(index="run_id", columns="step", values=name).reindex(self._ordered["run_id"])
        values = wide.to_numpy(dtype=np.float64, na_value=np.nan)
        return wide.columns.to_numpy(dtype=np.int64), values.reshape(*self.loss.shape, -1)

    def with_interval(self, drawn: Floats) -> tuple[float, float, float]:
        """Value, low and high of a statistic [resample], whose first entry is that of the seeds themselves."""
        low, high = interval(drawn[1:], self.draws[1][1:], self.limits.confidence)
        return float(drawn[0]), float(low), float(high)

    def mean(self, of_seed: Floats) -> tuple[float, float, float]:
        """The mean of a number per seed [seed], and its interval."""
        return self.with_interval(of_seed[self.draws[0]].mean(axis=1))


class Evidence:
    """The studies by name, each turned into arrays on first access."""

    def __init__(self, studies: Mapping[str, StudyTables]) -> None:
        self._studies = studies
        self._arrays: dict[str, StudyArrays] = {}

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the studies."""
        return tuple(self._studies)

    def __getitem__(self, name: str) -> StudyArrays:
        """The study of that name; `NotMeasured` if there is none, or runs of it are missing."""
        if name not in self._studies:
            raise NotMeasured(f"there is no study {name}")
        runs = self._studies[name].manifest.get("runs")
        if isinstance(runs, Mapping) and runs.get("left"):
            raise NotMeasured(f"{runs['left']:,} runs of study {name} are missing")
        if name not in self._arrays:
            self._arrays[name] = StudyArrays(name, self._studies[name])
        return self._arrays[name]
