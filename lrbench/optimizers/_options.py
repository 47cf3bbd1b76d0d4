"""Options of every optimizer: each public function here is one. It is off at 0, or at an empty list, and absent unless a study sets it.

Each takes an optimizer, the learning rate of the step and the option's value, and returns the optimizer with that option.
The state is the optimizer's own. `no_decay` differs: it takes two optimizers, one of which does not decay weights, in place of the rate.
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, PyTree

from lrbench.nets.parameters import by_path, matches

Scalar = Float[Array, ""] | float


def clip(
    transformation: optax.GradientTransformation, learning_rate: Scalar, norm: Scalar
) -> optax.GradientTransformationExtraArgs:
    """Gradient clipping: the largest allowed Euclidean norm of the gradient over all parameters; a longer one is rescaled. 0 is off.

    Formula: g ← g·min(1, c/‖g‖)
    """
    del learning_rate
    inner = optax.with_extra_args_support(transformation)

    def clipped(gradient: PyTree[Array]) -> PyTree[Array]:
        length = optax.tree.norm(gradient)
        # A comparison first, because the norm of a gradient may be 0.
        factor = jnp.where((norm > 0) & (length > norm), norm / length, 1.0)
        return jax.tree.map(lambda leaf: (factor * leaf).astype(leaf.dtype), gradient)

    def update(gradient: Any, state: Any, params: Any = None, **more: Any) -> tuple[Any, Any]:
        if "grad_fn" in more:
            elsewhere = more["grad_fn"]
            more["grad_fn"] = lambda *where: clipped(elsewhere(*where))
        return inner.update(clipped(gradient), state, params, **more)

    return optax.GradientTransformationExtraArgs(inner.init, update)


def weight_decay(
    transformation: optax.GradientTransformation, learning_rate: Scalar, decay: Scalar
) -> optax.GradientTransformationExtraArgs:
    """Decoupled weight decay, multiplied by the learning rate of the step. 0 is off.

    Formula: w ← w + Δw − η·λ·w
    """
    inner = optax.with_extra_args_support(transformation)

    def update(gradient: Any, state: Any, params: Any = None, **more: Any) -> tuple[Any, Any]:
        step, after = inner.update(gradient, state, params, **more)
        shrink = learning_rate * decay
        return jax.tree.map(lambda u, w: (u - shrink * w).astype(u.dtype), step, params), after

    return optax.GradientTransformationExtraArgs(inner.init, update)


def no_decay(
    decaying: optax.GradientTransformation, plain: optax.GradientTransformation, patterns: tuple[str, ...]
) -> optax.GradientTransformationExtraArgs:
    """Parameters without weight decay: patterns of their paths, such as ["*/bias"]; each must match at least one. An empty list is off.

    Formula: λ = 0 for parameters that a pattern matches
    """

    def labels(params: PyTree[Any]) -> PyTree[str]:
        return by_path(lambda path: "plain" if matches(path, patterns) else "decaying", params)

    return optax.partition({"decaying": decaying, "plain": plain}, labels)
