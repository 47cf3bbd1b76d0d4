"""The objective along runs: the curves of chosen runs as one array, without touching the others."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from lrbench.analysis.groups import Floats, Ints
from lrbench.analysis.objective import Objective
from lrbench.analysis.rates import median


class LineCurves(NamedTuple):
    """ℓ, the objective as a number that is better the smaller it is, along the runs of one line, by rate and seed; NaN where it is not finite or a run is missing."""

    rate: Floats  # [rate] ascending
    step: Ints  # [evaluation]
    value: Floats  # [rate, seed, evaluation]

    def middle(self) -> Floats:
        """Median over seeds [rate, evaluation]; a seed that is no longer finite counts as infinite, and an infinite median as NaN."""
        present = np.isfinite(self.value).any(axis=2, keepdims=True)
        filled = np.where(present & ~np.isfinite(self.value), np.inf, self.value)
        found = median(np.moveaxis(filled, 1, 2))
        return np.where(np.isfinite(found), found, np.nan)


class CurvesByRun:
    """Finds curves by run; even a million curves cost only one pass over `run_id`.

    Args:
        runs: the runs table.
        curves: the curves table, a row per run and evaluation; its `run_id` may be categories.
        objectives: problem -> what its runs are judged by; the training loss where it is missing.
    """

    def __init__(self, runs: pd.DataFrame, curves: pd.DataFrame, objectives: Mapping[str, Objective]) -> None:
        self._runs, self._objectives = runs, objectives
        begins = _begins(curves)
        if curves["run_id"].iloc[begins].duplicated().any():  # the rows of a run are not adjacent: sort them
            curves = curves.sort_values(["run_id", "step"], kind="stable")
            begins = _begins(curves)
        self._curves, self._begin = curves, begins
        self._end = np.append(begins[1:], len(curves)).astype(np.int64)
        self._index = pd.Index(curves["run_id"].iloc[begins].astype("str"))

    def of(self, rows: npt.ArrayLike) -> LineCurves:
        """The objective of these rows of the runs table, which are of one problem."""
        chosen = self._runs.iloc[np.asarray(rows, dtype=np.int64)]
        block = self._index.get_indexer(pd.Index(chosen["run_id"]))
        chosen, block = chosen[block >= 0], block[block >= 0]
        rate, of_rate = np.unique(chosen["learning_rate"].to_numpy(dtype=np.float64), return_inverse=True)
        seed, of_seed = np.unique(chosen["seed"].to_numpy(), return_inverse=True)
        objective = Objective("train_loss")
        if len(chosen):
            objective = self._objectives.get(str(chosen["problem"].iloc[0]), objective)
        loss = self._curves[objective.column].to_numpy(dtype=np.float64, na_value=np.nan)
        sizes = (self._end - self._begin)[block]
        step = self._common_steps(block, sizes)
        if step is None:
            run = np.repeat(np.arange(len(block)), sizes)
            at = np.arange(sizes.sum()) - np.repeat(np.cumsum(sizes) - sizes, sizes) + self._begin[block][run]
            step, place = np.unique(self._curves["step"].to_numpy()[at], return_inverse=True)
            cells: tuple[Ints, ...] = (of_rate[run], of_seed[run], place)
        else:  # of millions of rows, without an array of each cell's place
            at = self._begin[block][:, None] + np.arange(len(step))
            cells = of_rate, of_seed
        found = objective.smaller(loss[at])
        value = np.full((len(rate), len(seed), len(step)), np.nan)
        value[cells] = np.where(np.isfinite(found), found, np.nan)
        return LineCurves(rate, step.astype(np.int64), value)

    def _common_steps(self, block: Ints, sizes: Ints) -> Ints | None:
        """The steps at which all of some runs were evaluated, ascending; `None` if they differ."""
        if not len(block) or (sizes != sizes[0]).any():
            return None
        step = self._curves["step"].to_numpy()
        first: Ints = step[self._begin[block[0]] : self._end[block[0]]]
        alike = (np.diff(first) > 0).all() and all(
            np.array_equal(step[begin : begin + len(first)], first) for begin in self._begin[block]
        )
        return first if alike else None


def _begins(curves: pd.DataFrame) -> Ints:
    """The rows at which another run begins."""
    ids = curves["run_id"]
    code = ids.cat.codes.to_numpy() if isinstance(ids.dtype, pd.CategoricalDtype) else pd.factorize(ids)[0]
    return np.flatnonzero(np.append(True, code[1:] != code[:-1])[: len(code)]).astype(np.int64)


def decays(shape: Floats) -> bool:
    """Whether a schedule decays: the mean factor of the last quarter of the run is below 0.9 × that of the whole run.

    A run of such a schedule that is cut short is not a shorter run.

    Args:
        shape: [step] the factors, at every step or at evenly spaced ones.

    Example:
        >>> decays(np.ones(100)), decays(np.linspace(1.0, 0.0, 100))
        (False, True)
    """
    quarter = max(1, len(shape) // 4)
    return bool(shape[-quarter:].mean() < 0.9 * shape.mean())
