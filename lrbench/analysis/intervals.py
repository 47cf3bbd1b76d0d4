"""Intervals over seeds: of means, of medians, and of the rate that is best.

Means have Student's t, whose variance owes a little to neighbouring rates: these show what happens to few seeds, and may be missing among ten at one rate.
Medians have the sign test's interval; a rate has those that cannot be told apart from it. `benchmarks/coverage.py` measures how often each covers, beside others that were tried.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from lrbench.analysis.groups import Floats, Ints

OWN = 0.9
"""Weight of the variance at a rate itself; the rest is that of the mean variance at its good neighbours."""
FEW = 6
"""With fewer seeds, rates and steps have no interval."""
_BLOCK = 4_000_000  # numbers at a time: 32 MB, and a few copies of it


class Spread(NamedTuple):
    """How values vary over seeds, at one rate or pooled over several; the leading axes are the caller's."""

    gram: Floats  # [..., seed, seed] weighted mean over the rates of the outer product of deviations; 0 where a seed is missing
    mean: Floats  # [..., seed] weighted mean over the rates of the deviations

    def take(self, some: Ints) -> Spread:
        """Some of those along the first axis."""
        return Spread(self.gram[some], self.mean[some])

    def variance(self, count: Floats) -> tuple[Floats, Floats]:
        """Variance [...] of one value, given how many there are at each rate [...], and its degrees of freedom [...].

        Rates share their seeds, so that several are less evidence than as many samples. With S the covariance over seeds of values times √weight,
        the pooled variance is tr S, and by Satterthwaite it has (n − 1) (tr S)² / tr S² degrees of freedom: n − 1 where all
        rates vary together, more where they do not. Both are NaN below two seeds.

        Source: Satterthwaite (1946); Greenhouse & Geisser, Psychometrika 24 (1959), whose ε is the same ratio.
        """
        freedom = np.where(count > 1, count - 1, np.nan)
        trace = np.maximum(
            np.einsum("...ii->...", self.gram), 0.0
        )  # rounding may take that of equal lines below 0
        squared = np.einsum("...ij,...ij->...", self.gram, self.gram)
        ratio = np.where(squared > 0, trace**2 / np.where(squared > 0, squared, 1.0), 1.0)
        return trace / freedom, freedom * np.maximum(ratio, 1.0)


def spread(values: npt.ArrayLike, near: npt.ArrayLike | None = None) -> Spread:
    """The deviations of values [..., seed] from their mean, with a tenth of the weight on those at good neighbours [..., rate, seed].

    A rate that lacks one of the seeds of `values` is left out.
    """
    own = np.asarray(values, dtype=np.float64)
    rates = own[..., None, :]
    if near is not None:
        rates = np.concatenate([rates, np.asarray(near, dtype=np.float64)], axis=-2)
    present = np.isfinite(own)[..., None, :]
    whole: npt.NDArray[np.bool_] = np.logical_and.reduce(np.isfinite(rates) | ~present, axis=-1)
    used = present & whole[..., None]
    deviation = np.where(used, rates - masked_mean(rates, used)[..., None], 0.0)
    others = np.maximum(whole[..., 1:].sum(axis=-1, keepdims=True), 1)
    weight = np.where(whole, (1 - OWN) / others, 0.0)
    weight[..., 0] = np.where(whole[..., 1:].any(axis=-1), OWN, 1.0)
    weighted = deviation * weight[..., None]
    return Spread(np.swapaxes(weighted, -1, -2) @ deviation, weighted.sum(axis=-2))


def spread_of_difference(first: Spread, other: Spread) -> Spread:
    """How ℓ_first − ℓ_other varies over the same seeds: every rate of the one with every rate of the other, by the product of their weights."""
    cross = first.mean[..., :, None] * other.mean[..., None, :]
    gram = first.gram + other.gram - cross - np.swapaxes(cross, -1, -2)
    return Spread(gram, first.mean - other.mean)


def masked_mean(values: Floats, used: npt.NDArray[np.bool_]) -> Floats:
    """Mean over the last axis of the values that are used; NaN where none is."""
    count = used.sum(axis=-1)
    total = np.where(used, values, 0.0).sum(axis=-1)
    mean: Floats = np.where(count > 0, total / np.maximum(count, 1), np.nan)
    return mean


def t_interval(
    values: npt.ArrayLike, confidence: float = 0.95, near: npt.ArrayLike | None = None
) -> tuple[Floats, Floats]:
    """Student's t interval of the mean over seeds: m ± t(ν) s/√n.

    Without neighbours s² is the variance of the values, and ν = n − 1. With them it is 0.9 of that, and 0.1 of the mean of theirs, with the degrees of
    freedom of the sum (`Spread.variance`).

    Args:
        values: [..., seed] at the rate of interest; NaN: a missing seed.
        confidence: probability mass between the ends.
        near: [..., rate, seed] at its good neighbours, of the same seeds; NaN where there are fewer of them.

    Returns:
        low [...], high [...]; NaN below two seeds.

    Example:
        >>> low, high = t_interval([1.0, 2.0, 3.0])
        >>> round(float(low), 3), round(float(high), 3)
        (-0.484, 4.484)

    Source: Student (1908); `scipy.stats.t.interval`.
    """
    own = np.asarray(values, dtype=np.float64)
    if not own.size:
        nothing = np.full(own.shape[:-1], np.nan)
        return nothing, nothing.copy()
    present = np.isfinite(own)
    count = present.sum(axis=-1).astype(np.float64)
    with np.errstate(over="ignore"):  # of losses in binary64 just before they diverge
        mean = masked_mean(own, present)
        if near is None:
            freedom = np.where(count > 1, count - 1, np.nan)
            variance = (np.where(present, own - mean[..., None], 0.0) ** 2).sum(axis=-1) / freedom
        else:
            variance, freedom = _pooled(own, np.asarray(near, dtype=np.float64), count)
    half = t_quantile(freedom, confidence) * np.sqrt(variance / np.maximum(count, 1))
    half = np.where(np.isfinite(half), half, np.nan)
    return mean - half, mean + half


