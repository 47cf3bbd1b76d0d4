"""Everything that a study names, made: problems, initial parameters, optimizers, schedules."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh

from lrbench.engine import capacity, devices, lane, probing, schedule_table, seeds
from lrbench.engine.lane import Recipe
from lrbench.errors import LrbenchError, ProblemError, StudyError
from lrbench.problems import Problem
from lrbench.schedules.plateau import Plateau
from lrbench.study import catalog, requires
from lrbench.study.grid import Grid, Program
from lrbench.study.spec import Study
from lrbench.study.variant import Variant


class Made:
    """Problems, schedules and optimizers of a study, and the devices they are for.

    Raises:
        StudyError, ProblemError: if the study names parameters that a problem, optimizer or schedule refuses.
    """

    def __init__(self, study: Study, grid: Grid, mesh: Mesh) -> None:
        """Make every problem and schedule, so that mistakes show before any training."""
        self.study, self.grid, self.mesh = study, grid, mesh
        self._probe_gradients: dict[int, dict[str, float]] = {}
        self._faults: dict[int, LrbenchError] = {}
        with self.precision():
            self.problems = self._make_problems()
            self.initial = [seeds.Initial(problem) for problem in self.problems]
            found = [self._make_schedule(variant) for variant in grid.schedules]
            self.schedules = schedule_table.table(*zip(*found, strict=True))
            self._check_optimizers()

    def precision(self) -> Any:
        """Return the context in which arrays have the study's precision."""
        return jax.enable_x64(self.grid.precision == "float64")

    def problem(self, program: Program) -> Problem:
        """Return a program's problem."""
        return self.problems[program.problem]

    def recipe(self, program: Program, form: str = "") -> Recipe:
        """Return what is static in a program, its problem in one of its forms.

        Raises:
            StudyError: if the user's own code could not make its optimizer.
        """
        if fault := self._faults.get(program.optimizers[0]):
            raise fault
        variant = self.grid.optimizers[program.optimizers[0]]
        entry = self.study.optimizer[variant.choice].entry
        static = {name: value for name, value in variant.params.items() if name not in variant.numeric}
        probes = {name: catalog.get("probe", name).load() for name in self.study.probes}
        return Recipe(self.problem(program).in_form(form), _optimizer(entry, static), probes)

    def numeric(self, program: Program) -> tuple[str, ...]:
        """Return the names of a program's numeric hyper-parameters."""
        return self.grid.optimizers[program.optimizers[0]].numeric

    def lane_bytes(self, program: Program) -> int:
        """Return the bytes that a run of a program holds; 0 if a user's function raises: its packs fail, and say why."""
        with self.precision(), contextlib.suppress(Exception):
            shapes, rates = self.initial[program.problem].shapes, ("", *self.grid.named_rates)
            return capacity.lane_bytes(self.recipe(program), rates, self.numeric(program), shapes)
        return 0

    def parameters(self, program: Program) -> int:
        """Return how many parameters a program's model has; 0 if a user's function raises."""
        with self.precision(), contextlib.suppress(Exception):
            params, _ = self.problem(program).parted(self.initial[program.problem].shapes)
            return sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(params))
        return 0

    def flops(self, program: Program) -> float:
        """Return the floating-point operations of one step of one run, as XLA counts them before compiling.

        Raises:
            ProblemError: if a user's function raises or returns something unfit.
        """
        problem = self.problem(program)
        with self.precision():
            batch = self._minibatch(problem)
            try:
                step = jax.jit(jax.value_and_grad(self.recipe(program).problem.training_loss, has_aux=True))
                shapes = problem.parted(self.initial[program.problem].shapes)
                found = step.lower(*shapes, batch, seeds.key(np.zeros(2, np.uint32)))
            except LrbenchError:
                raise
            except Exception as error:
                raise ProblemError(f"{problem.name}: {type(error).__name__}: {error}") from error
            return float((found.cost_analysis() or {}).get("flops", 0.0))

    def probe_gradients(self, program: Program) -> dict[str, float]:
        """Return what each probe costs at an evaluation, in gradients of a minibatch, as counted from its trace.

        A probe that shares its work with one before it, such as `stability` with `sharpness`, costs what it adds.
        """
        if program.problem not in self._probe_gradients:
            problem, names = self.problem(program), tuple(self.grid.named_rates)
            with self.precision():
                examples = self._minibatch(problem), devices.narrow(lane.sample(problem.data.train))
                try:
                    shapes, probes = self.initial[program.problem].shapes, self.recipe(program).probes
                    found = probing.gradients(problem, probes, shapes, names, examples)
                except Exception:  # a problem of the user's that is unfit: its packs fail, and say why
                    found = {}
            self._probe_gradients[program.problem] = found
        return self._probe_gradients[program.problem]

    def _minibatch(self, problem: Problem) -> Any:
        """Return the first examples of a problem, as many as a step sees."""
        size = problem.batch_size or max(1, problem.data.examples)
        return jax.tree.map(lambda leaf: devices.narrow(leaf[:size]), problem.data.train)

    def _make_problems(self) -> list[Problem]:
        """Make every problem; one that its user's code cannot make fails in its packs, unless there is no other."""
        made: list[Problem] = []
        faults: list[LrbenchError] = []
        for variant in self.grid.problems:
            try:
                made.append(self._make_problem(variant))
            except LrbenchError as error:
                faults.append(error)
                if not variant.source or len(faults) == len(self.grid.problems):
                    raise faults[0] from error
                made.append(_unfit(variant.name, error))
                continue
            self._check_rates(variant, made[-1])
        return made

    def _make_problem(self, variant: Variant) -> Problem:
        choice = self.study.problem[variant.choice]
        made = _made("problem", variant, lambda: choice.entry.load()(**choice.arguments(variant.params)))
        if not isinstance(made, Problem):
            raise ProblemError(
                f"problem.{variant.choice}: {variant.name} returned {type(made).__name__}; it must return a Problem, "
                "as lrbench.problem(...) makes one"
            )
        return made

    def _check_rates(self, variant: Variant, made: Problem) -> None:
        unknown = [name for name in self.grid.named_rates if name not in made.rate_names]
        if unknown:
            allowed = ", ".join(made.rate_names) or "none; one rate moves all its parameters"
            raise StudyError(
                f"learning_rate.{unknown[0]}: {variant.name} has no learning rate of that name; it has: {allowed}"
            )

    def _make_schedule(self, variant: Variant) -> tuple[np.ndarray, Plateau | None]:
        """Return a schedule's row of the table, and its rule if it depends on the losses.

        What returns no function is itself an optax schedule (step → rate), of which the shape is taken.
        """
        choice, steps = self.study.schedule[variant.choice], self.grid.steps

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

        return _made("schedule", variant, make)

    def _check_optimizers(self) -> None:
        """Make every optimizer once; one that its user's code cannot make fails in its packs, unless there is no other."""
        for number, variant in enumerate(self.grid.optimizers):
            try:
                self._check_optimizer(variant)
            except LrbenchError as error:
                self._faults[number] = error
                if not variant.source or len(self._faults) == len(self.grid.optimizers):
                    raise next(iter(self._faults.values())) from error

    def _check_optimizer(self, variant: Variant) -> None:
        entry = self.study.optimizer[variant.choice].entry
        make = _optimizer(entry, {})
        made = _made("optimizer", variant, lambda: make(0.1, variant.params))
        if not (hasattr(made, "init") and hasattr(made, "update")):
            raise StudyError(
                f"optimizer.{variant.choice}: {variant.name} returned {type(made).__name__}; it must return an optax "
                "GradientTransformation"
            )
        for name in self.grid.named_rates:
            if whole := requires.whole(entry.load()):
                raise StudyError(
                    f"learning_rate.{name}: {variant.name} needs {whole}, and so one learning rate for all parameters"
                )


