"""The problems, initial parameters, optimizers and schedules that a study names, instantiated."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh

from lrbench.engine import (
    device_memory,
    devices,
    flops,
    lane,
    matmul,
    probing,
    rate_patterns,
    schedule_table,
    seeds,
)
from lrbench.engine.lane import Recipe
from lrbench.engine.schedule_table import ScheduleTable
from lrbench.errors import LrbenchError, ProblemError, StudyError
from lrbench.nets import parameters
from lrbench.problems import Data, Problem
from lrbench.schedules.plateau import Plateau
from lrbench.study import catalog, requires
from lrbench.study.grid import Grid, Program
from lrbench.study.ladder import floor_of
from lrbench.study.metric import check_objective
from lrbench.study.spec import Study
from lrbench.study.variant import Variant

DECAY, NO_DECAY = "weight_decay", "no_decay"
"""The option or parameter of an optimizer that decays weights, and the option that excludes parameters from it."""


class Instances:
    """The problems, schedules and optimizers of a study, and the devices they are for.

    Raises:
        StudyError, ProblemError: if the study names parameters that a problem, optimizer or schedule refuses.
    """

    def __init__(self, study: Study, grid: Grid, mesh: Mesh) -> None:
        """Instantiate everything, so that mistakes show before any training."""
        self.study, self.grid, self.mesh = study, grid, mesh
        self._first = grid
        self._probe_gradients: dict[int, dict[str, float]] = {}
        self._probe_split: dict[int, tuple[probing.Probes, probing.Probes] | None] = {}
        self._data: dict[int, Data] = {}
        self._lane_bytes: dict[int, int] = {}
        self._activation_bytes: dict[int, int] = {}
        self._gradient_operations: dict[int, float] = {}
        self._errors: dict[int, LrbenchError] = {}
        self._schedules: dict[int, ScheduleTable] = {}
        with self.precision():
            self.problems = self._instantiate_problems()
            self.initial = [seeds.Initial(problem) for problem in self.problems]
            for problem in range(len(grid.problems)):
                self.schedules(grid.steps_of(problem))
            self._check_optimizers()
            self._check_first_hits()

    @contextlib.contextmanager
    def precision(self) -> Iterator[None]:
        """Return the context in which arrays and products have the study's precision; JAX's own products have less on GPUs and TPUs."""
        with jax.enable_x64(self.grid.precision == "float64"), jax.default_matmul_precision(matmul.PRECISION):
            yield

    def schedules(self, steps: int) -> ScheduleTable:
        """Return the schedules of runs of so many steps."""
        if steps not in self._schedules:
            found = [self._instantiate_schedule(variant, steps) for variant in self.grid.schedules]
            self._schedules[steps] = schedule_table.table(*zip(*found, strict=True))
        return self._schedules[steps]

    def padded_schedules(self, program: Program) -> ScheduleTable:
        """Return the schedules of a program's runs, as long as the longest: a program is compiled once for runs of any length.

        Beyond the last step of a run the factor is that of its last step, which evaluations report.
        """
        table = self.schedules(self.grid.steps_of(program.problem))
        missing = self.longest(program) - table.shapes.shape[1]
        return table._replace(shapes=np.pad(table.shapes, ((0, 0), (0, missing)), mode="edge"))

    def longest(self, program: Program) -> int:
        """Return the steps of the longest runs of a program: those of the study's grid."""
        return self._first.steps_of(program.problem)

    def shapes(self, program: Program) -> list[tuple[int, int]]:
        """Return, for each stage of the study, the most lanes of a seed in a program, and the number of seeds.

        They are known before later stages are chosen, so that a program is compiled once for all of them.
        """
        study, grid = self.study, self.grid
        named = math.prod(len(rates) for rates in grid.named_rates.values())
        lines = len(program.optimizers) * len(grid.schedules) * named
        first = study.rates, 1 if study.learning_rate.auto else len(study.grid_seeds)
        stages = [first, *((step.rates, len(step.seeds)) for step in study.stages())]
        return [(lines * rates, seeds) for rates, seeds in stages]

    def problem(self, program: Program) -> Problem:
        """Return a program's problem."""
        return self.problems[program.problem]

    def recipe(self, program: Program, form: str = "") -> Recipe:
        """Return what is static in a program, with its problem in one of its forms.

        Raises:
            StudyError: if the user's code of its optimizer raised.
        """
        if error := self._errors.get(program.optimizers[0]):
            raise error
        variant = self.grid.optimizers[program.optimizers[0]]
        entry = self.study.optimizer[variant.choice].entry
        static = {name: value for name, value in variant.params.items() if name not in variant.numeric}
        probes = {name: catalog.get("probe", name).load() for name in self.study.probes}
        problem = self.problem(program)
        # With data, the loss of a step is that of its minibatch, which is never a hit.
        each_step = self.study.first_hits and not problem.data.examples
        floor = self.floor(program, problem.objective) if each_step else None
        return Recipe(problem.in_form(form), bind_optimizer(entry, static), probes, floor)

    def floor(self, program: Program, loss: str) -> float:
        """Return what the ladder of first hits of a loss goes down to."""
        problem = self.problem(program)
        return floor_of(problem.optimum if loss == problem.objective else None)

    def numeric(self, program: Program) -> tuple[str, ...]:
        """Return the names of a program's numeric hyper-parameters."""
        return self.grid.optimizers[program.optimizers[0]].numeric

    def lane_bytes(self, program: Program) -> int:
        """Return the bytes that a run of a program takes; 0 if a user's function raises: its packs fail with the error."""
        if program.number not in self._lane_bytes:
            found = 0
            with self.precision(), contextlib.suppress(Exception):
                shapes, rates = self.initial[program.problem].shapes, ("", *self.grid.named_rates)
                found = device_memory.lane_bytes(self.recipe(program), rates, self.numeric(program), shapes)
            self._lane_bytes[program.number] = found
        return self._lane_bytes[program.number]

    def activation_bytes(self, program: Program) -> int:
        """Return the bytes of the activations of a step of a run; 0 if a user's function raises."""
        if program.problem not in self._activation_bytes:
            problem, found = self.problem(program), 0
            with self.precision(), contextlib.suppress(Exception):
                shapes = self.initial[program.problem].shapes
                found = device_memory.activation_bytes(problem, shapes, self._minibatch(problem))
            self._activation_bytes[program.problem] = found
        return self._activation_bytes[program.problem]

    def parameters(self, program: Program) -> int:
        """Return how many parameters a program's model has; 0 if a user's function raises."""
        with self.precision(), contextlib.suppress(Exception):
            params, _ = self.problem(program).split(self.initial[program.problem].shapes)
            return sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(params))
        return 0

    def flops(self, program: Program) -> float:
        """Return the floating-point operations of one step of one run, as XLA counts them before compiling.

        Raises:
            ProblemError: if a user's function raises or returns something invalid.
        """
        problem = self.problem(program)
        with self.precision():
            batch = self._minibatch(problem)
            try:
                step = jax.jit(jax.value_and_grad(self.recipe(program).problem.training_loss, has_aux=True))
                shapes = problem.split(self.initial[program.problem].shapes)
                found = step.lower(*shapes, batch, seeds.key(np.zeros(2, np.uint32)))
            except LrbenchError:
                raise
            except Exception as error:
                raise ProblemError(f"{problem.name}: {type(error).__name__}: {error}") from error
            return float((found.cost_analysis() or {}).get("flops", 0.0))

    def gradient_operations(self, program: Program) -> float:
        """Return the operations of the gradient of a minibatch, counted from its trace: the same on every machine.

        They are 0 if a user's function raises: its packs fail with the error.
        """
        if program.problem not in self._gradient_operations:
            problem, found = self.problem(program), 0.0
            with self.precision(), contextlib.suppress(Exception):
                model = problem.split(self.initial[program.problem].shapes)
                gradient = jax.grad(problem.training_loss, has_aux=True)
                key = jax.random.key(0, impl="threefry2x32")
                found = flops.count(gradient, *model, self._minibatch(problem), key)
            self._gradient_operations[program.problem] = found
        return self._gradient_operations[program.problem]

    def probe_gradients(self, program: Program) -> dict[str, float]:
        """Return the cost of each probe at an evaluation, in gradients of a minibatch, counted from its trace.

        A probe that shares work with an earlier one, such as `stability` with `sharpness`, costs what it adds.
        """
        if program.problem not in self._probe_gradients:
            problem, names = self.problem(program), tuple(self.grid.named_rates)
            with self.precision():
                examples = self._minibatch(problem), devices.cast(lane.sample(problem.data.train))
                try:
                    shapes, probes = self.initial[program.problem].shapes, self.recipe(program).probes
                    found = probing.gradients(problem, probes, shapes, names, examples)
                except Exception:  # an invalid problem of the user's: its packs fail with the error
                    found = {}
            self._probe_gradients[program.problem] = found
        return self._probe_gradients[program.problem]

    def probe_split(self, program: Program) -> tuple[probing.Probes, probing.Probes] | None:
        """Return a program's probes that do not depend on the step that would follow, and those that do; `None` if they cannot be told apart."""
        number = program.problem
        if number not in self._probe_split:
            problem, names = self.problem(program), tuple(self.grid.named_rates)
            with self.precision():
                examples = self._minibatch(problem), devices.cast(lane.sample(problem.data.train))
                try:
                    shapes, probes = self.initial[number].shapes, self.recipe(program).probes
                    found = probing.split(problem, probes, shapes, names, examples)
                except Exception:  # an invalid problem or probe of the user's: its packs fail with the error
                    found = None
            self._probe_split[number] = found
        return self._probe_split[number]

    def data(self, program: Program) -> Data:
        """Return the data of a program's problem, a copy on each device."""
        if program.problem not in self._data:
            with self.precision():
                data = devices.cast(self.problem(program).data)
                self._data[program.problem] = jax.device_put(data, devices.replicated(self.mesh))
        return self._data[program.problem]

    def _minibatch(self, problem: Problem) -> Any:
        """Return the first examples of a problem, as many as a minibatch has."""
        size = problem.batch_size or max(1, problem.data.examples)
        return jax.tree.map(lambda leaf: devices.cast(leaf[:size]), problem.data.train)

    def _instantiate_problems(self) -> list[Problem]:
        """Return every problem; where a user's code raises, its packs fail, or this does if no other problem is left."""
        problems: list[Problem] = []
        errors: list[LrbenchError] = []
        for variant in self.grid.problems:
            try:
                problems.append(self._instantiate_problem(variant))
            except LrbenchError as error:
                errors.append(error)
                if not variant.source or len(errors) == len(self.grid.problems):
                    raise errors[0] from error
                problems.append(_raising(variant.name, error))
                continue
            problems[-1] = self._with_rates(problems[-1])
            check_objective(self.study.objective, variant.name, problems[-1].curves)
        return problems

    def _instantiate_problem(self, variant: Variant) -> Problem:
        choice = self.study.problem[variant.choice]
        options = {name: variant.params[name] for name in choice.entry.options if name in variant.params}
        own = {name: value for name, value in variant.params.items() if name not in options}
        problem = _instantiate("problem", variant, lambda: choice.entry.load()(**choice.arguments(own)))
        if not isinstance(problem, Problem):
            raise ProblemError(
                f"problem.{variant.choice}: {variant.name} returned {type(problem).__name__}; it must return a Problem, "
                "such as lrbench.problem(...) returns"
            )
        for name, value in options.items():
            problem = _instantiate(
                "problem", variant, partial(catalog.load_option("problem", name), problem, value)
            )
        return problem

    def _with_rates(self, problem: Problem) -> Problem:
        """Return a problem with the rates that the study sets, of which those that it has no name for are patterns."""
        keys = tuple(self.grid.named_rates)
        if {*keys} <= {*problem.rate_names}:
            return problem
        return rate_patterns.named(problem, keys, _parameters(problem))

    def _instantiate_schedule(self, variant: Variant, steps: int) -> tuple[np.ndarray, Plateau | None]:
        """Return a schedule's row of the table, and its rule if it depends on the losses.

        A function that returns a number is itself an optax schedule (step → rate), whose shape is used.
        """
        choice = self.study.schedule[variant.choice]

        def make() -> tuple[np.ndarray, Plateau | None]:
            function = choice.entry.load()
            found = function(steps, **variant.params)
            if callable(found):
                shape = schedule_table.check(schedule_table.tabulate(found, steps), own=bool(choice.source))
                return shape, found if isinstance(found, Plateau) else None
            if np.ndim(found) or not np.issubdtype(np.asarray(found).dtype, np.number):
                raise ValueError(
                    f"returned {type(found).__name__}; must be a function steps → optax schedule, or an optax schedule"
                )
            return schedule_table.of_rates(schedule_table.tabulate(function, steps)), None

        return _instantiate("schedule", variant, make)

    def _check_optimizers(self) -> None:
        """Build every optimizer once; where a user's code raises, its packs fail, or this does if no other optimizer is left."""
        for number, variant in enumerate(self.grid.optimizers):
            try:
                self._check_optimizer(variant)
            except LrbenchError as error:
                self._errors[number] = error
                if not variant.source or len(self._errors) == len(self.grid.optimizers):
                    raise next(iter(self._errors.values())) from error

    def _check_first_hits(self) -> None:
        """Refuse evaluations that are too rare to show when a problem with data meets a rung."""
        for number, problem in enumerate(self.problems if self.study.first_hits else ()):
            steps, every = self.grid.steps_of(number), self.grid.every_of(number)
            if problem.data.examples and every > (most := max(1, steps // 100)):
                raise StudyError(
                    f"evaluate_every = {every}: must be {most} or less with first_hits = true, because the hits of {problem.name}, "
                    f"which has data, are those of its evaluations, and runs have {steps:,} steps"
                )

    def _check_optimizer(self, variant: Variant) -> None:
        entry = self.study.optimizer[variant.choice].entry
        make = bind_optimizer(entry, {})
        self._check_undecayed(variant, entry)
        built = _instantiate("optimizer", variant, lambda: make(0.1, variant.params))
        if not (hasattr(built, "init") and hasattr(built, "update")):
            raise StudyError(
                f"optimizer.{variant.choice}: {variant.name} returned {type(built).__name__}; it must return an optax "
                "GradientTransformation"
            )
        for name in self.grid.named_rates:
            if whole := requires.whole(entry.load()):
                raise StudyError(
                    f"learning_rate.{name}: {variant.name} requires {whole}, and so one learning rate for all parameters"
                )

    def _check_undecayed(self, variant: Variant, entry: catalog.Entry) -> None:
        """Refuse parameters without weight decay where nothing decays, or none of that name."""
        patterns = variant.params[NO_DECAY] if NO_DECAY in {*entry.options} & {*variant.params} else ()
        where = f"optimizer.{variant.choice}.{NO_DECAY} = {list(patterns)}"
        if patterns and DECAY not in variant.params:
            raise StudyError(f"{where}: {variant.name} has no weight decay in this study; set {DECAY}, too")
        if patterns and (whole := requires.whole(entry.load())):
            raise StudyError(
                f"{where}: {variant.name} requires {whole}, and so one weight decay for all parameters"
            )
        for problem in self.problems if patterns else ():
            try:
                shapes = _parameters(problem)
            except LrbenchError:  # its packs fail with the error
                continue
            found = parameters.paths(shapes)
            for pattern in patterns:
                if not any(parameters.matches(path, [pattern]) for path in found):
                    raise StudyError(
                        f"{where}: {pattern!r} matches no parameter of {problem.name}; they are: {parameters.listed(shapes)}"
                    )


def _parameters(problem: Problem) -> Any:
    """Return the shapes of a problem's parameters, without compiling anything."""
    try:
        return problem.split(
            jax.eval_shape(lambda words: problem.init(seeds.key(words)), np.zeros(2, np.uint32))
        )[0]
    except LrbenchError:
        raise
    except Exception as error:
        raise ProblemError(f"{problem.name}: {type(error).__name__}: {error}") from error


def _raising(name: str, error: LrbenchError) -> Problem:
    """Return a problem that raises an error wherever it is used."""

    def fail(*given: Any) -> Any:
        raise error

    return Problem(name, fail, fail)


@dataclass(frozen=True)
class BoundOptimizer:
    """An optimizer with its static parameters bound: (learning rate, numeric hyper-parameters) → transformation."""

    make: Callable[..., Any]
    static: Mapping[str, Any]
    options: Mapping[str, Callable[..., Any]]
    asks: tuple[str, ...]
    evaluated_at: Callable[[Any, Any], Any] | None

    def __call__(self, learning_rate: Any, numeric: Mapping[str, Any]) -> Any:
        """Return the transformation, with the options that are set applied in their order."""
        given = {**self.static, **numeric}
        own = {name: value for name, value in given.items() if name not in self.options}
        options = {name: option for name, option in self.options.items() if name in given}
        transformation = self.make(learning_rate, **own)
        split = options.pop(NO_DECAY, None)
        if split and given[NO_DECAY]:
            # Clipping follows for all parameters, since its norm is that of the whole gradient.
            without = self.make(learning_rate, **({**own, DECAY: 0.0} if DECAY in own else own))
            if decay := options.pop(DECAY, None):
                transformation = decay(transformation, learning_rate, given[DECAY])
            transformation = split(transformation, without, given[NO_DECAY])
        for name, option in options.items():
            transformation = option(transformation, learning_rate, given[name])
        return transformation


def bind_optimizer(entry: catalog.Entry, static: Mapping[str, Any]) -> BoundOptimizer:
    """Return an entry of the catalogue with its static parameters bound."""
    make = entry.load()
    options = {name: catalog.load_option("optimizer", name) for name in entry.options}
    asks = requires.asked(make)
    if NO_DECAY in options and static.get(NO_DECAY):
        asks = tuple(name for name in asks if name in requires.BY_PART)
    return BoundOptimizer(make, static, options, asks, requires.evaluation(make))


def _instantiate(kind: str, variant: Variant, make: Callable[[], Any]) -> Any:
    """Call what a study names; an exception becomes one line that names the study's key."""
    try:
        return make()
    except LrbenchError as error:
        raise type(error)(f"{kind}.{variant.choice}: {variant.name}: {error}") from error
    except Exception as error:
        reason = str(error) if isinstance(error, ValueError) else f"{type(error).__name__}: {error}"
        raise StudyError(f"{kind}.{variant.choice}: {variant.name}: {reason}") from error
