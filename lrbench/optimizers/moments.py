"""Further optimizers with running means of the gradient and its square: Yogi, AdaBelief, Adan, ADOPT, AdEMAMix, ..."""

from __future__ import annotations

import optax


def yogi(
    learning_rate: float, *, b1: float = 0.9, b2: float = 0.999, eps: float = 1e-3
) -> optax.GradientTransformation:
    """Adam whose second moment moves towards g² by additive steps, so that it decreases slowly.

    Formula: m ← β₁m + (1−β₁)g;  v ← v − (1−β₂)·sign(v − g²)·g²;  w ← w − η·m̂ / (√v̂ + ε)

    Args:
        b1: β₁, decay of the running mean of gradients.
        b2: β₂; 1 − β₂ is how fast v moves.
        eps: ε, added to the root to avoid division by zero.

    Source: Zaheer et al., NeurIPS (2018); optax.yogi.
    """
    return optax.yogi(learning_rate, b1, b2, eps)


def adabelief(
    learning_rate: float,
    *,
    b1: float = 0.9,
    b2: float = 0.999,
    eps: float = 1e-16,
    eps_root: float = 1e-16,
    nesterov: bool = False,
) -> optax.GradientTransformation:
    """Adam scaled by the deviation of gradients from their running mean: long steps where gradients are as expected.

    Formula: m ← β₁m + (1−β₁)g;  s ← β₂s + (1−β₂)(g − m)² + ε₀;  w ← w − η·m̂ / (√ŝ + ε)

    Args:
        b1: β₁, decay of the running mean of gradients.
        b2: β₂, decay of the running mean of squared differences.
        eps: ε, added to the root.
        eps_root: ε₀, added to s in every step.
        nesterov: use the Nesterov form of the first moment.

    Source: Zhuang et al., arXiv:2010.07468; optax.adabelief.
    """
    return optax.adabelief(learning_rate, b1, b2, eps, eps_root, nesterov=nesterov)


def acprop(
    learning_rate: float,
    *,
    b1: float = 0.9,
    b2: float = 0.999,
    eps: float = 1e-16,
    eps_root: float = 1e-16,
    weight_decay: float = 0.0,
) -> optax.GradientTransformation:
    """AdaBelief without momentum in the step, scaled by the second moment before the current gradient.

    A weight whose gradient was zero so far takes a step of η·g/ε₀^½ once it is not: a larger eps limits it.

    Formula: w ← w − η·(g / (√ŝ + ε) + λw);  then m ← β₁m + (1−β₁)g;  s ← β₂s + (1−β₂)(g − m₋)² + ε₀

    Args:
        b1: β₁, decay of the running mean of gradients.
        b2: β₂, decay of the running mean of squared differences.
        eps: ε, added to the root.
        eps_root: ε₀, added to s in every step.
        weight_decay: λ, the strength of the weight decay, multiplied by the learning rate.

    Source: Zhuang et al., arXiv:2110.05454; optax.contrib.acprop.
    """
    return optax.contrib.acprop(learning_rate, b1, b2, eps, eps_root, weight_decay)


def adan(
    learning_rate: float,
    *,
    b1: float = 0.98,
    b2: float = 0.92,
    b3: float = 0.99,
    eps: float = 1e-8,
    weight_decay: float = 0.0,
) -> optax.GradientTransformation:
    """Adam with a Nesterov momentum estimated from the gradient's changes.

    Formula: d = g − g₋;  m ← β₁m + (1−β₁)g;  v ← β₂v + (1−β₂)d;  n ← β₃n + (1−β₃)(g + (1−β₂)d)²;
        w ← w − η·((m̂ + (1−β₂)v̂) / (√(n̂ + 10⁻⁸) + ε) + λw)

    Args:
        b1: β₁, decay of the running mean of gradients.
        b2: β₂, decay of the running mean of the gradient's changes.
        b3: β₃, decay of the running mean of squares.
        eps: ε, added to the root to avoid division by zero.
        weight_decay: λ, the strength of the weight decay, multiplied by the learning rate.

    Source: Xie et al., arXiv:2208.06677, whose betas are 1 minus these; optax.adan.
    """
    return optax.adan(learning_rate, b1, b2, b3, eps, weight_decay=weight_decay)


def adopt(
    learning_rate: float,
    *,
    b1: float = 0.9,
    b2: float = 0.9999,
    eps: float = 1e-6,
    nesterov: bool = False,
    use_clipping: bool = True,
) -> optax.GradientTransformation:
    """Adam modified to converge with any β₂: the gradient is scaled by the previous second moment.

    Formula: m ← β₁m + (1−β₁)·clip(g / max(√v₋, ε), ±t^¼);  w ← w − η·m;  v ← β₂v + (1−β₂)g²; the first step only sets v

    Args:
        b1: β₁, decay of the running mean of scaled gradients.
        b2: β₂, decay of the running mean of squared gradients.
        eps: ε, the smallest root.
        nesterov: use the Nesterov form of the first moment.
        use_clipping: bound scaled gradients by the fourth root of the step.

    Source: Taniguchi et al., arXiv:2411.02853; optax.contrib.adopt.
    """
    return optax.contrib.adopt(learning_rate, b1, b2, eps, nesterov=nesterov, use_clipping=use_clipping)


