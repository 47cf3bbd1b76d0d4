"""The target of a problem, and how many steps a run takes to it."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import pandas as pd

from lrbench.analysis.groups import Floats
from lrbench.analysis.mean_loss import levels
from lrbench.analysis.objective import Objectives, losses
from lrbench.analysis.rates import starts
from lrbench.analysis.thresholds import Thresholds


def targets(
    runs: pd.DataFrame,
    objectives: Objectives = None,
    given: Mapping[str, float] | None = None,
    thresholds: Thresholds | None = None,
) -> pd.Series:
    """The loss that each run has to reach: the given one, or ℓ* + ε(ℓ₀ − ℓ*) of its problem.

    Args:
        runs: runs with status, initial and final losses.
        objectives: as in `judge`.
        given: problem -> target, for the problems that have one.
        thresholds: for ε, `good`.

    Returns:
        target [run], with the index of `runs`; NaN where nothing trained.
    """
    limits = thresholds or Thresholds()
    level = levels(runs, limits, objectives)
    start = starts(runs, level.code, losses(runs, objectives)[0], len(level.least), objectives)
    target = default_targets(level.least, start, limits)[level.code]
    name = runs["problem"].map(dict(given or {})).to_numpy(dtype=np.float64, na_value=np.nan)
    return pd.Series(np.where(np.isnan(name), target, name), index=runs.index, name="target")


def default_targets(least: Floats, start: Floats, limits: Thresholds) -> Floats:
    """ℓ* + ε(ℓ₀ − ℓ*), each [problem]: what every run that is good reaches."""
    found: Floats = least + limits.good * np.maximum(start - least, 0.0)
    return found


def steps_to_target(step: npt.ArrayLike, objective_curves: npt.ArrayLike, target: npt.ArrayLike) -> Floats:
    """The first evaluation step at which the objective is at or below the target; NaN = never.

    Args:
        step: [evaluation].
        objective_curves: [run, evaluation].
        target: [run].

    Example:
        >>> steps_to_target([0, 10, 20], [[3.0, 2.0, 1.0], [3.0, 3.0, 3.0]], [2.0, 2.0]).tolist()
        [10.0, nan]
    """
    steps = np.asarray(step, dtype=np.float64)
    met = np.asarray(objective_curves, dtype=np.float64) <= np.asarray(target, dtype=np.float64)[:, None]
    return np.where(met.any(axis=1), steps[met.argmax(axis=1)], np.nan)
