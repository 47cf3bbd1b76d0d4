"""What schedules share: checks of their parameters, and the warmup before another schedule."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import optax


def require(valid: bool, name: str, value: object, allowed: str) -> None:
    """Raise `ValueError` with a parameter, its value and what is allowed."""
    if not valid:
        raise ValueError(f"{name} = {_listed(value)!r}: must be {allowed}")


def require_share(name: str, value: float) -> None:
    """Require a factor from 0 to 1."""
    require(0 <= value <= 1, name, value, "from 0 to 1")


def require_warmup(value: float) -> None:
    """Require a share of the run that is less than all of it."""
    require(0 <= value < 1, "warmup", value, "a share of the run, from 0 to below 1")


def require_pieces(at: Sequence[float], values: Sequence[float], count: int) -> None:
    """Require increasing shares of the run, `count` values for them, and a peak of 1."""
    require(all(low < high for low, high in pairwise(at)), "at", at, "shares in increasing order")
    require(len(values) == count, "values", values, f"{count} factors for at = {list(at)}")
    require(min(values) >= 0 and max(values) == 1, "values", values, "from 0 to 1, and the largest of them 1")


def warmed(steps: int, start: float, after: optax.Schedule) -> optax.Schedule:
    """Return a linear warmup from `start` to 1 over so many steps, followed by another schedule from its step 0 on."""
    return optax.join_schedules([optax.linear_schedule(start, 1.0, max(1, steps)), after], [steps])


def _listed(value: object) -> object:
    return list(value) if isinstance(value, tuple) else value
