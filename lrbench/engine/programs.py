"""The compiled programs of a study: compiled in the background, and in a size that fits into memory."""

from __future__ import annotations

import contextlib
import math
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, NamedTuple

import jax
import numpy as np

from lrbench import machine
from lrbench.engine import device_memory, layout, timing, xla_program
from lrbench.engine.instances import Instances
from lrbench.engine.layout import Size
from lrbench.engine.tuner import Tuner
from lrbench.engine.tuning_cache import Tuning
from lrbench.engine.watchdog import Watchdog
from lrbench.engine.xla_program import CompiledProgram, Executable, Inputs
from lrbench.errors import LrbenchError, ProblemError
from lrbench.study.grid import Program

_THREADS = 2
"""How many programs compile at once, where there are so many cores: XLA uses more than one for a part of each."""


class Build(NamedTuple):
    """What a program is compiled for: how many runs are on the devices at once, in which chunks, form and options of XLA."""

    runs: int
    lanes: int
    form: str
    options: str


class Turns:
    """Programs compile side by side, and are timed alone, so that neither disturbs the other."""

    def __init__(self, most: int) -> None:
        """Let at most so many compile at once."""
        self._most = most
        self._free = threading.Semaphore(most)
        self._next = threading.Lock()

    @contextlib.contextmanager
    def compiling(self) -> Iterator[None]:
        """Wait until no program is timed."""
        with self._next:
            self._free.acquire()
        try:
            yield
        finally:
            self._free.release()

    @contextlib.contextmanager
    def timing(self) -> Iterator[None]:
        """Wait until none compiles; none begins to meanwhile."""
        with self._next:
            for _ in range(self._most):
                self._free.acquire()
            try:
                yield
            finally:
                self._free.release(self._most)


