"""Bootstrap over seeds, exact for up to six of them, and its percentile intervals: of what claims are judged by. Tables have those of `intervals`."""

from __future__ import annotations

import itertools
import math

import numpy as np
import numpy.typing as npt

from lrbench.analysis.groups import Floats, Ints

EXACT_UP_TO = 6  # 6 seeds have 462 distinct resamples; 7 would have 1,716, more than are drawn at random


def resamples(seeds: int, n: int = 1000) -> tuple[Ints, Floats]:
    """Resamples of `seeds` seeds with replacement: all of them up to 6 seeds, else `n` random ones.

    Of k seeds there are C(2k − 1, k) distinct resamples; one in which seed i occurs mᵢ times has the weight
    k! / (∏ mᵢ! · kᵏ), so that small studies have the exact bootstrap distribution and no sampling
    noise. The random ones come from a generator with a fixed seed, so that they are the same every time.

    Returns:
        index [resample, seed] ascending in every row; weight [resample], which sums to 1.

    Example:
        >>> index, weight = resamples(2)
        >>> index.tolist(), weight.tolist()
        ([[0, 0], [0, 1], [1, 1]], [0.25, 0.5, 0.25])

    Source: Efron & Tibshirani, An Introduction to the Bootstrap (1993), ch. 6; Fisher & Hall (1991), exact
    bootstrap.
    """
    if seeds <= EXACT_UP_TO:
        index = np.array(list(itertools.combinations_with_replacement(range(seeds), seeds)), dtype=np.int64)
        ways = [
            math.factorial(seeds) / math.prod(math.factorial(m) for m in np.bincount(row)) for row in index
        ]
        return index, np.array(ways) / float(seeds) ** seeds
    drawn = np.random.default_rng(0).integers(seeds, size=(n, seeds))
    return np.sort(drawn, axis=1), np.full(n, 1.0 / n)


def interval(values: npt.ArrayLike, weight: npt.ArrayLike, confidence: float = 0.95) -> tuple[Floats, Floats]:
    """Percentile bootstrap interval: the weighted (1 ∓ confidence)/2 quantiles over resamples.

    Resamples in which the statistic is NaN are left out; from a single resample (one seed) there is no interval: NaN.

    Args:
        values: [resample, ...] the statistic in every resample.
        weight: [resample].
        confidence: probability mass between the ends.

    Returns:
        low [...], high [...].

    Example:
        >>> low, high = interval([1.0, 2.0, 3.0], [0.25, 0.5, 0.25])
        >>> float(low), float(high)
        (1.0, 3.0)
    """
    table = np.moveaxis(np.asarray(values, dtype=np.float64), 0, -1)
    if table.shape[-1] < 2:
        nothing = np.full(table.shape[:-1], np.nan)
        return nothing, nothing.copy()
    tail = (1.0 - confidence) / 2
    order = np.argsort(table, axis=-1)  # NaN goes last
    ordered = np.take_along_axis(table, order, axis=-1)
    mass = np.where(np.isnan(ordered), 0.0, np.asarray(weight, dtype=np.float64)[order]).cumsum(axis=-1)
    # 1e-12: a share that is met exactly must not be missed by rounding
    wanted = [share * mass[..., -1:] - 1e-12 for share in (tail, 1.0 - tail)]
    positions = [(mass < share).sum(axis=-1, keepdims=True) for share in wanted]
    low, high = (np.take_along_axis(ordered, at, axis=-1)[..., 0] for at in positions)
    return low, high


def iqm(values: npt.ArrayLike, axis: int = -1) -> Floats:
    """Interquartile mean: the mean without the ⌊n/4⌋ smallest and the ⌊n/4⌋ largest values.

    Example:
        >>> float(iqm([0.0, 1.0, 2.0, 3.0, 100.0]))
        2.0

    Source: Agarwal et al., arXiv:2108.13264 (rliable); `scipy.stats.trim_mean(values, 0.25)`.
    """
    ordered = np.sort(np.moveaxis(np.asarray(values, dtype=np.float64), axis, -1), axis=-1)
    count = ordered.shape[-1]
    mean: Floats = ordered[..., count // 4 : count - count // 4].mean(axis=-1)
    return mean
