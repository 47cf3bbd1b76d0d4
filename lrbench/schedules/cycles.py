"""Schedules that rise and fall: one cycle, many cycles, and the ramp of a learning-rate finder."""

import math
from collections.abc import Callable
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
import optax

from lrbench.schedules._checks import require, require_share


def onecycle_cosine(
    steps: int,
    *,
    warmup: float = 0.3,
    start: float = 0.04,
    final: float = 4e-6,
    three_phase: bool = False,
) -> optax.Schedule:
    """Rise along half a cosine to the peak, then fall along half a cosine to nearly zero.

    Formula: cosine from start to 1 over the first warmup·steps − 1 steps; from 1 to final over the rest

    Args:
        warmup: share of the run that the rise takes (PyTorch's pct_start), above 0 and below 1.
        start: first factor (PyTorch's 1 / div_factor = 1/25).
        final: last factor (PyTorch's 1 / (div_factor · final_div_factor)).
        three_phase: whether it falls back to start in as many steps as it rose, and then to final; warmup is then at most 0.5.

    Source: Smith & Topin, arXiv:1708.07120; equals torch.optim.lr_scheduler.OneCycleLR, whose last step has the
        final rate.
    """
    return _onecycle(steps, warmup, start, final, three_phase, lambda way: (1 - jnp.cos(jnp.pi * way)) / 2)


def onecycle_linear(
    steps: int,
    *,
    warmup: float = 0.3,
    start: float = 0.04,
    final: float = 4e-6,
    three_phase: bool = False,
) -> optax.Schedule:
    """Rise linearly to the peak, then fall linearly to nearly zero.

    Formula: a line from start to 1 over the first warmup·steps − 1 steps; from 1 to final over the rest

    Args:
        warmup: share of the run that the rise takes (PyTorch's pct_start), above 0 and below 1.
        start: first factor (PyTorch's 1 / div_factor = 1/25).
        final: last factor (PyTorch's 1 / (div_factor · final_div_factor)).
        three_phase: whether it falls back to start in as many steps as it rose, and then to final; warmup is then at most 0.5.

    Source: Smith & Topin, arXiv:1708.07120; equals torch.optim.lr_scheduler.OneCycleLR with anneal_strategy = "linear".
    """
    return _onecycle(steps, warmup, start, final, three_phase, lambda way: way)


def cosine_restarts(
    steps: int, *, first: float = 0.25, multiply: int = 1, final: float = 0.0
) -> optax.Schedule:
    """Repeatedly fall from the peak along half a cosine (SGDR).

    Formula: final + (1 − final)·(1 + cos(π·s / T)) / 2, s steps after the last restart; T = first·steps, then × multiply

    Args:
        first: share of the run until the first restart, above 0 and at most 1.
        multiply: how many times as long as the one before each cycle is, 1 or more; first = 1/7 and multiply = 2 give three cycles.
        final: the factor before each restart.

    Source: Loshchilov & Hutter, arXiv:1608.03983; optax.sgdr_schedule; equals
        torch.optim.lr_scheduler.CosineAnnealingWarmRestarts with T_0 = first·steps.
    """
    require(0 < first <= 1, "first", first, "a share of the run, above 0 and at most 1")
    require(multiply >= 1, "multiply", multiply, "1 or more")
    require_share("final", final)
    length = max(1, round(first * steps))
    starts = [0]
    while multiply > 1 and starts[-1] < steps:
        starts.append(starts[-1] + length * multiply ** (len(starts) - 1))
    restarts = np.array(starts, dtype=np.int64)

    def shape(count: Any) -> jax.Array:
        cycle = jnp.searchsorted(restarts, count, side="right") - 1
        now = count % length if multiply == 1 else count - jnp.asarray(restarts)[cycle]
        return final + (1 - final) * (1 + jnp.cos(jnp.pi * now / (length * multiply**cycle))) / 2

    return shape


