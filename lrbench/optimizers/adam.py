"""Adam and what differs from it by one idea: AdamW, AMSGrad, Adamax, NAdam, RAdam, Yogi, AdaBelief, Adan, ..."""

from __future__ import annotations

import optax


def adam(
    learning_rate: float, *, b1: float = 0.9, b2: float = 0.999, eps: float = 1e-8, nesterov: bool = False
) -> optax.GradientTransformation:
    """Adam: steps scaled by running means of the gradient and of its square.

    Formula: m ← β₁m + (1−β₁)g;  v ← β₂v + (1−β₂)g²;  w ← w − η·m̂ / (√v̂ + ε), hats are bias-corrected

    Args:
        b1: β₁, decay of the running mean of gradients.
        b2: β₂, decay of the running mean of squared gradients.
        eps: ε, added to the root so that it is never zero.
        nesterov: use the Nesterov form of the first moment.

    Source: Kingma & Ba, arXiv:1412.6980; optax.adam; equals torch.optim.Adam.
    """
    return optax.adam(learning_rate, b1, b2, eps, nesterov=nesterov)


def adamw(
    learning_rate: float,
    *,
    b1: float = 0.9,
    b2: float = 0.999,
    eps: float = 1e-8,
    weight_decay: float = 0.01,
    nesterov: bool = False,
) -> optax.GradientTransformation:
    """Adam with weight decay that is apart from the gradient.

    Formula: as adam, then w ← w − η·λ·w

    Args:
        b1: β₁, decay of the running mean of gradients.
        b2: β₂, decay of the running mean of squared gradients.
        eps: ε, added to the root so that it is never zero.
        weight_decay: λ, the pull of every weight towards zero, times the learning rate. The default is PyTorch's.
        nesterov: use the Nesterov form of the first moment.

    Source: Loshchilov & Hutter, arXiv:1711.05101; optax.adamw; equals torch.optim.AdamW.
    """
    return optax.adamw(learning_rate, b1, b2, eps, weight_decay=weight_decay, nesterov=nesterov)


def nadam(
    learning_rate: float, *, b1: float = 0.9, b2: float = 0.999, eps: float = 1e-8
) -> optax.GradientTransformation:
    """Adam with Nesterov momentum.

    Formula: as adam, with β₁·m/(1−β₁ᵗ⁺¹) + (1−β₁)·g/(1−β₁ᵗ) for m̂

    Args:
        b1: β₁, decay of the running mean of gradients.
        b2: β₂, decay of the running mean of squared gradients.
        eps: ε, added to the root so that it is never zero.

    Source: Dozat, ICLR workshop (2016); optax.nadam; equals torch.optim.NAdam with a momentum_decay so large that its
        β₁ is constant from the first step on (there 0.004 by default, which starts from about β₁/2).
    """
    return optax.nadam(learning_rate, b1, b2, eps)


def nadamw(
    learning_rate: float,
    *,
    b1: float = 0.9,
    b2: float = 0.999,
    eps: float = 1e-8,
    weight_decay: float = 1e-4,
) -> optax.GradientTransformation:
    """Adam with Nesterov momentum, and weight decay that is apart from the gradient.

    Formula: as nadam, then w ← w − η·λ·w

    Args:
        b1: β₁, decay of the running mean of gradients.
        b2: β₂, decay of the running mean of squared gradients.
        eps: ε, added to the root so that it is never zero.
        weight_decay: λ, the pull of every weight towards zero, times the learning rate.

    Source: Dozat, ICLR workshop (2016); Loshchilov & Hutter, arXiv:1711.05101; optax.nadamw.
    """
    return optax.nadamw(learning_rate, b1, b2, eps, weight_decay=weight_decay)


def radam(
    learning_rate: float, *, b1: float = 0.9, b2: float = 0.999, eps: float = 1e-8, threshold: float = 5.0
) -> optax.GradientTransformation:
    """Rectified Adam: steps wait for the second moment to be known well enough, as a warmup would.

    Formula: ρ = ρ∞ − 2tβ₂ᵗ/(1−β₂ᵗ), ρ∞ = 2/(1−β₂) − 1;  w ← w − η·r(ρ)·m̂ / (√v̂ + ε) if ρ ≥ threshold, else w − η·m̂

    Args:
        b1: β₁, decay of the running mean of gradients.
        b2: β₂, decay of the running mean of squared gradients.
        eps: ε, added to the root so that it is never zero.
        threshold: the least ρ, the length of the second moment's memory, for a scaled step.

    Source: Liu et al., arXiv:1908.03265; optax.radam; equals torch.optim.RAdam but for ε, which PyTorch adds to √v
        before the bias is corrected.
    """
    return optax.radam(learning_rate, b1, b2, eps, threshold=threshold)


