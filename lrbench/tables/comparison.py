"""Is this difference real? Lines of a problem against each other, paired by seed, answered with an interval."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import pandas as pd

from lrbench.analysis.groups import Floats, Ints, columns_of, group, line_columns, members
from lrbench.analysis.labels import pair_names
from lrbench.analysis.objective import Objectives
from lrbench.analysis.paired_differences import NUMBERS, answer, differences, numbers_table
from lrbench.analysis.rates import cubes
from lrbench.analysis.thresholds import Thresholds

EACH_OTHER = 40
"""How many of the best lines of a problem are compared with each other; all others only with the best one."""


class LineRuns(NamedTuple):
    """The runs of the lines of the sensitivity table, which are fetched when they are compared: all at once may be too many."""

    unit: Floats  # [line] ℓ₀ − ℓ* of its problem
    block: Ints  # [line] lines of one number are fetched together
    fetch: Callable[[Ints], pd.DataFrame]  # numbers of lines -> their judged runs, line by line in that order


def comparison(
    sensitivity: pd.DataFrame,
    line_runs: LineRuns,
    thresholds: Thresholds | None = None,
    objectives: Objectives = None,
) -> pd.DataFrame:
    """A row per pair of lines of a problem, each at its best rate: the difference of their losses, and whether it is real.

    difference = interquartile mean over seeds of ℓ_a − ℓ_b, where ℓ = min(ℓ(T), ℓ₀) at the best rate of a and of
    b; below 0, a is better. Its interval is a bootstrap over seeds, the same for both, that chooses both rates again
    in every resample. Normalised: over (ℓ₀ − ℓ*) of the problem. a is the line with the lower loss.

    Args:
        sensitivity: the sensitivity table.
        line_runs: the runs of its lines.
        thresholds: for `stable`, `confidence`, `resamples`.
        objectives: problem -> "valid_loss" or "train_loss"; None: validation where a problem has it.

    Columns:
        problem: its name; `problem_<parameter>` are its parameters
        optimizer, schedule: of the first line, a; `optimizer_<parameter>` and so on are its parameters
        other_optimizer, other_schedule: of the other line, b; `other_optimizer_<parameter>` and so on are its parameters
        seeds: how many seeds both have
        learning_rate, other_learning_rate: the best rate of each on these seeds
        loss, other_loss: the loss at that rate, median over seeds
        difference: interquartile mean over seeds of the paired differences; below 0, the first line is better
        difference_low, difference_high: the bootstrap interval of the difference
        difference_normalised: the difference over (ℓ₀ − ℓ*)
        difference_normalised_low, difference_normalised_high: the bootstrap interval of that
        answer: whether the difference is real, in words

    Source: Agarwal et al., arXiv:2108.13264 (interquartile mean); docs, "Comparison".
    """
    limits = thresholds or Thresholds()
    columns = line_columns(sensitivity)
    names = sensitivity[columns]
    loss = sensitivity["best_loss"].to_numpy(dtype=np.float64)
    found = []
    for mine in members(group(sensitivity, columns_of(sensitivity, "problem"))[0]):
        order = mine[np.argsort(loss[mine], kind="stable")]  # a line that never trains comes last
        first, other = _pairs(order)
        numbers = _numbers(line_runs, order, (first, other), columns, limits, objectives)
        found.append(pd.concat([_rows(names, first, other), numbers], axis=1))
    table = pd.concat(found, ignore_index=True) if found else _rows(names, *[np.arange(0)] * 2)
    table = table.reindex(columns=[*table.columns, *(name for name in NUMBERS if name not in table)])
    rows = zip(*pair_names(table), table[NUMBERS].to_dict("records"), strict=True)
    return table.assign(answer=pd.Series([answer(a, b, row) for a, b, row in rows], dtype="str"))


def _pairs(order: Ints) -> tuple[Ints, Ints]:
    """Both lines of each pair of a problem, whose lines are in the order of their loss: the best ones first."""
    leading, further = order[:EACH_OTHER], order[EACH_OTHER:]
    first, other = (leading[at] for at in np.triu_indices(len(leading), 1))
    return np.append(first, np.full_like(further, order[0])), np.append(other, further)


def _numbers(
    line_runs: LineRuns,
    order: Ints,
    pairs: tuple[Ints, Ints],
    columns: list[str],
    limits: Thresholds,
    objectives: Objectives,
) -> pd.DataFrame:
    """The numbers of each pair of a problem; a block of lines at a time, the best ones together."""
    leading, further = order[:EACH_OTHER], order[EACH_OTHER:]
    leaders = len(pairs[0]) - len(further)
    turns = [(np.sort(leading), np.arange(leaders))]
    for number in np.unique(line_runs.block[further]):
        at = np.flatnonzero(line_runs.block[further] == number)
        turns.append((np.sort(further[at]), leaders + at))
    best = line_runs.fetch(order[:1])  # once, as it may be in another block than any of the others
    numbers = []
    for some, at in turns:
        runs = line_runs.fetch(some)
        if order[0] not in some:
            runs, some = pd.concat([best, runs]), np.append(order[0], some)
        (cube,) = cubes(runs, columns, objectives)
        mine, others = (_positions(some, each[at]) for each in pairs)
        values = numbers_table(differences(cube, mine, others, limits), line_runs.unit[order[0]])
        numbers.append(values.set_index(at))
    return pd.concat(numbers).sort_index()


def _positions(some: Ints, each: Ints) -> Ints:
    """The position of each of these numbers in `some`, whatever their order."""
    order = np.argsort(some)
    positions: Ints = order[np.searchsorted(some, each, sorter=order)]
    return positions


def _rows(names: pd.DataFrame, first: Ints, other: Ints) -> pd.DataFrame:
    """The identity columns of both lines of each pair, and the problem once."""
    mine, others = (names.iloc[rows].reset_index(drop=True) for rows in (first, other))
    others = others.drop(columns=columns_of(names, "problem"))
    return pd.concat([mine, others.add_prefix("other_")], axis=1)
