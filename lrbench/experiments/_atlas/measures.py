"""What is asked of every line: how good it is tuned and untuned, and how little its rate matters."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from lrbench.analysis.groups import Floats
from lrbench.experiments._atlas.evidence import NAN, MeasuredLines

DEFAULTS = {
    "cocob": 1.0,
    "dadapt_adamw": 1.0,
    "dog": 1.0,
    "dowg": 1.0,
    "mechanize": 1.0,
    "momo": 1.0,
    "momo_adam": 0.01,
    "polyak_sgd": 1.0,
    "prodigy": 1.0,
    "schedule_free_adamw": 0.0025,
    "schedule_free_sgd": 1.0,
}
"""The rate that optax, or the method's paper, gives where the user gives none; other optimizers require one."""
RATE_FREE = ("cocob", "dadapt_adamw", "dog", "dowg", "mechanize", "prodigy")
"""Methods that estimate their own step size, and are meant to be run at a rate of 1."""


class Measures(NamedTuple):
    """Of every line [problem, optimizer, schedule]."""

    tuned: Floats  # gap at the rate to use, mean over fresh seeds
    common: Floats  # gap at the rate that is best for the other problems
    common_rate: Floats  # that rate
    default: Floats  # gap at the optimizer's default rate; NaN where it has none
    default_rate: Floats  # that rate, as the nearest of the grid
    untuned: Floats  # gap at the default, or, where there is none, at the common rate
    width: Floats  # decades of the unbroken band of rates within 5 % of the line's own best; 0 where it does not train


def name_of(optimizer: str) -> str:
    """The name of an optimizer, without its parameters."""
    return optimizer.split("(", maxsplit=1)[0]


def is_rate_free(evidence: MeasuredLines) -> npt.NDArray[np.bool_]:
    """Whether each optimizer [optimizer] estimates its own step size."""
    return np.array([name_of(optimizer) in RATE_FREE for optimizer in evidence.optimizers])


def measures(evidence: MeasuredLines) -> Measures:
    """Measure every line."""
    tuned = evidence.tuned.mean(axis=3)
    at = from_others(evidence.grid)
    common = _at(evidence.grid, at)
    rate = np.where(at >= 0, evidence.rate[np.maximum(at, 0)], NAN)
    default = np.full(evidence.shape, NAN)
    default_rate = np.full(evidence.shape, NAN)
    for number, optimizer in enumerate(evidence.optimizers):
        if (given := DEFAULTS.get(name_of(optimizer))) is not None:
            near = int(np.abs(np.log(evidence.rate / given)).argmin())
            default[:, number], default_rate[:, number] = (
                evidence.grid[:, number, :, near],
                evidence.rate[near],
            )
    untuned = np.where(np.isfinite(default), default, common)
    low, high = (evidence.column(f"own_{end}") for end in ("low", "high"))
    width = np.nan_to_num(np.log10(high / low), nan=0.0)
    return Measures(tuned, common, rate, default, default_rate, untuned, width)


def from_others(gap: Floats) -> npt.NDArray[np.int64]:
    """For every problem and line, the position of the rate with the least mean gap on the other problems; −1 where there are none.

    Args:
        gap: [problem, ..., rate].

    Example:
        >>> from_others(np.array([[0.0, 1.0, 0.5], [0.9, 0.0, 0.1], [0.9, 0.3, 0.2]])).tolist()
        [1, 2, 2]
    """
    others = gap.sum(axis=0, keepdims=True) - gap
    if len(gap) < 2:
        return np.full(gap.shape[:-1], -1, dtype=np.int64)
    # Of rates whose means are equal but for rounding, the smallest.
    close = others <= others.min(axis=-1, keepdims=True) + 1e-9
    return close.argmax(axis=-1).astype(np.int64)


def _at(gap: Floats, position: npt.NDArray[np.int64]) -> Floats:
    taken = np.take_along_axis(gap, np.maximum(position, 0)[..., None], axis=-1)[..., 0]
    return np.where(position >= 0, taken, NAN)


def ranks(gap: Floats) -> Floats:
    """The rank of each optimizer [problem, optimizer, schedule] among those with the same schedule; 1 is the best, ties share their mean."""
    problems, optimizers, schedules = gap.shape
    flat = gap.swapaxes(1, 2).reshape(-1, optimizers)
    found = pd.DataFrame(flat).rank(axis=1).to_numpy()
    return found.reshape(problems, schedules, optimizers).swapaxes(1, 2)
