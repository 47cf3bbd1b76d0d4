"""From a study to runs, programs and packs, as plain data.

Axis order of the grid: problem, optimizer, schedule, learning rate, seed. A run's number is its place in that order.
Nothing here holds an object per run, so that a million runs are a few arrays.
"""

from __future__ import annotations

import hashlib
import json
import math
import struct
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from jaxtyping import Bool, Int

from lrbench.choice import Choice
from lrbench.errors import StudyError
from lrbench.study import Study


@dataclass(frozen=True)
class Variant:
    """One fully resolved problem, optimizer or schedule: every parameter has a value.

    Args:
        name: the catalogue's name.
        params: every parameter and its value.
        shown: the parameters that the study set, which have columns in the tables.
        numeric: the parameters that are lanes.
        source: hash of the user's code, empty for built-in ones.
        choice: which `[[...]]` of the study it comes from.
    """

    name: str
    params: Mapping[str, Any]
    shown: tuple[str, ...] = ()
    numeric: tuple[str, ...] = ()
    source: str = ""
    choice: int = 0

    @property
    def identity(self) -> str:
        """What tells it from any other, as canonical JSON."""
        return json.dumps([self.name, dict(self.params), self.source], sort_keys=True, separators=(",", ":"))

    @property
    def structure(self) -> tuple[Any, ...]:
        """What decides the compiled program: the code, and every parameter that is not a lane."""
        static = {name: value for name, value in self.params.items() if name not in self.numeric}
        return self.choice, self.name, self.source, json.dumps(static, sort_keys=True)


@dataclass(frozen=True)
class Program:
    """All runs that one compiled XLA program trains.

    Args:
        problem: number of the problem variant.
        optimizers: numbers of the optimizer variants, equal in structure.
        runs: run numbers, seed by seed: [seed × setting].
    """

    number: int
    problem: int
    optimizers: tuple[int, ...]
    runs: Int[np.ndarray, " lane"] = field(repr=False)


@dataclass(frozen=True)
class Pack:
    """A fixed set of runs of one program that are executed together."""

    pack_id: str
    program: Program
    runs: Int[np.ndarray, " lane"] = field(repr=False)


