"""The loss that a step sees."""

from __future__ import annotations

from jaxtyping import Array, Float

from lrbench.probes._view import View


def minibatch_loss(view: View) -> Float[Array, ""]:
    """Return the loss of the next minibatch, before its step: what a learning-rate finder looks at.

    Cost: next to nothing: the gradient of that minibatch passes by it.
    """
    return view.loss(view.parameters, view.batch)