class Programs:
    """Compiles programs, has them tuned, and reduces how many runs are on the devices at once where memory is short."""

    def __init__(self, instances: Instances, tuner: Tuner, watchdog: Watchdog) -> None:
        """Compile nothing yet."""
        self._instances, self._tuner, self._watchdog = instances, tuner, watchdog
        threads = min(_THREADS, machine.cores())
        self._compiler = ThreadPoolExecutor(threads, thread_name_prefix="compile")
        self.compiled: dict[tuple[int, Build], Future[CompiledProgram]] = {}
        self._evaluations: dict[tuple[Any, ...], Future[Executable]] = {}
        self._at_once: dict[int, int] = {}
        self._turns = Turns(threads)

    def runs_at_once(self, program: Program, lanes_per_pack: int) -> int:
        """Return how many runs of a pack are on the devices at once."""
        return min(self._at_once.get(program.number, lanes_per_pack), lanes_per_pack)

    def limit(self, program: Program, runs: int) -> None:
        """Set how many runs are on the devices at once, as it was before the process ended."""
        self._at_once[program.number] = runs

    def halve(self, program: Program, runs: int) -> None:
        """Have half as many runs on the devices at once, after memory ran out with so many.

        Raises:
            ProblemError: if a single run does not fit.
        """
        if runs <= 1:
            name = self._instances.problem(program).name
            raise ProblemError(f"{name}: one run does not fit into the memory of a device")
        self._at_once[program.number] = runs // 2

    def compile(self, program: Program, lanes_per_pack: int) -> Future[CompiledProgram]:
        """Compile a program in the background for packs of up to so many lanes; a second call costs nothing.

        XLA compiles without holding Python's lock, so that the next programs compile while the present one trains.
        """
        build = self._build(program, self._tuner.tuning(program), lanes_per_pack)

        def training(inputs: Inputs) -> CompiledProgram:
            with self._turns.compiling(), self._instances.precision():
                return xla_program.compile_training(inputs)

        return self._complete(program, build, training)

    def get(self, program: Program, lanes_per_pack: int) -> CompiledProgram:
        """Return a program compiled for packs of up to so many lanes, in a size that fits into memory.

        The first time, other forms, options and chunk sizes are timed if the training ahead is long enough to make up for it.

        Raises:
            ProblemError: if a user's function raises or returns something invalid.
        """
        try:
            while not self._fits(compiled := self.compile(program, lanes_per_pack).result()):
                self.halve(program, self.runs_at_once(program, lanes_per_pack))
            seconds = compiled.compile_seconds
            if self._tuner.worth_measuring(program, seconds, lambda: self._seconds_per_step(compiled)):
                self._tune(program, lanes_per_pack, seconds)
                return self.compile(program, lanes_per_pack).result()
        except (LrbenchError, jax.errors.JaxRuntimeError):
            raise
        except Exception as error:
            name = self._instances.problem(program).name
            raise ProblemError(f"{name}: could not be compiled: {type(error).__name__}: {error}") from error
        return compiled

    def close(self) -> None:
        """Compile nothing further."""
        self._compiler.shutdown(wait=False, cancel_futures=True)

    def _tune(self, program: Program, lanes_per_pack: int, compile_seconds: float) -> None:
        """Have the tuner time a program in other forms, options and chunk sizes, and drop all builds but the fastest."""
        builds = {
            build: future.result()
            for (number, build), future in self.compiled.items()
            if number == program.number
        }

        def seconds(tuning: Tuning) -> float:
            build = self._build(program, tuning, lanes_per_pack)
            try:
                if build not in builds:
                    builds[build] = self._compile(program, build)
                return self._seconds_per_step(builds[build]) if self._fits(builds[build]) else math.inf
            except (
                NotImplementedError
            ):  # JAX has no rule for this form, such as under the `vmap` over examples of dpsgd
                return math.inf
            except jax.errors.JaxRuntimeError as error:
                if device_memory.is_out_of_memory(error):
                    return math.inf
                raise

        with self._turns.timing():
            tuning = self._tuner.measure(program, seconds, self.runs_at_once(program, lanes_per_pack))
        fastest = self._build(program, tuning, lanes_per_pack)
        self.compiled = {
            key: future
            for key, future in self.compiled.items()
            if key[0] != program.number or key[1] == fastest
        }
        if fastest in builds:
            self._complete(program, fastest, lambda _: builds[fastest])
        self._tuner.record(program, tuning, compile_seconds)

    def _build(self, program: Program, tuning: Tuning, lanes_per_pack: int) -> Build:
        runs = self.runs_at_once(program, lanes_per_pack)
        lanes = self._tuner.lanes_per_chunk(program, min(tuning.lanes_per_chunk, runs))
        return Build(runs, lanes, tuning.form, tuning.options)

    def _complete(
        self, program: Program, build: Build, training: Callable[[Inputs], CompiledProgram]
    ) -> Future[CompiledProgram]:
        """Return a build of a program, its training compiled in the background and its evaluation beside it."""
        key = program.number, build
        if key in self.compiled:
            return self.compiled[key]
        try:
            # Submitted first, so that a thread that waits for it waits for one that runs.
            inputs = self._inputs(program, build)
            evaluation = self._evaluation(program, build.form, inputs)
        except LrbenchError as error:  # of the user's code, which fails its own packs alone
            self.compiled[key] = Future()
            self.compiled[key].set_exception(error)
            return self.compiled[key]

        def complete() -> CompiledProgram:
            trained = training(inputs)
            with self._turns.compiling(), self._instances.precision():
                probe = xla_program.compile_probe(inputs)
            return trained.with_evaluation(evaluation.result(), probe)

        self.compiled[key] = self._compiler.submit(complete)
        return self.compiled[key]

    def _evaluation(self, program: Program, form: str, inputs: Inputs) -> Future[Executable]:
        """Return what evaluates a program, compiled in the background: once for all optimizers that it does not depend on."""
        key = program.problem, program.number if inputs.whole else None, inputs.size, form

        def compile_evaluation() -> Executable:
            with self._turns.compiling(), self._instances.precision():
                return xla_program.compile_evaluation(inputs)

        if key not in self._evaluations:
            self._evaluations[key] = self._compiler.submit(compile_evaluation)
        return self._evaluations[key]

    def _compile(self, program: Program, build: Build) -> CompiledProgram:
        with self._instances.precision():
            return xla_program.compile_training(self._inputs(program, build))

    def _inputs(self, program: Program, build: Build) -> Inputs:
        """Return what the programs of a build take."""
        instances = self._instances
        with instances.precision():
            return Inputs(
                recipe=instances.recipe(program, build.form),
                split=instances.probe_split(program),
                initial=instances.initial[program.problem],
                rates=("", *instances.grid.named_rates),
                numeric=instances.numeric(program),
                data=instances.data(program),
                schedules=instances.schedules(instances.longest(program)),
                size=self._size(program, build),
                mesh=instances.mesh,
                options=build.options,
            )

    def _size(self, program: Program, build: Build) -> Size:
        """Return a size that is enough for any pack of a program, so that all its packs share one compilation."""
        study, grid, mesh = self._instances.study, self._instances.grid, self._instances.mesh
        seeds = [np.repeat(np.arange(count), lanes) for lanes, count in self._instances.shapes(program)]
        packs = [
            seed[start : start + build.runs] for seed in seeds for start in range(0, len(seed), build.runs)
        ]
        # A program for more chunks is another one, which may round differently.
        devices = 1 if study.deterministic else mesh.size
        return Size(
            chunks=max(layout.chunks_per_device(pack, devices, build.lanes) for pack in packs),
            lanes=build.lanes,
            seeds=max(len(np.unique(pack)) for pack in packs),
            segment=grid.every_of(program.problem),
        )

    def _fits(self, compiled: CompiledProgram) -> bool:
        mesh = self._instances.mesh
        device = mesh.devices.flat[0]
        share = mesh.size if device.platform == "cpu" else 1
        return compiled.needed_bytes * share <= device_memory.free_bytes(device)

    def _seconds_per_step(self, compiled: CompiledProgram) -> float:
        return timing.seconds_per_step(compiled, self._instances, self._watchdog)
