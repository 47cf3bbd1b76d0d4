"""One step on one sale, as the example of introductions takes it: what S1 and S1b are judged by."""

from __future__ import annotations

from typing import NamedTuple

from lrbench.analysis.groups import Floats
from lrbench.experiments._claims.evidence import StudyArrays
from lrbench.experiments._claims.limits import LIMITS

AREA, PRICE = 100.0, 500.0


class OneStep(NamedTuple):
    """The weights and predicted prices after one step from w = b = 0.

    Args:
        slope: w at each rate.
        intercept: b at each rate.
        price: w · 100 m² + b at each rate.
    """

    slope: Floats
    intercept: Floats
    price: Floats


def one_step(study: StudyArrays, *, stated: bool) -> OneStep:
    """Return what one step does, with the gradient that the example states or with that of the squared error."""
    line = study.where(problem=f"one_sale(linear={str(stated).lower()})")[0]
    slope, intercept = (study.curve(f"{name}_coordinate")[1][line, :, 0, -1] for name in ("first", "second"))
    return OneStep(slope, intercept, slope * AREA + intercept)


def same(value: float, other: float) -> bool:
    """Whether two numbers count as equal."""
    return bool(abs(value - other) <= LIMITS.equal * abs(other))