def ademamix(
    learning_rate: float,
    *,
    b1: float = 0.9,
    b2: float = 0.999,
    b3: float = 0.9999,
    alpha: float = 5.0,
    eps: float = 1e-8,
    weight_decay: float = 0.0,
) -> optax.GradientTransformation:
    """AdamW with a second, much slower momentum added to the first. Runs of fewer than 10,000 steps work better with a smaller b3.

    Formula: m₁ ← β₁m₁ + (1−β₁)g;  m₂ ← β₃m₂ + (1−β₃)g;  w ← w − η·((m̂₁ + α·m₂) / (√v̂ + ε) + λw)

    Args:
        b1: β₁, decay of the fast running mean of gradients.
        b2: β₂, decay of the running mean of squared gradients.
        b3: β₃, decay of the slow running mean of gradients, which is not bias-corrected.
        alpha: α, weight of the slow mean.
        eps: ε, added to the root to avoid division by zero.
        weight_decay: λ, the strength of the weight decay, multiplied by the learning rate.

    Source: Pagliardini, Ablin & Grangier, arXiv:2409.03137; optax.contrib.ademamix.
    """
    return optax.contrib.ademamix(learning_rate, b1, b2, b3, alpha, eps, weight_decay=weight_decay)


def simplified_ademamix(
    learning_rate: float,
    *,
    b1: float = 0.99,
    b2: float = 0.95,
    alpha: float = 0.0,
    eps: float = 1e-8,
    weight_decay: float = 0.0,
) -> optax.GradientTransformation:
    """AdEMAMix with a single momentum: a decaying sum of gradients, to which the current gradient is added again.

    The momentum is a sum, not a mean, so that good rates are about 1 − β₁ times those of adam.

    Formula: m ← β₁m + g;  w ← w − η·((m + α·g) / (√v̂ + ε) + λw)

    Args:
        b1: β₁, decay of the sum.
        b2: β₂, decay of the running mean of squared gradients.
        alpha: α, additional weight of the present gradient.
        eps: ε, added to the root to avoid division by zero.
        weight_decay: λ, the strength of the weight decay, multiplied by the learning rate.

    Source: Morwani et al., arXiv:2502.02431; optax.contrib.simplified_ademamix.
    """
    return optax.contrib.simplified_ademamix(learning_rate, b1, b2, alpha, eps, weight_decay=weight_decay)


def optimistic_adam(
    learning_rate: float,
    *,
    optimism: float = 1.0,
    b1: float = 0.9,
    b2: float = 0.999,
    eps: float = 1e-8,
    nesterov: bool = True,
) -> optax.GradientTransformation:
    """Optimistic Adam: optimistic_adam_v2 with α = 1, under optax's old name.

    Formula: u = adam's direction;  w ← w − η·((1 + o)·u − o·u₋), u₋ that of the step before

    Args:
        optimism: o, weight of the direction's change, as a multiple of the learning rate (optax's is absolute, and by
            default the learning rate).
        b1: β₁, decay of the running mean of gradients.
        b2: β₂, decay of the running mean of squared gradients.
        eps: ε, added to the root to avoid division by zero.
        nesterov: use the Nesterov form of the first moment.

    Source: Daskalakis et al., arXiv:1711.00141; optax.optimistic_adam.
    """
    return optimistic_adam_v2(learning_rate, beta=optimism, b1=b1, b2=b2, eps=eps, nesterov=nesterov)


def optimistic_adam_v2(
    learning_rate: float,
    *,
    alpha: float = 1.0,
    beta: float = 1.0,
    b1: float = 0.9,
    b2: float = 0.999,
    eps: float = 1e-8,
    nesterov: bool = True,
) -> optax.GradientTransformation:
    """Optimistic Adam: extrapolates Adam's direction by adding its last change.

    Formula: u = adam's direction;  w ← w − η·((α + β)·u − β·u₋), u₋ that of the step before

    Args:
        alpha: α, weight of the direction.
        beta: β, weight of the direction's change.
        b1: β₁, decay of the running mean of gradients.
        b2: β₂, decay of the running mean of squared gradients.
        eps: ε, added to the root to avoid division by zero.
        nesterov: use the Nesterov form of the first moment.

    Source: Daskalakis et al., arXiv:1711.00141; optax.optimistic_adam_v2.
    """
    return optax.optimistic_adam_v2(
        learning_rate, alpha=alpha, beta=beta, b1=b1, b2=b2, eps=eps, nesterov=nesterov
    )
