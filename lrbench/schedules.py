"""Schedules: the *shape* of the learning rate over a run, with peak 1.

Each takes the number of steps and returns an optax schedule (step → factor). The engine evaluates it once into a row
of a table `shape[row, step]`; the rate of step t is `learning_rate × shape[t]`, so that all schedules share a program.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax


def constant(steps: int) -> optax.Schedule:
    """Keep the same rate throughout.

    Formula: 1

    Source: optax.constant_schedule.
    """
    del steps
    return optax.constant_schedule(1.0)


def step(steps: int, *, step_size: int | None = None, gamma: float = 0.1) -> optax.Schedule:
    """Multiply the rate by a factor every so many steps.

    Formula: γ^⌊t / step_size⌋

    Args:
        step_size: steps between two drops; left out, a third of the run.
        gamma: γ, the factor of each drop.

    Source: equals torch.optim.lr_scheduler.StepLR.
    """
    every = max(1, steps // 3) if step_size is None else step_size
    _require(every >= 1, "step_size", every, "1 or more")
    _require(0 < gamma <= 1, "gamma", gamma, "above 0 and at most 1")
    return lambda count: gamma ** (jnp.asarray(count) // every)


def exponential(steps: int, *, final: float = 0.01) -> optax.Schedule:
    """Fall by the same factor in every step, to a given share of the peak.

    Formula: final^(t / steps)

    Args:
        final: the factor reached after the last step.

    Source: optax.exponential_decay; torch.optim.lr_scheduler.ExponentialLR with gamma = final^(1 / steps).
    """
    _require(0 < final <= 1, "final", final, "above 0 and at most 1")
    return optax.exponential_decay(1.0, steps, final)


def cosine(steps: int, *, final: float = 0.0) -> optax.Schedule:
    """Fall along half a cosine, to a given share of the peak.

    Formula: final + (1 − final)·(1 + cos(π·t / steps)) / 2

    Args:
        final: the factor reached after the last step.

    Source: Loshchilov & Hutter, arXiv:1608.03983; optax.cosine_decay_schedule; equals
        torch.optim.lr_scheduler.CosineAnnealingLR with T_max = steps.
    """
    _require(0 <= final <= 1, "final", final, "from 0 to 1")
    return optax.cosine_decay_schedule(1.0, steps, alpha=final)


def warmup_cosine(steps: int, *, warmup: float = 0.1, final: float = 0.0) -> optax.Schedule:
    """Rise linearly from zero to the peak, then fall along half a cosine.

    Formula: t / w for t < w = warmup·steps; then cosine over the remaining steps

    Args:
        warmup: share of the run that the rise takes, from 0 to below 1.
        final: the factor reached after the last step.

    Source: optax.warmup_cosine_decay_schedule.
    """
    _require(0 <= warmup < 1, "warmup", warmup, "a share of the run, from 0 to below 1")
    _require(0 <= final <= 1, "final", final, "from 0 to 1")
    return optax.warmup_cosine_decay_schedule(0.0, 1.0, round(warmup * steps), steps, final)


def onecycle_cosine(
    steps: int, *, warmup: float = 0.3, start: float = 0.04, final: float = 4e-6
) -> optax.Schedule:
    """Rise along half a cosine to the peak, then fall along half a cosine to almost nothing.

    Formula: cosine from start to 1 over the first warmup·steps − 1 steps; from 1 to final over the rest

    Args:
        warmup: share of the run that the rise takes (PyTorch's pct_start), above 0 and below 1.
        start: first factor (PyTorch's 1 / div_factor = 1/25).
        final: last factor (PyTorch's 1 / (div_factor · final_div_factor)).

    Source: Smith & Topin, arXiv:1708.07120; equals torch.optim.lr_scheduler.OneCycleLR, whose last step has the
        final rate.
    """
    _require(0 < warmup < 1, "warmup", warmup, "a share of the run, above 0 and below 1")
    _require(0 < start <= 1, "start", start, "above 0 and at most 1")
    _require(0 <= final <= 1, "final", final, "from 0 to 1")
    peak, end = warmup * steps - 1, steps - 1

    def shape(count: Any) -> jax.Array:
        rise = jnp.clip(count / jnp.maximum(peak, 1e-9), 0, 1)
        fall = jnp.clip((count - peak) / jnp.maximum(end - peak, 1e-9), 0, 1)
        up = 1 + (start - 1) * (1 + jnp.cos(jnp.pi * rise)) / 2
        down = final + (1 - final) * (1 + jnp.cos(jnp.pi * fall)) / 2
        return jnp.where(count <= peak, up, down)

    return shape


def _require(holds: bool, name: str, value: object, allowed: str) -> None:
    if not holds:
        raise ValueError(f"{name} = {value!r}: must be {allowed}")


def _tabulate(schedule: optax.Schedule, steps: int) -> np.ndarray:
    """Return the schedule's factor at each step of a run as float64 [step]."""
    row = jax.jit(lambda counts: jnp.broadcast_to(jax.vmap(schedule)(counts), counts.shape))
    return np.asarray(row(jnp.arange(steps)), dtype=np.float64)
