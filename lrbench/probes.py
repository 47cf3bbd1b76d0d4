"""Probes: what can be measured in a lane at an evaluation. Each takes a `View` and returns a scalar."""

from typing import NamedTuple

import optax
from jaxtyping import Array, Float, PyTree


class View(NamedTuple):
    """A lane at an evaluation: its parameters, and the step that would be taken next from there."""

    parameters: PyTree[Array]
    gradient: PyTree[Array]
    update: PyTree[Array]


def gradient_norm(view: View) -> Float[Array, ""]:
    """Return the Euclidean norm of the next minibatch's gradient over all parameters: ‖g‖₂."""
    return optax.tree.norm(view.gradient)


def update_norm(view: View) -> Float[Array, ""]:
    """Return the Euclidean norm of the step that the optimizer takes next: ‖Δw‖₂."""
    return optax.tree.norm(view.update)


def parameter_norm(view: View) -> Float[Array, ""]:
    """Return the Euclidean norm of all parameters: ‖w‖₂."""
    return optax.tree.norm(view.parameters)
