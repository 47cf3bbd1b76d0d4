"""The answer of a line in numbers: the rate to use, the bands around the best one, and where training collapses."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from lrbench.analysis.groups import Floats, Ints
from lrbench.analysis.mean_loss import Bools, MeanLoss
from lrbench.analysis.thresholds import Thresholds

KERNEL = {-1: 0.15, 0: 0.5, 1: 0.35}
"""The weights of the rates below, at and above one by which it is judged; a rate too large costs more than one too small."""
WIDTH = 1 / 3
"""How far apart they are, in decades."""
FLAT = 0.01
"""How far above the least a score of an equally good rate may be: 1 % of the loss above the floor."""
_SMALLEST = 1e-6
"""A loss counts as at least this share of (ℓ₀ − floor) above the floor."""
_ROUNDING = 1e-6
"""Distances in decades that differ by less are equal: rates have nine digits."""


class Problems(NamedTuple):
    """What lines have from their problem, each [line]."""

    star: Floats  # ℓ*
    lowest: Floats  # the lowest loss of any run of the problem
    optimum: Floats  # the known minimum; NaN where there is none
    pace: Floats  # the loss that a run of T/1.2 steps reaches at the best rate; NaN where that is not known


class Ends(NamedTuple):
    """The ends of a band, each [line]; NaN where there is none."""

    low: Floats
    high: Floats


class Answers(NamedTuple):
    """The answer of each line, each [line]; NaN where it does not train."""

    trains: Bools
    use: Ints  # the position of the rate to use; 0 where the line does not train
    best_rate: Floats
    best_loss: Floats
    use_rate: Floats
    use_loss: Floats
    good: Ends  # within ε of the problem's best
    own: Ends  # within ε of the line's best
    pace: Ends  # at most a fifth more steps
    collapse: Ends  # the last rate that is useful, and the first that is not
    degrades_from: Floats  # the first rate with a gap above ¼, where it grows slowly


def answers(found: MeanLoss, problems: Problems, limits: Thresholds) -> Answers:
    """Answer for lines with the same number of rates.

    Of a line whose parameters are sampled together with its rates, the rate to use is that of the best point, and there are neither bands nor a collapse.

    Args:
        found: ℓ(η) of the lines.
        problems: what they have from their problems.
        limits: `good`, `useful`, `close`, `trains`.

    Source: docs, "Definitions".
    """
    trains = found.trains(problems.star, limits)
    use = np.where(found.sampled, found.best, rate_to_use(found, problems, limits))
    best_rate, use_rate = (_known(trains, found.at(found.rate, at)) for at in (found.best, use))
    bar = problems.star + limits.good * np.maximum(found.start - problems.star, 0.0)
    gap = found.gap
    paced = np.isfinite(problems.pace)[:, None] & (
        (found.stable & (found.loss <= problems.pace[:, None])) | (gap <= limits.close)
    )
    good, own = found.stable & (found.loss <= bar[:, None]), gap <= limits.good
    collapse = _collapse(found.rate, gap, np.fmax(best_rate, use_rate), limits)
    degrades = _degrades(found.rate, gap, np.fmax(best_rate, use_rate), _grid_step(found), collapse)
    bands = (band(found.rate, each, best_rate) for each in (good, own, paced))
    good_ends, own_ends, paced_ends, collapse = (
        Ends(_known(~found.sampled, low), _known(~found.sampled, high)) for low, high in (*bands, collapse)
    )
    return Answers(
        trains,
        np.where(trains, use, 0),
        best_rate,
        _known(trains, found.at(found.loss, found.best)),
        use_rate,
        _known(trains, found.at(found.loss, use)),
        good_ends,
        own_ends,
        paced_ends,
        collapse,
        _known(~found.sampled, degrades),
    )


def _known(known: Bools, values: Floats) -> Floats:
    return np.where(known, values, np.nan)


def rate_to_use(found: MeanLoss, problems: Problems, limits: Thresholds) -> Ints:
    """The position [line] of the rate to use: good, forgiving if it is missed, and in the middle where the curve is flat.

    Of the rates that may be the best one, that with the least score; then, of those in the unbroken stretch of rates around it that are as good, the nearest in log η to
    the middle of the stretch. As good is a rate, also one that may not be the best one, with a score at most `FLAT` above the least, and a g_line within `close` of
    that there. Of equals the smallest rate is taken.
    """
    score, log, gap = _scores(found, problems), np.log10(found.rate), found.gap
    able = np.where(found.able & np.isfinite(score), score, np.inf)
    first = able.argmin(axis=1)[:, None]
    least, level, center = (np.take_along_axis(values, first, axis=1) for values in (able, gap, log))
    alike = (score <= least + FLAT) & (np.abs(gap - level) <= limits.close)
    ends = band(log, alike, center[:, 0])
    away = np.abs(log - (ends.low + ends.high)[:, None] / 2)
    away = np.where(np.isfinite(able), away, np.inf)
    return (away <= away.min(axis=1, keepdims=True) + _ROUNDING).argmax(axis=1)


def _scores(found: MeanLoss, problems: Problems) -> Floats:
    """0.15 y(η/10^⅓) + 0.5 y(η) + 0.35 y(η 10^⅓) at every rate [line, rate], where y = log max(ℓ(η) − floor, 10⁻⁶(ℓ₀ − floor)).

    y is interpolated linearly in log η, and has its edge values beyond the line's rates. The floor is the optimum, if it is known, else 0 as long as no loss of the problem
    is negative; otherwise y = log(g_line + 0.01).
    """
    floor = np.where(
        np.isfinite(problems.optimum), problems.optimum, np.where(problems.lowest < 0, np.nan, 0.0)
    )
    loss = np.where(found.useless & ~found.confirmed, found.start[:, None], found.loss)
    loss = np.where(found.stable | ~np.isfinite(loss), loss, found.start[:, None])
    above = np.maximum(loss - floor[:, None], _SMALLEST * (found.start - floor)[:, None])
    with np.errstate(invalid="ignore", divide="ignore"):
        above = np.maximum(above, np.finfo(np.float64).tiny)  # ℓ₀ may be the floor itself
        y = np.where(np.isfinite(floor)[:, None], np.log(above), np.log(found.gap + 0.01))
    log = np.log10(found.rate)
    return sum(
        (weight * interpolated(log, y, log + WIDTH * side) for side, weight in KERNEL.items()),
        start=np.zeros(y.shape),
    )


def interpolated(x: Floats, y: Floats, at: Floats) -> Floats:
    """Linear interpolation line by line, with the edge values beyond; points whose y is NaN are left out.

    Args:
        x: [line, point] ascending.
        y: [line, point].
        at: [line, query].

    Example:
        >>> nan = float("nan")
        >>> interpolated(np.array([[0.0, 1.0, 2.0]]), np.array([[0.0, nan, 4.0]]), np.array([[-1.0, 1.0, 3.0]])).tolist()
        [[0.0, 2.0, 4.0]]
    """
    order = np.argsort(np.isnan(y), axis=1, kind="stable")
    y = np.take_along_axis(y, order, axis=1)
    x = np.where(np.isnan(y), np.inf, np.take_along_axis(x, order, axis=1))
    last = np.maximum(np.isfinite(y).sum(axis=1, keepdims=True) - 1, 0)
    # Line by line: comparing every query with every point takes 600 MB for a line of 25,000 rates.
    after = np.array([np.searchsorted(*line, side="right") for line in zip(x, at, strict=True)]).reshape(
        at.shape
    )
    low, high = np.clip(after - 1, 0, last), np.clip(after, 0, last)
    x_low, x_high, y_low, y_high = (
        np.take_along_axis(values, k, axis=1) for values, k in ((x, low), (x, high), (y, low), (y, high))
    )
    between = high > low
    with np.errstate(invalid="ignore"):  # inf − inf, where a line has no value at all
        share = np.where(between, (at - x_low) / np.where(between, x_high - x_low, 1.0), 0.0)
    return y_low + share * (y_high - y_low)


def band(rate: Floats, good: Bools, best: Floats) -> Ends:
    """The ends of the unbroken stretch of good rates [line, rate] around the best one [line]; NaN where that is not good.

    Example:
        >>> ends = band(np.array([[1.0, 2.0, 3.0, 4.0]]), np.array([[True, False, True, True]]), np.array([3.0]))
        >>> float(ends.low[0]), float(ends.high[0])
        (3.0, 4.0)
    """
    position = np.arange(rate.shape[1])
    below, above = ~good & (rate < best[:, None]), ~good & (rate > best[:, None])
    low = np.where(below, position, -1).max(axis=1, initial=-1) + 1
    high = np.where(above, position, rate.shape[1]).min(axis=1, initial=rate.shape[1]) - 1
    is_good = (good & (rate == best[:, None])).any(axis=1)
    ends = (np.take_along_axis(rate, at[:, None], axis=1)[:, 0] for at in (low, high))
    return Ends(*(np.where(is_good, end, np.nan) for end in ends))


def _collapse(rate: Floats, gap: Floats, top: Floats, limits: Thresholds) -> Ends:
    """The last useful rate above `top` [line], or `top` itself, and the first useless one; NaN where every rate above is useful."""
    useless = (gap > limits.useful) & (rate > top[:, None])
    first = useless.argmax(axis=1)
    there = useless.any(axis=1)
    known = np.isfinite(gap) & (np.arange(rate.shape[1]) < first[:, None])
    below = np.where(known, rate, -np.inf).max(axis=1, initial=-np.inf)
    high = np.take_along_axis(rate, first[:, None], axis=1)[:, 0]
    return Ends(np.where(there, below, np.nan), np.where(there, high, np.nan))


def _grid_step(found: MeanLoss) -> Floats:
    """The median distance in decades [line] between neighbouring rates of the grid; NaN with a single rate."""
    log = np.where(np.isfinite(found.asked), np.log10(found.rate), np.nan)
    log = np.sort(log, axis=1)  # NaN goes last
    distance = np.sort(np.diff(log, axis=1), axis=1)
    if not distance.shape[1]:
        return np.full(len(log), np.nan)
    count = np.isfinite(distance).sum(axis=1)
    middle = np.maximum(count - 1, 0) // 2
    return np.take_along_axis(distance, middle[:, None], axis=1)[:, 0]


def _degrades(rate: Floats, gap: Floats, top: Floats, step: Floats, collapse: Ends) -> Floats:
    """The first rate above `top` [line] with a gap above ¼, where from the last below it to the first above ¾ it is more than two steps of the grid."""
    above = rate > top[:, None]
    first = (above & (gap > 0.25)).argmax(axis=1)[:, None]
    position = np.arange(rate.shape[1])
    before = np.where(np.isfinite(gap) & (position < first), rate, -np.inf).max(axis=1, initial=-np.inf)
    far = above & (gap > 0.75)
    end = np.where(
        far.any(axis=1), np.take_along_axis(rate, far.argmax(axis=1)[:, None], axis=1)[:, 0], rate[:, -1]
    )
    with np.errstate(divide="ignore", invalid="ignore"):
        slow = np.log10(end) - np.log10(before) > (2 + 1e-6) * step
    there = slow & np.isfinite(collapse.high) & np.isfinite(before)
    return np.where(there, np.take_along_axis(rate, first, axis=1)[:, 0], np.nan)
