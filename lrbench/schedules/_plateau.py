"""The rule of a schedule that depends on the losses."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import jax.numpy as jnp


@dataclass(frozen=True)
class Plateau:
    """When a run reduces its rate, and by how much; as an optax schedule, its factor while nothing is reduced.

    Args:
        factor: what the rate is multiplied by.
        patience: how many evaluations in a row may be bad.
        threshold: by how much a loss has to be better than the best one so far.
        relative: whether the threshold is a share of the best loss.
        cooldown: how many evaluations are no bad ones after the rate was reduced.
        least: the least factor.
    """

    factor: float
    patience: float
    threshold: float
    relative: bool
    cooldown: float
    least: float

    def __call__(self, count: Any) -> Any:
        """Return the factor of a step while nothing is reduced: 1."""
        return jnp.ones_like(count, float)
