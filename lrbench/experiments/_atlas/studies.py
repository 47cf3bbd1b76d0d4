"""What the atlas trains, as study tables: a study per problem, and two that ask how far its answers hold."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from lrbench.study import catalog

PROBLEMS: dict[str, dict[str, Any]] = {
    "diabetes_linear": {},
    "breast_cancer_logistic": {},
    "digits_softmax": {"batch_size": 32},
    "matrix_factorization": {},
    "spirals_mlp": {"hidden": [16, 16], "batch_size": 32},
    "mnist1d_mlp": {"hidden": [24], "samples": 1000, "batch_size": 32},
    "digits_mlp": {"hidden": [16], "batch_size": 32},
    "quadratic_deep": {},
}
"""Parameters that keep each problem small; another problem has its own."""
ALL = "all"
"""In place of names: all optimizers of the catalogue."""
MOMENTUM = [0.0, 0.9]
"""Gradient descent is trained without and with momentum."""
FIRST, PER_DECADE = -4, 2
"""The rates begin at 10^FIRST, and there are so many in a decade."""


def rates(count: int) -> list[float]:
    """The rates of every line.

    >>> rates(4)
    [0.0001, 0.000316227766, 0.001, 0.00316227766]
    """
    return [float(f"{10 ** (FIRST + number / PER_DECADE):.9g}") for number in range(count)]


def optimizers(names: Sequence[str]) -> list[dict[str, Any]]:
    """The optimizers of a study: those named, or all."""
    chosen = catalog.names("optimizer") if list(names) == [ALL] else names
    return [{"name": name} | ({"momentum": MOMENTUM} if name == "sgd" else {}) for name in chosen]


def atlas(
    problem: str,
    optimizer: Sequence[str],
    schedule: Sequence[str],
    *,
    rate_count: int,
    steps: int,
    seeds: int,
    confirm: int,
) -> dict[str, Any]:
    """The study of one problem: every optimizer with every schedule at every rate, and the best rates of each line again, on fresh seeds."""
    return _study(f"atlas_{problem}", problem, optimizer, schedule, rate_count, steps) | {
        "seeds": seeds,
        "confirm": confirm,
        "shorter": False,
    }


def longer(
    problem: str,
    optimizer: Sequence[str],
    *,
    rate_count: int,
    steps: int,
    seeds: int,
    confirm: int,
) -> dict[str, Any]:
    """The same for runs of more steps, with the schedule that does not decay and one that does."""
    study = _study(f"longer_{problem}", problem, optimizer, ("constant", "cosine"), rate_count, steps)
    return study | {"seeds": seeds, "confirm": confirm, "shorter": False}


def many_seeds(
    problem: str, optimizer: Sequence[str], *, rate_count: int, steps: int, seeds: int
) -> dict[str, Any]:
    """Runs as those of the atlas, with the constant schedule, of many more seeds at every rate."""
    study = _study(f"seeds_{problem}", problem, optimizer, ("constant",), rate_count, steps)
    return study | {"seeds": seeds}


def _study(
    name: str, problem: str, optimizer: Sequence[str], schedule: Sequence[str], rate_count: int, steps: int
) -> dict[str, Any]:
    return {
        "name": name,
        "steps": steps,
        "evaluate_every": max(1, steps // 4),
        "problem": {"name": problem} | PROBLEMS.get(problem, {}),
        "optimizer": optimizers(optimizer),
        "schedule": list(schedule),
        "learning_rate": {"values": rates(rate_count)},
        "probes": [],
    }
