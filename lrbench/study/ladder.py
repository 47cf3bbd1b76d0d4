"""The ladder of first hits: 200 fixed losses between where a run starts and the floor of its problem, and when a curve meets them."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from jaxtyping import Float, Int

RUNGS, PER_DECADE = 200, 25
NEVER = -1
"""The step of a rung that was not met."""


def ladder() -> npt.NDArray[np.float64]:
    """Return the rungs: values of (ℓ − floor) / (ℓ₀ − floor), log-spaced from 10^−0.04 down to 10⁻⁸.

    >>> [f"{rung:.3g}" for rung in ladder()[[0, 24, -1]]]
    ['0.912', '0.1', '1e-08']
    """
    return np.asarray(10.0 ** (-np.arange(1, RUNGS + 1) / PER_DECADE), dtype=np.float64)


def floor_of(optimum: float | None) -> float:
    """Return the loss that a ladder goes down to: the known minimum, else 0.

    The least loss of a study would be another one as soon as the study is extended, and hits are kept while runs are trained.
    """
    return 0.0 if optimum is None else optimum


def of_curve(
    values: Float[np.ndarray, "run evaluation"], step: Int[np.ndarray, " evaluation"], floor: float
) -> Int[np.ndarray, "run rung"]:
    """Return the first hits of runs as their evaluations show them, the first of which is at step 0.

    Args:
        values: the losses, NaN once a run is not finite.
        step: of each evaluation.
        floor: the loss that the ladder goes down to.
    """
    above = values - values.dtype.type(floor)
    least = np.fmin.accumulate(above, axis=1)
    hits = np.full((len(values), RUNGS), NEVER, np.int32)
    for rung, share in enumerate(ladder().astype(values.dtype)):
        met = least <= share * above[:, :1]
        hits[:, rung] = np.where(met.any(axis=1), step[met.argmax(axis=1)], NEVER)
    return hits


def earlier(
    some: Int[np.ndarray, "run rung"], others: Int[np.ndarray, "run rung"]
) -> Int[np.ndarray, "run rung"]:
    """Return the earlier hit of each rung."""
    both = np.minimum(some, others)
    return np.where(both == NEVER, np.maximum(some, others), both)
