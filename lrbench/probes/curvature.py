"""The largest curvature of the loss, and whether the learning rate is too large for it."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float

from lrbench.probes import _lanczos
from lrbench.probes._view import View


def sharpness(view: View) -> Float[Array, ""]:
    """Return the largest eigenvalue of the Hessian of the training loss: λ_max(∇²L), on the examples of `train_loss`.

    Computed by 24 Lanczos iterations on Hessian-vector products, in the precision of the study: exact for up to 24 distinct
    eigenvalues, otherwise a lower bound. Noise of the loss, such as dropout, is that of evaluations.

    Cost: 24 Hessian-vector products, each about two gradients of the sample of up to 1,024 examples.

    Source: Lanczos (1950); Cohen et al., arXiv:2103.00065.
    """
    return view.sharpness


def stability(view: View) -> Float[Array, ""]:
    """Return the learning rate of the next step relative to the largest stable one of gradient descent: η·λ_max / 2.

    The edge of stability is at 1: above it, gradient descent on the local quadratic model diverges. With momentum β it is at
    1 + β. Where parameters have learning rates of their own, the value is half the largest eigenvalue of D^½ ∇²L D^½, with
    D the diagonal of the rates.

    Cost: as `sharpness`, and none in addition to it.

    Source: Cohen et al., Gradient descent on neural networks typically occurs at the edge of stability, arXiv:2103.00065.
    """
    rates = view.learning_rates
    if isinstance(rates, jax.Array):
        return rates * view.sharpness / 2
    roots = jax.tree.map(jnp.sqrt, rates)

    def scaled(direction: object) -> object:
        return optax.tree.mul(roots, view.curvature(optax.tree.mul(roots, direction)))

    return _lanczos.largest(scaled, view.parameters) / 2