def _pooled(own: Floats, near: Floats, count: Floats) -> tuple[Floats, Floats]:
    """Variance and degrees of freedom [...] with those at neighbours, a block at a time."""
    seeds = own.shape[-1]
    flat, beside = own.reshape(-1, seeds), near.reshape(-1, near.shape[-2], seeds)
    variance, freedom = np.empty(len(flat)), np.empty(len(flat))
    for some in blocks(len(flat), seeds):
        variance[some], freedom[some] = spread(flat[some], beside[some]).variance(count.reshape(-1)[some])
    return variance.reshape(count.shape), freedom.reshape(count.shape)


def blocks(count: int, seeds: int) -> list[slice]:
    """Cut so many spreads over so many seeds into parts that fit into memory."""
    size = max(1, _BLOCK // max(seeds * seeds, 1))
    return [slice(at, at + size) for at in range(0, count, size)]


def t_quantile(freedom: npt.ArrayLike, confidence: float) -> Floats:
    """Half the width, in standard errors, of a two-sided t interval; NaN where there are no degrees of freedom."""
    from scipy import special  # not while a command starts

    found: Floats = special.stdtrit(freedom, (1 + confidence) / 2)
    return found


def t_p(t: npt.ArrayLike, freedom: npt.ArrayLike) -> Floats:
    """Two-sided p of a t statistic."""
    from scipy import special

    found: Floats = 2 * special.stdtr(freedom, -np.abs(np.asarray(t, dtype=np.float64)))
    return found


def median_interval(values: npt.ArrayLike, confidence: float = 0.95) -> tuple[Floats, Floats]:
    """Interval of the median over seeds by the sign test: the k-th smallest and the k-th largest value.

    k is the largest with P(Binomial(n, ½) < k) ≤ (1 − confidence)/2, so that it holds for any distribution, and for values that are
    infinite (never). 95 % takes 6 seeds, whose smallest and largest value cover 96.9 %.

    Args:
        values: [..., seed]; NaN: a missing seed.
        confidence: least probability mass between the ends.

    Returns:
        low [...], high [...]; NaN where there are too few seeds.

    Example:
        >>> low, high = median_interval([5.0, 2.0, 3.0, 9.0, 4.0, float("inf")])
        >>> float(low), float(high)
        (2.0, inf)

    Source: Thompson (1936); Conover, Practical nonparametric statistics (1999), section 3.2.
    """
    from scipy import special  # not while a command starts

    ordered = np.sort(np.asarray(values, dtype=np.float64), axis=-1)  # NaN goes last
    size = ordered.shape[-1]
    count = size - np.isnan(ordered).sum(axis=-1)
    below = special.bdtr(np.arange(size), np.arange(size + 1)[:, None], 0.5)  # [count, k] P(Binomial ≤ k)
    ranks = (np.nan_to_num(below, nan=1.0) <= (1 - confidence) / 2).sum(axis=1)[count]
    known = ranks > 0
    ends = (np.where(known, ranks - 1, 0), np.where(known, count - ranks, 0))
    low, high = (np.take_along_axis(ordered, at[..., None], axis=-1)[..., 0] for at in ends)
    return np.where(known, low, np.nan), np.where(known, high, np.nan)


def rate_interval(
    rate: Floats, score: Floats, without: Floats, confidence: float = 0.95
) -> tuple[Floats, Floats]:
    """The rates that cannot be told apart from the one of least score: from the smallest of them to the largest.

    A rate is told apart if a t test finds its score higher, the standard error of the difference being that of a jackknife over seeds. The best
    rate of all seeds is among those kept at least as often as `confidence` says; rates between those of the grid are not looked at.

    Args:
        rate: [line, rate]; NaN beyond those that a line has.
        score: [line, rate] of which the least one is chosen; NaN: not to be chosen.
        without: [line, rate, seed] the scores of all seeds but one.
        confidence: as in the other intervals.

    Returns:
        low [line], high [line]; NaN below 6 seeds, and where no rate has a score.

    Source: Hsu, Multiple comparisons (1996), ch. 4 (multiple comparisons with the best); Efron & Tibshirani, An
    Introduction to the Bootstrap (1993), ch. 11 (jackknife).
    """
    seeds = without.shape[-1]
    able = np.isfinite(score)
    some = able.any(axis=-1) & (seeds >= FEW)
    best = np.where(able, score, np.inf).argmin(axis=-1)[:, None]
    above = score - np.take_along_axis(score, best, axis=-1)
    left = without - np.take_along_axis(without, best[..., None], axis=1)
    spread = ((left - left.mean(axis=-1, keepdims=True)) ** 2).sum(axis=-1)
    error = np.sqrt((seeds - 1) / seeds * spread)
    kept = able & ((above <= t_quantile(seeds - 1, confidence) * error) | (np.arange(rate.shape[1]) == best))
    low, high = np.where(kept, rate, np.inf).min(axis=-1), np.where(kept, rate, -np.inf).max(axis=-1)
    return np.where(some, low, np.nan), np.where(some, high, np.nan)
