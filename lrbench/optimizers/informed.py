"""Optimizers that require more than the gradient: the loss, other gradients, curvature or random numbers."""

from __future__ import annotations

from typing import Any, Literal

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Int

from lrbench.optimizers._wrap import base_of, counted
from lrbench.study.catalog import history
from lrbench.study.requires import asks


@asks("value")
def polyak_sgd(
    learning_rate: float,
    *,
    scaling: float = 1.0,
    f_min: float = 0.0,
    eps: float = 0.0,
    variant: Literal["sps", "sps+"] = "sps",
) -> optax.GradientTransformation:
    """Gradient descent with the step that would reach the minimum if the loss were linear; the learning rate is its upper bound.

    Formula: w ← w − s·min((ℓ − ℓ*)/(‖g‖² + ε), η)·g

    Args:
        scaling: s, factor of every step.
        f_min: ℓ*, a lower bound of the loss.
        eps: ε, added to the squared norm.
        variant: where the loss is below f_min, "sps+" takes no step and "sps" steps uphill.

    Source: Loizou et al., arXiv:2002.10542; Garrigos et al., arXiv:2307.14528; optax.polyak_sgd.
    """
    return optax.polyak_sgd(learning_rate, scaling, f_min, eps, variant)


@asks("value")
def momo(
    learning_rate: float,
    *,
    beta: float = 0.9,
    lower_bound: float = 0.0,
    weight_decay: float = 0.0,
    adapt_lower_bound: bool = False,
) -> optax.GradientTransformation:
    """MoMo: momentum with a Polyak step on a model of past losses; the learning rate is its upper bound.

    Formula: d ← βd + (1−β)g;  h = model of the loss at w from running means of ℓ and g·w;  w ← w − min(η, (h − ℓ*)₊/‖d‖²)·d

    Args:
        beta: β, decay of the running means.
        lower_bound: ℓ*, a lower bound of the loss.
        weight_decay: λ, the strength of the weight decay, as w / (1 + η·λ).
        adapt_lower_bound: estimate ℓ* during training, starting from lower_bound.

    Source: Schaipp et al., arXiv:2305.07583; optax.contrib.momo.
    """
    return optax.contrib.momo(learning_rate, beta, lower_bound, weight_decay, adapt_lower_bound)


@asks("value")
def momo_adam(
    learning_rate: float,
    *,
    b1: float = 0.9,
    b2: float = 0.999,
    eps: float = 1e-8,
    lower_bound: float = 0.0,
    weight_decay: float = 0.0,
    adapt_lower_bound: bool = False,
) -> optax.GradientTransformation:
    """MoMo-Adam: Adam with a Polyak step on a model of past losses; the learning rate is its upper bound.

    Formula: as momo, in the norm that adam's √v̂ + ε defines

    Args:
        b1: β₁, decay of the running means of losses and gradients.
        b2: β₂, decay of the running mean of squared gradients.
        eps: ε, added to the root to avoid division by zero.
        lower_bound: ℓ*, a lower bound of the loss.
        weight_decay: λ, the strength of the weight decay, as w / (1 + η·λ).
        adapt_lower_bound: estimate ℓ* during training, starting from lower_bound.

    Source: Schaipp et al., arXiv:2305.07583; optax.contrib.momo_adam.
    """
    return optax.contrib.momo_adam(learning_rate, b1, b2, eps, lower_bound, weight_decay, adapt_lower_bound)


@asks("grad_fn")
def sam(learning_rate: float, *, rho: float = 0.05, base: str = "sgd") -> optax.GradientTransformation:
    """Sharpness-aware minimisation: the gradient at the worst nearby point, which favours flat minima.

    A step computes two gradients of the same minibatch, and so takes about twice the time.

    Formula: g ← ∇ℓ(w + ρ·g/‖g‖), then a step of the base optimizer

    Args:
        rho: ρ, the distance at which the gradient is taken.
        base: name of the optimizer that takes the step, which has its defaults.

    Source: Foret et al., arXiv:2010.01412; optax.contrib.sam in opaque mode.
    """
    inner = base_of(base)(learning_rate)

    def uphill(gradient: Any, state: Any, params: Any = None) -> tuple[Any, Any]:
        del params
        # Where the gradient is zero there is no step; optax.contrib.normalize would divide 0 by 0.
        factor = -rho / jnp.maximum(optax.tree.norm(gradient), 1e-12)
        return jax.tree.map(lambda leaf: factor * leaf, gradient), state

    away = optax.GradientTransformation(optax.init_empty_state, uphill)
    return optax.contrib.sam(inner, away, opaque_mode=True)


@history(revision=2)
@asks("value", "grad", "value_fn")
def lbfgs(
    learning_rate: float, *, memory_size: int = 10, scale_init_precond: bool = True, linesearch: bool = True
) -> optax.GradientTransformation:
    """L-BFGS: a quasi-Newton direction from the last gradients, and a line search along it on the same minibatch.

    It is meant for full-batch gradients. The learning rate scales the direction, along which the line search starts at 1,
    so that a step hardly depends on the rate; without the line search, a step is the rate times the direction. Where a step
    moved nothing, as at the rate 0 with which a warmup starts, the next one starts anew without stored differences.

    Formula: w ← w − a·η·H·g, H from the last differences of weights and gradients, a from the line search

    Args:
        memory_size: how many differences are stored.
        scale_init_precond: scale the initial H by the last curvature.
        linesearch: search for a step that satisfies the strong Wolfe conditions, in at most 20 iterations.

    Source: Liu & Nocedal, Mathematical Programming 45 (1989); Nocedal & Wright (2006), algorithms 3.5 and 3.6;
        optax.lbfgs.
    """
    search = optax.scale_by_zoom_linesearch(20, initial_guess_strategy="one") if linesearch else None
    inner = optax.lbfgs(learning_rate, memory_size, scale_init_precond, search)

    def update(gradient: Any, state: Any, params: Any = None, **more: Any) -> tuple[Any, Any]:
        # After a step of rate 0, optax would divide no movement by the difference of two minibatches' gradients: its H, and so
        # every later step, would be 0. With count 0 it takes a first step; with weights of 0, differences are as if forgotten.
        memory, *rest = state
        moved = jax.tree.map(lambda leaf, before: jnp.any(leaf != before), params, memory.params)
        kept = jnp.any(jnp.stack(jax.tree.leaves(moved)))
        count, weights = (jnp.where(kept, old, 0) for old in (memory.count, memory.weights_memory))
        state = (memory._replace(count=count, weights_memory=weights), *rest)
        return inner.update(gradient, state, params, **more)

    return optax.GradientTransformationExtraArgs(inner.init, update)


