"""One row per grid point: what its seeds reached, and how sure that is."""

from __future__ import annotations

import numpy as np
import pandas as pd

from lrbench.analysis.bootstrap import iqm
from lrbench.analysis.groups import Floats, Ints, group, identity, point_columns
from lrbench.analysis.intervals import t_interval
from lrbench.analysis.objective import Metrics, trained
from lrbench.analysis.rates import stages
from lrbench.analysis.thresholds import Thresholds
from lrbench.study.metric import larger_by_name


def summary(
    runs: pd.DataFrame, thresholds: Thresholds | None = None, metrics: Metrics | None = None
) -> pd.DataFrame:
    """A row per point of the grid, over its seeds: mean and its interval, median, interquartile mean.

    Runs of later stages have no part in it: those are of chosen rates alone.
    A non-finite run counts as infinitely bad in every metric. So the mean and its interval are missing as soon as one seed
    diverged, while the median is defined as long as fewer than half did. Infinite results are written as NaN, and so
    are those of a metric that a problem does not have.

    Args:
        runs: judged runs, a row each.
        thresholds: for `confidence`.
        metrics: problem -> metric -> whether larger values are better; of those that are missing the name says so.

    Columns:
        problem, optimizer, schedule, learning_rate: together with all other columns that identify a run, except its seed
        seeds: how many seeds were trained
        diverged_fraction: the share of runs that did not train
        <metric>_mean, <metric>_median, <metric>_iqm: over seeds, for each `final_*` and `best_*` column of the runs except `best_step`
        <metric>_low, <metric>_high: 95 % interval of the mean, by Student's t; missing with one seed

    Example:
        >>> runs = pd.DataFrame({"problem": "a", "learning_rate": 0.1, "seed": [0, 1], "status": "ok",
        ...                      "final_train_loss": [1.0, 3.0]})
        >>> row = summary(runs).iloc[0]
        >>> int(row["seeds"]), float(row["final_train_loss_mean"]), round(float(row["final_train_loss_high"]), 2)
        (2, 2.0, 14.71)

    Source: Agarwal et al., arXiv:2108.13264 (interquartile mean).
    """
    limits = thresholds or Thresholds()
    runs = runs[stages(runs) == "grid"]
    columns = point_columns(runs)
    code, first = group(runs, columns)
    out = identity(runs, first, columns)
    out["seeds"] = np.bincount(code, minlength=len(first))
    out["diverged_fraction"] = np.bincount(code, ~trained(runs), len(first)) / out["seeds"]
    order = np.argsort(code, kind="stable")
    found: dict[str, Floats] = {}
    for name in runs.columns:
        if name.startswith(("final_", "best_")) and name != "best_step":
            value = _metric(runs, name, metrics or {})[order]
            found |= {f"{name}_{key}": part for key, part in _describe(value, code[order], limits).items()}
    return pd.concat([out, pd.DataFrame(found)], axis=1)


def _metric(runs: pd.DataFrame, name: str, metrics: Metrics) -> Floats:
    """The metric of every run, infinitely bad where it is not finite."""
    value = runs[name].to_numpy(dtype=np.float64, na_value=np.nan)
    code, first = group(runs, ["problem"])
    curve = name.partition("_")[2]
    larger = [
        metrics.get(str(own), {}).get(curve, larger_by_name(curve)) for own in runs["problem"].iloc[first]
    ]
    bad = np.where(np.array(larger, dtype=bool), -np.inf, np.inf)[code]
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
        with np.errstate(over="ignore"):  # of losses in binary64 just before they diverge
            out["mean"][points] = ordered.mean(axis=-1)
            out["median"][points] = 0.5 * (ordered[:, (size - 1) // 2] + ordered[:, size // 2])
            out["iqm"][points] = iqm(ordered)
        finite = np.isfinite(ordered).all(axis=-1, keepdims=True)
        out["low"][points], out["high"][points] = t_interval(
            np.where(finite, ordered, np.nan), limits.confidence
        )
    return {key: np.where(np.isfinite(column), column, np.nan) for key, column in out.items()}
