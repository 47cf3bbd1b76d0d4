"""Optimizers that treat a layer as a whole: its norm (LARS, LAMB, ...) or its matrix (Muon, GaLore)."""

from __future__ import annotations

from typing import Any

import jax
import optax


def lars(
    learning_rate: float,
    *,
    momentum: float = 0.9,
    weight_decay: float = 0.0,
    trust_coefficient: float = 0.001,
    eps: float = 0.0,
    nesterov: bool = False,
) -> optax.GradientTransformation:
    """LARS: gradient descent with momentum, with each layer's step proportional to its norm.

    Formula: g ← g + λw;  m ← β·m + η·c·‖w‖/(‖g‖ + ε)·g in each layer;  w ← w − m

    Args:
        momentum: β, the weight of the previous step.
        weight_decay: λ, added to the gradient as λ·w.
        trust_coefficient: c, a layer's step relative to its norm.
        eps: ε, added to the gradient's norm.
        nesterov: use the Nesterov form of the momentum.

    Source: You, Gitman & Ginsburg, arXiv:1708.03888; optax.lars.
    """
    return optax.lars(
        learning_rate,
        weight_decay,
        trust_coefficient=trust_coefficient,
        eps=eps,
        momentum=momentum,
        nesterov=nesterov,
    )


def lamb(
    learning_rate: float,
    *,
    b1: float = 0.9,
    b2: float = 0.999,
    eps: float = 1e-6,
    weight_decay: float = 0.0,
) -> optax.GradientTransformation:
    """LAMB: Adam with each layer's step proportional to its norm.

    Formula: u = m̂ / (√v̂ + ε) + λw;  w ← w − η·‖w‖/‖u‖·u in each layer

    Args:
        b1: β₁, decay of the running mean of gradients.
        b2: β₂, decay of the running mean of squared gradients.
        eps: ε, added to the root to avoid division by zero.
        weight_decay: λ, the strength of the weight decay, within u.

    Source: You et al., arXiv:1904.00962; optax.lamb.
    """
    return optax.lamb(learning_rate, b1, b2, eps, weight_decay=weight_decay)


def fromage(learning_rate: float, *, min_norm: float = 1e-6) -> optax.GradientTransformation:
    """Fromage: each layer moves by the learning rate relative to its norm, corrected so that the norm does not grow.

    Formula: w ← (w − η·‖w‖/‖g‖·g) / √(1 + η²) in each layer

    Args:
        min_norm: the smallest norm that is used for a layer and for its gradient.

    Source: Bernstein et al., arXiv:2002.03432; optax.fromage.
    """
    return optax.fromage(learning_rate, min_norm)


def novograd(
    learning_rate: float,
    *,
    b1: float = 0.9,
    b2: float = 0.25,
    eps: float = 1e-6,
    weight_decay: float = 0.0,
) -> optax.GradientTransformation:
    """NovoGrad: momentum of gradients that are scaled by a running mean of their layer's norm.

    Formula: v ← β₂v + (1−β₂)‖g‖²;  m ← β₁m + g/(√v + ε) + λw;  w ← w − η·m in each layer

    Args:
        b1: β₁, decay of the momentum.
        b2: β₂, decay of the running mean of squared norms.
        eps: ε, added to the root to avoid division by zero.
        weight_decay: λ, the strength of the weight decay, within the momentum.

    Source: Ginsburg et al., arXiv:1905.11286; optax.novograd.
    """
    return optax.novograd(learning_rate, b1, b2, eps, weight_decay=weight_decay)


def muon(
    learning_rate: float,
    *,
    beta: float = 0.95,
    eps: float = 1e-8,
    weight_decay: float = 0.0,
    adam_b1: float = 0.9,
    adam_b2: float = 0.999,
    ns_steps: int = 5,
    nesterov: bool = True,
    adaptive: bool = False,
) -> optax.GradientTransformation:
    """Muon: the orthogonalised momentum of each matrix; all parameters that are not matrices are trained by Adam.

    Formula: m ← βm + (1−β)g, bias-corrected;  O ≈ m(mᵀm)^−½ by Newton–Schulz;  W ← W − η·(√max(1, out/in)·O + λW)

    Args:
        beta: β, decay of the momentum.
        eps: ε, added to denominators.
        weight_decay: λ, the strength of the weight decay of matrices, multiplied by the learning rate.
        adam_b1: β₁ of Adam.
        adam_b2: β₂ of Adam.
        ns_steps: iterations of Newton–Schulz.
        nesterov: use the Nesterov form of the momentum.
        adaptive: scale the step by the nuclear norm of the momentum.

    Source: Jordan et al. (2024), modded-nanogpt; Bernstein & Newhouse, arXiv:2409.20325; optax.contrib.muon.
    """
    return optax.contrib.muon(
        learning_rate,
        ns_steps=ns_steps,
        beta=beta,
        eps=eps,
        weight_decay=weight_decay,
        nesterov=nesterov,
        adaptive=adaptive,
        adam_b1=adam_b1,
        adam_b2=adam_b2,
    )


def galore(
    learning_rate: float,
    *,
    scale: float = 1.0,
    weight_decay: float = 0.0,
    rank: int = 128,
    update_proj_gap: int = 200,
) -> optax.GradientTransformation:
    """GaLore: Adam in a low-rank subspace of each matrix, spanned by singular vectors of its gradient and updated periodically.

    The signs of singular vectors depend on rounding, so that runs with other chunks or devices agree for a few steps only.

    Formula: G = UΣVᵀ every k steps, P = its first r left (or right) vectors;  W ← W − η·(s·P·adam(PᵀG) + λW)

    Args:
        scale: s, factor of the steps of matrices.
        weight_decay: λ, the strength of the weight decay, multiplied by the learning rate.
        rank: r, dimension of the subspace, limited by the smaller side of the matrix.
        update_proj_gap: k, steps between two updates of the subspace.

    Source: Zhao et al., arXiv:2403.03507; optax.contrib.galore.
    """

    def step(numbers: tuple[Any, Any, Any], gradient: Any, state: Any, params: Any) -> Any:
        rate, factor, decay = numbers
        transformation = optax.contrib.galore(rate, rank, update_proj_gap, factor, weight_decay=decay)
        return transformation.update(gradient, state, params)

    # One lane after another: on a CPU with more than one device, decompositions of many matrices at once share the threads
    # that they run on, and deadlock (jaxlib 0.10.2).
    one_by_one: Any = jax.custom_batching.sequential_vmap(step)

    def update(gradient: Any, state: Any, params: Any = None) -> tuple[Any, Any]:
        return one_by_one((learning_rate, scale, weight_decay), gradient, state, params)

    inner = optax.contrib.galore(learning_rate, rank, update_proj_gap, scale, weight_decay=weight_decay)
    return optax.GradientTransformation(inner.init, update)
