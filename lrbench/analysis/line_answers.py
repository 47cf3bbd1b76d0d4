"""The answers of all lines of a frame of runs, as a row each."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd

from lrbench.analysis.answers import Answers, Problems, answers
from lrbench.analysis.groups import Ints, group, line_columns
from lrbench.analysis.mean_loss import Levels, MeanLoss, levels, mean_loss
from lrbench.analysis.objective import Objectives
from lrbench.analysis.rates import Lines, lines, of_loss
from lrbench.analysis.thresholds import Thresholds


def problems_of(runs: pd.DataFrame, first: Ints, level: Levels, objectives: Objectives = None) -> Problems:
    """What lines have from their problems.

    Args:
        runs: with `optimum` and `pace_loss`, where they are known.
        first: [line] a row of each line.
        level: of all problems of the runs.
        objectives: what each problem is judged by.
    """
    some = level.of_lines(first)
    rows = runs.iloc[first]
    pace = (
        rows["pace_loss"].to_numpy(dtype=np.float64) if "pace_loss" in rows else np.full(len(first), np.nan)
    )
    return Problems(some.least, some.lowest, of_loss(rows, "optimum", objectives), pace)


def each_shape(
    runs: pd.DataFrame, limits: Thresholds, objectives: Objectives = None
) -> Iterator[tuple[Lines, MeanLoss, Problems, Answers]]:
    """Yield lines with as many rates and seeds together: their runs, ℓ(η), what they have from their problem, and the answers."""
    first = group(runs, line_columns(runs))[1]
    level = levels(runs, limits, objectives)
    for some in lines(runs, objectives):
        mean = mean_loss(some, limits)
        problems = problems_of(runs, first[some.line], level, objectives)
        yield some, mean, problems, answers(mean, problems, limits)


def line_answers(
    runs: pd.DataFrame, limits: Thresholds | None = None, objectives: Objectives = None
) -> pd.DataFrame:
    """A row per line, in order of appearance.

    Returns:
        `row`, the position of its first run; `trains`; `best_learning_rate`, `best_loss`, `use_learning_rate`, `use_loss` (NaN where it does not train);
        `best_rate` and `least`, the best rate and ℓ*_line even where it does not train; `start`, ℓ₀.
    """
    limits = limits or Thresholds()
    first = group(runs, line_columns(runs))[1]
    names = (
        "best_learning_rate",
        "best_loss",
        "use_learning_rate",
        "use_loss",
        "best_rate",
        "least",
        "start",
    )
    out = pd.DataFrame(
        {"row": first, "trains": False, **{name: np.full(len(first), np.nan) for name in names}}
    )
    values = out[list(names)].to_numpy(copy=True)
    trains = np.zeros(len(first), dtype=bool)
    for some, mean, _, found in each_shape(runs, limits, objectives):
        trains[some.line] = found.trains
        best = mean.at(mean.rate, mean.best)
        answered = found.best_rate, found.best_loss, found.use_rate, found.use_loss
        columns = (*answered, best, mean.least, mean.start)
        values[some.line] = np.stack(columns, axis=1)
    out[list(names)] = values
    return out.assign(trains=trains)
