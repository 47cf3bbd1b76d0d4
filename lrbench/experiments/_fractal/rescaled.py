"""Gradient descent whose first step sets the scale of the initial weights, so that the scale is a number of a run."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array


def rescaled(learning_rate: float, *, scale: float = 1.0) -> optax.GradientTransformation:
    """Multiply the weights by `scale` in the first step, and take steps of gradient descent from there.

    Args:
        scale: factor of the initial weights.
    """

    def init(params: Any) -> Array:
        del params
        return jnp.int32(0)

    def update(gradient: Any, taken: Array, params: Any = None) -> tuple[Any, Array]:
        def each(g: Array, w: Array) -> Array:
            return jnp.where(taken == 0, (scale - 1) * w, -learning_rate * g)

        return jax.tree.map(each, gradient, params), taken + 1

    return optax.GradientTransformation(init, update)
