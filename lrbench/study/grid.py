"""A study as runs, programs and packs, in plain data.

The axes of a grid are, in this order: problem, optimizer, schedule, learning_rate, learning_rate_<name> for each named rate, and
seed. A run's number is its position in that order. Where later stages chose rates for some lines, the axes have the rates and seeds of
all stages, and only the numbers that some stage has are runs.
There is no object per run: a million runs are a few arrays.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from itertools import groupby
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int

from lrbench.errors import StoreError, StudyError
from lrbench.study import run_id, sample
from lrbench.study.epochs import lengths
from lrbench.study.spec import Study
from lrbench.study.stages import GRID, RANGE, Stage, stage_of
from lrbench.study.variant import Variant, cells, variants_of


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
        stage: the stage that they belong to.
    """

    pack_id: str
    program: int
    runs: Int[np.ndarray, " lane"] = field(repr=False)
    stage: str = GRID


class Chosen(NamedTuple):
    """What stages have made of the grid that a study begins with: all that another process needs to have the same runs."""

    learning_rates: tuple[float, ...]
    seeds: tuple[int, ...]
    stages: tuple[Stage, ...]
    lengths: tuple[tuple[int, int], ...]


@dataclass(frozen=True)
class Grid:
    """Every run of a study.

    Args:
        name: of the study.
        problems, optimizers, schedules: every variant of each.
        learning_rates: the rates of all parameters without rates of their own, of all stages.
        seeds: the seeds of all stages.
        steps, evaluate_every, precision: what all runs have in common.
        named_rates: name → rates of the parameters that have a rate of that name, in the order of the study.
        race: whether runs of the stage `grid` that cannot become good any more are stopped; not part of a run's identity.
        stages: which of the combinations are runs, stage by stage; empty if all of them are, in the stage `grid`.
        lengths: steps and evaluate_every of the runs of each problem; empty if they are `steps` and `evaluate_every` for all.
        points: the learning rates of a sample, ascending; each has its own values of all that is sampled. Empty without a sample.
        sampled_rates: those of the named rates that are sampled → their value at each point; `named_rates` has the first of them.
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
    stages: tuple[Stage, ...] = ()
    lengths: tuple[tuple[int, int], ...] = ()
    points: tuple[float, ...] = ()
    sampled_rates: Mapping[str, tuple[float, ...]] = field(default_factory=dict)

    # ---- axes ----

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
        """The number of combinations; without stages all of them are runs."""
        return math.prod(self.sizes.values())

    def stride(self, axis: str) -> int:
        """Return the number of runs from one position on an axis to the next."""
        sizes = self.sizes
        return math.prod(list(sizes.values())[list(sizes).index(axis) + 1 :])

    def steps_of(self, problem: int) -> int:
        """Return the steps of the runs of a problem."""
        return self.lengths[problem][0] if self.lengths else self.steps

    def every_of(self, problem: int) -> int:
        """Return the steps between two evaluations of the runs of a problem."""
        return self.lengths[problem][1] if self.lengths else self.evaluate_every

    def evaluations(self, problem: int) -> Int[np.ndarray, " evaluation"]:
        """Return the steps at which the runs of a problem are evaluated: 0, every `evaluate_every`, and the last."""
        steps = self.steps_of(problem)
        return np.append(np.arange(0, steps, self.every_of(problem)), steps)

    # ---- runs ----

    @cached_property
    def run_ids(self) -> np.ndarray:
        """The identity of every run: bytes [run], hashes that are the same on every machine; empty where no stage has a run."""
        variants = [
            [variant.identity for variant in kind]
            for kind in (self.problems, self.optimizers, self.schedules)
        ]
        lengths = self.lengths or ((self.steps, self.evaluate_every),)
        found = [
            self._ids(
                variants[0][number : number + 1] if self.lengths else variants[0],
                variants[2],
                json.dumps([*length, self.precision]),
            )
            for number, length in enumerate(lengths)
        ]
        ids = np.concatenate(found)
        if self.stages:
            ids[~self.is_run] = b""
        return ids

    def _ids(self, problems: Sequence[str], schedules: Sequence[str], common: str) -> np.ndarray:
        """Return the identity of every run of some problems; a run has that of the same run in a study without a sample."""
        pieces = []
        point = self._point
        for sampled, group in groupby(self.optimizers, lambda each: bool(each.sampled or self.sampled_rates)):
            members = list(group)
            own = [[v.identity_at(at) for at in point] for v in members] if sampled else []
            named: dict[str, Sequence[float]] = dict(self.named_rates)
            if sampled:
                named |= {name: [rates[at] for at in point] for name, rates in self.sampled_rates.items()}
            rates = {"": self.learning_rates, **named}
            zipped = {"", *self.sampled_rates} if sampled else ()
            for optimizers in own or [[each.identity for each in members]]:
                ids = run_id.run_ids([problems, optimizers, schedules], rates, self.seeds, common, zipped)
                pieces.append(ids.reshape(len(problems), 1 if sampled else len(members), -1))
        return np.concatenate(pieces, axis=1).reshape(-1)

    @cached_property
    def is_run(self) -> Bool[np.ndarray, " run"]:
        """Which combinations some stage has as a run."""
        return self.stage_number >= 0

    @property
    def runs(self) -> int:
        """The number of runs of all stages."""
        return int(self.is_run.sum())

    @property
    def rows_of_curves(self) -> int:
        """The number of evaluations of all runs, at most."""
        return self.runs * max(len(self.evaluations(number)) for number in range(len(self.problems)))

    @cached_property
    def stage_number(self) -> Int[np.ndarray, " run"]:
        """The position in `stages` of the stage that each run belongs to, −1 for none; a run of the range that others have, too, is theirs."""
        found = np.full(len(self), -1 if self.stages else 0, dtype=np.int8)
        numbers = range(len(self.stages))
        for number in sorted(numbers, key=lambda each: (self.stages[each].name != RANGE, -each)):
            found[self.in_stage(self.stages[number])] = number
        return found

    def in_stage(self, stage: Stage) -> Bool[np.ndarray, " run"]:
        """Return which combinations are runs of a stage, whether or not other stages have them, too."""
        sizes = self.sizes
        seeds = np.isin(self.seeds, stage.seeds)
        rates = np.zeros((self.lines, len(self.learning_rates)), dtype=bool)
        axis = np.array(self.learning_rates)
        order = np.argsort(axis)
        if len(stage.rates) == 1:
            rates[:, np.isin(axis, stage.rates[0])] = True
        else:
            line = np.repeat(np.arange(self.lines), [len(each) for each in stage.rates])
            wanted = np.array([rate for each in stage.rates for rate in each])
            rates[line, order[np.searchsorted(axis, wanted, sorter=order)]] = True
        shape = [size for name, size in sizes.items() if name not in {"learning_rate", "seed"}]
        cube = np.moveaxis(rates.reshape(*shape, -1), -1, list(sizes).index("learning_rate"))
        found: Bool[np.ndarray, " run"] = (cube[..., None] & seeds).reshape(-1)
        return found

    def stage(self, runs: Int[np.ndarray, " run"]) -> np.ndarray:
        """Return the name of each run's stage."""
        if not self.stages:
            return np.full(len(runs), GRID, dtype=object)
        return np.array([stage.name for stage in self.stages], dtype=object)[self.stage_number[runs]]

    @property
    def lines(self) -> int:
        """The number of combinations of everything but rate and seed."""
        return len(self) // (len(self.learning_rates) * len(self.seeds))

    def line(self, runs: Int[np.ndarray, " run"]) -> Int[np.ndarray, " run"]:
        """Return the number of each run's line: its position among the combinations of everything but rate and seed."""
        at = self.positions(runs)
        sizes = {name: size for name, size in self.sizes.items() if name not in {"learning_rate", "seed"}}
        return np.ravel_multi_index([at[name] for name in sizes], tuple(sizes.values()))

    def with_stages(self, more: Sequence[Stage]) -> Grid:
        """Return the grid with further stages, whose rates and seeds are added to its axes."""
        base = self.stages or (Stage(GRID, (self.learning_rates,), self.seeds),)
        stages = (*base, *more)
        rates = sorted({rate for stage in stages for each in stage.rates for rate in each})
        seeds = tuple(dict.fromkeys(seed for stage in stages for seed in stage.seeds))
        return replace(self, learning_rates=tuple(rates), seeds=seeds, stages=stages)

    @property
    def chosen(self) -> Chosen:
        """What stages have made of it."""
        return Chosen(self.learning_rates, self.seeds, self.stages, self.lengths)

    def shorter(self, factor: float, stage: Stage) -> Grid:
        """Return the runs of a stage whose steps are so many times fewer, evaluated at the same steps and at their end."""
        problems = range(len(self.problems))
        lengths = tuple(
            (max(1, round(self.steps_of(each) / factor)), self.every_of(each)) for each in problems
        )
        rates = sorted({rate for each in stage.rates for rate in each})
        return replace(self, learning_rates=tuple(rates), seeds=stage.seeds, stages=(stage,), lengths=lengths)

    def positions(self, runs: Int[np.ndarray, " run"]) -> dict[str, Int[np.ndarray, " run"]]:
        """Return each run's position on every axis, by the axis's name."""
        sizes = self.sizes
        return dict(zip(sizes, np.unravel_index(runs, tuple(sizes.values())), strict=True))

    def rates(self, runs: Int[np.ndarray, " run"]) -> dict[str, Float[np.ndarray, " run"]]:
        """Return each run's learning rates by name; `""` is that of all parameters without a rate of their own."""
        at = self.positions(runs)
        names = ("", *self.named_rates)
        found = {
            name: np.array(rates)[at[axis]]
            for name, (axis, rates) in zip(names, self._rate_axes.items(), strict=True)
        }
        point = self._point[at["learning_rate"]] if self.points else None
        return found | {name: np.array(rates)[point] for name, rates in self.sampled_rates.items()}

    @cached_property
    def _point(self) -> Int[np.ndarray, " rate"]:
        """The point of the sample that each learning rate belongs to."""
        found: Int[np.ndarray, " rate"] = np.searchsorted(self.points, self.learning_rates)
        return found

    def sampled(self, runs: Int[np.ndarray, " run"]) -> dict[str, Float[np.ndarray, " run"]]:
        """Return the columns of what is sampled together with the learning rate; NaN where an optimizer has no such parameter."""
        if not self.points:
            return {}
        at = self.positions(runs)
        point = self._point[at["learning_rate"]]
        found = {
            sample.column(f"learning_rate_{name}"): np.array(rates)[point]
            for name, rates in self.sampled_rates.items()
        }
        none = (math.nan,) * len(self.points)
        for name in dict.fromkeys(name for variant in self.optimizers for name in variant.sampled):
            values = np.array([variant.sampled.get(name, none) for variant in self.optimizers])
            found[sample.column(f"optimizer_{name}")] = values[at["optimizer"], point]
        return found

    def numbers(self, name: str, runs: Int[np.ndarray, " run"]) -> Float[np.ndarray, " run"]:
        """Return the value that each run has of a number of its optimizer; NaN where an optimizer has none of that name."""
        values = np.array([variant.params.get(name, math.nan) for variant in self.optimizers], float)
        found: Float[np.ndarray, " run"] = values[self.positions(runs)["optimizer"]]
        own = self.sampled(runs).get(sample.column(f"optimizer_{name}"), np.full(len(runs), math.nan))
        return np.where(np.isnan(own), found, own)

    def columns(self, runs: Int[np.ndarray, " run"]) -> dict[str, np.ndarray]:
        """Return the identity columns of the runs table for the given runs."""
        at = self.positions(runs)
        columns: dict[str, np.ndarray] = {
            "run_id": self.run_ids[runs].astype(str),
            "study": np.full(len(runs), self.name, dtype=object),
        }
        for kind, variants in self.variants.items():
            columns[kind] = np.array([variant.name for variant in variants], dtype=object)[at[kind]]
        sampled = {f"learning_rate_{name}" for name in self.sampled_rates}
        for axis, values in {**self._rate_axes, "seed": self.seeds}.items():
            if axis not in sampled:
                columns[axis] = np.array(values)[at[axis]]
        steps = np.array([self.steps_of(number) for number in range(len(self.problems))])
        columns["steps"] = steps[at["problem"]]
        columns["stage"] = self.stage(runs)
        for kind, variants in self.variants.items():
            for name in dict.fromkeys(name for variant in variants for name in variant.shown):
                columns[f"{kind}_{name}"] = cells([v.text(name) for v in variants])[at[kind]]
        return columns | self.sampled(runs)

    # ---- programs and packs ----

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
                if self.stages:
                    lanes = lanes[self.is_run[lanes]]
                programs.append(Program(len(programs), problem, tuple(members), lanes))
        return tuple(programs)

    def program_id(self, program: Program) -> str:
        """Return a hash of what a program computes, the same in every study, whatever its runs."""
        optimizer = self.optimizers[program.optimizers[0]]
        _, *structure = optimizer.structure  # without its place in the study
        text = json.dumps([self.problems[program.problem].identity, structure, self.precision])
        return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()

    def packs(
        self, lanes_per_pack: Sequence[int], missing: Bool[np.ndarray, " run"] | None = None
    ) -> Iterator[Pack]:
        """Yield the packs that have runs in `missing` (by default all runs), each with those runs alone, stage by stage.

        The cuts depend on the whole grid and on `lanes_per_pack` of each program, not on which runs are missing, so that a
        resumed study has the same packs.
        """
        for stage in self.stages or (None,):
            member = None if stage is None else self.in_stage(stage)
            for program, capacity in zip(self.programs, lanes_per_pack, strict=True):
                mine = program.runs if member is None else program.runs[member[program.runs]]
                for start in range(0, len(mine), capacity):
                    runs = mine[start : start + capacity]
                    runs = runs if missing is None else runs[missing[runs]]
                    if len(runs):
                        pack_id = run_id.pack_id(self.run_ids[runs])
                        yield Pack(pack_id, program.number, runs, stage.name if stage else GRID)

    # ---- plain data ----

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
            kinds[kind] = tuple(Variant(**row | {"sampled": _tuples(row.get("sampled", {}))}) for row in rows)
        axes = {key: tuple(data[key]) for key in ("learning_rates", "seeds")}
        named = _tuples(data.get("named_rates", {}))
        stages = tuple(map(stage_of, data.get("stages", ())))
        lengths = tuple((steps, every) for steps, every in data.get("lengths", ()))
        later = {"named_rates": named, "stages": stages, "lengths": lengths}
        later |= {"points": tuple(data.get("points", ()))}
        later |= {"sampled_rates": _tuples(data.get("sampled_rates", {}))}
        return cls(**{**data, **kinds, **axes, **later})


