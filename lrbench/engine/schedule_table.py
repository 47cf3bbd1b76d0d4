"""The schedules of a study as a table: the factor of every schedule at every step, and the rules of those that depend on the losses."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from lrbench.schedules.plateau import Plateau

LOWEST_PEAK, HIGHEST_PEAK = 0.9, 1.001
"""The bounds on the largest factor of a user's schedule: a peak between two steps is slightly below 1."""


class ScheduleTable(NamedTuple):
    """The schedules of a study: their factors at each step, and the rules [row], if any of them depends on the losses."""

    shapes: Float[Array | np.ndarray, "row step"]
    rules: Plateau | None = None


def table(shapes: Sequence[Float[np.ndarray, " step"]], found: Sequence[Plateau | None]) -> ScheduleTable:
    """Return the table of a study's schedules; one without a rule gets infinite patience."""
    if not any(found):
        return ScheduleTable(np.stack(shapes))
    never = Plateau(1.0, np.inf, 0.0, True, 0.0, 0.0)
    rows = [plateau or never for plateau in found]
    return ScheduleTable(np.stack(shapes), jax.tree.map(lambda *column: np.array(column), *rows))


def tabulate(schedule: Callable[[Any], Any], steps: int) -> Float[np.ndarray, " step"]:
    """Return the schedule's factor at each step of a run, computed in double precision.

    A schedule that cannot be traced, because it uses `if` or `math.cos`, is called step by step.
    """
    with jax.enable_x64(True):
        row = jax.jit(lambda counts: jnp.broadcast_to(jax.vmap(schedule)(counts), counts.shape))
        try:
            return np.asarray(row(np.arange(steps)), dtype=np.float64)
        except jax.errors.JAXTypeError:
            return np.array([schedule(count) for count in range(steps)], dtype=np.float64)


def of_rates(rates: Float[np.ndarray, " step"]) -> Float[np.ndarray, " step"]:
    """Return the shape of an optax schedule: its rates divided by the largest one."""
    peak = float(rates.max())
    if not 0 < peak < np.inf:
        raise ValueError(f"its largest rate is {peak:g}: must be above 0 and finite")
    return check(rates / peak, own=True)


def check(shape: Float[np.ndarray, " step"], *, own: bool) -> Float[np.ndarray, " step"]:
    """Return the factors, if they are a valid row of the table: finite, not negative, and of peak 1.

    Args:
        shape: the factors.
        own: whether the schedule is a user's, whose peak is not known to be 1.

    Raises:
        ValueError: which factor is invalid, and at which step.
    """
    for broken, allowed in ((~np.isfinite(shape), "finite"), (shape < 0, "0 or more")):
        if broken.any():
            at = int(broken.argmax())
            raise ValueError(f"its factor at step {at} is {shape[at]:g}: must be {allowed}")
    peak = float(shape.max())
    if peak > HIGHEST_PEAK or (own and peak < LOWEST_PEAK):
        raise ValueError(
            f"its largest factor is {peak:g}, at step {int(shape.argmax())}: must be 1, because the rate of a step is "
            "learning_rate × factor; divide it by its peak"
        )
    return shape
