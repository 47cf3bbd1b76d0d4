"""Differences in steps: how many times the steps a line needs for what a better one has reached with fewer."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from lrbench.analysis.groups import Floats, Ints
from lrbench.analysis.intervals import FEW, t_quantile


class SeedCurves(NamedTuple):
    """The objective of one line at its `use`, as a number that is better if smaller, after ever more steps."""

    seed: Ints  # [seed]
    step: Ints  # [point] ascending; the evaluations of a run, or the lengths of several where the schedule decays
    value: Floats  # [seed, point]


class Steps(NamedTuple):
    """What a better line needs for the loss at which another one ends."""

    equivalent: float  # steps of the better line; NaN where it does not get there or starts there
    factor: float  # how many times as many steps the other one has taken
    low: float
    high: float


def steps_needed(step: npt.ArrayLike, curve: Floats, target: Floats) -> Floats:
    """The first step [...] at which the running minimum of a curve [..., point] is at the target [...], interpolated linearly.

    NaN where it never is, or is from the first point on.

    Example:
        >>> steps_needed([0, 10, 20], np.array([4.0, 2.0, 1.0]), np.array(1.5)).tolist()
        15.0
    """
    steps = np.asarray(step, dtype=np.float64)
    least = np.fmin.accumulate(curve, axis=-1)
    met = least <= target[..., None]
    at = met.argmax(axis=-1)
    able = met.any(axis=-1) & (at > 0)
    after = np.maximum(at, 1)
    high, low = (np.take_along_axis(least, k[..., None], axis=-1)[..., 0] for k in (after - 1, after))
    fall = high - low
    share = np.where(fall > 0, (high - target) / np.where(fall > 0, fall, 1.0), 1.0)
    found: Floats = np.where(able, steps[after - 1] + share * (steps[after] - steps[after - 1]), np.nan)
    return found


def step_equivalent(better: SeedCurves, other: SeedCurves, seeds: Ints, confidence: float = 0.95) -> Steps:
    """How many steps the better line needs, along its mean curve, for the loss at which the mean curve of the other ends.

    `factor` is the steps that the other has taken over these: it needs so many times the steps. Its interval, from 6 seeds on, inverts a paired t
    test: from the first step at which the better line may have been there (the low end of the t interval of ℓ_better(step) − ℓ_other(T) is at 0) to the
    first at which it surely was (the high end is). An end that is never met is missing.

    Args:
        better, other: their curves.
        seeds: those on which they are compared; each must have a curve in both.
        confidence: probability mass between the ends of the interval.

    Source: Fieller (1954), for the idea of inverting the test.
    """
    if not len(seeds):
        return Steps(*[np.nan] * 4)
    above = _of(better, seeds) - _of(other, seeds)[:, -1:]
    mean, half = above.mean(axis=0), np.full(above.shape[1], np.nan)
    if len(seeds) >= FEW:
        half = t_quantile(len(seeds) - 1, confidence) * above.std(axis=0, ddof=1) / np.sqrt(len(seeds))
    reached = steps_needed(better.step, np.stack([mean, mean + half, mean - half]), np.zeros(3))
    factor, low, high = (float(each) for each in other.step[-1] / reached)
    return Steps(float(reached[0]), factor, low, high)


def _of(curves: SeedCurves, seeds: Ints) -> Floats:
    """The curves [seed, point] of these seeds."""
    order = np.argsort(curves.seed)
    return curves.value[order[np.searchsorted(curves.seed, seeds, sorter=order)]]
