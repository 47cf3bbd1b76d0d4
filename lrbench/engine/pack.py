"""One pack, from its runs to their curves."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import jax
import numpy as np
from jaxtyping import Float, Int

from lrbench import catalog, schedules
from lrbench.engine import batch, capacity, devices, seeds
from lrbench.engine.lane import Hyper, Recipe
from lrbench.errors import LrbenchError, ProblemError, StudyError
from lrbench.grid import Grid, Pack, Program, Variant
from lrbench.problems._problem import Problem
from lrbench.study import Study

Progress = Callable[[int, int], None]
"""Called with how many runs moved on, and by how many steps."""


@dataclass(frozen=True)
class Curves:
    """What a pack's runs gave: losses, metrics and probes at every evaluation.

    Args:
        runs: numbers of the runs.
        curves: name → value of each run at each evaluation, NaN once it is not finite.
        diverged_step: first step with a non-finite loss, NaN if there was none.
        parameters: how many parameters the model has.
        seconds: training, evaluating and waiting for the compiler, each apart.
        saved_lane_steps: steps that runs would have taken after they were dropped.
    """

    runs: Int[np.ndarray, " run"]
    curves: Mapping[str, Float[np.ndarray, "run evaluation"]]
    diverged_step: Float[np.ndarray, " run"]
    parameters: int
    seconds: Mapping[str, float]
    saved_lane_steps: int


@dataclass
class Engine:
    """Everything that packs of one study share on this machine: devices, problems, compiled programs.

    Raises:
        StudyError, ProblemError: if the study names parameters that a problem, optimizer or schedule refuses.
    """

    study: Study
    grid: Grid
    count: int | None = None
    compiled: dict[int, Future[batch.Compiled]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Start the devices and make every problem and schedule, so that mistakes show before any training."""
        self.mesh = devices.mesh(devices.start(self.count))
        self._compiler = ThreadPoolExecutor(1, thread_name_prefix="compile")
        with self._precision():
            self.problems = [self._make_problem(variant) for variant in self.grid.problems]
            self.initial = [seeds.Initial(problem) for problem in self.problems]
            self.shapes = np.stack([self._make_shape(variant) for variant in self.grid.schedules])
            for variant in self.grid.optimizers:
                self._check_optimizer(variant)

    def recipe(self, program: Program) -> Recipe:
        """Return what is static in a program."""
        variant = self.grid.optimizers[program.optimizers[0]]
        make = self.study.optimizer[variant.choice].entry.load()
        static = {name: value for name, value in variant.params.items() if name not in variant.numeric}
        probes = {name: catalog.get("probe", name).load() for name in self.study.probes}
        return Recipe(self.problems[program.problem], _Optimizer(make, static), probes)

    def numeric(self, program: Program) -> tuple[str, ...]:
        """Return the names of a program's numeric hyper-parameters."""
        return self.grid.optimizers[program.optimizers[0]].numeric

    def lane_bytes(self, program: Program) -> int:
        """Return the bytes that a run of a program holds."""
        with self._precision():
            shapes = self.initial[program.problem].shapes
            return capacity.lane_bytes(self.recipe(program), self.numeric(program), shapes)

    def parameters(self, program: Program) -> int:
        """Return how many parameters a program's model has."""
        with self._precision():
            return sum(
                math.prod(leaf.shape) for leaf in jax.tree.leaves(self.initial[program.problem].shapes)
            )

    def lanes_per_chunk(self, program: Program) -> int:
        """Return how many lanes of a program are vmapped together."""
        if self.study.lanes_per_chunk:
            return self.study.lanes_per_chunk
        count = len(self.grid.seeds)
        platform = self.mesh.devices.flat[0].platform
        per_seed = min(len(program.runs) // count, capacity.LANES_PER_PACK)
        return capacity.lanes_per_chunk(self.lane_bytes(program), platform, per_seed, count, self.mesh.size)

    def lanes_per_pack(self, program: Program) -> int:
        """Return the most runs of a pack of a program."""
        return capacity.lanes_per_pack(self.lane_bytes(program))

    def optimizer_name(self, program: Program) -> str:
        """Return the name of a program's optimizer."""
        return self.grid.optimizers[program.optimizers[0]].name

    def describe(self, program: Program) -> dict[str, Any]:
        """Return what the manifest and `lrbench plan` say of a program."""
        return {
            "program": program.number,
            "problem": self.grid.problems[program.problem].name,
            "optimizer": self.optimizer_name(program),
            "runs": len(program.runs),
            "parameters": self.parameters(program),
            "bytes_per_lane": self.lane_bytes(program),
            "lanes_per_chunk": self.lanes_per_chunk(program),
        }

    def describe_devices(self) -> list[dict[str, Any]]:
        """Return the devices that runs are spread over."""
        return [{"platform": d.platform, "kind": d.device_kind, "id": d.id} for d in self.mesh.devices.flat]

    def describe_schedules(self) -> list[dict[str, Any]]:
        """Return the shape of every schedule at up to 201 steps."""
        step = np.unique(np.linspace(0, self.grid.steps - 1, 201).round().astype(int))
        return [
            {
                "name": variant.name,
                "params": {name: variant.params[name] for name in variant.shown},
                "label": _label(variant),
                "step": step.tolist(),
                "shape": shape[step].tolist(),
            }
            for variant, shape in zip(self.grid.schedules, self.shapes, strict=True)
        ]

    def flops(self, program: Program) -> float:
        """Return the floating-point operations of one step of one run, as XLA counts them before compiling."""
        with self._precision():
            recipe, problem = self.recipe(program), self.problems[program.problem]
            size = problem.batch_size or max(1, problem.data.examples)
            batch_ = jax.tree.map(lambda leaf: devices.narrow(leaf[:size]), problem.data.train)
            step = jax.jit(jax.value_and_grad(recipe.problem.loss))
            found = step.lower(
                self.initial[program.problem].shapes, batch_, seeds.key(np.zeros(2, np.uint32))
            )
            return float((found.cost_analysis() or {}).get("flops", 0.0))

    def compile(self, program: Program, lanes_per_pack: int) -> Future[batch.Compiled]:
        """Compile a program for packs of up to so many lanes, in the background; a second call costs nothing.

        XLA compiles without holding Python's lock, so that the next program compiles while the present one trains.
        """
        if program.number not in self.compiled:
            self.compiled[program.number] = self._compiler.submit(self._compile, program, lanes_per_pack)
        return self.compiled[program.number]

    def close(self) -> None:
        """Compile nothing further."""
        self._compiler.shutdown(wait=False, cancel_futures=True)

    def _compile(self, program: Program, lanes_per_pack: int) -> batch.Compiled:
        with self._precision():
            return batch.compile_program(
                self.recipe(program),
                self.initial[program.problem],
                self.numeric(program),
                self.shapes,
                self._size(program, lanes_per_pack),
                self.mesh,
            )

    def run(self, pack: Pack, lanes_per_pack: int, progress: Progress | None = None) -> Curves:
        """Train the runs of a pack.

        Args:
            pack: the runs.
            lanes_per_pack: the most runs of a pack of its program.
            progress: told after every segment.

        Raises:
            ProblemError: if a user's function raises or returns something unfit.
        """
        began = time.perf_counter()
        try:
            compiled = self.compile(pack.program, lanes_per_pack).result()
        except LrbenchError:
            raise
        except Exception as error:
            name = self.grid.problems[pack.program.problem].name
            raise ProblemError(f"{name}: could not be compiled: {type(error).__name__}: {error}") from error
        seconds = {"compile": time.perf_counter() - began, "train": 0.0, "evaluate": 0.0}
        with self._precision():
            lanes = self._place(pack, compiled)
            rows = []
            for start, stop in zip([0, *self.grid.evaluations], self.grid.evaluations, strict=False):
                began = time.perf_counter()
                lanes.train(int(start), int(stop))
                trained = time.perf_counter()
                rows.append(lanes.evaluate(int(stop)))
                seconds["train"] += trained - began
                lanes.close_gaps()
                seconds["evaluate"] += time.perf_counter() - trained
                if progress is not None and stop:
                    progress(len(pack.runs), int(stop - start))
        curves = {"learning_rate": self._learning_rates(pack)}
        curves |= {name: np.stack([row[name] for row in rows], axis=1) for name in rows[0]}
        count = self.parameters(pack.program)
        return Curves(pack.runs, curves, lanes.diverged_step, count, seconds, lanes.saved)

    def _place(self, pack: Pack, compiled: batch.Compiled) -> batch.Batch:
        _, optimizers, rows, rates, *_, of_run = self.grid.indices(pack.runs)
        values = {
            name: np.array([variant.params.get(name, np.nan) for variant in self.grid.optimizers], float)[
                optimizers
            ]
            for name in self.numeric(pack.program)
        }
        hyper = Hyper(np.array(self.grid.learning_rates)[rates], rows.astype(np.int32), values)  # type: ignore[arg-type]
        return batch.Batch(compiled, hyper, np.array(self.grid.seeds)[of_run])

    def _learning_rates(self, pack: Pack) -> Float[np.ndarray, "run evaluation"]:
        """Return the rate that each run has at each evaluation; at the end, that of its last step."""
        _, _, rows, rates, *_ = self.grid.indices(pack.runs)
        steps = np.minimum(self.grid.evaluations, self.grid.steps - 1)
        peaks = np.array(self.grid.learning_rates)[rates]
        return peaks[:, None] * self.shapes[rows][:, steps]

    def _size(self, program: Program, lanes_per_pack: int) -> batch.Size:
        """Return a size that holds any pack of a program, so that all its packs share one compilation."""
        lanes = self.lanes_per_chunk(program)
        of_run = self.grid.indices(program.runs)[-1]
        packs = [of_run[start : start + lanes_per_pack] for start in range(0, len(of_run), lanes_per_pack)]
        return batch.Size(
            chunks=max(batch.chunks_needed(pack, self.mesh.size, lanes) for pack in packs),
            lanes=lanes,
            seeds=max(len(np.unique(pack)) for pack in packs),
            segment=self.grid.evaluate_every,
        )

    def _precision(self) -> Any:
        return jax.enable_x64(self.grid.precision == "float64")

    def _make_problem(self, variant: Variant) -> Problem:
        entry = self.study.problem[variant.choice].entry
        made = _made("problem", variant, lambda: entry.load()(**variant.params))
        if not isinstance(made, Problem):
            raise ProblemError(
                f"problem.{variant.choice}: {variant.name} returned {type(made).__name__}; it must return a Problem, "
                "as lrbench.problem(...) makes one"
            )
        return made

    def _make_shape(self, variant: Variant) -> np.ndarray:
        entry = self.study.schedule[variant.choice].entry
        return _made(
            "schedule",
            variant,
            lambda: schedules._tabulate(entry.load()(self.grid.steps, **variant.params), self.grid.steps),
        )

    def _check_optimizer(self, variant: Variant) -> None:
        entry = self.study.optimizer[variant.choice].entry
        made = _made("optimizer", variant, lambda: entry.load()(0.1, **variant.params))
        if not (hasattr(made, "init") and hasattr(made, "update")):
            raise StudyError(
                f"optimizer.{variant.choice}: {variant.name} returned {type(made).__name__}; it must return an optax "
                "GradientTransformation"
            )


@dataclass(frozen=True)
class _Optimizer:
    """An optimizer with its structure chosen: (learning rate, numeric hyper-parameters) → transformation."""

    make: Callable[..., Any]
    static: Mapping[str, Any]

    def __call__(self, learning_rate: Any, numeric: Mapping[str, Any]) -> Any:
        return self.make(learning_rate, **self.static, **numeric)


def _label(variant: Variant) -> str:
    shown = ", ".join(f"{name}={variant.params[name]}" for name in variant.shown)
    return f"{variant.name}({shown})" if shown else variant.name


def _made(kind: str, variant: Variant, make: Callable[[], Any]) -> Any:
    """Make something that a study names; what it refuses becomes one line that names the study's key."""
    try:
        return make()
    except LrbenchError as error:
        raise type(error)(f"{kind}.{variant.choice}: {variant.name}: {error}") from error
    except Exception as error:
        told = str(error) if isinstance(error, ValueError) else f"{type(error).__name__}: {error}"
        raise StudyError(f"{kind}.{variant.choice}: {variant.name}: {told}") from error