def _unfit(name: str, error: LrbenchError) -> Problem:
    """Return a problem that says, wherever it is used, why there is none."""

    def fail(*given: Any) -> Any:
        raise error

    return Problem(name, fail, fail)


@dataclass(frozen=True)
class _Optimizer:
    """An optimizer with its structure chosen: (learning rate, numeric hyper-parameters) → transformation."""

    make: Callable[..., Any]
    static: Mapping[str, Any]
    options: Mapping[str, Callable[..., Any]]
    asks: tuple[str, ...]
    evaluated_at: Callable[[Any, Any], Any] | None

    def __call__(self, learning_rate: Any, numeric: Mapping[str, Any]) -> Any:
        own = {name: value for name, value in numeric.items() if name not in self.options}
        made = self.make(learning_rate, **self.static, **own)
        for name, option in self.options.items():
            if name in numeric:
                made = option(made, learning_rate, numeric[name])
        return made


def _optimizer(entry: catalog.Entry, static: Mapping[str, Any]) -> _Optimizer:
    make = entry.load()
    options = {name: catalog.load_option("optimizer", name) for name in entry.options}
    return _Optimizer(make, static, options, requires.asked(make), requires.evaluation(make))


def _made(kind: str, variant: Variant, make: Callable[[], Any]) -> Any:
    """Make something that a study names; what it refuses becomes one line that names the study's key."""
    try:
        return make()
    except LrbenchError as error:
        raise type(error)(f"{kind}.{variant.choice}: {variant.name}: {error}") from error
    except Exception as error:
        told = str(error) if isinstance(error, ValueError) else f"{type(error).__name__}: {error}"
        raise StudyError(f"{kind}.{variant.choice}: {variant.name}: {told}") from error
