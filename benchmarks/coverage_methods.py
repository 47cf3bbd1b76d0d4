"""Intervals of a mean over few seeds that lrbench could have, beside the one that it has."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
from scipy import special

from lrbench.analysis.intervals import spread, t_interval, t_quantile

Floats = npt.NDArray[np.float64]
Ends = tuple[Floats, Floats]
RESAMPLES = 400


def percentile(values: Floats, rng: np.random.Generator) -> Ends:
    """The percentile bootstrap of the mean over the last axis: what lrbench had."""
    low, high = np.quantile(_resampled(values, rng), [0.025, 0.975], axis=-1)
    return low, high


def alternatives(own: Floats, near: Floats, rng: np.random.Generator) -> Iterator[tuple[str, Ends]]:
    """Intervals of values [case, seed] at a rate, some of which look at those of its good neighbours [case, rate, seed]."""
    yield "t of these seeds alone", t_interval(own)
    yield "t, variance pooled evenly", _evenly(own, near)
    yield "t with its neighbours, longer where skewed (Johnson)", _johnson(own, near)
    yield "BCa bootstrap", _bca(own, rng)
    yield "percentile bootstrap", percentile(own, rng)


def _resampled(values: Floats, rng: np.random.Generator) -> Floats:
    """Means [..., resample]."""
    index = rng.integers(values.shape[-1], size=(RESAMPLES, values.shape[-1]))
    mean: Floats = values[..., index].mean(axis=-1)
    return mean


def _evenly(own: Floats, near: Floats) -> Ends:
    """Every rate with the same weight, with the degrees of freedom of the sum."""
    rates = np.concatenate([own[:, None], near], axis=1)
    whole = np.isfinite(rates).all(axis=-1, keepdims=True)
    deviation = np.where(whole, rates - rates.mean(axis=-1, keepdims=True), 0.0) / np.sqrt(
        whole.sum(axis=1, keepdims=True)
    )
    gram = np.swapaxes(deviation, 1, 2) @ deviation
    n = own.shape[-1]
    trace, squared = np.einsum("kii->k", gram), (gram**2).sum(axis=(1, 2))
    freedom = (n - 1) * np.where(squared > 0, trace**2 / np.where(squared > 0, squared, 1.0), 1.0)
    half = t_quantile(freedom, 0.95) * np.sqrt(trace / (n - 1) / n)
    return own.mean(axis=-1) - half, own.mean(axis=-1) + half


def _johnson(own: Floats, near: Floats) -> Ends:
    """The interval of lrbench, longer at the end to which Johnson's correction for skewness would shift it.

    Source: Johnson, JASA 73 (1978).
    """
    n, mean = own.shape[-1], own.mean(axis=-1)
    variance, freedom = spread(own, near).variance(np.full(len(own), float(n)))
    quantile = t_quantile(freedom, 0.95)
    half = quantile * np.sqrt(variance / n)
    deviation = own - mean[:, None]
    spread_of = (deviation**2).mean(axis=-1)
    cubes = (deviation**3).mean(axis=-1) * np.sqrt(n * (n - 1)) / (n - 2)  # unbiased, times the spread
    shift = cubes / np.where(spread_of > 0, spread_of, 1.0) / (6 * n) * (1 + 2 * quantile**2)
    return mean - half + np.minimum(shift, 0.0), mean + half + np.maximum(shift, 0.0)


def _bca(own: Floats, rng: np.random.Generator) -> Ends:
    """The bootstrap that corrects for bias and acceleration.

    Source: Efron, JASA 82 (1987).
    """
    means, mean = _resampled(own, rng), own.mean(axis=-1, keepdims=True)
    deviation = own - mean
    squares = (deviation**2).sum(axis=-1, keepdims=True)
    acceleration = (deviation**3).sum(axis=-1, keepdims=True) / (
        6 * np.where(squares > 0, squares, 1.0) ** 1.5
    )
    below = np.clip((means < mean).mean(axis=-1, keepdims=True), 0.5 / RESAMPLES, 1 - 0.5 / RESAMPLES)
    bias = special.ndtri(below)
    z = bias + special.ndtri(np.array([0.025, 0.975]))
    share = special.ndtr(bias + z / (1 - acceleration * z))
    at = np.clip((share * RESAMPLES).astype(np.int64), 0, RESAMPLES - 1)
    low, high = np.take_along_axis(np.sort(means, axis=-1), at, axis=-1).T
    return low, high
