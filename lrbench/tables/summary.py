"""One row per grid point: what its seeds reached, and how sure that is."""

from __future__ import annotations

import numpy as np
import pandas as pd

from lrbench.analysis.bootstrap import iqm, middle, quantiles, resamples
from lrbench.analysis.groups import Floats, Ints, group, identity, point_columns
from lrbench.analysis.measure import larger_is_better
from lrbench.analysis.objective import trained
from lrbench.analysis.thresholds import Thresholds

_BLOCK = 1_000_000  # resampled values at a time: 8 MB, and a few copies of it


def summary(runs: pd.DataFrame, thresholds: Thresholds | None = None) -> pd.DataFrame:
    """A row per grid point: what its seeds reached: mean, median, interquartile mean and its interval.

    A non-finite run counts as infinitely bad in every metric. So the mean is missing as soon as one seed
    diverged, while the median is defined as long as fewer than half did. Infinite results are written as NaN, and so
    are those of a metric that a problem does not have.

    Args:
        runs: judged runs, a row each.
        thresholds: for `confidence` and `resamples`.

    Columns:
        problem, optimizer, schedule, learning_rate: and all other columns that identify a run, except for its seed
        seeds: how many were run
        diverged_fraction: the share of runs that did not train
        <metric>_mean, <metric>_median, <metric>_iqm: over seeds, for each `final_*` and `best_*` column of the runs except `best_step`
        <metric>_low, <metric>_high: 95 % bootstrap interval of the interquartile mean

    Example:
        >>> runs = pd.DataFrame({"problem": "a", "learning_rate": 0.1, "seed": [0, 1], "status": "ok",
        ...                      "final_train_loss": [1.0, 3.0]})
        >>> row = summary(runs).iloc[0]
        >>> int(row["seeds"]), float(row["final_train_loss_mean"]), float(row["final_train_loss_low"])
        (2, 2.0, 1.0)

    Source: Agarwal et al., arXiv:2108.13264.
    """
    limits = thresholds or Thresholds()
    columns = point_columns(runs)
    code, first = group(runs, columns)
    out = identity(runs, first, columns)
    out["seeds"] = np.bincount(code, minlength=len(first))
    out["diverged_fraction"] = np.bincount(code, ~trained(runs), len(first)) / out["seeds"]
    order = np.argsort(code, kind="stable")
    found: dict[str, Floats] = {}
    for name in runs.columns:
        if name.startswith(("final_", "best_")) and name != "best_step":
            value = _metric(runs, name)[order]
            found |= {f"{name}_{key}": part for key, part in _describe(value, code[order], limits).items()}
    return pd.concat([out, pd.DataFrame(found)], axis=1)


def _metric(runs: pd.DataFrame, name: str) -> Floats:
    """The metric of every run, infinitely bad where it is not finite."""
    value = runs[name].to_numpy(dtype=np.float64, na_value=np.nan)
    bad = -np.inf if larger_is_better(name) else np.inf
    failed = ~np.isfinite(value) | (runs["status"] == "nonfinite").to_numpy(dtype=bool)
    return np.where(failed, bad, value)


def _describe(value: Floats, code: Ints, limits: Thresholds) -> dict[str, Floats]:
    """Statistics [grid point] of values [run] that are ordered by their grid point."""
    count = np.bincount(code)
    start = np.cumsum(count) - count
    out = {key: np.full(len(count), np.nan) for key in ("mean", "median", "iqm", "low", "high")}
    for size in np.unique(count):
        points = np.flatnonzero(count == size)
        ordered = np.sort(value[start[points, None] + np.arange(size)], axis=-1)
        out["mean"][points] = ordered.mean(axis=-1)
        out["median"][points] = 0.5 * (ordered[:, (size - 1) // 2] + ordered[:, size // 2])
        out["iqm"][points] = iqm(ordered)
        out["low"][points], out["high"][points] = _interval(ordered, limits)
    return {key: np.where(np.isfinite(column), column, np.nan) for key, column in out.items()}


def _interval(ordered: Floats, limits: Thresholds) -> tuple[Floats, Floats]:
    """Bootstrap interval of the interquartile mean of ordered values [grid point, seed]."""
    points, size = ordered.shape
    low, high = np.full(points, np.nan), np.full(points, np.nan)
    if size < 2:
        return low, high
    index, weight = resamples(size, limits.resamples)
    # An ascending resample of ordered values is ordered, so only its middle places enter the mean: resamples
    # that agree there are one (5 seeds: 35 of 126), which is what makes 200,000 grid points quick.
    inner, same = np.unique(index[:, middle(size)], axis=0, return_inverse=True)
    weight = np.bincount(same.ravel(), weight).astype(np.float64)
    tail = (1.0 - limits.confidence) / 2
    block = max(1, _BLOCK // inner.size)
    for at in range(0, points, block):
        here = slice(at, at + block)
        # Added one after another: another order would round a grid point by how many others there are.
        means = sum(ordered[here][:, at] for at in inner.T) / inner.shape[1]
        low[here], high[here] = quantiles(means, weight, (tail, 1.0 - tail))
    return low, high
