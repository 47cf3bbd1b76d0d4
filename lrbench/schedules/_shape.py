"""What the schedules share: checks of their parameters, and the table that they become."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Float

LOWEST_PEAK, HIGHEST_PEAK = 0.9, 1.001
"""Between these the largest factor of one's own schedule must be: a peak between two steps is a little below 1."""


def require(holds: bool, name: str, value: object, allowed: str) -> None:
    """Raise `ValueError` that names a parameter, what was given and what is allowed."""
    if not holds:
        raise ValueError(f"{name} = {_listed(value)!r}: must be {allowed}")


def require_share(name: str, value: float) -> None:
    """Require a factor from 0 to 1."""
    require(0 <= value <= 1, name, value, "from 0 to 1")


def require_warmup(value: float) -> None:
    """Require a share of the run that leaves something after it."""
    require(0 <= value < 1, "warmup", value, "a share of the run, from 0 to below 1")


def require_pieces(at: Sequence[float], values: Sequence[float], count: int) -> None:
    """Require increasing places in the run, `count` values for them, and a peak of 1."""
    require(all(low < high for low, high in pairwise(at)), "at", at, "shares in increasing order")
    require(len(values) == count, "values", values, f"{count} factors for at = {list(at)}")
    require(min(values) >= 0 and max(values) == 1, "values", values, "from 0 to 1, and the largest of them 1")


def warmed(steps: int, start: float, after: optax.Schedule) -> optax.Schedule:
    """Return a linear rise from `start` to 1 over so many steps, then another schedule from its step 0 on."""
    return optax.join_schedules([optax.linear_schedule(start, 1.0, max(1, steps)), after], [steps])


def tabulate(schedule: Callable[[Any], Any], steps: int) -> Float[np.ndarray, " step"]:
    """Return the schedule's factor at each step of a run, computed in double precision.

    One that cannot be traced, because it says `if` or `math.cos`, is asked step by step.
    """
    with jax.enable_x64(True):
        row = jax.jit(lambda counts: jnp.broadcast_to(jax.vmap(schedule)(counts), counts.shape))
        try:
            return np.asarray(row(jnp.arange(steps)), dtype=np.float64)
        except jax.errors.JAXTypeError:
            return np.array([schedule(count) for count in range(steps)], dtype=np.float64)


def of_rates(rates: Float[np.ndarray, " step"]) -> Float[np.ndarray, " step"]:
    """Return the shape of an optax schedule: its rates, divided by the largest of them."""
    peak = float(rates.max())
    if not 0 < peak < np.inf:
        raise ValueError(f"its largest rate is {peak:g}: must be above 0 and finite")
    return check(rates / peak, own=True)


def check(shape: Float[np.ndarray, " step"], *, own: bool) -> Float[np.ndarray, " step"]:
    """Return a row of the table, if it is one: finite, not negative, and of peak 1.

    Args:
        shape: the factors.
        own: whether it is a user's own, whose peak is not known to be 1.

    Raises:
        ValueError: saying what the factor is, and at which step.
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


def _listed(value: object) -> object:
    return list(value) if isinstance(value, tuple) else value
