"""Schedules that begin with a warmup to the peak."""

from typing import Any, Literal

import jax.numpy as jnp
import optax

from lrbench.schedules._checks import require, require_share, require_warmup, warmed


def warmup_constant(steps: int, *, warmup: float = 0.1, start: float = 0.0) -> optax.Schedule:
    """Rise linearly to the peak, and stay there.

    Formula: start + (1 − start)·min(t / w, 1), w = warmup·steps

    Args:
        warmup: share of the run that the rise takes, from 0 to below 1.
        start: the first factor.

    Source: optax.warmup_constant_schedule.
    """
    require_warmup(warmup)
    require_share("start", start)
    return warmed(round(warmup * steps), start, optax.constant_schedule(1.0))


def warmup_linear(steps: int, *, warmup: float = 0.1, final: float = 0.0) -> optax.Schedule:
    """Rise linearly from zero to the peak, then fall linearly.

    Formula: t / w for t < w = warmup·steps; then 1 − (1 − final)·(t − w) / (steps − w)

    Args:
        warmup: share of the run that the rise takes, from 0 to below 1.
        final: the factor reached after the last step.

    Source: Devlin et al., arXiv:1810.04805; transformers.get_linear_schedule_with_warmup.
    """
    require_warmup(warmup)
    require_share("final", final)
    rise = round(warmup * steps)
    return warmed(rise, 0.0, optax.linear_schedule(1.0, final, max(1, steps - rise)))


def warmup_cosine(steps: int, *, warmup: float = 0.1, final: float = 0.0) -> optax.Schedule:
    """Rise linearly from zero to the peak, then fall along half a cosine.

    Formula: t / w for t < w = warmup·steps; then cosine over the remaining steps

    Args:
        warmup: share of the run that the rise takes, from 0 to below 1.
        final: the factor reached after the last step.

    Source: optax.warmup_cosine_decay_schedule.
    """
    require_warmup(warmup)
    require_share("final", final)
    rise = round(warmup * steps)
    return warmed(rise, 0.0, optax.cosine_decay_schedule(1.0, max(1, steps - rise), alpha=final))


def warmup_exponential(steps: int, *, warmup: float = 0.1, final: float = 0.01) -> optax.Schedule:
    """Rise linearly from zero to the peak, then decay by a constant factor at every step.

    Formula: t / w for t < w = warmup·steps; then final^((t − w) / (steps − w))

    Args:
        warmup: share of the run that the rise takes, from 0 to below 1.
        final: the factor reached after the last step.

    Source: optax.warmup_exponential_decay_schedule.
    """
    require_warmup(warmup)
    require(0 < final <= 1, "final", final, "above 0 and at most 1")
    rise = round(warmup * steps)
    return warmed(rise, 0.0, optax.exponential_decay(1.0, max(1, steps - rise), final))


def inverse_sqrt(steps: int, *, warmup: float = 0.1) -> optax.Schedule:
    """Rise linearly to the peak, then decay as one over the square root of the step (Noam).

    Formula: min((t + 1) / w, √(w / (t + 1))), w = warmup·steps

    Args:
        warmup: share of the run that the rise takes, from 0 to below 1; it also determines the rate of the decay.

    Source: Vaswani et al., arXiv:1706.03762, section 5.3, whose rate is this one × (model width · w)^(−1/2).
    """
    require_warmup(warmup)
    rise = max(1, round(warmup * steps))
    return lambda count: jnp.minimum((count + 1) / rise, jnp.sqrt(rise / (count + 1)))


def wsd(
    steps: int,
    *,
    warmup: float = 0.1,
    decay: float = 0.2,
    final: float = 0.0,
    form: Literal["linear", "sqrt"] = "linear",
) -> optax.Schedule:
    """Rise linearly, stay at the peak, and fall at the end (warmup-stable-decay, trapezoidal).

    Formula: t / w for t < w = warmup·steps; 1; and in the last d = decay·steps steps 1 − (1 − final)·u,
        where u = (t − steps + d) / d, or its square root

    Args:
        warmup: share of the run that the rise takes, from 0 to below 1.
        decay: share of the run that the fall takes, from 0 to 1 − warmup.
        final: the factor reached after the last step.
        form: "linear" falls along a straight line, "sqrt" steeply at first.

    Source: Hu et al., arXiv:2404.06395; the two forms: Hägele et al., arXiv:2405.18392.
    """
    require_warmup(warmup)
    require(
        0 <= decay <= 1 - warmup, "decay", decay, f"a share of the run, from 0 to 1 - warmup = {1 - warmup:g}"
    )
    require_share("final", final)
    rise = round(warmup * steps)
    fall = min(round(decay * steps), steps - rise)

    def after(count: Any) -> Any:
        way = jnp.clip((count - (steps - fall)) / max(1, fall), 0, 1)
        return 1 - (1 - final) * (way if form == "linear" else jnp.sqrt(way))

    return warmed(rise, 0.0, lambda count: after(count + rise))
