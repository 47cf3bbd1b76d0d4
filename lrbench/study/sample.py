"""Sampled points: learning rates and numbers of optimizers that are drawn together from their ranges, instead of a product of axes.

The points are the first ones of a single scrambled Sobol sequence, the same for every study, seed and line, so that a larger sample contains a
smaller one. The learning rate has the first dimension of the sequence, named rates the next ones, and then come the parameters
of each optimizer, in the order of the study.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float

from lrbench.errors import counted

if TYPE_CHECKING:  # pydantic is slow to import, and tables ask only which columns are sampled
    from lrbench.study.learning_rates import LearningRates, Rates

MOST_POINTS = 65_536
"""The most points of a sample."""
DIMENSIONS = 32
"""Dimensions of the sequence: it is drawn with all of them, so that its first ones do not depend on how many a study has."""
RANGE = "{min = ..., max = ..., log = true or false}"
_SEED = 0
_PREFIX = "sampled_"


@dataclass(frozen=True)
class Range:
    """What a sampled number is drawn from.

    Args:
        min, max: the ends; both are missing if there are `values`.
        log: whether its logarithm is uniform, rather than itself.
        values: its value at each point, in the order of `learning_rate.values`.

    >>> Range(0.0, 0.5).at(np.array([0.0, 0.5]))
    (0.0, 0.25)
    """

    min: float | None = None
    max: float | None = None
    log: bool = False
    values: tuple[float, ...] = ()

    def at(self, share: Float[np.ndarray, " point"]) -> tuple[float, ...]:
        """Return the value at each point, given its shares of the way from `min` to `max`; rounded to nine digits, as learning rates are."""
        if self.values:
            return self.values
        assert self.min is not None and self.max is not None
        if self.log:
            low, high = math.log(self.min), math.log(self.max)
            return _rounded(np.exp(low + (high - low) * share))
        return _rounded(self.min + (self.max - self.min) * share)

    @property
    def least(self) -> float:
        """The smallest value that it may give."""
        return min(self.values) if self.min is None else self.min

    def table(self) -> dict[str, Any]:
        """Return it as a study file writes it."""
        found = {"values": list(self.values)} if self.values else {"min": self.min, "max": self.max}
        return found | ({"log": True} if self.log else {})


@dataclass(frozen=True)
class Points:
    """The points of a study, in the order of their learning rates; without any, each learning rate is combined with each value of all else.

    Args:
        rates: the learning rate of each point.
        named: named rate → its value at each point.
        shares: of the dimensions that parameters of optimizers have [point, dimension].
        order: the point, as drawn or listed, that each of them is.
    """

    rates: tuple[float, ...]
    named: Mapping[str, tuple[float, ...]]
    shares: Float[np.ndarray, "point dimension"]
    order: tuple[int, ...]

    def of(self, ranges: Sequence[Range]) -> list[tuple[float, ...]]:
        """Return the values of some parameters of one optimizer at each point; raise `ValueError` if there are too many."""
        if len(ranges) > self.shares.shape[1]:
            raise ValueError(
                f"{len(ranges)} of its parameters have ranges; at most {self.shares.shape[1]} may have one"
            )
        found = []
        for number, each in enumerate(ranges):
            values = each.at(self.shares[:, number])
            found.append(tuple(values[at] for at in self.order) if each.values else values)
        return found


def range_of(value: Mapping[str, Any], where: str) -> Range:
    """Return the range that a table of a study describes.

    Raises:
        ValueError: saying what is allowed.

    >>> range_of({"min": 1e-5, "max": 0.1, "log": True}, "weight_decay")
    Range(min=1e-05, max=0.1, log=True, values=())
    """
    table = dict(value)
    log, listed = table.pop("log", False), table.pop("values", None)
    if listed is not None:
        if table or log or not isinstance(listed, list | tuple) or not all(map(_is_number, listed)):
            raise ValueError(
                f"{where} = {value!r}: must be {RANGE}, or {{values = [...]}} with finite numbers"
            )
        return Range(values=tuple(map(float, listed)))
    if set(table) != {"min", "max"} or not all(map(_is_number, table.values())) or not isinstance(log, bool):
        raise ValueError(f"{where} = {value!r}: must be a number, a list, or a range {RANGE}")
    low, high = float(table["min"]), float(table["max"])
    if low >= high:
        raise ValueError(f"{where}: min = {low:g} must be below max = {high:g}")
    if log and low <= 0:
        raise ValueError(f"{where}: min = {low:g} must be above 0 with log = true")
    return Range(low, high, log)


def check(count: int | None, learning_rate: LearningRates, ranges: Mapping[str, Range], refine: int) -> None:
    """Refuse ranges without a sample, and a sample without ranges.

    Args:
        count: the points of the sample, `None` if there is none.
        learning_rate: the rates of the study.
        ranges: key → the range of each parameter of an optimizer that has one.
        refine: how often the steps of a grid are halved.

    Raises:
        ValueError: naming what is missing.
    """
    rates = {"learning_rate": learning_rate} | {
        f"learning_rate.{name}": each for name, each in learning_rate.named.items()
    }
    if count is None:
        for key, axis in rates.items():
            if axis.ranged:
                raise ValueError(
                    f"{key}: requires min, max and num; or min, max and per_decade; or values; or min, max and a sample, as "
                    "in sample = 256"
                )
        for key in ranges:
            raise ValueError(
                f"{key}: is a range, which only a sample is drawn from; add sample = 256, or give a list of values"
            )
        return
    named = [key for key, axis in rates.items() if axis.ranged and axis is not learning_rate]
    if not ranges and not named:
        raise ValueError(
            f"sample = {count}: nothing but the learning rate has a range; give a parameter of an optimizer one, such as "
            "momentum = {min = 0.0, max = 0.99}, or give learning_rate.num instead of sample"
        )
    listed = learning_rate.values is not None and len(learning_rate.values) == count
    if not learning_rate.ranged and not listed:
        raise ValueError(
            f"sample = {count}: draws learning rates, too; give [learning_rate] min and max alone, or {count} values"
        )
    for key, each in ranges.items():
        if each.values and (not listed or len(each.values) != count):
            raise ValueError(
                f"{key}: has {counted(len(each.values), 'value')}; a sample of {count} requires {count}, and as many learning_rate.values"
            )
    if refine:
        raise ValueError(
            f"refine = {refine}: halves the steps of a grid, and a sample has none; set refine = 0, and sample = {2 * count}"
        )


def points_of(count: int | None, learning_rate: LearningRates) -> Points:
    """Return the points of a study that was checked; none without a sample.

    Raises:
        ValueError: if two points have the same learning rate, or a study has more ranges than the sequence has dimensions.
    """
    if count is None:
        return Points((), {}, np.empty((0, DIMENSIONS)), ())
    shares = _sobol(count)
    ranged = {name: each for name, each in learning_rate.named.items() if each.ranged}
    rates = learning_rate.values or _log_uniform(learning_rate, shares[:, 0])
    if len(set(rates)) < count:
        raise ValueError(
            f"sample = {count}: the range of the learning rate is too narrow for so many different ones"
        )
    order = np.argsort(np.array(rates))
    named = {
        name: _log_uniform(each, shares[order, 1 + number])
        for number, (name, each) in enumerate(ranged.items())
    }
    return Points(
        tuple(rates[at] for at in order), named, shares[order, 1 + len(ranged) :], tuple(order.tolist())
    )


def column(name: str) -> str:
    """Return the column of the tables that has what is sampled of another one, which would make lines.

    >>> column("optimizer_momentum")
    'sampled_optimizer_momentum'
    """
    return _PREFIX + name


def columns(names: Iterable[object]) -> list[str]:
    """Return those of some columns that have what is sampled.

    >>> columns(["optimizer", "sampled_optimizer_momentum"])
    ['sampled_optimizer_momentum']
    """
    return [str(name) for name in names if str(name).startswith(_PREFIX)]


def _sobol(count: int) -> Float[np.ndarray, "point dimension"]:
    """Return the first points of the sequence, from 0 to 1 in each dimension."""
    from scipy.stats import qmc  # slow to import, and only samples need it

    sequence = qmc.Sobol(DIMENSIONS, scramble=True, rng=np.random.default_rng(_SEED))
    found: Float[np.ndarray, "point dimension"] = sequence.random_base2((count - 1).bit_length())[:count]
    return found


def _log_uniform(axis: Rates, share: Float[np.ndarray, " point"]) -> tuple[float, ...]:
    return Range(axis.min, axis.max, log=True).at(share)


def _rounded(values: Float[np.ndarray, " point"]) -> tuple[float, ...]:
    return tuple(float(f"{value:.9g}") for value in values)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