def cyclic(
    steps: int,
    *,
    start: float = 0.1,
    cycle: float = 0.25,
    up: float = 0.5,
    mode: Literal["triangular", "triangular2", "exp_range"] = "triangular",
    final: float = 0.1,
) -> optax.Schedule:
    """Rise and fall linearly, repeatedly (triangular).

    Formula: start + (1 − start)·a·s, where s goes from 0 to 1 and back in each cycle; a = 1 (triangular), 2^(−cycles before)
        (triangular2), or final^((t − r) / steps), r the step of the first peak (exp_range)

    Args:
        start: the least factor (PyTorch's base_lr, as a share of the first peak).
        cycle: share of the run that a cycle takes, above 0 and at most 1.
        up: share of a cycle in which the rate rises, above 0 and below 1.
        mode: whether the peaks are constant ("triangular"), halve with each cycle ("triangular2"), or decay with every step
            ("exp_range").
        final: the factor by which "exp_range" reduces the peaks over a whole run (PyTorch's gamma^steps); above 0 and at most 1.

    Source: Smith, arXiv:1506.01186; equals torch.optim.lr_scheduler.CyclicLR divided by its first peak, which for
        exp_range is below max_lr.
    """
    require_share("start", start)
    require(0 < cycle <= 1, "cycle", cycle, "a share of the run, above 0 and at most 1")
    require(0 < up < 1, "up", up, "a share of the cycle, above 0 and below 1")
    period = max(2, round(cycle * steps))
    rise = min(max(1, round(up * period)), period - 1)
    # Below this, the peaks would fall faster than the first of them rises.
    least = math.exp(-steps / rise) if mode == "exp_range" else 0
    require(
        least <= final <= 1 and final > 0,
        "final",
        final,
        f"from {least:.2g} to 1 with this cycle, and above 0",
    )

    def shape(count: Any) -> jax.Array:
        position = count % period
        height = jnp.where(position <= rise, position / rise, (period - position) / (period - rise))
        if mode == "triangular2":
            height = height * 0.5 ** (count // period)
        elif mode == "exp_range":
            height = height * final ** ((count - rise) / steps)
        return start + (1 - start) * height

    return shape


def range_test(
    steps: int, *, start: float = 1e-6, form: Literal["exponential", "linear"] = "exponential"
) -> optax.Schedule:
    """Rise from nearly zero to the peak at the last step, as in a learning-rate finder.

    Formula: start^(1 − u), or start + (1 − start)·u, where u = t / (steps − 1)

    Args:
        start: the first factor, above 0 and at most 1.
        form: "exponential" multiplies the rate by a constant factor at every step, "linear" adds a constant.

    Source: Smith, arXiv:1506.01186, section 3.3 (linear); fastai's lr_find (exponential).
    """
    require(0 < start <= 1, "start", start, "above 0 and at most 1")

    def shape(count: Any) -> jax.Array:
        way = (count + 1) / steps if steps == 1 else count / (steps - 1)
        return start ** (1 - way) if form == "exponential" else start + (1 - start) * way

    return shape


def _onecycle(
    steps: int, warmup: float, start: float, final: float, three_phase: bool, bend: Callable[[Any], Any]
) -> optax.Schedule:
    require(0 < warmup < 1, "warmup", warmup, "a share of the run, above 0 and below 1")
    require(
        warmup <= 0.5 or not three_phase, "warmup", warmup, "a share of the run, at most 0.5 with three_phase"
    )
    require(0 < start <= 1, "start", start, "above 0 and at most 1")
    require_share("final", final)
    peak, end = warmup * steps - 1, steps - 1

    def leg(count: Any, first: float, last: float, low: float, high: float) -> Any:
        return low + (high - low) * bend(jnp.clip((count - first) / max(last - first, 1e-9), 0, 1))

    def shape(count: Any) -> jax.Array:
        down = leg(count, peak, end, 1.0, final)
        if three_phase:
            back, tail = leg(count, peak, 2 * peak, 1.0, start), leg(count, 2 * peak, end, start, final)
            down = jnp.where(count <= 2 * peak, back, tail)
        return jnp.where(count <= peak, leg(count, 0, peak, start, 1.0), down)

    return shape
