"""First hits of a run, as a lane keeps them: the step at which its loss first met each rung of the ladder."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from lrbench.study.ladder import NEVER, RUNGS, ladder


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
