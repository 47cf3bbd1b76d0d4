"""Probes: what can be measured in a lane at an evaluation. Each takes a `View` and returns a scalar."""

from typing import NamedTuple

import jax
import optax
from jaxtyping import Array, Float, PyTree


class View(NamedTuple):
    """A lane at an evaluation: its parameters, and the step that would be taken next from there."""

    parameters: PyTree[Array]
    loss: Float[Array, ""]
    gradient: PyTree[Array]
    update: PyTree[Array]


def minibatch_loss(view: View) -> Float[Array, ""]:
    """Return the loss of the next minibatch, before its step: what a learning-rate finder looks at."""
    return view.loss


def gradient_norm(view: View) -> Float[Array, ""]:
    """Return the Euclidean norm of the next minibatch's gradient over all parameters: ‖g‖₂."""
    return optax.tree.norm(view.gradient)


def update_norm(view: View) -> Float[Array, ""]:
    """Return the Euclidean norm of the step that the optimizer takes next: ‖Δw‖₂."""
    return optax.tree.norm(view.update)


def parameter_norm(view: View) -> Float[Array, ""]:
    """Return the Euclidean norm of all parameters: ‖w‖₂."""
    return optax.tree.norm(view.parameters)


def first_coordinate(view: View) -> Float[Array, ""]:
    """Return the first number of the parameters: w₁, for contour plots of objectives of two coordinates."""
    return _coordinate(view, 0)


def second_coordinate(view: View) -> Float[Array, ""]:
    """Return the second number of the parameters: w₂, or w₁ where there is but one."""
    return _coordinate(view, 1)


def _coordinate(view: View, place: int) -> Float[Array, ""]:
    first = jax.tree.leaves(view.parameters)[0].reshape(-1)
    return first[min(place, first.size - 1)]
