"""The compiled programs of a study: each in the chunk size and form that is the fastest here, and that fits."""

from __future__ import annotations

import dataclasses
import math
import threading
import time
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, NamedTuple

import jax
import numpy as np
from jaxtyping import Int

from lrbench import machine
from lrbench.engine import batch, capacity
from lrbench.engine.capacity import Capacity
from lrbench.engine.lane import Hyper
from lrbench.engine.made import Made
from lrbench.engine.watch import Watch
from lrbench.errors import LrbenchError, ProblemError
from lrbench.study.grid import Program

PROBE_SECONDS = 0.2
"""How long a chunk size is timed, after one call that warms it up."""
_MOST_LANES = 65536


class _Cut(NamedTuple):
    """What a program is compiled for: how many runs are on the devices at once, in which chunks and form."""

    room: int
    lanes: int
    form: str


class Programs:
    """Compiles programs, decides how they are cut, and makes room where memory is short."""

    def __init__(self, made: Made, memory: capacity.Memory | None = None, *, watch: Watch) -> None:
        """Nothing is compiled yet."""
        self._made = made
        self._watch = watch
        self._memory = memory or capacity.Memory()
        self._compiler = ThreadPoolExecutor(1, thread_name_prefix="compile")
        self.compiled: dict[tuple[int, _Cut], Future[batch.Compiled]] = {}
        self._chosen: dict[int, Capacity] = {}
        self._decided: set[int] = set()
        self._pace: dict[int, float] = {}
        self._room: dict[int, int] = {}
        self._turn = threading.Lock()
        """Held by whoever compiles or times, so that the one does not disturb the other."""

    def capacity(self, program: Program) -> Capacity:
        """Return how a program is cut: as the study says, as was measured before, or by the rule."""
        if program.number not in self._chosen:
            self._chosen[program.number] = self._recalled(program)
        return self._chosen[program.number]

    def lanes_per_chunk(self, program: Program) -> int:
        """Return how many lanes of a program are vmapped together in this grid."""
        chosen = self.capacity(program)
        return self._lanes(program, chosen.lanes_per_chunk, chosen.how == "set")

    def pace(self, program: Program) -> float:
        """Return the seconds of one run's step, all devices at work, as it was timed now or before; 0 if it never was."""
        known = self.capacity(program).seconds_per_step
        return self._pace.get(program.number, 0.0) if math.isnan(known) else known

    def room(self, program: Program, lanes_per_pack: int) -> int:
        """Return how many runs of a pack are on the devices at once."""
        return min(self._room.get(program.number, lanes_per_pack), lanes_per_pack)

    def limit(self, program: Program, runs: int) -> None:
        """Have at most so many runs on the devices at once, as it was before the process ended."""
        self._room[program.number] = runs

    def shrink(self, program: Program, runs: int) -> int:
        """Make room after memory ran out with so many runs at once; return how many there are now.

        Raises:
            ProblemError: if a single run does not fit.
        """
        if runs <= 1:
            name = self._made.problem(program).name
            raise ProblemError(f"{name}: one run does not fit into the memory of a device")
        self._room[program.number] = runs // 2
        return runs // 2

    def compile(self, program: Program, lanes_per_pack: int) -> Future[batch.Compiled]:
        """Compile a program in the background for packs of up to so many lanes; a second call costs nothing.

        XLA compiles without holding Python's lock, so that the next program compiles while the present one trains.
        """
        chosen = self.capacity(program)
        return self._submit(program, chosen.lanes_per_chunk, chosen.form, lanes_per_pack)

    def get(self, program: Program, lanes_per_pack: int) -> batch.Compiled:
        """Return a program compiled for packs of up to so many lanes, in a size that fits into memory.

        The first time, other sizes and forms are tried if the training ahead is long enough to make up for it.

        Raises:
            ProblemError: if a user's function raises or returns something unfit.
        """
        try:
            while True:
                compiled = self.compile(program, lanes_per_pack).result()
                if self._fits(compiled):
                    break
                self.shrink(program, self.room(program, lanes_per_pack))
            if self._worth_measuring(program, compiled):
                self._measure(program, lanes_per_pack, compiled)
                compiled = self.compile(program, lanes_per_pack).result()
        except (LrbenchError, jax.errors.JaxRuntimeError):
            raise
        except Exception as error:
            name = self._made.problem(program).name
            raise ProblemError(f"{name}: could not be compiled: {type(error).__name__}: {error}") from error
        return compiled

    def learn(self, program: Program, compiled: batch.Compiled, seconds_per_step: float) -> None:
        """Remember how fast a program trained; what is known of its cut stays."""
        chosen = self.capacity(program)
        if chosen.how != "set" and math.isnan(chosen.seconds_per_step):
            self._keep(program, dataclasses.replace(chosen, seconds_per_step=seconds_per_step), compiled)

    def close(self) -> None:
        """Compile nothing further."""
        self._compiler.shutdown(wait=False, cancel_futures=True)

    # ---- choosing ----

    def _recalled(self, program: Program) -> Capacity:
        study = self._made.study
        if study.lanes_per_chunk or study.deterministic:
            return Capacity(study.lanes_per_chunk or self._rule(program), how="set")
        found = self._memory.recall(self._key(program))
        forms = ("", *self._made.problem(program).forms)
        if found is not None and found.lanes_per_chunk >= 1 and found.form in forms:
            return found
        return Capacity(self._rule(program))

    def _rule(self, program: Program) -> int:
        return capacity.first_guess(self._made.lane_bytes(program) or 1, self._platform)

    def _worth_measuring(self, program: Program, compiled: batch.Compiled) -> bool:
        """Return whether so much training lies ahead that trying other cuts costs little beside it; asked once."""
        chosen = self.capacity(program)
        if chosen.how != "rule" or program.number in self._decided:
            return False
        self._decided.add(program.number)
        pace = chosen.seconds_per_step
        if math.isnan(pace):
            pace = self._pace[program.number] = self._seconds_per_step(compiled)
        ahead = len(program.runs) * self._made.grid.steps * pace
        return ahead > capacity.WORTH_MEASURING * max(compiled.compile_seconds, capacity.COMPILE_SECONDS)

    def _measure(self, program: Program, lanes_per_pack: int, compiled: batch.Compiled) -> None:
        """Time a program in its forms and in other chunk sizes, and choose the fastest."""
        start = self.capacity(program).lanes_per_chunk
        most = min(_MOST_LANES, self.room(program, lanes_per_pack))

        def seconds(lanes: int, form: str) -> float:
            cut = self._cut(program, lanes, form, lanes_per_pack)
            try:
                tried = self._finished(program, cut)
                return self._seconds_per_step(tried) if self._fits(tried) else math.inf
            except jax.errors.JaxRuntimeError as error:
                if capacity.out_of_memory(error):
                    return math.inf
                raise

        with self._turn:
            # The first of a problem's forms is its own.
            forms = ["", *list(self._made.problem(program).forms)[1:]]
            form = min(forms, key=lambda form: seconds(start, form)) if len(forms) > 1 else ""
            lanes, pace = capacity.fastest(start, lambda lanes: seconds(lanes, form), most)
        keep = self._cut(program, lanes, form, lanes_per_pack)
        self.compiled = {
            where: future
            for where, future in self.compiled.items()
            if where[0] != program.number or where[1] == keep
        }
        self._keep(program, Capacity(lanes, form, "measured", pace), compiled)

    def _keep(self, program: Program, capacity_: Capacity, compiled: batch.Compiled) -> None:
        before = self.capacity(program).compile_seconds
        took = compiled.compile_seconds if math.isnan(before) else max(before, compiled.compile_seconds)
        self._chosen[program.number] = dataclasses.replace(capacity_, compile_seconds=took)
        self._memory.keep(self._key(program), self._chosen[program.number])

    def _seconds_per_step(self, compiled: batch.Compiled) -> float:
        """Return the seconds of one run's step, with every device at work on a full chunk."""
        size, devices = compiled.size, compiled.mesh.size
        runs = size.lanes * devices
        rates = {name: np.full(runs, 1e-6) for name in ("", *self._made.grid.named_rates)}
        numeric = {name: np.full(runs, 0.5) for name in compiled.numeric}
        hyper = Hyper(rates, np.zeros(runs, np.int32), numeric)  # type: ignore[arg-type]
        seed: Int[np.ndarray, " run"] = np.full(runs, self._made.grid.seeds[0])
        with self._made.precision():
            lanes = batch.Batch(compiled, hyper, seed)
            steps = 1
            while True:
                began = time.perf_counter()
                with self._watch.call(f"timing {steps} steps of a chunk", 0.0):
                    jax.block_until_ready(lanes.train(0, steps))
                spent = time.perf_counter() - began
                if spent >= PROBE_SECONDS / 4 or steps == size.segment:
                    break
                steps = min(size.segment, steps * 4)
            times: list[float] = [spent]
            while sum(times) < PROBE_SECONDS and len(times) < 5:
                began = time.perf_counter()
                with self._watch.call(f"timing {steps} steps of a chunk", 0.0):
                    jax.block_until_ready(lanes.train(0, steps))
                times.append(time.perf_counter() - began)
        return min(times) / steps / runs

    # ---- compiling ----

    def _submit(self, program: Program, lanes: int, form: str, lanes_per_pack: int) -> Future[batch.Compiled]:
        cut = self._cut(program, lanes, form, lanes_per_pack)

        def in_turn() -> batch.Compiled:
            with self._turn:
                return self._compile(program, cut)

        where = program.number, cut
        if where not in self.compiled:
            self.compiled[where] = self._compiler.submit(in_turn)
        return self.compiled[where]

    def _finished(self, program: Program, cut: _Cut) -> batch.Compiled:
        """Return a program in a certain cut, compiled by the caller, whose turn it is."""
        where = program.number, cut
        if where not in self.compiled or not self.compiled[where].done():
            self.compiled[where] = Future()
            self.compiled[where].set_result(self._compile(program, cut))
        return self.compiled[where].result()

    def _cut(self, program: Program, lanes: int, form: str, lanes_per_pack: int) -> _Cut:
        room = self.room(program, lanes_per_pack)
        exact = self.capacity(program).how == "set"
        return _Cut(room, self._lanes(program, min(lanes, room), exact), form)

    def _compile(self, program: Program, cut: _Cut) -> batch.Compiled:
        made = self._made
        with made.precision():
            return batch.compile_program(
                made.recipe(program, cut.form),
                made.initial[program.problem],
                ("", *made.grid.named_rates),
                made.numeric(program),
                made.schedules,
                self._size(program, cut),
                made.mesh,
            )

    def _size(self, program: Program, cut: _Cut) -> batch.Size:
        """Return a size that holds any pack of a program, so that all its packs share one compilation."""
        of_run = self._made.grid.positions(program.runs)["seed"]
        packs = [of_run[start : start + cut.room] for start in range(0, len(of_run), cut.room)]
        # A program for more chunks is another one, which may round otherwise.
        devices = 1 if self._made.study.deterministic else self._made.mesh.size
        return batch.Size(
            chunks=max(batch.chunks_needed(pack, devices, cut.lanes) for pack in packs),
            lanes=cut.lanes,
            seeds=max(len(np.unique(pack)) for pack in packs),
            segment=self._made.grid.evaluate_every,
        )

    def _fits(self, compiled: batch.Compiled) -> bool:
        device = self._made.mesh.devices.flat[0]
        share = self._made.mesh.size if device.platform == "cpu" else 1
        return compiled.needed_bytes * share <= capacity.free_bytes(device)

    # ---- small things ----

    def _lanes(self, program: Program, most: int, exact: bool) -> int:
        if exact:
            return most
        seeds = len(self._made.grid.seeds)
        per_seed = min(len(program.runs) // seeds, capacity.most_per_pack(self._platform))
        return capacity.fitting(most, per_seed, seeds, self._made.mesh.size)

    @property
    def _platform(self) -> str:
        platform: str = self._made.mesh.devices.flat[0].platform
        return platform

    def _key(self, program: Program) -> dict[str, Any]:
        """Return what an answer holds for: the program, the devices, the versions."""
        grid, device = self._made.grid, self._made.mesh.devices.flat[0]
        optimizer = grid.optimizers[program.optimizers[0]]
        return {
            "problem": grid.problems[program.problem].identity,
            "optimizer": [optimizer.name, optimizer.source, *optimizer.structure[3:]],
            "precision": grid.precision,
            "device": [device.platform, device.device_kind, self._made.mesh.size],
            "machine": machine.processor() if device.platform == "cpu" else "",
            "versions": [machine.version("lrbench"), jax.__version__],
        }
