"""The objective along runs: the curves of chosen runs as one array, without touching the others."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from lrbench.analysis.groups import Floats, Ints
from lrbench.analysis.rates import median


class LineCurves(NamedTuple):
    """The objective along the runs of one line, by rate and seed; NaN where it is not finite or a run is missing."""

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
        curves: the curves table, a row per run and evaluation.
        objectives: problem -> "valid_loss" or "train_loss".
    """

    def __init__(self, runs: pd.DataFrame, curves: pd.DataFrame, objectives: Mapping[str, str]) -> None:
        self._runs, self._objectives = runs, objectives
        begins = _begins(curves)
        if curves["run_id"].iloc[begins].duplicated().any():  # the rows of a run are not adjacent: sort them
            curves = curves.sort_values(["run_id", "step"], kind="stable")
            begins = _begins(curves)
        self._curves, self._begin = curves, begins
        self._end = np.append(begins[1:], len(curves)).astype(np.int64)
        self._index = pd.Index(curves["run_id"].iloc[begins])

    def of(self, rows: npt.ArrayLike) -> LineCurves:
        """The objective of these rows of the runs table, which are of one problem."""
        chosen = self._runs.iloc[np.asarray(rows, dtype=np.int64)]
        block = self._index.get_indexer(pd.Index(chosen["run_id"]))
        chosen, block = chosen[block >= 0], block[block >= 0]
        sizes = (self._end - self._begin)[block]
        run = np.repeat(np.arange(len(block)), sizes)
        at = np.arange(sizes.sum()) - np.repeat(np.cumsum(sizes) - sizes, sizes) + self._begin[block][run]
        step, place = np.unique(self._curves["step"].to_numpy()[at], return_inverse=True)
        rate, of_rate = np.unique(chosen["learning_rate"].to_numpy(dtype=np.float64), return_inverse=True)
        seed, of_seed = np.unique(chosen["seed"].to_numpy(), return_inverse=True)
        value = np.full((len(rate), len(seed), len(step)), np.nan)
        name = (
            self._objectives.get(str(chosen["problem"].iloc[0]), "train_loss")
            if len(chosen)
            else "train_loss"
        )
        loss = self._curves[name].to_numpy(dtype=np.float64, na_value=np.nan)[at]
        value[of_rate[run], of_seed[run], place] = np.where(np.isfinite(loss), loss, np.nan)
        return LineCurves(rate, step.astype(np.int64), value)


def _begins(curves: pd.DataFrame) -> Ints:
    """The rows at which another run begins."""
    ids = curves["run_id"]
    return np.flatnonzero((ids != ids.shift()).to_numpy(dtype=bool)).astype(np.int64)
