"""Optimizers that estimate their own learning rate; the learning rate of a study multiplies it, and is 1 by design."""

from __future__ import annotations

import jax.numpy as jnp
import optax
from jaxtyping import Array, Float

from lrbench.optimizers._wrap import base_of

_LEAST = 1e-20


def dog(
    learning_rate: float, *, init_step: float = 1e-6, eps: float = 1e-8, weight_decay: float = 0.0
) -> optax.GradientTransformation:
    """DoG, distance over gradients: the largest distance from the start divided by the root of the sum of squared gradient norms.

    Formula: r = max(r, ‖w − w₀‖), r = i·(1 + ‖w₀‖) initially;  s ← s + ‖g‖²;  w ← w − η·r/√(s + ε)·g

    Args:
        init_step: i, the initial distance, relative to the weights.
        eps: ε, added to the sum.
        weight_decay: λ, added to the gradient as λ·w.

    Source: Ivgi, Hinder & Carmon, arXiv:2302.12022; optax.contrib.dog.
    """
    return optax.contrib.dog(learning_rate, ("heuristic", init_step), eps, weight_decay)


def dowg(
    learning_rate: float, *, eps: float = 1e-4, weight_decay: float = 0.0
) -> optax.GradientTransformation:
    """DoWG, distance over weighted gradients: like dog, with more weight on later gradients.

    Formula: r² = max(r², ‖w − w₀‖²), r² = ε initially;  s ← s + r²‖g‖²;  w ← w − η·r²/(√s + ε)·g

    Args:
        eps: ε, the initial squared distance; also added to the root.
        weight_decay: λ, added to the gradient as λ·w.

    Source: Khaled, Mishchenko & Jin, arXiv:2305.16284; optax.contrib.dowg.
    """
    return optax.contrib.dowg(learning_rate, None, eps, weight_decay)


def cocob(
    learning_rate: float, *, alpha: float = 100.0, eps: float = 1e-8, weight_decay: float = 0.0
) -> optax.GradientTransformation:
    """COCOB: every weight is the outcome of bets on coin flips, which are its gradients; there is no step size.

    Multiplying gradients by a constant has almost no effect, so that only the shape of a schedule matters.

    Formula: g ← η·(g + λw);  L = max|g|;  C = −Σg;  G = Σ|g|;  R = Σ(−g)(w − w₀), at least 0;
        w ← w₀ + C / (L·max(G + L, αL))·(L + R)

    Args:
        alpha: α; the larger, the more cautious the first bets.
        eps: ε, the smallest L.
        weight_decay: λ, added to the gradient as λ·w.

    Source: Orabona & Tommasi, arXiv:1705.07795; optax.contrib.cocob.
    """
    return optax.contrib.cocob(learning_rate, alpha, eps, weight_decay)


def dadapt_adamw(
    learning_rate: float,
    *,
    b1: float = 0.9,
    b2: float = 0.999,
    eps: float = 1e-8,
    estim_lr0: float = 1e-6,
    weight_decay: float = 0.0,
) -> optax.GradientTransformation:
    """D-Adaptation: AdamW with a non-decreasing estimate d of the distance to the solution.

    Formula: as adamw with the rate η·d;  d ← max(d, estimate from inner products of gradients and their sum)

    Args:
        b1: β₁, decay of the running mean of gradients.
        b2: β₂, decay of the running mean of squared gradients.
        eps: ε, added to the root to avoid division by zero.
        estim_lr0: the initial d.
        weight_decay: λ, the strength of the weight decay, multiplied by η·d.

    Source: Defazio & Mishchenko, arXiv:2301.07733; optax.contrib.dadapt_adamw.
    """
    rate = _positive(learning_rate)
    return optax.contrib.dadapt_adamw(rate, (b1, b2), eps, estim_lr0, weight_decay)


def prodigy(
    learning_rate: float,
    *,
    b1: float = 0.9,
    b2: float = 0.999,
    eps: float = 1e-8,
    estim_lr0: float = 1e-6,
    estim_lr_coef: float = 1.0,
    weight_decay: float = 0.0,
    safeguard_warmup: bool = False,
) -> optax.GradientTransformation:
    """Prodigy: Adam with an estimate d of the distance to the solution, which grows faster than D-Adaptation's.

    Formula: as adamw with the rate η·d;  d ← max(d, c·estimate from inner products of gradients and w₀ − w)

    Args:
        b1: β₁, decay of the running mean of gradients.
        b2: β₂, decay of the running mean of squared gradients.
        eps: ε, added to the root to avoid division by zero.
        estim_lr0: the initial d.
        estim_lr_coef: c, factor of the estimate.
        weight_decay: λ, the strength of the weight decay, multiplied by η·d.
        safeguard_warmup: omit the rate from the denominator of the estimate, for schedules with a warmup.

    Source: Mishchenko & Defazio, arXiv:2306.06101; optax.contrib.prodigy.
    """
    return optax.contrib.prodigy(
        _positive(learning_rate),
        (b1, b2),
        None,
        eps,
        estim_lr0,
        estim_lr_coef,
        weight_decay,
        safeguard_warmup,
    )


def mechanize(
    learning_rate: float,
    *,
    base: str = "adamw",
    weight_decay: float = 0.01,
    eps: float = 1e-8,
    s_init: float = 1e-6,
    num_betas: int = 6,
) -> optax.GradientTransformation:
    """Mechanic: the steps of another optimizer, multiplied by a factor that an online learner tunes.

    Formula: w ← w₀ + s·Σu, u the steps of the base optimizer at the rate η, s learnt from −g·Σu

    Args:
        base: name of the optimizer that takes the steps, which has its defaults.
        weight_decay: λ, weight of λ·s·‖g‖/‖w‖·w in the objective of s.
        eps: ε, added to denominators.
        s_init: the initial s.
        num_betas: number of learners, each with its own decay.

    Source: Cutkosky, Defazio & Mehta, arXiv:2306.00144; optax.contrib.mechanize.
    """
    return optax.contrib.mechanize(base_of(base)(learning_rate), weight_decay, eps, s_init, num_betas)


def _positive(learning_rate: float) -> Float[Array, ""]:
    """Return the rate, or a tiny one for the 0 at the start of a warmup, because estimates divide by its sum."""
    return jnp.maximum(learning_rate, _LEAST)
