"""How the best rate moves with batch size, momentum, weight decay, or any other number that a study varies."""

from __future__ import annotations

import numpy as np
import pandas as pd

from lrbench.analysis.fitted_rates import fitted_rates
from lrbench.analysis.groups import Ints, group, line_columns, members
from lrbench.analysis.interactions import Fits, Slice, best_lines, losses_of, sentence, shift, slices
from lrbench.analysis.objective import Objectives
from lrbench.analysis.thresholds import Thresholds
from lrbench.tables.comparison import LineRuns

_NUMBERS = (
    "from_value to_value values values_fitted from_learning_rate to_learning_rate scale shift_decades shift_decades_low "
    "shift_decades_high exponent exponent_low exponent_high spread_decades grid_step_decades seeds budget best_value"
).split()
_TEXTS = ["parameter", "scale", "budget", "answer"]
_COUNTS = ["values", "values_fitted", "seeds"]


def interactions(
    sensitivity: pd.DataFrame,
    line_runs: LineRuns,
    thresholds: Thresholds | None = None,
    objectives: Objectives = None,
) -> pd.DataFrame:
    """A row per problem, optimizer, schedule and numeric parameter that varies: how far the best rate moves from its smallest to its largest value.

    Everything but the parameter is as the best line of that problem, optimizer and schedule has it. The best rate of each value is fitted: the lowest point of a
    parabola through the logarithm of the mean losses around the best one of those tried. log₁₀ of it is fitted in turn by a straight line in the
    parameter; shift_decades is what that line gains from the smallest to the largest value.

    `_low`, `_high`: t interval from the jackknife over seeds, and the error that the grid of rates leaves; from four values on
    at least as wide as that of the straight line; missing with one seed.

    Args:
        sensitivity: the sensitivity table.
        line_runs: the runs of its lines.
        thresholds: for `stable` and `confidence`.
        objectives: by problem, as in the manifest.

    Columns:
        problem, optimizer, schedule: their names; together with the parameters that stay the same
        parameter: the column of the parameter that varies
        from_value, to_value: its smallest and largest value at which the best rate is known
        values: how many values it has
        values_fitted: at how many of them the best rate is known: it is neither the first nor the last rate
        from_learning_rate, to_learning_rate: the fitted best rate at these two values
        scale: `log`, `log of 1 - value` (decays, such as momentum) or `linear` (where 0 is a value): what the straight line is fitted in
        shift_decades: how far the best rate moves, in decades
        shift_decades_low, shift_decades_high: its interval
        exponent: the slope of log best rate against log value (or log of 1 - value); missing where the scale is linear
        exponent_low, exponent_high: its interval
        spread_decades: decades between the smallest and the largest fitted best rate
        grid_step_decades: decades between neighbouring rates
        seeds: how many seeds all values have
        budget: `steps` if all values took equally many steps, else `epochs`
        best_value: the value with the lowest loss at its rate to use; missing if no rate trains
        answer: the same in words

    Source: McCandlish et al., arXiv:1812.06162 (batch size); docs, "Several hyper-parameters".
    """
    limits = thresholds or Thresholds()
    columns = line_columns(sensitivity)
    loss = losses_of(sensitivity)
    cuts = _ordered(sensitivity)
    table, steps = _fits(cuts, line_runs, columns, limits, objectives)
    known = np.isfinite(loss)[table["line"].to_numpy(dtype=np.int64)]
    fits = Fits.of(table.assign(learning_rate=table["learning_rate"].where(known)))
    rows = []
    for cut in cuts:
        budget = "steps" if len(np.unique(steps[cut.lines])) < 2 else "epochs"
        lowest = loss[cut.lines].argmin()
        best = {"best_value": cut.values[lowest]} if np.isfinite(loss[cut.lines[lowest]]) else {}
        told = {"parameter": cut.parameter, "budget": budget, **best}
        rows.append(told | shift(cut, fits, limits.confidence))
    numbers = pd.DataFrame(rows, columns=["parameter", *_NUMBERS])
    numbers["answer"] = [sentence(row) for row in numbers.to_dict("records")]
    kinds = dict.fromkeys(_TEXTS, "str") | dict.fromkeys(_COUNTS, "int64")
    floats = [name for name in _NUMBERS if name not in kinds]
    numbers = numbers.astype(kinds | dict.fromkeys(floats, "float64"))
    return pd.concat([_names(sensitivity[columns], cuts), numbers], axis=1)


def _ordered(sensitivity: pd.DataFrame) -> list[Slice]:
    """The slices problem by problem; first those through the best line of each optimizer."""
    best, name = best_lines(sensitivity), group(sensitivity, ["problem"])[0]
    return sorted(
        slices(sensitivity), key=lambda cut: (name[cut.lines[0]], not np.isin(cut.lines, best).any())
    )


def _fits(
    cuts: list[Slice], line_runs: LineRuns, columns: list[str], limits: Thresholds, objectives: Objectives
) -> tuple[pd.DataFrame, Ints]:
    """The fitted rates of the lines of all slices, and the steps [line] that a run of each takes; a block of lines at a time."""
    wanted = np.unique(np.concatenate([cut.lines for cut in cuts])) if cuts else np.arange(0)
    found = [
        pd.DataFrame(columns=["line", "seed", "fresh", "learning_rate", "at_edge", "step"], dtype=np.float64)
    ]
    steps = np.zeros(len(line_runs.block), dtype=np.int64)
    blocks = members(np.unique(line_runs.block[wanted], return_inverse=True)[1])
    tasks = [(wanted[mine], (columns, limits, objectives)) for mine in blocks]
    for (some, _), (fits, taken) in zip(tasks, line_runs.each(_fits_of, tasks), strict=True):
        found.append(fits.assign(line=some[fits["line"].to_numpy(dtype=np.int64)]))
        steps[some] = taken
    return pd.concat(found[1:] or found, ignore_index=True), steps


def _fits_of(
    runs: pd.DataFrame, columns: list[str], limits: Thresholds, objectives: Objectives
) -> tuple[pd.DataFrame, Ints]:
    """The fitted rates of some lines, and the steps [line] that a run of each takes, 0 where that is not known."""
    first = group(runs, columns)[1]  # lines come in the order that was asked for
    steps = runs["steps"].to_numpy(dtype=np.int64) if "steps" in runs else np.zeros(len(runs), dtype=np.int64)
    return fitted_rates(runs, limits, objectives), steps[first]


def _names(names: pd.DataFrame, cuts: list[Slice]) -> pd.DataFrame:
    """The identity columns of each slice; missing where it varies."""
    out = names.iloc[[int(cut.lines[0]) for cut in cuts]].reset_index(drop=True)
    for name in {cut.parameter for cut in cuts}:
        out[name] = out[name].mask(np.array([cut.parameter == name for cut in cuts]))
    return out
