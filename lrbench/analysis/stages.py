"""What the stages of a study train, chosen from what is trained: ranges, rates between those of the grid, and candidates to be confirmed.

Each returns a row per line and chosen rate: `row`, the position in the runs of the first run of the line, and `learning_rate`.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd

from lrbench.analysis.answers import Answers
from lrbench.analysis.groups import Floats, Ints, group, line_columns
from lrbench.analysis.line_answers import each_shape
from lrbench.analysis.mean_loss import Bools, MeanLoss
from lrbench.analysis.objective import Objectives
from lrbench.analysis.thresholds import Thresholds
from lrbench.study.stages import CANDIDATES, HIGHEST, LOWEST

AROUND = 10.0
"""By which factor a range goes beyond the useful rates, on both sides."""
NEIGHBOURS = 2
"""How many rates on each side of the best one are candidates, too."""


def confirm_rates(
    runs: pd.DataFrame, thresholds: Thresholds | None = None, objectives: Objectives = None
) -> pd.DataFrame:
    """The candidates of every line: its rate of least mean and two neighbours on each side, as far as most seeds train there.

    The rate to use, if it is not among them, replaces the one that is the farthest from the best. A line that does not train has none. Of a line whose
    parameters are sampled, too, they are the points of least mean.
    """
    found = []
    for first, mean, answer in _each(runs, thresholds, objectives):
        position = np.arange(mean.rate.shape[1])
        away = np.abs(position - mean.best[:, None])
        order = np.where(mean.able, mean.loss, np.inf).argsort(axis=1, kind="stable")
        rank = order.argsort(axis=1)
        near = np.where(mean.sampled[:, None], rank < CANDIDATES, away <= NEIGHBOURS)
        chosen = near & mean.able
        use = answer.use[:, None]
        extra = ~np.take_along_axis(chosen, use, axis=1)[:, 0]
        log = np.log(mean.rate)
        distance = np.abs(log - np.take_along_axis(log, mean.best[:, None], axis=1))
        farthest = np.where(chosen, distance, -1.0).argmax(axis=1)
        chosen[extra, farthest[extra]] = False
        np.put_along_axis(chosen, use, True, axis=1)
        found.append(_rows(first, mean.rate, chosen & answer.trains[:, None]))
    return _table(found)


def refined_rates(
    runs: pd.DataFrame, thresholds: Thresholds | None = None, objectives: Objectives = None
) -> pd.DataFrame:
    """The rates that halve the step of the grid on both sides of the best rate of every line, and between the ends of its collapse.

    Each is the geometric mean of two neighbours, rounded to nine significant digits.
    """
    found = []
    for first, mean, answer in _each(runs, thresholds, objectives):
        at, last = mean.best[:, None], mean.rate.shape[1] - 1
        below, best, above = (
            np.take_along_axis(mean.rate, np.clip(at + side, 0, last), axis=1)[:, 0] for side in (-1, 0, 1)
        )
        ends = ((below, best), (best, above), answer.collapse)
        between = np.stack([_rounded(np.sqrt(low * high)) for low, high in ends], axis=1)
        ordered = np.stack([(low < high) for low, high in ends], axis=1) & np.isfinite(between)
        known = (between[:, :, None] == mean.rate[:, None, :]).any(axis=2)
        found.append(_rows(first, between, ordered & ~known & answer.trains[:, None]))
    return _table(found).drop_duplicates(ignore_index=True)


def ranged_rates(
    runs: pd.DataFrame,
    per_decade: float,
    thresholds: Thresholds | None = None,
    objectives: Objectives = None,
) -> pd.DataFrame:
    """The range of every line, from the runs of the stage `range`: 10^(k/per_decade) from a decade below its first useful rate to a decade above its collapse.

    A line that trains nowhere has none.
    """
    limits = thresholds or Thresholds()
    last = int(np.floor(HIGHEST * per_decade + 1e-9))
    first_number = int(np.ceil(LOWEST * per_decade - 1e-9))
    lattice = _rounded(10 ** (np.arange(first_number, last + 1) / per_decade))
    found = []
    for first, mean, answer in _each(runs, thresholds, objectives):
        useful: Bools = mean.gap <= limits.useful
        low = np.where(useful, mean.rate, np.inf).min(axis=1) / AROUND
        high = np.where(np.isfinite(answer.collapse.high), answer.collapse.high * AROUND, 10.0**HIGHEST)
        slack = 1 + 1e-9
        inside = (lattice * slack >= low[:, None]) & (lattice <= high[:, None] * slack)
        rates = np.broadcast_to(lattice, inside.shape)
        found.append(_rows(first, rates, inside & answer.trains[:, None]))
    return _table(found)


def _each(
    runs: pd.DataFrame, thresholds: Thresholds | None, objectives: Objectives
) -> Iterator[tuple[Ints, MeanLoss, Answers]]:
    """Yield a row of each line, ℓ(η) and the answer, for lines of one shape together."""
    first = group(runs, line_columns(runs))[1]
    for some, mean, _, found in each_shape(runs, thresholds or Thresholds(), objectives):
        yield first[some.line], mean, found


def _rounded(rates: Floats) -> Floats:
    """Rates to nine significant digits, so that they read well and are the same on every machine."""
    flat = [float(f"{rate:.9g}") for rate in np.ravel(rates)]
    return np.array(flat).reshape(np.shape(rates))


def _rows(first: Ints, rate: Floats, chosen: Bools) -> pd.DataFrame:
    line, position = np.nonzero(chosen)
    return pd.DataFrame({"row": first[line], "learning_rate": rate[line, position]})


def _table(found: list[pd.DataFrame]) -> pd.DataFrame:
    if not found:
        return pd.DataFrame({"row": np.arange(0), "learning_rate": np.arange(0.0)})
    return pd.concat(found).sort_values(["row", "learning_rate"], ignore_index=True)
