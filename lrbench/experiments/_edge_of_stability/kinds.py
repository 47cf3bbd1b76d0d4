"""The optimizers whose edge is measured: where theory has it, which probe sees it, and rates on both sides of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from lrbench.experiments._choices import OPTIMIZERS

_MOMENTUM = OPTIMIZERS["momentum"]["momentum"]


class Kind(NamedTuple):
    """One optimizer.

    Args:
        words: its name in findings.
        optimizer: as a study has it.
        edge: η·λ at the edge of stability.
        formula: of the edge.
        probe: that measures λ.
        rates: the lowest and the highest.
    """

    words: str
    optimizer: Mapping[str, Any]
    edge: float
    formula: str
    probe: str
    rates: tuple[float, float]


KINDS: Mapping[str, Kind] = {
    "sgd": Kind("gradient descent", OPTIMIZERS["sgd"], 2.0, "2", "sharpness", (0.01, 0.15)),
    "momentum": Kind(
        "momentum 0.9",
        OPTIMIZERS["momentum"],
        2 * (1 + _MOMENTUM),
        "2(1 + β) = 3.8",
        "sharpness",
        (0.005, 0.1),
    ),
    # Adam's first moment is a mean, of which a new gradient is a share of 1 − β₁.
    "adam": Kind(
        "Adam",
        OPTIMIZERS["adam"],
        2 * (1 + _MOMENTUM) / (1 - _MOMENTUM),
        "2(1 + β₁)/(1 − β₁) = 38",
        "preconditioned_sharpness",
        (1e-4, 0.3),
    ),
}
"""All by name; `adam` has its default β₁ of 0.9."""
