"""Schedules that start at the peak, or are defined piecewise."""

from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
import optax

from lrbench.schedules._checks import require, require_pieces, require_share


def constant(steps: int) -> optax.Schedule:
    """Use the same rate throughout.

    Formula: 1

    Source: optax.constant_schedule.
    """
    del steps
    return optax.constant_schedule(1.0)


def linear(steps: int, *, start: float = 1.0, final: float = 0.0, span: float = 1.0) -> optax.Schedule:
    """Change linearly from one factor to another, and stay there.

    Formula: start + (final − start)·min(t / (span·steps), 1)

    Args:
        start: the first factor.
        final: the factor reached after span·steps steps; the larger of the two must be 1.
        span: share of the run that the change takes, above 0 and at most 1.

    Source: optax.linear_schedule; equals torch.optim.lr_scheduler.LinearLR with start_factor = start, end_factor = final
        and total_iters = span·steps.
    """
    require_share("start", start)
    require_share("final", final)
    require(max(start, final) == 1, "start", start, f"1 where final = {final!r} is below 1")
    return optax.linear_schedule(start, final, _steps_of(span, steps))


def polynomial(steps: int, *, power: float = 2.0, final: float = 0.0, span: float = 1.0) -> optax.Schedule:
    """Decay as a power of the remaining steps, to a given share of the peak, and stay there.

    Formula: final + (1 − final)·(1 − min(t / (span·steps), 1))^power

    Args:
        power: above 0; 1 is a straight line; the larger, the earlier the decay.
        final: the factor reached after span·steps steps.
        span: share of the run that the decay takes, above 0 and at most 1.

    Source: optax.polynomial_schedule; equals torch.optim.lr_scheduler.PolynomialLR with total_iters = span·steps.
    """
    require(power > 0, "power", power, "above 0")
    require_share("final", final)
    return optax.polynomial_schedule(1.0, final, power, _steps_of(span, steps))


def exponential(steps: int, *, final: float = 0.01) -> optax.Schedule:
    """Decay by a constant factor at every step, to a given share of the peak.

    Formula: final^(t / steps)

    Args:
        final: the factor reached after the last step.

    Source: optax.exponential_decay; equals torch.optim.lr_scheduler.ExponentialLR with gamma = final^(1 / steps).
    """
    require(0 < final <= 1, "final", final, "above 0 and at most 1")
    return optax.exponential_decay(1.0, steps, final)


def step(steps: int, *, step_size: int | None = None, gamma: float = 0.1) -> optax.Schedule:
    """Multiply the rate by a factor at regular intervals.

    Formula: γ^⌊t / step_size⌋

    Args:
        step_size: steps between two drops; left out, a third of the run.
        gamma: γ, the factor of each drop.

    Source: equals torch.optim.lr_scheduler.StepLR.
    """
    every = max(1, steps // 3) if step_size is None else step_size
    require(every >= 1, "step_size", every, "1 or more")
    require(0 < gamma <= 1, "gamma", gamma, "above 0 and at most 1")
    return lambda count: gamma ** (jnp.asarray(count) // every)


def cosine(steps: int, *, final: float = 0.0, cycles: float = 0.5) -> optax.Schedule:
    """Decay along half a cosine, to a given share of the peak.

    Formula: final + (1 − final)·(1 + cos(2π·cycles·t / steps)) / 2

    Args:
        final: the smallest factor, which half a cycle reaches after the last step.
        cycles: number of periods in the run, above 0; beyond 0.5 the rate rises again.

    Source: Loshchilov & Hutter, arXiv:1608.03983; optax.cosine_decay_schedule; equals
        torch.optim.lr_scheduler.CosineAnnealingLR with T_max = steps / (2·cycles).
    """
    require_share("final", final)
    require(cycles > 0, "cycles", cycles, "above 0")
    return lambda count: final + (1 - final) * (1 + jnp.cos(2 * jnp.pi * cycles * count / steps)) / 2


def piecewise_constant(
    steps: int, *, at: tuple[float, ...] = (0.5, 0.75), values: tuple[float, ...] = (1.0, 0.1, 0.01)
) -> optax.Schedule:
    """Use a sequence of constant factors, changing at given points of the run.

    Formula: values[number of boundaries ≤ t], with the boundaries at·steps

    Args:
        at: where the factor changes, as shares of the run, above 0 and below 1.
        values: the factors, one more than there are changes; the largest must be 1.

    Source: optax.piecewise_constant_schedule; equals torch.optim.lr_scheduler.MultiStepLR with milestones = at·steps and
        values = 1, gamma, gamma², ...
    """
    require(all(0 < share < 1 for share in at), "at", at, "shares of the run, above 0 and below 1")
    require_pieces(at, values, len(at) + 1)
    boundaries = np.array([max(1, round(share * steps)) for share in at], dtype=np.int64)
    return lambda count: jnp.asarray(values)[jnp.searchsorted(boundaries, count, side="right")]


def piecewise_interpolate(
    steps: int,
    *,
    at: tuple[float, ...] = (0.0, 0.3, 0.6, 1.0),
    values: tuple[float, ...] = (0.1, 1.0, 0.2, 0.0),
    form: Literal["linear", "cosine"] = "linear",
) -> optax.Schedule:
    """Interpolate between given points, along straight lines or half cosines.

    Formula: a + (b − a)·u between the points (t₀, a) and (t₁, b), where u = (t − t₀) / (t₁ − t₀), or (1 − cos(π·u)) / 2

    Args:
        at: positions of the points, as shares of the run; before the first and after the last one, their factor is used.
        values: the factor at each point; the largest must be 1.
        form: "linear" for straight lines, "cosine" for half cosines.

    Source: optax.piecewise_interpolate_schedule.
    """
    require(len(at) >= 2, "at", at, "at least two points")
    require(all(0 <= share <= 1 for share in at), "at", at, "shares of the run, from 0 to 1")
    require_pieces(at, values, len(at))
    positions = np.array([round(share * steps) for share in at], dtype=np.int64)
    factors = np.array(values)

    def shape(count: Any) -> jax.Array:
        left = jnp.clip(jnp.searchsorted(positions, count, side="right") - 1, 0, len(at) - 2)
        start, stop = jnp.asarray(positions)[left], jnp.asarray(positions)[left + 1]
        # In a run of few steps, two points may be at the same step.
        way = jnp.clip((count - start) / jnp.maximum(stop - start, 1), 0, 1)
        way = way if form == "linear" else (1 - jnp.cos(jnp.pi * way)) / 2
        return jnp.asarray(factors)[left] * (1 - way) + jnp.asarray(factors)[left + 1] * way

    return shape


def _steps_of(span: float, steps: int) -> int:
    require(0 < span <= 1, "span", span, "a share of the run, above 0 and at most 1")
    return max(1, round(span * steps))
