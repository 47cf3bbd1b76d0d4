"""How far an optimizer moves each parameter for what it has averaged of the gradient: its preconditioner, found without knowing the optimizer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, PyTree

Step = Callable[[PyTree[Array]], tuple[PyTree[Array], PyTree[Array]]]
"""State of the optimizer → (update, state after it), for the gradient of the step."""
_MOMENTS = ("mu", "trace")
"""What optax calls the first moment in states: a mean of gradients (Adam), or a sum with decay (momentum)."""


def step_sizes(step: Step, state: PyTree[Array], gradient: PyTree[Array]) -> PyTree[Array]:
    """Return Q of a step Δw = −Q·m, for each parameter: m is the first moment after the gradient was added to it, or the gradient if there is none.

    Q is the derivative of the step with respect to m at a fixed second moment, so that weight decay is no part of it. Where m does not
    depend on its past, as without momentum, it is −Δw/m, and 0 for a parameter whose m is 0.

    Args:
        step: that follows.
        state: of the optimizer before it.
        gradient: as the optimizer sees it.
    """
    name = next((name for name in _MOMENTS if len(optax.tree.get_all_with_path(state, name)) == 1), None)
    if name is None:
        return jax.tree.map(_quotient, step(state)[0], gradient)

    def moved(moment: PyTree[Array]) -> tuple[PyTree[Array], PyTree[Array]]:
        update, after = step(optax.tree.set(state, **{name: moment}))
        return update, optax.tree.get(after, name)

    moment = optax.tree.get(state, name)
    # The step of each parameter depends on its own moment alone, so that one derivative gives all.
    (update, after), (faster, kept) = jax.jvp(moved, (moment,), (optax.tree.ones_like(moment),))
    return jax.tree.map(_size, update, after, faster, kept)


def _size(update: Array, moment: Array, faster: Any, kept: Any) -> Array:
    depends = kept != 0
    return jnp.where(depends, -faster / jnp.where(depends, kept, 1), _quotient(update, moment))


def _quotient(update: Array, moment: Array) -> Array:
    moves = moment != 0
    return jnp.where(moves, -update / jnp.where(moves, moment, 1), 0)
