"""The largest curvature of the loss, and whether the learning rate is too large for it."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, PyTree

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
    return _scaled(view, rates) / 2


def preconditioned_sharpness(view: View) -> Float[Array, ""]:
    """Return the largest eigenvalue of the Hessian of the training loss as the optimizer sees it: λ_max(P⁻¹∇²L), P the preconditioner of the next step.

    Formula: Δw = −η·P⁻¹·m, m the first moment after the step's gradient, or the gradient of an optimizer that has none

    With Adam P = (1 − β₁ᵗ)(√v̂ + ε), and the edge of stability is at 2(1 + β₁) / ((1 − β₁)η): 38/η for β₁ = 0.9. Without
    preconditioner P is 1, and the edge at 2/η, with momentum β at 2(1 + β)/η. The value has this meaning for optimizers that step
    along their first moment: not for Nesterov's momentum. It is missing where the learning rate is 0.

    Cost: as `sharpness`, in addition to it.

    Source: Cohen et al., Adaptive gradient methods at the edge of stability, arXiv:2207.14484.
    """
    inverse = view.learning_rates
    if isinstance(inverse, jax.Array):
        inverse = optax.tree.full_like(view.parameters, inverse)
    return _scaled(view, jax.tree.map(lambda size, rate: size / rate, view.step_sizes(), inverse))


def _scaled(view: View, diagonal: PyTree[Array]) -> Float[Array, ""]:
    """Return the largest eigenvalue of D^½ ∇²L D^½, which is that of D ∇²L, for a diagonal D."""
    roots = jax.tree.map(jnp.sqrt, diagonal)

    def scaled(direction: object) -> object:
        return optax.tree.mul(roots, view.curvature(optax.tree.mul(roots, direction)))

    return _lanczos.largest(scaled, view.parameters)
