"""From a study to runs, programs and packs, as plain data.

The axes of a grid are, in this order: problem, optimizer, schedule, learning_rate, learning_rate_<name> for each named rate, and
seed. A run's number is its position in that order.
Nothing here holds an object per run, so that a million runs are a few arrays.
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
from lrbench.study.catalog import Entry
from lrbench.study.choice import Choice
from lrbench.study.spec import Study


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
        files: parameter → hash of the file that it names.
        off: parameters that count for nothing: options that are set to 0, and those that came later, at their defaults.
        revision: of the catalogue's entry.
    """

    name: str
    params: Mapping[str, Any]
    shown: tuple[str, ...] = ()
    numeric: tuple[str, ...] = ()
    source: str = ""
    choice: int = 0
    files: Mapping[str, str] = field(default_factory=dict)
    off: tuple[str, ...] = ()
    revision: int = 1

    @cached_property
    def identity(self) -> str:
        """What tells it from any other, as canonical JSON.

        Of a file, what is in it counts, not where it is; an option that is off is the same as none.
        """
        params = {name: value for name, value in self.params.items() if name not in self.off} | {**self.files}
        revised = [self.revision] if self.revision > 1 else []
        return json.dumps([self.name, params, self.source, *revised], sort_keys=True, separators=(",", ":"))

    @property
    def label(self) -> str:
        """Its name and the parameters that the study set, as people read them."""
        shown = ", ".join(f"{name}={_plain(self.text(name))}" for name in self.shown)
        return f"{self.name}({shown})" if shown else self.name

    def text(self, name: str) -> Any:
        """Return a parameter as tables show it: the parts of a schedule as `constant then cosine(final=0.1)`."""
        value = self.params.get(name)
        if name != "parts" or not isinstance(value, list | tuple):
            return value
        return " then ".join(part if isinstance(part, str) else _call(part) for part in value)

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
    """A fixed set of runs of one program that are executed together; small, as it may go to another machine.

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
        learning_rates: the rates of all parameters that have none of their own.
        seeds: of the runs.
        steps, evaluate_every, precision: what all runs share.
        named_rates: name → rates of the parameters that have a rate of that name, in the order of the study.
        race: whether runs that cannot become good any more are stopped; no part of a run's identity.
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
        """Return how many runs lie from one position on an axis to the next."""
        sizes = self.sizes
        return math.prod(list(sizes.values())[list(sizes).index(axis) + 1 :])

    @cached_property
    def evaluations(self) -> Int[np.ndarray, " evaluation"]:
        """The steps at which runs are evaluated: 0, every `evaluate_every`, and the last."""
        every = np.arange(0, self.steps, self.evaluate_every)
        return np.append(every, self.steps)

    @cached_property
    def run_ids(self) -> np.ndarray:
        """The identity of every run, as a hash that is the same on every machine, in every order: bytes [run]."""
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
        """Return each run's learning rates: under `""` that of all parameters that have none of their own, then by name."""
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
                    yield Pack(run_id.pack_id(self.run_ids[runs]), program.number, runs)

    def asdict(self) -> dict[str, Any]:
        """Return the grid as plain data, from which `from_dict` makes it again without the study's code."""
        return asdict(self)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Grid:
        """Make the grid that `asdict` described; raise `StoreError` if it is another thing."""
        try:
            return cls._of(data)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            said = f"{type(error).__name__}: {error}"
            raise StoreError(
                f"the grid in manifest.json cannot be read ({said}); start again with --fresh"
            ) from error

    @classmethod
    def _of(cls, data: Mapping[str, Any]) -> Grid:
        kinds = {}
        for kind in ("problems", "optimizers", "schedules"):
            lists = "shown", "numeric", "off"
            rows = ({**row, **{name: tuple(row.get(name, ())) for name in lists}} for row in data[kind])
            kinds[kind] = tuple(Variant(**row) for row in rows)
        axes = {key: tuple(data[key]) for key in ("learning_rates", "seeds")}
        named = {name: tuple(rates) for name, rates in data.get("named_rates", {}).items()}
        return cls(**{**data, **kinds, **axes, "named_rates": named})


def of_study(study: Study) -> Grid:
    """Return the grid of a study; the same point twice raises `StudyError`."""
    try:
        kinds = {kind: _variants(kind, getattr(study, kind)) for kind in ("problem", "optimizer", "schedule")}
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


def _variants(kind: str, choices: Sequence[Choice]) -> tuple[Variant, ...]:
    found: dict[str, Variant] = {}
    shown_as: set[tuple[str, str]] = set()
    for index, choice in enumerate(choices):
        # A problem's numbers are part of its program: its data and shapes may depend on them.
        entry = choice.entry
        numeric = tuple(name for name, p in entry.settings.items() if p.numeric and kind != "problem")
        for params in choice.variants():
            lanes = tuple(name for name in numeric if name in params)
            variant = Variant(
                entry.name,
                params,
                tuple(choice.axes),
                lanes,
                choice.source,
                index,
                choice.hashes(params),
                _off(entry, params),
                entry.revision,
            )
            if variant.identity in found:
                shown = ", ".join(f"{key} = {value}" for key, value in params.items())
                raise StudyError(f"{kind}.{index}: {variant.name} ({shown}) stands in the study twice")
            alike = variant.name, json.dumps(params, sort_keys=True)
            if alike in shown_as:
                raise StudyError(
                    f"{kind}.{index}: another {kind} is called {variant.name} too; give yours a name of its own, which is "
                    "that of the function"
                )
            shown_as.add(alike)
            found[variant.identity] = variant
    return tuple(found.values())


def _off(entry: Entry, params: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the parameters of a variant that are no part of its identity."""
    options = (name for name in entry.options if params.get(name) == 0)
    return *options, *(name for name in entry.added if params[name] == entry.parameters[name].default)


def _call(part: Mapping[str, Any]) -> str:
    name = part.get("name", "")
    rest = ", ".join(f"{key}={_plain(value)}" for key, value in part.items() if key != "name")
    return f"{name}({rest})" if rest else str(name)


def _plain(value: Any) -> str:
    """Return a value as a study file has it."""
    if isinstance(value, str) or value is None:
        return str(value)
    return f"{value:g}" if isinstance(value, float) else json.dumps(value)


def _values(values: list[Any]) -> np.ndarray:
    """Return one parameter's values as a column: numbers as they are, lists as JSON text, missing ones as None."""
    plain = [json.dumps(value) if isinstance(value, list | tuple | dict) else value for value in values]
    if all(isinstance(value, float) or value is None for value in plain):
        return np.array([math.nan if value is None else value for value in plain])
    column = np.empty(len(plain), dtype=object)
    column[:] = plain
    return column
