"""Stages: the parts of a study that are chosen from what earlier parts found, so that they are no product of axes.

A study trains, in this order, the stages that it asks for: `range` (where do rates train at all?), `grid` (every combination), `refine` (rates between
those of the grid, near the best one and near the collapse), `confirm` (the best rates once more, on fresh seeds) and, where a schedule decays, `shorter`
(the best rate in fewer steps, on the same fresh seeds: cut short, such a run would be another one).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

GRID, REFINE, CONFIRM, RANGE, SHORTER = "grid", "refine", "confirm", "range", "shorter"
FRESH = 2**30
"""The first fresh seed: seeds of a study are below, so that no rate is confirmed on a seed that it was chosen by."""
CANDIDATES = 5
"""The most rates of a line that are confirmed."""
HALVED = 3
"""The most rates that halving adds to a line: on both sides of its best rate, and between the ends of its collapse."""
ROUNDS = (5, 10, 20)
"""With `seeds = "enough"`, how many fresh seeds a line that cannot be told apart has after each round; in the last one `most_seeds`."""
FACTORS = (1.2, 1.5, 2.0, 3.0)
"""By how much the runs of the stage `shorter` are shorter than those of the study."""
LOWEST, HIGHEST, DECADES_APART = -7, 3, 0.5
"""The rates of the stage `range`: from 10^LOWEST to 10^HIGHEST, so many decades apart."""


@dataclass(frozen=True)
class Stage:
    """The runs of one stage: of each line some rates, each with all of the seeds.

    Args:
        name: `range`, `grid`, `refine`, `confirm` or `shorter`.
        rates: the rates of each line, in the order of the lines; a line without rates has no runs.
        seeds: the seeds.
    """

    name: str
    rates: tuple[tuple[float, ...], ...]
    seeds: tuple[int, ...]


@dataclass(frozen=True)
class Shorter:
    """The runs of the stage `shorter` that have `factor` times fewer steps than those of the study."""

    factor: float
    stage: Stage

    def asdict(self) -> dict[str, Any]:
        """Return it as plain data, from which `from_dict` restores it."""
        return asdict(self)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Shorter:
        """Return what `asdict` described."""
        return cls(data["factor"], stage_of(data["stage"]))


def stage_of(data: Mapping[str, Any]) -> Stage:
    """Return the stage that plain data describe."""
    return Stage(data["name"], tuple(map(tuple, data["rates"])), tuple(data["seeds"]))


class Step(NamedTuple):
    """One choice that a study makes from what is trained.

    Args:
        stage: the stage of the runs that it chooses.
        record: the name of the record of what was chosen, in the folder `stages`.
        rates: the most rates of a line.
        seeds: the seeds of the chosen rates.
        depends: whether it chooses among lines, too, by comparing them.
    """

    stage: str
    record: str
    rates: int
    seeds: tuple[int, ...]
    depends: bool = False


def fresh(count: int, start: int = 0) -> tuple[int, ...]:
    """Return the fresh seeds from the `start`-th on, `count` in all.

    >>> fresh(2)
    (1073741824, 1073741825)
    """
    return tuple(range(FRESH + start, FRESH + count))


def range_rates() -> tuple[float, ...]:
    """Return the rates of the stage `range`.

    >>> range_rates()[:3], len(range_rates())
    ((1e-07, 3.16227766e-07, 1e-06), 21)
    """
    count = round((HIGHEST - LOWEST) / DECADES_APART) + 1
    return tuple(float(f"{10 ** (LOWEST + DECADES_APART * number):.9g}") for number in range(count))


def most_ranged(per_decade: float) -> int:
    """Return the most rates that a line gets from its range.

    >>> most_ranged(3)
    31
    """
    return math.floor((HIGHEST - LOWEST) * per_decade) + 1


def steps(
    *,
    seeds: tuple[int, ...],
    refine: int,
    confirm: int,
    most_seeds: int | None,
    per_decade: float | None,
) -> Iterator[Step]:
    """Yield the choices that a study makes, in their order.

    Args:
        seeds: of its grid.
        refine: how often the steps of the grid are halved.
        confirm: how many fresh seeds confirm a rate.
        most_seeds: the most fresh seeds with `seeds = "enough"`; `None` without it.
        per_decade: rates per decade of a range that is found; `None` if the study has its rates.
    """
    if per_decade is not None:
        yield Step(GRID, GRID, most_ranged(per_decade), seeds)
    for number in range(refine):
        yield Step(REFINE, f"{REFINE}-{number + 1}", HALVED, seeds)
    if confirm:
        yield Step(CONFIRM, CONFIRM, CANDIDATES, fresh(confirm))
    if most_seeds is not None:
        done = confirm
        for count in sorted({*(each for each in ROUNDS if confirm < each < most_seeds), most_seeds}):
            yield Step(CONFIRM, f"{CONFIRM}-{count}", CANDIDATES, fresh(count, done), depends=True)
            done = count


def shorter(confirm: int) -> list[tuple[float, Step]]:
    """Return by how much runs are shorter, and the choice of them: the best rate of each line, and the rate to use.

    >>> [step.record for _, step in shorter(10)]
    ['shorter-1.2', 'shorter-1.5', 'shorter-2', 'shorter-3']
    """
    if not confirm:
        return []
    return [(factor, Step(SHORTER, f"{SHORTER}-{factor:g}", 2, fresh(confirm))) for factor in FACTORS]
