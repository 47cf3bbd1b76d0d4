"""The learning rates of a study: an axis for all parameters, and one for each named rate."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from lrbench.errors import StudyError
from lrbench.study import stages
from lrbench.study.signature import whole

PER_DECADE = 3.0
"""Rates in each decade of a range that is found, unless the study says how many."""
MOST_RUNS = 100_000_000
"""The most runs of a study: their tables take 8 GiB of memory, extrapolated from 10⁷ (results/speed/parts.csv)."""
LONGEST_AXIS = 1_000_000
"""The most values of one axis: rates or seeds."""
SMALLEST, LARGEST = 1e-30, 1e30
RATE_NAME = r"[A-Za-z0-9_./*?\[\]!~@:+-]{1,100}"
"""The name of a rate: one that a problem has, or a pattern of the paths of its parameters, such as */bias."""
Whole = Annotated[int, BeforeValidator(whole)]
"""A whole number of a study, which may be written 1e3."""
# The sensitivity table has columns learning_rate_sensitivity...; a rate of that name would be mistaken for one.
_RESERVED = "sensitivity"


class Rates(BaseModel):
    """An axis of learning rates: log-spaced from `min` to `max`, or listed."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    min: float | None = Field(None, ge=SMALLEST, le=LARGEST, allow_inf_nan=False)
    max: float | None = Field(None, ge=SMALLEST, le=LARGEST, allow_inf_nan=False)
    num: Whole | None = Field(None, ge=1, le=LONGEST_AXIS, strict=True)
    per_decade: float | None = Field(None, gt=0, le=1e6, allow_inf_nan=False)
    values: tuple[Annotated[float, Field(ge=SMALLEST, le=LARGEST, allow_inf_nan=False)], ...] | None = None

    @model_validator(mode="after")
    def _one_way(self) -> Rates:
        ranged = [key for key in ("min", "max", "num", "per_decade") if getattr(self, key) is not None]
        if self.values is not None:
            if ranged:
                raise ValueError(
                    f"values: cannot be given together with {', '.join(ranged)}; remove these, in a command with --unset"
                )
            if not self.values:
                raise ValueError("values is empty; give at least one rate")
            if len(set(self.values)) < len(self.values):
                raise ValueError("values: a rate is listed twice")
        elif self.auto or self.ranged:
            pass
        elif self.num is not None and self.per_decade is not None:
            raise ValueError("num and per_decade exclude each other; remove one, in a command with --unset")
        elif self.min is None or self.max is None or (self.num is None) == (self.per_decade is None):
            raise ValueError("requires min, max and num; or min, max and per_decade; or values")
        elif self.min > self.max or (self.min == self.max and (self.num or 2) > 1):
            raise ValueError(f"min = {self.min:g} must be below max = {self.max:g}")
        if self.ranged and self.min >= self.max:  # type: ignore[operator]
            raise ValueError(f"min = {self.min:g} must be below max = {self.max:g}")
        if self.count > LONGEST_AXIS:
            raise ValueError(f"has {self.count:,} rates; at most {LONGEST_AXIS:,} are allowed on one axis")
        return self

    @property
    def auto(self) -> bool:
        """Whether the range is to be found."""
        return False

    @property
    def ranged(self) -> bool:
        """Whether it is a range alone, which is sampled."""
        given = self.min is not None and self.max is not None
        return given and self.num is None and self.per_decade is None

    @property
    def count(self) -> int:
        """The number of rates; 1 of a range that is sampled, whose rates belong to the points of the sample."""
        if self.values is not None:
            return len(self.values)
        if self.ranged:
            return 1
        if self.auto:
            return len(stages.range_rates())
        assert self.min is not None and self.max is not None
        return self.num or round(math.log10(self.max / self.min) * (self.per_decade or 1)) + 1

    def rates(self) -> tuple[float, ...]:
        """Return the rates in increasing order.

        Log-spaced rates are rounded to nine digits, so that they read well and are the same on every machine.

        >>> Rates(min=0.001, max=1, num=4).rates()
        (0.001, 0.01, 0.1, 1.0)
        """
        if self.values is not None:
            return tuple(sorted(self.values))
        if self.auto:
            return stages.range_rates()
        assert self.min is not None and self.max is not None
        return logspace(self.min, self.max, self.count)


class LearningRates(Rates):
    """The rates of all parameters without rates of their own; each table in it is the axis of a named rate.

    Without `min`, `max`, `num` and `values` the range of each line is found, with `per_decade` rates in each decade.

    >>> rates = LearningRates(values=[0.1], output={"values": [0.2, 0.4]})
    >>> rates.rates(), rates.named["output"].rates()
    ((0.1,), (0.2, 0.4))
    """

    model_config = ConfigDict(extra="allow", frozen=True)

    __pydantic_extra__: dict[str, Rates] = Field(init=False)

    @property
    def auto(self) -> bool:
        """Whether the range is to be found."""
        return self.values is None and self.min is None and self.max is None and self.num is None

    @property
    def density(self) -> float:
        """The rates in each decade of a range that is found."""
        return self.per_decade or PER_DECADE

    @model_validator(mode="before")
    @classmethod
    def _names(cls, values: Any) -> Any:
        if values == "auto":
            return {}
        if not isinstance(values, Mapping):
            return values
        for name, value in values.items():
            if name in cls.model_fields or not isinstance(value, Mapping | Rates):
                continue
            if not re.fullmatch(RATE_NAME, name):
                raise ValueError(
                    f"{name}: the name of a rate must be one that the problem has, or a pattern of the paths of its parameters, such as "
                    "*/bias: 1 to 100 letters, digits and _ . / * ? [ ] ! ~ @ : + -"
                )
            if name.startswith(_RESERVED):
                raise ValueError(
                    f"{name}: the name of a rate must not begin with {_RESERVED}, which is reserved for columns"
                )
        return values

    @property
    def named(self) -> dict[str, Rates]:
        """The axes of the named rates, in the order of the study."""
        return dict(self.__pydantic_extra__ or {})


def logspace(low: float, high: float, num: int) -> tuple[float, ...]:
    """Return `num` log-spaced learning rates from `low` to `high`, rounded to nine significant digits.

    >>> logspace(1e-4, 1e-2, 3)
    (0.0001, 0.001, 0.01)

    Raises:
        StudyError: if the rates are not between 1e-30 and 1e30, or there is none.
    """
    for name, rate in (("low", low), ("high", high)):
        if not SMALLEST <= rate <= LARGEST:
            raise StudyError(
                f"logspace: {name} = {rate!r}: must be a number from {SMALLEST:g} to {LARGEST:g}"
            )
    if num < 1:
        raise StudyError(f"logspace: num = {num!r}: must be 1 or more")
    start, span = math.log10(low), math.log10(high) - math.log10(low)
    return tuple(float(f"{10 ** (start + span * i / max(1, num - 1)):.9g}") for i in range(num))
