"""A study as runs, programs and packs, in plain data.

The axes of a grid are, in this order: problem, optimizer, schedule, learning_rate, learning_rate_<name> for each named rate, and
seed. A run's number is its position in that order.
There is no object per run: a million runs are a few arrays.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int

from lrbench.errors import StoreError, StudyError
from lrbench.study import run_id
from lrbench.study.spec import Study
from lrbench.study.variant import Variant, variants_of


@dataclass(frozen=True)
class Program:
    """All runs that one compiled XLA program trains.

    Args:
        problem: number of the problem variant.
        optimizers: numbers of the optimizer variants, all of one structure.
        runs: run numbers, seed by seed: [seed × setting].
    """

    number: int
    problem: int
    optimizers: tuple[int, ...]
    runs: Int[np.ndarray, " lane"] = field(repr=False)


@dataclass(frozen=True)
class Pack:
    """A fixed set of runs of one program that are executed together; small, since it may be sent to another machine.

    Args:
        pack_id: a hash of its runs' identities.
        program: number of the program.
        runs: run numbers.
    """

    pack_id: str
    program: int
    runs: Int[np.ndarray, " lane"] = field(repr=False)


@dataclass(frozen=True)
class Grid:
    """Every run of a study.

    Args:
        name: of the study.
        problems, optimizers, schedules: every variant of each.
        learning_rates: the rates of all parameters without rates of their own.
        seeds: the seeds.
        steps, evaluate_every, precision: what all runs have in common.
        named_rates: name → rates of the parameters that have a rate of that name, in the order of the study.
        race: whether runs that cannot become good any more are stopped; not part of a run's identity.
    """

    name: str
    problems: tuple[Variant, ...]
    optimizers: tuple[Variant, ...]
    schedules: tuple[Variant, ...]
    learning_rates: tuple[float, ...]
    seeds: tuple[int, ...]
    steps: int
    evaluate_every: int
    precision: str
    named_rates: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    race: bool = False

    @property
    def sizes(self) -> dict[str, int]:
        """The length of each axis, by its name, in the order of the axes."""
        axes: dict[str, Sequence[Any]] = {**self.variants, **self._rate_axes, "seed": self.seeds}
        return {name: len(axis) for name, axis in axes.items()}

    @property
    def variants(self) -> dict[str, tuple[Variant, ...]]:
        """The variants on the axes of problems, optimizers and schedules, by the axis's name."""
        return {"problem": self.problems, "optimizer": self.optimizers, "schedule": self.schedules}

    @property
    def _rate_axes(self) -> dict[str, tuple[float, ...]]:
        named = {f"learning_rate_{name}": rates for name, rates in self.named_rates.items()}
        return {"learning_rate": self.learning_rates, **named}

    def __len__(self) -> int:
        return math.prod(self.sizes.values())

    def stride(self, axis: str) -> int:
        """Return the number of runs from one position on an axis to the next."""
        sizes = self.sizes
        return math.prod(list(sizes.values())[list(sizes).index(axis) + 1 :])

    @cached_property
    def evaluations(self) -> Int[np.ndarray, " evaluation"]:
        """The steps at which runs are evaluated: 0, every `evaluate_every`, and the last."""
        every = np.arange(0, self.steps, self.evaluate_every)
        return np.append(every, self.steps)

    @cached_property
    def run_ids(self) -> np.ndarray:
        """The identity of every run: bytes [run], hashes that are the same on every machine."""
        return run_id.run_ids(
            [
                [variant.identity for variant in kind]
                for kind in (self.problems, self.optimizers, self.schedules)
            ],
            {"": self.learning_rates, **self.named_rates},
            self.seeds,
            json.dumps([self.steps, self.evaluate_every, self.precision]),
        )

    def positions(self, runs: Int[np.ndarray, " run"]) -> dict[str, Int[np.ndarray, " run"]]:
        """Return each run's position on every axis, by the axis's name."""
        sizes = self.sizes
        return dict(zip(sizes, np.unravel_index(runs, tuple(sizes.values())), strict=True))

    def rates(self, runs: Int[np.ndarray, " run"]) -> dict[str, Float[np.ndarray, " run"]]:
        """Return each run's learning rates by name; `""` is that of all parameters without a rate of their own."""
        at = self.positions(runs)
        names = ("", *self.named_rates)
        return {
            name: np.array(rates)[at[axis]]
            for name, (axis, rates) in zip(names, self._rate_axes.items(), strict=True)
        }

    def columns(self, runs: Int[np.ndarray, " run"]) -> dict[str, np.ndarray]:
        """Return the identity columns of the runs table for the given runs."""
        at = self.positions(runs)
        columns: dict[str, np.ndarray] = {
            "run_id": self.run_ids[runs].astype(str),
            "study": np.full(len(runs), self.name, dtype=object),
        }
        for kind, variants in self.variants.items():
            columns[kind] = np.array([variant.name for variant in variants], dtype=object)[at[kind]]
        for axis, values in {**self._rate_axes, "seed": self.seeds}.items():
            columns[axis] = np.array(values)[at[axis]]
        columns["steps"] = np.full(len(runs), self.steps)
        for kind, variants in self.variants.items():
            for name in dict.fromkeys(name for variant in variants for name in variant.shown):
                columns[f"{kind}_{name}"] = _values([v.text(name) for v in variants])[at[kind]]
        return columns

    @cached_property
    def programs(self) -> tuple[Program, ...]:
        """The programs, in the order of the grid."""
        numbers = np.arange(len(self)).reshape(tuple(self.sizes.values()))
        structures: dict[tuple[Any, ...], list[int]] = {}
        for index, optimizer in enumerate(self.optimizers):
            structures.setdefault(optimizer.structure, []).append(index)
        programs: list[Program] = []
        for problem in range(len(self.problems)):
            for members in structures.values():
                lanes = np.moveaxis(numbers[problem, members], -1, 0).reshape(-1)
                programs.append(Program(len(programs), problem, tuple(members), lanes))
        return tuple(programs)

    def packs(
        self, lanes_per_pack: Sequence[int], missing: Bool[np.ndarray, " run"] | None = None
    ) -> Iterator[Pack]:
        """Yield the packs that have runs in `missing` (by default all runs), each with those runs alone.

        The cuts depend on the whole grid and on `lanes_per_pack` of each program, not on which runs are missing, so that a
        resumed study has the same packs.
        """
        for program, capacity in zip(self.programs, lanes_per_pack, strict=True):
            for start in range(0, len(program.runs), capacity):
                runs = program.runs[start : start + capacity]
                runs = runs if missing is None else runs[missing[runs]]
                if len(runs):
                    yield Pack(run_id.pack_id(self.run_ids[runs]), program.number, runs)

    def asdict(self) -> dict[str, Any]:
        """Return the grid as plain data, from which `from_dict` restores it without the study's code."""
        return asdict(self)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Grid:
        """Return the grid that `asdict` described; raise `StoreError` if the data describe none."""
        try:
            return cls._restored(data)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            reason = f"{type(error).__name__}: {error}"
            raise StoreError(
                f"the grid in manifest.json cannot be read ({reason}); start again with --fresh"
            ) from error

    @classmethod
    def _restored(cls, data: Mapping[str, Any]) -> Grid:
        kinds = {}
        for kind in ("problems", "optimizers", "schedules"):
            lists = "shown", "numeric", "off"
            rows = ({**row, **{name: tuple(row.get(name, ())) for name in lists}} for row in data[kind])
            kinds[kind] = tuple(Variant(**row) for row in rows)
        axes = {key: tuple(data[key]) for key in ("learning_rates", "seeds")}
        named = {name: tuple(rates) for name, rates in data.get("named_rates", {}).items()}
        return cls(**{**data, **kinds, **axes, "named_rates": named})


def of_study(study: Study) -> Grid:
    """Return the grid of a study; a point that is listed twice raises `StudyError`."""
    try:
        kinds = {
            kind: variants_of(kind, getattr(study, kind)) for kind in ("problem", "optimizer", "schedule")
        }
    except StudyError as error:
        raise StudyError(f"{study.where}: {error}") from error
    return Grid(
        study.name,
        kinds["problem"],
        kinds["optimizer"],
        kinds["schedule"],
        study.learning_rate.rates(),
        study.seeds,
        study.steps,
        study.evaluate_every,
        study.precision,
        {name: axis.rates() for name, axis in study.learning_rate.named.items()},
        study.race,
    )


def _values(values: list[Any]) -> np.ndarray:
    """Return the values of a parameter as a column: numbers unchanged, lists as JSON text, missing values as None."""
    plain = [json.dumps(value) if isinstance(value, list | tuple | dict) else value for value in values]
    if all(isinstance(value, float) or value is None for value in plain):
        return np.array([math.nan if value is None else value for value in plain])
    column = np.empty(len(plain), dtype=object)
    column[:] = plain
    return column
