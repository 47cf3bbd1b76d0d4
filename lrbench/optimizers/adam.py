"""Adam and its variants that PyTorch has: AdamW, NAdam, RAdam, AMSGrad, Adamax."""

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
        eps: ε, added to the root to avoid division by zero.
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
    """Adam with decoupled weight decay.

    Formula: as adam, then w ← w − η·λ·w

    Args:
        b1: β₁, decay of the running mean of gradients.
        b2: β₂, decay of the running mean of squared gradients.
        eps: ε, added to the root to avoid division by zero.
        weight_decay: λ, the strength of the weight decay, multiplied by the learning rate. PyTorch's default.
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
        eps: ε, added to the root to avoid division by zero.

    Source: Dozat, ICLR workshop (2016); optax.nadam; equals torch.optim.NAdam with a momentum_decay so large that
        β₁ is constant from the first step on (its default of 0.004 starts from about β₁/2).
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
    """Adam with Nesterov momentum, and decoupled weight decay.

    Formula: as nadam, then w ← w − η·λ·w

    Args:
        b1: β₁, decay of the running mean of gradients.
        b2: β₂, decay of the running mean of squared gradients.
        eps: ε, added to the root to avoid division by zero.
        weight_decay: λ, the strength of the weight decay, multiplied by the learning rate.

    Source: Dozat, ICLR workshop (2016); Loshchilov & Hutter, arXiv:1711.05101; optax.nadamw.
    """
    return optax.nadamw(learning_rate, b1, b2, eps, weight_decay=weight_decay)


def radam(
    learning_rate: float, *, b1: float = 0.9, b2: float = 0.999, eps: float = 1e-8, threshold: float = 5.0
) -> optax.GradientTransformation:
    """Rectified Adam: steps are unscaled until the second moment is known well enough, which acts as a warmup.

    Formula: ρ = ρ∞ − 2tβ₂ᵗ/(1−β₂ᵗ), ρ∞ = 2/(1−β₂) − 1;  w ← w − η·r(ρ)·m̂ / (√v̂ + ε) if ρ ≥ threshold, else w − η·m̂

    Args:
        b1: β₁, decay of the running mean of gradients.
        b2: β₂, decay of the running mean of squared gradients.
        eps: ε, added to the root to avoid division by zero.
        threshold: the smallest ρ, the effective length of the second moment's average, at which a step is scaled.

    Source: Liu et al., arXiv:1908.03265; optax.radam; equals torch.optim.RAdam except for ε, which PyTorch adds to √v
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
    """Adam whose second moment never decreases, so that the step size of a weight never increases.

    Formula: as adam, with v̂ ← max(v̂₋, v̂), v̂₋ the largest so far

    Args:
        b1: β₁, decay of the running mean of gradients.
        b2: β₂, decay of the running mean of squared gradients.
        eps: ε, added to the root to avoid division by zero.
        bias_correction_nu: correct the bias of v before taking the maximum; if false, v is never corrected.

    Source: Reddi, Kale & Kumar, arXiv:1904.09237; optax.amsgrad. torch.optim.Adam(amsgrad=True) corrects after the
        maximum: it equals this one without bias_correction_nu, at the rate η·√(1−β₂ᵗ) and with ε = 0.
    """
    return optax.amsgrad(learning_rate, b1, b2, eps, bias_correction_nu=bias_correction_nu)


def adamax(
    learning_rate: float, *, b1: float = 0.9, b2: float = 0.999, eps: float = 1e-8
) -> optax.GradientTransformation:
    """Adam with a decaying maximum of past gradients instead of the root of the second moment.

    Formula: m ← β₁m + (1−β₁)g;  u ← max(β₂u, |g| + ε);  w ← w − η·m̂ / u

    Args:
        b1: β₁, decay of the running mean of gradients.
        b2: β₂, decay of the maximum.
        eps: ε, added to the gradient's magnitude so that u is never zero.

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
    """Adamax with decoupled weight decay.

    Formula: as adamax, then w ← w − η·λ·w

    Args:
        b1: β₁, decay of the running mean of gradients.
        b2: β₂, decay of the maximum.
        eps: ε, added to the gradient's magnitude so that u is never zero.
        weight_decay: λ, the strength of the weight decay, multiplied by the learning rate.

    Source: Loshchilov & Hutter, arXiv:1711.05101; optax.adamaxw.
    """
    return optax.adamaxw(learning_rate, b1, b2, eps, weight_decay)
