"""What problems share whose optimizer sees another gradient than that of their loss: the bowl that they are, and how it is done."""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float

from lrbench.errors import ProblemError
from lrbench.nets.layers import Params
from lrbench.problems._problem import Batch, Problem

DIMENSION = 10
FLATTEST = 0.1
"""The smallest curvature of the bowl; the largest is 1."""
Fault = Callable[[Float[Array, " coordinate"], Array], Float[Array, " coordinate"]]
"""(gradient, key) → the gradient that the optimizer sees."""


def spectrum() -> Float[Array, " coordinate"]:
    """Return the curvatures of the bowl, log-spaced; inside a trace they have the precision of the study."""
    return jnp.geomspace(FLATTEST, 1.0, DIMENSION)


def bowl(params: Params) -> Float[Array, ""]:
    """Return ½ Σ λᵢ wᵢ²."""
    return 0.5 * jnp.sum(spectrum() * jnp.square(params))


def start(key: Array) -> Params:
    """Return where runs on the bowl start: from N(0, 1) in each coordinate."""
    return jax.random.normal(key, (DIMENSION,))


def shown(
    loss: Float[Array, ""],
    params: Float[Array, " coordinate"],
    gradient: Float[Array, " coordinate"],
    seen: Float[Array, " coordinate"],
) -> Float[Array, ""]:
    """Return a loss of the same value and curvature whose gradient is `seen` in place of `gradient`.

    The term added is 0 where the parameters are, and its slope is the difference of the two.
    """
    return loss + jnp.vdot(params - lax.stop_gradient(params), lax.stop_gradient(seen - gradient))


def faulty_bowl(name: str, fault: Fault) -> Problem:
    """Return the bowl, whose gradient optimizers see through a fault; its loss is that of the bowl itself."""

    def loss(params: Params, batch: Batch, key: Array) -> Array:
        del batch
        gradient = spectrum() * params
        return shown(bowl(params), params, gradient, fault(gradient, key))

    def evaluate(params: Params, batch: Batch, key: Array) -> Array:
        del batch, key
        return bowl(params)

    return Problem(name, start, loss, optimum=0.0, evaluate=evaluate)


def not_negative(**given: float) -> None:
    """Check that a parameter is 0 or more."""
    for name, value in given.items():
        if value < 0:
            raise ProblemError(f"{name} = {value}: must be 0 or more")


def share(**given: float) -> None:
    """Check that a parameter is a probability."""
    for name, value in given.items():
        if not 0 <= value <= 1:
            raise ProblemError(f"{name} = {value}: must be from 0 to 1")
