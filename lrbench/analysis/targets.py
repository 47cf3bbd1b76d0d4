"""The target of a problem, and how many steps a run takes to it."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import pandas as pd

from lrbench.analysis.groups import Floats, Ints, columns_of, group
from lrbench.analysis.objective import Objectives
from lrbench.analysis.rates import best_rates


def targets(
    runs: pd.DataFrame, objectives: Objectives = None, given: Mapping[str, float] | None = None
) -> pd.Series:
    """The loss that each run has to reach: the given one, or what the median optimizer's best rate reaches.

    Per problem: every optimizer × schedule (with their parameters) has a best rate, and a median loss
    over seeds at that rate; the target is the median of these. Lines without a stable rate do not count.

    Args:
        runs: runs with status, initial and final losses.
        objectives: as in `judge`.
        given: problem -> target, for the problems that have one.

    Returns:
        target [run], with the index of `runs`; NaN where nothing trained.
    """
    if objectives is None and "objective" in runs:
        objectives = runs["objective"]
    reached = best_rates(runs, objectives=objectives)
    code, first = group(runs, columns_of(runs, "problem"))
    of_row = code[reached["row"].to_numpy(dtype=np.int64)]
    target = median_line(of_row, reached["loss"].to_numpy(dtype=np.float64), len(first))
    for index, name in enumerate(runs["problem"].iloc[first]):
        if given is not None and name in given:
            target[index] = given[name]
    return pd.Series(target[code], index=runs.index, name="target")


def median_line(problem: Ints, loss: Floats, problems: int) -> Floats:
    """The median [problem] of the best losses of its lines; NaN where none trains.

    Args:
        problem: [line] the number of its problem.
        loss: [line] the loss at its best rate, NaN where it has none.
        problems: the number of problems.
    """
    median = pd.Series(loss).groupby(problem).median()
    return np.array(median.reindex(range(problems)), dtype=np.float64)


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