def amsgrad(
    learning_rate: float,
    *,
    b1: float = 0.9,
    b2: float = 0.999,
    eps: float = 1e-8,
    bias_correction_nu: bool = True,
) -> optax.GradientTransformation:
    """Adam whose second moment never falls, so that no step is longer than the past allows.

    Formula: as adam, with v̂ ← max(v̂₋, v̂), v̂₋ the largest so far

    Args:
        b1: β₁, decay of the running mean of gradients.
        b2: β₂, decay of the running mean of squared gradients.
        eps: ε, added to the root so that it is never zero.
        bias_correction_nu: correct the bias of v before the maximum is taken; without, v is never corrected.

    Source: Reddi, Kale & Kumar, arXiv:1904.09237; optax.amsgrad. torch.optim.Adam(amsgrad=True) corrects after the
        maximum: it equals this without bias_correction_nu, at the rate η·√(1−β₂ᵗ) and with ε = 0.
    """
    return optax.amsgrad(learning_rate, b1, b2, eps, bias_correction_nu=bias_correction_nu)


def adamax(
    learning_rate: float, *, b1: float = 0.9, b2: float = 0.999, eps: float = 1e-8
) -> optax.GradientTransformation:
    """Adam with the largest recent gradient in place of the root of the second moment.

    Formula: m ← β₁m + (1−β₁)g;  u ← max(β₂u, |g| + ε);  w ← w − η·m̂ / u

    Args:
        b1: β₁, decay of the running mean of gradients.
        b2: β₂, decay of the largest gradient.
        eps: ε, added to the gradient's size so that u is never zero.

    Source: Kingma & Ba, arXiv:1412.6980; optax.adamax; equals torch.optim.Adamax.
    """
    return optax.adamax(learning_rate, b1, b2, eps)


def adamaxw(
    learning_rate: float,
    *,
    b1: float = 0.9,
    b2: float = 0.999,
    eps: float = 1e-8,
    weight_decay: float = 1e-4,
) -> optax.GradientTransformation:
    """Adamax with weight decay that is apart from the gradient.

    Formula: as adamax, then w ← w − η·λ·w

    Args:
        b1: β₁, decay of the running mean of gradients.
        b2: β₂, decay of the largest gradient.
        eps: ε, added to the gradient's size so that u is never zero.
        weight_decay: λ, the pull of every weight towards zero, times the learning rate.

    Source: Loshchilov & Hutter, arXiv:1711.05101; optax.adamaxw.
    """
    return optax.adamaxw(learning_rate, b1, b2, eps, weight_decay)