@asks("obj_fn", "step", "key")
def sophia(
    learning_rate: float,
    *,
    b1: float = 0.965,
    b2: float = 0.99,
    eps: float = 1e-8,
    weight_decay: float = 1e-4,
    gamma: float = 0.01,
    clip_threshold: float = 1.0,
    update_interval: int = 10,
) -> optax.GradientTransformation:
    """Sophia: momentum divided by an estimate of the Hessian's diagonal, with clipped steps.

    Formula: m ← β₁m + (1−β₁)g;  h ← β₂h + (1−β₂)·u⊙∇²ℓ·u every k steps, u = ±1 at random;
        w ← w − η·(clip(m̂ / max(γh, ε), ±c) + λw)

    Args:
        b1: β₁, decay of the running mean of gradients.
        b2: β₂, decay of the running mean of curvatures.
        eps: ε, the smallest denominator.
        weight_decay: λ, the strength of the weight decay, multiplied by the learning rate.
        gamma: γ, factor of the curvature; the larger, the fewer steps are clipped.
        clip_threshold: c, the bound of a step.
        update_interval: k, steps between two estimates of the curvature.

    Source: Liu et al., arXiv:2305.14342; optax.contrib.sophia with Hutchinson's estimator.
    """
    transformation = optax.contrib.sophia(
        learning_rate,
        b1,
        b2,
        eps,
        weight_decay,
        gamma=gamma,
        clip_threshold=clip_threshold,
        update_interval=update_interval,
        hessian_diagonal_fn=_hutchinson(),
    )
    return counted(transformation)


def _hutchinson() -> optax.GradientTransformationExtraArgs:
    """Return optax's estimator of the Hessian's diagonal, with random signs drawn from the key of the step."""

    def update(gradient: Any, state: Any, params: Any = None, *, key: Array, **more: Any) -> tuple[Any, Any]:
        drawn = optax.contrib.hutchinson_estimator_diag_hessian(key)
        diagonal, _ = drawn.update(gradient, drawn.init(params), params, **more)
        return diagonal, state

    return optax.GradientTransformationExtraArgs(optax.init_empty_state, update)


@asks("key")
def noisy_sgd(
    learning_rate: float, *, eta: float = 0.01, gamma: float = 0.55
) -> optax.GradientTransformation:
    """Gradient descent with decaying Gaussian noise, which is the same for all runs of a seed.

    Formula: w ← w − η·(g + √(e / t^γ)·z), z ~ N(0, 1)

    Args:
        eta: e, variance of the noise at the first step.
        gamma: γ, how fast the variance decays.

    Source: Neelakantan et al., arXiv:1511.06807; optax.noisy_sgd, with the key of the step.
    """

    def init(params: Any) -> Int[Array, ""]:
        del params
        return jnp.zeros((), jnp.int32)

    def update(gradient: Any, count: Any, params: Any = None, *, key: Array) -> tuple[Any, Any]:
        noisy = optax.add_noise(eta, gamma, key)
        step, after = noisy.update(gradient, noisy.init(params)._replace(count=count), params)
        return step, after.count

    noise = optax.GradientTransformationExtraArgs(init, update)
    return optax.chain(noise, optax.scale_by_learning_rate(learning_rate))


@asks("example_grads", "key")
def dpsgd(
    learning_rate: float,
    *,
    clip: float = 1.0,
    noise_multiplier: float = 1.0,
    momentum: float = 0.0,
    nesterov: bool = False,
) -> optax.GradientTransformation:
    """Differentially private gradient descent: the gradient of each example is clipped, and noise is added to their sum.

    The noise is the same for all runs of a seed. Minibatches are not drawn as a privacy proof requires.

    Formula: g = (Σᵢ gᵢ·min(1, c/‖gᵢ‖) + σ·c·z) / n, z ~ N(0, 1), over the n examples of the minibatch; then as sgd

    Args:
        clip: c, the largest norm of an example's gradient; optax's l2_norm_clip.
        noise_multiplier: σ, standard deviation of the noise relative to c.
        momentum: β, the weight of the previous update direction.
        nesterov: use the Nesterov form of the momentum.

    Source: Abadi et al., arXiv:1607.00133; optax.contrib.dpsgd, with the key of the step.
    """

    def update(
        gradient: Any, state: Any, params: Any = None, *, example_grads: Any, key: Array
    ) -> tuple[Any, Any]:
        del gradient
        private = optax.contrib.differentially_private_aggregate(clip, noise_multiplier, key)
        step, _ = private.update(example_grads, private.init(params), params)
        return step, state

    return optax.chain(
        optax.GradientTransformationExtraArgs(optax.init_empty_state, update),
        optax.sgd(learning_rate, momentum, nesterov),
    )
