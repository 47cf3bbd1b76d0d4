"""ℓ(η), the mean loss at every rate of a line, over the seeds that count; its gap to the best, and where a line trains at all."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from lrbench.analysis.groups import Floats, Ints, columns_of, group, line_columns
from lrbench.analysis.objective import Objectives
from lrbench.analysis.rates import Lines, least, lines, stable_rates
from lrbench.analysis.thresholds import Thresholds

Bools = npt.NDArray[np.bool_]


class MeanLoss(NamedTuple):
    """ℓ(η) of lines with the same number of rates, and what it says of each line alone."""

    rate: Floats  # [line, rate] ascending
    loss: Floats  # [line, rate] ℓ(η); NaN where it is not known
    asked: Floats  # [line, rate] the mean over the seeds of the grid, stopped runs included; NaN at rates that the grid does not have
    stable: Bools  # [line, rate] whether at least half of the seeds trained
    confirmed: Bools  # [line, rate] whether ℓ(η) is that of fresh seeds
    used: Bools  # [line, rate, seed] the runs whose mean it is
    able: Bools  # [line, rate] whether the rate may be the best one, or the one to use
    useless: Bools  # [line, rate] whether a race stopped a run that did not fall
    best: Ints  # [line] the position of the best rate; 0 where there is none
    least: Floats  # [line] ℓ*_line, the loss there; NaN where no rate may be the best one
    start: Floats  # [line] ℓ₀
    sampled: Bools  # [line] whether other parameters are sampled together with the rate: then rates next to each other say nothing of each other

    def at(self, values: Floats, position: Ints) -> Floats:
        """Values [line, rate] at a position of each line; NaN where the line has no best rate."""
        found = np.take_along_axis(values, position[:, None], axis=1)[:, 0]
        return np.where(np.isfinite(self.least), found, np.nan)

    @property
    def gap(self) -> Floats:
        """g_line [line, rate] = (ℓ(η) − ℓ*_line) / (ℓ₀ − ℓ*_line), at least 0; 1 where not stable, NaN where not known."""
        span = (self.start - self.least)[:, None]
        with np.errstate(invalid="ignore", divide="ignore"):
            gap = np.maximum((self.loss - self.least[:, None]) / np.where(span > 0, span, np.nan), 0.0)
        gap = np.where(~self.stable & np.isfinite(self.loss), 1.0, gap)
        found: Floats = np.where(self.useless & ~self.confirmed, 1.0, gap)
        return found

    def trains(self, star: Floats, limits: Thresholds) -> Bools:
        """Whether each line trains: ℓ₀ − ℓ*_line is more than a twentieth of ℓ₀ − ℓ*, and ℓ₀ > ℓ*.

        Args:
            star: [line] ℓ* of its problem.
            limits: `trains`, the twentieth.
        """
        found: Bools = (self.start > star) & (self.start - self.least > limits.trains * (self.start - star))
        return found


def mean_loss(some: Lines, limits: Thresholds) -> MeanLoss:
    """ℓ(η) of lines: the mean over fresh seeds where a rate was confirmed, else over the seeds of the grid.

    A rate of which a race stopped a run has no mean over the grid's seeds. Where a line has confirmed rates, only these may be the best one.
    """
    present = np.isfinite(some.ok)
    fresh = present & some.fresh[:, None, :]
    stopped: Bools = np.logical_or.reduce(present & (some.stopped == 1), axis=2)
    confirmed: Bools = np.logical_or.reduce(fresh, axis=2)
    first = _mean(some.loss, present & ~fresh)
    used = np.where(confirmed[..., None], fresh, present & ~fresh)
    loss = np.where(confirmed, _mean(some.loss, fresh), np.where(stopped, np.nan, first))
    stable = stable_rates(np.where(used, some.ok, np.nan), limits.stable)
    any_confirmed: Bools = np.logical_or.reduce(confirmed, axis=1)
    able = stable & np.isfinite(loss) & (confirmed | ~any_confirmed[:, None])
    useless: Bools = np.logical_or.reduce(some.unknown == 1, axis=2)
    best, lowest = least(loss, able)
    lowest = np.where(np.isfinite(lowest), lowest, np.nan)
    asked = np.where(some.asked, first, np.nan)
    return MeanLoss(
        some.rate,
        loss,
        asked,
        stable,
        confirmed,
        used,
        able,
        useless,
        best,
        lowest,
        some.initial,
        some.sampled,
    )


def _mean(values: Floats, used: Bools) -> Floats:
    """Mean over the last axis of the values that are used; NaN where none is."""
    count = used.sum(axis=-1)
    # Added one after another: the rounding of a line must not depend on how many others there are.
    total = np.zeros(count.shape)
    for seed in range(values.shape[-1]):
        total += np.where(used[..., seed], values[..., seed], 0.0)
    mean: Floats = np.where(count > 0, total / np.maximum(count, 1), np.nan)
    return mean


class Levels(NamedTuple):
    """What the runs of a problem have in common."""

    code: Ints  # [run] the problem, by name and parameters, of each run
    least: Floats  # [problem] ℓ*; NaN where nothing trains
    lowest: Floats  # [problem] the lowest loss of any run
    rates: Ints  # [problem] how many rates its lines have together

    def of_lines(self, first: Ints) -> Levels:
        """The same, line by line, given a row of each line."""
        problem = self.code[first]
        return Levels(problem, self.least[problem], self.lowest[problem], self.rates[problem])


def levels(runs: pd.DataFrame, limits: Thresholds, objectives: Objectives = None) -> Levels:
    """ℓ* of every problem: the least ℓ(η) over its lines, if that is below their ℓ₀; and the lowest loss of any of its runs.

    If the runs are only some of their problem's, columns `least_loss`, `lowest_loss` and `rates_of_problem` have these.
    """
    code, first = group(runs, columns_of(runs, "problem"))
    known = ("least_loss", "lowest_loss", "rates_of_problem")
    if set(known) <= set(runs.columns):
        least_loss, lowest, rates = (runs[name].to_numpy(dtype=np.float64)[first] for name in known)
        return Levels(code, least_loss, lowest, rates.astype(np.int64))
    begins = group(runs, line_columns(runs))[1]
    least_loss, lowest = np.full(len(first), np.inf), np.full(len(first), np.inf)
    rates_seen: list[set[float]] = [set() for _ in first]
    for some in lines(runs, objectives):
        found = mean_loss(some, limits)
        problem = code[begins[some.line]]
        able = np.where(found.least < found.start, found.least, np.inf)
        np.minimum.at(least_loss, problem, able)
        seen = np.where(np.isfinite(some.loss), some.loss, np.inf)
        np.minimum.at(lowest, problem, seen.min(axis=(1, 2), initial=np.inf))
        for each in np.unique(problem):
            rates_seen[each] |= set(some.rate[problem == each][some.asked[problem == each]].tolist())
    least_loss, lowest = (np.where(np.isfinite(v), v, np.nan) for v in (least_loss, lowest))
    return Levels(code, least_loss, lowest, np.array([len(each) for each in rates_seen], dtype=np.int64))


def best_rates(
    runs: pd.DataFrame, limits: Thresholds | None = None, objectives: Objectives = None
) -> pd.DataFrame:
    """The best rate of every line, whether or not the line trains: least ℓ(η) among the rates that may be it, the smallest of equals.

    Returns:
        A row per line, in order of appearance: `row` (its first row in the runs), `learning_rate`, `loss` (both NaN where no rate may be the best one).
    """
    first = group(runs, line_columns(runs))[1]
    best, reached = np.full(len(first), np.nan), np.full(len(first), np.nan)
    for some in lines(runs, objectives):
        found = mean_loss(some, limits or Thresholds())
        best[some.line], reached[some.line] = found.at(found.rate, found.best), found.least
    return pd.DataFrame({"row": first, "learning_rate": best, "loss": reached})
