"""p values of many comparisons at once, adjusted so that a wrong "better" anywhere among them is as rare as promised.

From 8 seeds on by sign flips, joint over all pairs and step-down; below that, where too few flips exist to find anything, Holm's
adjustment of p values from t statistics. The winner is the line with the least mean of those compared, which makes its differences large by itself: so
when it is compared with each other line, the adjustment is for all pairs of the lines not yet told apart, any of which might have won.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from lrbench.analysis.groups import Floats, Ints
from lrbench.analysis.intervals import t_p

FLIPS_FROM = 8
"""With fewer seeds a p of 5 % is out of reach of sign flips or nearly so."""
_ALL_UP_TO, _DRAWN = 12, 2048  # 12 seeds have 2,048 flips apart from a common sign
_ROUNDING = 1e-9  # of a statistic: flips that give the observed one must not be missed


def signs(seeds: int) -> Floats:
    """Signs [flip, seed] of joint flips, the first of which flips nothing: all up to 12 seeds, else 2,048 of them.

    Flipping every seed changes no two-sided statistic, so that the first seed keeps its sign. Those drawn are the same every time.

    Example:
        >>> signs(2).tolist()
        [[1.0, 1.0], [1.0, -1.0]]
    """
    if seeds <= _ALL_UP_TO:
        return np.array([(1.0, *rest) for rest in itertools.product((1.0, -1.0), repeat=seeds - 1)])
    drawn = np.random.default_rng(0).choice((1.0, -1.0), size=(_DRAWN, seeds))
    drawn[0] = 1.0
    return drawn


def step_down(difference: Floats) -> Floats:
    """Adjusted p [pair] of differences [pair, seed]: Westfall and Young's step-down max-t over joint sign flips.

    If a pair is equal, its differences are as likely with the other sign. Flipping the signs of whole seeds, the same for all pairs, keeps
    how pairs depend on each other. p_j = the share of flips in which the largest |t| among the pairs with no larger |t| than j
    reaches that of j, made monotone in |t|.

    Args:
        difference: NaN where a pair lacks a seed; a pair without two seeds has no p and counts in no maximum.

    Example:
        >>> step_down(np.array([[1.0, 1.1, 0.9, 1.0, 1.2, 0.8, 1.0, 1.1]])).tolist()
        [0.0078125]

    Source: Westfall & Young, Resampling-based multiple testing (1993), algorithm 2.8.
    """
    p = np.full(len(difference), np.nan)
    known = np.isfinite(difference)
    pairs = np.flatnonzero(known.sum(axis=1) > 1)
    if not len(pairs):
        return p
    statistic = _Statistic(known[pairs])
    observed = statistic.seen(difference[pairs])
    order = np.argsort(observed, kind="stable")
    largest = np.maximum.accumulate(statistic.of(difference[pairs[order]]), axis=1)
    p[pairs[order]] = _monotone((largest >= observed[order] - _ROUNDING).mean(axis=0))
    return p


def step_down_from(winner: int, lines: Ints, difference: Callable[[Ints, Ints], Floats]) -> Floats:
    """Adjusted p [line] of each of the lines against the winner, which has the least mean of all.

    As `step_down`, but a step takes away a line with all pairs that it is in, and the maximum is over all pairs of the lines left.

    Args:
        winner: a number.
        lines: those that are compared with it; one without two seeds in common with it has no p.
        difference: numbers of lines, [pair] each -> their differences [pair, seed]; NaN where a pair lacks a seed.
    """
    p = np.full(len(lines), np.nan)
    against = difference(np.full_like(lines, winner), lines)
    able = np.flatnonzero(np.isfinite(against).sum(axis=1) > 1)
    if not len(able):
        return p
    statistic = _Statistic(np.isfinite(against[able]))
    observed = statistic.seen(against[able])
    order = np.argsort(observed, kind="stable")
    left = np.append(winner, lines[able[order]])
    largest, share = np.zeros(len(statistic.flips)), np.empty(len(able))
    for step in range(len(able)):
        mine = difference(np.full(step + 1, left[step + 1]), left[: step + 1])
        largest = np.maximum(largest, statistic.of(mine).max(axis=1))
        share[step] = (largest >= observed[order[step]] - _ROUNDING).mean()
    p[able[order]] = _monotone(share)
    return p


def _monotone(share: Floats) -> Floats:
    """From the least to the most significant: no p above that of a less significant pair."""
    return np.maximum.accumulate(share[::-1])[::-1]


class _Statistic:
    """|t| of pairs under flips, on one scale whatever their seeds.

    Where all use the same seeds it is |Σ d| / √(n Σ d²), which rises with |t|, else the normal quantile of the p of |t|.

    Args:
        used: [pair, seed] which seeds the pairs use.
    """

    def __init__(self, used: npt.NDArray[np.bool_]) -> None:
        self._alike = bool((used == used[:1]).all())
        self._seeds = np.logical_or.reduce(used, axis=0)
        self.flips = signs(int(self._seeds.sum()))

    def seen(self, difference: Floats) -> Floats:
        """The statistic [pair] as observed."""
        return self._of(difference, self.flips[:1])[0]

    def of(self, difference: Floats) -> Floats:
        """The statistic [flip, pair] of differences [pair, seed]; 0 where a pair has no two seeds, or no difference."""
        return self._of(difference, self.flips)

    def _of(self, difference: Floats, flips: Floats) -> Floats:
        mine = difference[:, self._seeds]
        known = np.isfinite(mine)
        count = known.sum(axis=1)
        values = np.where(known, mine, 0.0)
        size = np.sqrt(count * (values**2).sum(axis=1))
        scaled = values / np.where((count > 1) & (size > 0), size, np.inf)[:, None]
        ratio: Floats = np.minimum(np.abs(flips @ scaled.T), 1.0)
        if self._alike:
            return ratio
        from scipy import special  # not while a command starts

        freedom = np.maximum(count - 1, 1)
        with np.errstate(divide="ignore"):
            t = ratio * np.sqrt(freedom / (1 - ratio**2))
        normal: Floats = -special.ndtri(0.5 * t_p(t, freedom))
        return normal


def holm(p: Floats) -> Floats:
    """Holm's adjustment: the i-th smallest of m p values times m − i + 1, made monotone; NaN stays, and does not count.

    Example:
        >>> holm(np.array([0.01, 0.04, np.nan, 0.03])).tolist()
        [0.03, 0.06, nan, 0.06]

    Source: Holm, Scandinavian Journal of Statistics 6 (1979).
    """
    return _descending(p, np.arange(np.isfinite(p).sum(), 0, -1))


def holm_from(p: Floats) -> Floats:
    """Holm's adjustment of the p [line] of every line against the winner, for all pairs of the lines not yet told apart.

    With r lines left, the winner among them, there are r(r − 1)/2 pairs.

    Example:
        >>> holm_from(np.array([np.nan, 0.01, 0.04])).tolist()
        [nan, 0.03, 0.04]
    """
    left = np.arange(np.isfinite(p).sum() + 1, 1, -1)
    return _descending(p, left * (left - 1) // 2)


def _descending(p: Floats, factors: Ints) -> Floats:
    """The p values in ascending order times these factors, at most 1, made monotone."""
    order = np.argsort(p, kind="stable")[: len(factors)]  # NaN goes last
    adjusted = np.full_like(p, np.nan)
    adjusted[order] = np.maximum.accumulate(np.minimum(p[order] * factors, 1.0))
    return adjusted
