"""The loss of the next minibatch."""

from __future__ import annotations

from jaxtyping import Array, Float

from lrbench.probes._view import View


def minibatch_loss(view: View) -> Float[Array, ""]:
    """Return the loss of the next minibatch, before its step: what a learning-rate finder uses.

    Cost: nearly none, because it is computed with the gradient of that minibatch.
    """
    return view.loss(view.parameters, view.batch)
