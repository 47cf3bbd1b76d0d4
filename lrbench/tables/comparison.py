"""Is this difference real? Lines of a problem against each other, paired by seed, answered with an interval, a p value and steps."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from lrbench.analysis.groups import Floats, Ints, columns_of, group, line_columns, members
from lrbench.analysis.labels import pair_names
from lrbench.analysis.objective import Objectives
from lrbench.analysis.paired_differences import (
    NUMBERS,
    AtRate,
    adjusted,
    adjusted_from,
    answer,
    at_rates,
    differences,
    losses_at_use,
    numbers_table,
    paired,
    rates_to_use,
    together,
)
from lrbench.analysis.step_equivalents import SeedCurves, Steps, step_equivalent
from lrbench.analysis.thresholds import Thresholds

EACH_OTHER = 40
"""How many of the best lines of a problem are compared with each other; all others only with the best one."""
CURVES = 50_000
"""Of how many lines curves are fetched together: those of a line have a few kB, and all curves of the study are gone through for them."""
_STEPS = ("step_equivalent", "steps_factor", "steps_factor_low", "steps_factor_high")


Function = Callable[..., Any]
Arguments = tuple[Any, ...]


class LineRuns(NamedTuple):
    """The runs of the lines of the sensitivity table, which are fetched when they are compared: all at once may be too many."""

    unit: Floats  # [line] ℓ₀ − ℓ* of its problem
    block: Ints  # [line] lines of one number are fetched together
    fetch: Callable[[Ints], pd.DataFrame]  # numbers of lines -> their judged runs, line by line in that order
    curves: Callable[[Ints], Mapping[int, SeedCurves]] | None = (
        None  # numbers of lines -> the curves at their `use`
    )
    share: Callable[[Function, Iterable[tuple[Ints, Arguments]]], Iterator[Any]] | None = (
        None  # `each`, elsewhere
    )

    def each(self, function: Function, tasks: Iterable[tuple[Ints, Arguments]]) -> Iterator[Any]:
        """Yield `function(runs, *arguments)` for each task: numbers of lines, and further arguments.

        Args:
            function: of a module of lrbench, since other processes may do it.
            tasks: each of lines of one block.
        """
        if self.share is not None:
            yield from self.share(function, tasks)
            return
        for some, arguments in tasks:
            yield function(self.fetch(some), *arguments)


def comparison(
    sensitivity: pd.DataFrame,
    line_runs: LineRuns,
    thresholds: Thresholds | None = None,
    objectives: Objectives = None,
) -> pd.DataFrame:
    """A row per pair of lines of a problem, each at its rate to use: the difference of their losses, and whether it is real.

    difference = mean over seeds of ℓ_a − ℓ_b, where ℓ = min(ℓ(T), ℓ₀) at the rate to use of a and of b; below 0, a is better. The seeds are the fresh ones on which
    both were confirmed, else those of the grid. Its interval is Student's t, a fifth of whose variance is that at good neighbours of both rates. a is the
    line with the lower loss, so that the first rows of a problem compare its winner with each other line.

    p is adjusted: of pairs with the winner (`headline`) for each of them and for having chosen the winner on the same seeds; of all others for all pairs of
    the problem. From 8 seeds on by Westfall and Young's step-down max-t over joint sign flips, below that by Holm's method.

    Args:
        sensitivity: the sensitivity table.
        line_runs: the runs of its lines, and their curves, if there are any.
        thresholds: for `good`, `confidence`.
        objectives: the objective of each problem.

    Columns:
        problem: its name; `problem_<parameter>` are its parameters
        optimizer, schedule: of the first line, a; `optimizer_<parameter>` and so on are its parameters
        other_optimizer, other_schedule: of the other line, b; `other_optimizer_<parameter>` and so on are its parameters
        seeds: how many seeds they are compared on
        learning_rate, other_learning_rate: the rate to use of each
        loss, other_loss: the loss at that rate, mean over these seeds
        difference: mean over seeds of the paired differences; below 0, the first line is better
        difference_low, difference_high: the t interval of the difference
        difference_normalised: the difference divided by (ℓ₀ − ℓ*)
        difference_normalised_low, difference_normalised_high: the t interval of that
        p: the p value of no difference, adjusted for the comparisons of the problem
        decided: whether the two are told apart: p is at most 5 %, or only one of them trains
        more_seeds: about how many more seeds would tell the lines apart, with 80 % power, if the difference is as large as it seems; missing above 10,000
        headline: whether the first line is the winner of its problem
        step_equivalent: how many steps the first line needs for the loss at which the other one ends; missing if curves are not known
        steps_factor: how many times as many steps the other line has taken
        steps_factor_low, steps_factor_high: the interval of that, from 6 seeds on; an end that does not exist is missing
        answer: whether the difference is real, in words

    Source: docs, "Comparison"; Westfall & Young, Resampling-based multiple testing (1993).
    """
    limits = thresholds or Thresholds()
    columns = line_columns(sensitivity)
    names = sensitivity[columns]
    found = []
    for order in _orders(sensitivity):
        pairs = _pairs(order)
        lines = _at_use(sensitivity, line_runs, order, columns, limits, objectives)
        numbers = _numbers(lines, order, pairs, line_runs.unit[order[0]], limits)
        steps = _steps(line_runs, lines, order, pairs, limits)
        found.append(pd.concat([_rows(names, *pairs), numbers, steps], axis=1))
    table = pd.concat(found, ignore_index=True) if found else _rows(names, *[np.arange(0)] * 2)
    missing = [name for name in (*NUMBERS, "headline", *_STEPS) if name not in table]
    table = table.reindex(columns=[*table.columns, *missing])
    rows = zip(*pair_names(table), table[NUMBERS].to_dict("records"), strict=True)
    return table.assign(answer=pd.Series([answer(a, b, row) for a, b, row in rows], dtype="str"))


def undecided(
    sensitivity: pd.DataFrame,
    line_runs: LineRuns,
    thresholds: Thresholds | None = None,
    objectives: Objectives = None,
    alpha: float = 0.0125,
) -> Ints:
    """The positions of the lines that are not yet told apart from the winner of their problem, and of that winner.

    A line is told apart if its p, adjusted as in `comparison`, is at most `alpha`; with a pair that has one seed in common, or none, it is not. A winner from
    which all others are told apart is not among them, nor are lines that never train.
    """
    limits = thresholds or Thresholds()
    found = [np.arange(0)]
    for order in _orders(sensitivity):
        lines = _at_use(sensitivity, line_runs, order, line_columns(sensitivity), limits, objectives)
        others = np.arange(1, len(order))
        against = differences(lines, np.zeros_like(others), others, limits)
        p = adjusted_from(lines, 0, others, against)
        trains = np.isfinite(lines.rate)
        left = others[trains[0] & trains[1:] & ~(p <= alpha)]
        found.append(order[np.append(0, left)] if len(left) else order[:0])
    return np.sort(np.concatenate(found)).astype(np.int64)


def _orders(sensitivity: pd.DataFrame) -> list[Ints]:
    """The lines of each problem in the order of their loss; those that never train come last."""
    loss = losses_at_use(sensitivity)
    problems = members(group(sensitivity, columns_of(sensitivity, "problem"))[0])
    return [mine[np.argsort(loss[mine], kind="stable")] for mine in problems]


def _at_use(
    sensitivity: pd.DataFrame,
    line_runs: LineRuns,
    order: Ints,
    columns: list[str],
    limits: Thresholds,
    objectives: Objectives,
) -> AtRate:
    """The lines of a problem in this order, each at its rate to use; they are fetched a block at a time."""
    rate = rates_to_use(sensitivity)
    ordered = np.sort(order)
    fetched = [ordered[mine] for mine in members(np.unique(line_runs.block[ordered], return_inverse=True)[1])]
    tasks = ((some, (columns, rate[some], limits, objectives)) for some in fetched)
    parts = list(line_runs.each(at_rates, tasks))
    return together(parts).take(_places(np.concatenate(fetched), order))


def _pairs(order: Ints) -> tuple[Ints, Ints]:
    """Both lines of each pair of a problem, whose lines are in the order of their loss: the best ones first."""
    leading, further = order[:EACH_OTHER], order[EACH_OTHER:]
    first, other = (leading[at] for at in np.triu_indices(len(leading), 1))
    return np.append(first, np.full_like(further, order[0])), np.append(other, further)


def _numbers(
    lines: AtRate, order: Ints, pairs: tuple[Ints, Ints], unit: float, limits: Thresholds
) -> pd.DataFrame:
    """The numbers of each pair of a problem."""
    first, other = (_places(order, each) for each in pairs)
    headline = first == 0
    found = differences(lines, first, other, limits)
    p = adjusted(found)
    p[headline] = adjusted_from(lines, 0, other[headline], found.take(headline))
    table = numbers_table(lines, first, other, found, p, unit, limits, headline)
    return table.assign(headline=headline)


def _steps(
    line_runs: LineRuns, lines: AtRate, order: Ints, pairs: tuple[Ints, Ints], limits: Thresholds
) -> pd.DataFrame:
    """The differences of each pair of a problem in steps; the curves are fetched for many lines at a time."""
    rows = [Steps(*[np.nan] * 4)] * len(pairs[0])
    if line_runs.curves is not None and len(rows):
        each = paired(lines, *(_places(order, side) for side in pairs))
        leading = line_runs.curves(order[:EACH_OTHER])
        for begin in range(0, len(order), CURVES):
            some = line_runs.curves(order[begin : begin + CURVES])
            for row in np.flatnonzero(np.isin(pairs[1], list(some))):
                a, b = leading.get(int(pairs[0][row])), some[int(pairs[1][row])]
                if a is not None:
                    seeds = lines.seed[np.isfinite(each[row])]
                    rows[row] = step_equivalent(a, b, seeds[np.isin(seeds, a.seed) & np.isin(seeds, b.seed)])
    return pd.DataFrame(rows, columns=list(_STEPS))


def _places(order: Ints, each: Ints) -> Ints:
    """The position of each of these numbers in `order`."""
    sorting = np.argsort(order)
    places: Ints = sorting[np.searchsorted(order, each, sorter=sorting)]
    return places


def _rows(names: pd.DataFrame, first: Ints, other: Ints) -> pd.DataFrame:
    """The identity columns of both lines of each pair, and the problem once."""
    mine, others = (names.iloc[rows].reset_index(drop=True) for rows in (first, other))
    others = others.drop(columns=columns_of(names, "problem"))
    return pd.concat([mine, others.add_prefix("other_")], axis=1)
