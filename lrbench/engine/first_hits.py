"""First hits of a run: the step at which its loss first met each rung of the ladder, kept in the lane or read from a curve."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from lrbench.study.ladder import RUNGS, ladder

NEVER = -1
"""The step of a rung that was not met."""


class FirstHits(NamedTuple):
    """What a lane keeps of its first hits.

    Args:
        start: how far the loss was above the floor at step 0.
        step: the step at which each rung was first met.
    """

    start: Float[Array, ""]
    step: Int[Array, " rung"]

    @classmethod
    def none(cls, dtype: Any) -> FirstHits:
        """Return those of a run before its first step, of losses of a type."""
        return cls(jnp.zeros((), dtype), jnp.full(RUNGS, NEVER, jnp.int32))

    def after(
        self, loss: Float[Array, ""], floor: float, step: Int[Array, ""], finite: Bool[Array, ""]
    ) -> FirstHits:
        """Return them with a loss, that of the run after `step` steps; one that is not finite meets nothing."""
        above = loss - jnp.asarray(floor, loss.dtype)
        start = jnp.where(step == 0, above, self.start)
        # A product, and no quotient: a run that starts at the floor or below it has met every rung at once.
        met = (above <= jnp.asarray(ladder(), loss.dtype) * start) & finite & jnp.isfinite(loss)
        return FirstHits(start, jnp.where((self.step == NEVER) & met, step, self.step))


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