def of_study(study: Study) -> Grid:
    """Return the runs that a study begins with, before anything is chosen; a point that is listed twice raises `StudyError`."""
    try:
        points = sample.points_of(study.sample, study.learning_rate)
        kinds = {
            kind: variants_of(kind, getattr(study, kind), points)
            for kind in ("problem", "optimizer", "schedule")
        }
    except (StudyError, ValueError) as error:
        raise StudyError(f"{study.where}: {error}") from error
    rates = points.rates or study.learning_rate.rates()
    # A range is found with the first seed alone.
    seeds = study.grid_seeds[:1] if study.learning_rate.auto else study.grid_seeds
    return Grid(
        study.name,
        kinds["problem"],
        kinds["optimizer"],
        kinds["schedule"],
        rates,
        seeds,
        study.steps,
        study.evaluate_every,
        study.precision,
        {
            name: points.named[name][:1] if axis.ranged else axis.rates()
            for name, axis in study.learning_rate.named.items()
        },
        study.race,
        (Stage(RANGE, (rates,), seeds),) if study.learning_rate.auto else (),
        lengths(study, kinds["problem"]) if study.budget == "epochs" else (),
        points.rates,
        points.named,
    )


def _tuples(lists: Mapping[str, Sequence[float]]) -> dict[str, tuple[float, ...]]:
    return {name: tuple(values) for name, values in lists.items()}