def yogi(
    learning_rate: float, *, b1: float = 0.9, b2: float = 0.999, eps: float = 1e-3
) -> optax.GradientTransformation:
    """Adam whose second moment moves by steps of fixed size towards g², so that it forgets slowly.

    Formula: m ← β₁m + (1−β₁)g;  v ← v − (1−β₂)·sign(v − g²)·g²;  w ← w − η·m̂ / (√v̂ + ε)

    Args:
        b1: β₁, decay of the running mean of gradients.
        b2: β₂, 1 − β₂ is how fast v moves.
        eps: ε, added to the root so that it is never zero.

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
    """Adam scaled by how far gradients are from their mean: long steps where they are as expected.

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
    """AdaBelief without momentum in the step, and scaled by what was known before the gradient came.

    Formula: w ← w − η·(g / (√ŝ + ε) + λw);  then m ← β₁m + (1−β₁)g;  s ← β₂s + (1−β₂)(g − m₋)² + ε₀

    Args:
        b1: β₁, decay of the running mean of gradients.
        b2: β₂, decay of the running mean of squared differences.
        eps: ε, added to the root.
        eps_root: ε₀, added to s in every step.
        weight_decay: λ, the pull of every weight towards zero, times the learning rate.

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
    """Adam with a Nesterov momentum that is estimated from the gradient's changes.

    Formula: d = g − g₋;  m ← β₁m + (1−β₁)g;  v ← β₂v + (1−β₂)d;  n ← β₃n + (1−β₃)(g + (1−β₂)d)²;
        w ← w − η·((m̂ + (1−β₂)v̂) / (√(n̂ + 10⁻⁸) + ε) + λw)

    Args:
        b1: β₁, decay of the running mean of gradients.
        b2: β₂, decay of the running mean of the gradient's changes.
        b3: β₃, decay of the running mean of squares.
        eps: ε, added to the root so that it is never zero.
        weight_decay: λ, the pull of every weight towards zero, times the learning rate.

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
    """Adam changed so that it converges with any β₂: the gradient is scaled by what was known before it came.

    Formula: m ← β₁m + (1−β₁)·clip(g / max(√v₋, ε), ±t^¼);  w ← w − η·m;  v ← β₂v + (1−β₂)g²; the first step only sets v

    Args:
        b1: β₁, decay of the running mean of scaled gradients.
        b2: β₂, decay of the running mean of squared gradients.
        eps: ε, the least root.
        nesterov: use the Nesterov form of the first moment.
        use_clipping: bound scaled gradients by the fourth root of the step.

    Source: Taniguchi et al., arXiv:2411.02853; optax.contrib.adopt.
    """
    return optax.contrib.adopt(
        learning_rate, b1, b2, eps, nesterov=nesterov, use_clipping=use_clipping
    )


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
    """AdamW with a second, much slower momentum added to the first. In runs below 10,000 steps a smaller b3 is better.

    Formula: m₁ ← β₁m₁ + (1−β₁)g;  m₂ ← β₃m₂ + (1−β₃)g;  w ← w − η·((m̂₁ + α·m₂) / (√v̂ + ε) + λw)

    Args:
        b1: β₁, decay of the fast running mean of gradients.
        b2: β₂, decay of the running mean of squared gradients.
        b3: β₃, decay of the slow running mean of gradients, which is not bias-corrected.
        alpha: α, weight of the slow mean.
        eps: ε, added to the root so that it is never zero.
        weight_decay: λ, the pull of every weight towards zero, times the learning rate.

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
    """AdEMAMix with one momentum: a sum of gradients, to which the present one is added again.

    The momentum is a sum and not a mean, so that good rates are about 1 − β₁ times those of adam.

    Formula: m ← β₁m + g;  w ← w − η·((m + α·g) / (√v̂ + ε) + λw)

    Args:
        b1: β₁, the share of the sum that is kept.
        b2: β₂, decay of the running mean of squared gradients.
        alpha: α, further weight of the present gradient.
        eps: ε, added to the root so that it is never zero.
        weight_decay: λ, the pull of every weight towards zero, times the learning rate.

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
    """Adam that steps by where its direction is going; it is optimistic_adam_v2 with α = 1, kept under optax's old name.

    Formula: u = adam's direction;  w ← w − η·((1 + o)·u − o·u₋), u₋ that of the step before

    Args:
        optimism: o, weight of the direction's change, as a multiple of the learning rate (optax's own is absolute,
            and the learning rate if left out).
        b1: β₁, decay of the running mean of gradients.
        b2: β₂, decay of the running mean of squared gradients.
        eps: ε, added to the root so that it is never zero.
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
    """Adam that steps by where its direction is going: it adds the direction's last change.

    Formula: u = adam's direction;  w ← w − η·((α + β)·u − β·u₋), u₋ that of the step before

    Args:
        alpha: α, weight of the direction.
        beta: β, weight of the direction's change.
        b1: β₁, decay of the running mean of gradients.
        b2: β₂, decay of the running mean of squared gradients.
        eps: ε, added to the root so that it is never zero.
        nesterov: use the Nesterov form of the first moment.

    Source: Daskalakis et al., arXiv:1711.00141; optax.optimistic_adam_v2.
    """
    return optax.optimistic_adam_v2(
        learning_rate, alpha=alpha, beta=beta, b1=b1, b2=b2, eps=eps, nesterov=nesterov
    )