@dataclass(frozen=True)
class Grid:
    """Every run of a study."""

    name: str
    problems: tuple[Variant, ...]
    optimizers: tuple[Variant, ...]
    schedules: tuple[Variant, ...]
    learning_rates: tuple[float, ...]
    seeds: tuple[int, ...]
    steps: int
    evaluate_every: int
    precision: str

    @property
    def shape(self) -> tuple[int, int, int, int, int]:
        """Lengths of the axes problem, optimizer, schedule, learning rate, seed."""
        kinds = (self.problems, self.optimizers, self.schedules, self.learning_rates, self.seeds)
        return tuple(len(axis) for axis in kinds)  # type: ignore[return-value]

    def __len__(self) -> int:
        return math.prod(self.shape)

    @cached_property
    def evaluations(self) -> Int[np.ndarray, " evaluation"]:
        """The steps at which runs are evaluated: 0, every `evaluate_every`, and the last."""
        every = np.arange(0, self.steps, self.evaluate_every)
        return np.append(every, self.steps)

    @cached_property
    def run_ids(self) -> np.ndarray:
        """The identity of every run, as a hash that is the same on every machine, in every order [run]."""
        tails = [struct.pack("<dq", rate, seed) for rate in self.learning_rates for seed in self.seeds]
        common = json.dumps([self.steps, self.evaluate_every, self.precision])
        ids = []
        for problem in self.problems:
            for optimizer in self.optimizers:
                for schedule in self.schedules:
                    words = "\n".join((problem.identity, optimizer.identity, schedule.identity, common))
                    start = hashlib.blake2b(words.encode(), digest_size=10)
                    for tail in tails:
                        digest = start.copy()
                        digest.update(tail)
                        ids.append(digest.hexdigest())
        return np.array(ids)

    def indices(self, runs: Int[np.ndarray, " run"]) -> tuple[np.ndarray, ...]:
        """Return each run's place on the axes problem, optimizer, schedule, learning rate, seed."""
        return np.unravel_index(runs, self.shape)

    def columns(self, runs: Int[np.ndarray, " run"]) -> dict[str, np.ndarray]:
        """Return the identity columns of the runs table for the given runs."""
        places = self.indices(runs)
        kinds = {"problem": self.problems, "optimizer": self.optimizers, "schedule": self.schedules}
        columns: dict[str, np.ndarray] = {
            "run_id": self.run_ids[runs],
            "study": np.full(len(runs), self.name, dtype=object),
        }
        for place, (kind, variants) in zip(places, kinds.items(), strict=False):
            columns[kind] = np.array([variant.name for variant in variants], dtype=object)[place]
        columns["learning_rate"] = np.array(self.learning_rates)[places[3]]
        columns["seed"] = np.array(self.seeds)[places[4]]
        columns["steps"] = np.full(len(runs), self.steps)
        for place, (kind, variants) in zip(places, kinds.items(), strict=False):
            for name in dict.fromkeys(name for variant in variants for name in variant.shown):
                columns[f"{kind}_{name}"] = _values([v.params.get(name) for v in variants])[place]
        return columns

    @cached_property
    def programs(self) -> tuple[Program, ...]:
        """The programs, in the order of the grid."""
        numbers = np.arange(len(self)).reshape(self.shape)
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
        self, lanes_per_pack: Sequence[int], left: Bool[np.ndarray, " run"] | None = None
    ) -> Iterator[Pack]:
        """Yield the packs that hold a run of `left` (all runs, without it), each with those runs alone.

        The cuts depend on the whole grid and on `lanes_per_pack` of each program, not on what is left, so that a
        resumed study has the same packs.
        """
        for program, capacity in zip(self.programs, lanes_per_pack, strict=True):
            for start in range(0, len(program.runs), capacity):
                runs = program.runs[start : start + capacity]
                runs = runs if left is None else runs[left[runs]]
                if len(runs):
                    yield Pack(pack_id(self.run_ids[runs]), program, runs)

    def asdict(self) -> dict[str, Any]:
        """Return the grid as plain data, from which `from_dict` makes it again without the study's code."""
        return asdict(self)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Grid:
        """Make the grid that `asdict` described."""
        kinds = {}
        for kind in ("problems", "optimizers", "schedules"):
            rows = (
                {**row, "shown": tuple(row["shown"]), "numeric": tuple(row["numeric"])} for row in data[kind]
            )
            kinds[kind] = tuple(Variant(**row) for row in rows)
        axes = {key: tuple(data[key]) for key in ("learning_rates", "seeds")}
        return cls(**{**data, **kinds, **axes})


def of_study(study: Study) -> Grid:
    """Return the grid of a study; the same point twice raises `StudyError`."""
    kinds = {kind: _variants(kind, getattr(study, kind)) for kind in ("problem", "optimizer", "schedule")}
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
    )


def pack_id(run_ids: np.ndarray) -> str:
    """Return the name of a pack: a hash of the run_ids in it, whatever their order."""
    return hashlib.blake2b("".join(sorted(run_ids)).encode(), digest_size=8).hexdigest()


def _variants(kind: str, choices: Sequence[Choice]) -> tuple[Variant, ...]:
    found: dict[str, Variant] = {}
    for index, choice in enumerate(choices):
        # A problem's numbers are part of its program: its data and shapes may depend on them.
        numeric = tuple(p.name for p in choice.entry.parameters.values() if p.numeric and kind != "problem")
        for params in choice.variants():
            variant = Variant(choice.entry.name, params, tuple(choice.axes), numeric, choice.source, index)
            if variant.identity in found:
                shown = ", ".join(f"{key} = {value}" for key, value in params.items())
                raise StudyError(f"{kind}.{index}: {variant.name} ({shown}) stands in the study twice")
            found[variant.identity] = variant
    return tuple(found.values())


def _values(values: list[Any]) -> np.ndarray:
    """Return one parameter's values as a column: numbers as they are, lists as JSON text, missing ones as None."""
    plain = [json.dumps(value) if isinstance(value, list | tuple | dict) else value for value in values]
    if all(isinstance(value, float) or value is None for value in plain):
        return np.array([math.nan if value is None else value for value in plain])
    column = np.empty(len(plain), dtype=object)
    column[:] = plain
    return column
