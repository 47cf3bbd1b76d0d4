"""The loss that verdicts and rankings use: validation where the problem has one, else training."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import pandas as pd

from lrbench.analysis.groups import Floats, Ints, columns_of, group, point_columns

Objectives = Mapping[str, str] | pd.Series | None
"""problem name -> "valid_loss" or "train_loss" (as in the manifest), or that name per run, or None:
validation where a problem has a validation loss."""


def uses_validation(runs: pd.DataFrame, objectives: Objectives = None) -> npt.NDArray[np.bool_]:
    """Whether each run [run] is judged by its validation loss.

    Example:
        >>> runs = pd.DataFrame({"problem": ["a", "b"], "initial_valid_loss": [1.0, float("nan")]})
        >>> uses_validation(runs).tolist(), uses_validation(runs, {"a": "train_loss"}).tolist()
        ([True, False], [False, False])
    """
    if isinstance(objectives, pd.Series):
        return np.asarray(objectives.reindex(runs.index) == "valid_loss", dtype=np.bool_)
    code, first = group(runs, ["problem"])
    has = np.zeros(len(first), dtype=np.bool_)
    if "initial_valid_loss" in runs:
        has[code[np.isfinite(runs["initial_valid_loss"].to_numpy(dtype=float))]] = True
    for index, name in enumerate(runs["problem"].iloc[first]):
        if objectives is not None and name in objectives:
            has[index] = objectives[name] == "valid_loss"
    return has[code]


def _column(runs: pd.DataFrame, name: str) -> Floats:
    if name not in runs:
        return np.full(len(runs), np.nan)
    return runs[name].to_numpy(dtype=np.float64, na_value=np.nan)


def losses(runs: pd.DataFrame, objectives: Objectives = None) -> tuple[Floats, Floats]:
    """ℓ₀ and ℓ(T) of every run: the objective at step 0 and at the end, each [run]; NaN where not finite."""
    valid = uses_validation(runs, objectives)
    initial = np.where(valid, _column(runs, "initial_valid_loss"), _column(runs, "initial_train_loss"))
    final = np.where(valid, _column(runs, "final_valid_loss"), _column(runs, "final_train_loss"))
    final[~np.isfinite(final)] = np.nan
    return initial, final


def trained(runs: pd.DataFrame) -> npt.NDArray[np.bool_]:
    """Whether each run [run] trained: its status is ok, or it was stopped with a training loss not above its start.

    Example:
        >>> runs = pd.DataFrame({"status": ["ok", "stopped", "stopped", "diverged"],
        ...                      "initial_train_loss": 1.0, "final_train_loss": [0.1, 0.9, 1.1, 2.0]})
        >>> trained(runs).tolist()
        [True, True, False, False]
    """
    status = runs["status"].to_numpy()
    fine: npt.NDArray[np.bool_] = status == "ok"
    stopped = status == "stopped"
    if stopped.any():
        fell = _column(runs, "final_train_loss") <= _column(runs, "initial_train_loss")
        fine = fine | (stopped & fell)
    return fine


def best_final(
    runs: pd.DataFrame, initial: Floats, final: Floats, stable: float = 0.5
) -> tuple[Ints, Floats]:
    """ℓ* of every problem: the least ℓ(η) over its grid, ℓ(η) = median over seeds of min(ℓ(T), ℓ₀).

    If the runs are only some of their problem's, a column `least_loss` has ℓ*.

    Grid points of which fewer than `stable` of the seeds are ok do not count; a loss that is not finite
    counts as ℓ₀. The median keeps one lucky seed at the edge of divergence from setting the standard for all
    others.

    Returns:
        code [run]: the problem (name and parameters) of each run; least [problem]: its ℓ*, NaN where no grid
        point is stable.
    """
    code, first = group(runs, columns_of(runs, "problem"))
    if "least_loss" in runs:
        return code, runs["least_loss"].to_numpy(dtype=np.float64)[first]
    point, begins = group(runs, point_columns(runs))
    clipped = np.fmin(final, initial)
    loss = clipped[np.lexsort((clipped, point))]
    seeds = np.bincount(point, minlength=len(begins))
    start = np.cumsum(seeds) - seeds
    middle = (loss[start + (seeds - 1) // 2] + loss[start + seeds // 2]) / 2
    fine = np.bincount(point, weights=trained(runs).astype(float), minlength=len(begins))
    middle[(fine < stable * seeds) | np.isnan(middle)] = np.inf
    least = np.full(len(first), np.inf)
    np.minimum.at(least, code[begins], middle)
    least[np.isinf(least)] = np.nan
    return code, least
