"""How programs are compiled for speed: as the study sets it, as a results folder keeps it, as was measured on this machine, or by a rule.

What is measured is chosen before the first part of a program is written, and the manifest keeps it: later commands on the same kind of
machine compile the program alike, so that the noise of timing never changes a table.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import jax

from lrbench import machine
from lrbench.engine import device_memory, lanes_per_chunk, xla_options
from lrbench.engine.device_memory import Target
from lrbench.engine.instances import Instances
from lrbench.engine.tuning_cache import Tuning, TuningCache
from lrbench.study.grid import Program
from lrbench.study.spec import MOST_LANES

WORTH_MEASURING = 40
"""Alternatives are timed where a program trains at least this many times as long as it compiles."""
COMPILE_SECONDS = 2.5
"""The time to compile a small program on a desktop core; a cached compilation takes less, and is counted as this."""
BETTER = 0.97
"""An alternative must take at most this share of another's time to be preferred to it."""
_ROUNDS = 3
"""How often two tunings are timed in turn: a disturbance then meets both."""


def preferred(alternatives: Sequence[Tuning], seconds: Callable[[Tuning], float]) -> Tuning:
    """Return the first of some tunings, or one that is faster, by a clear margin, than it and those between.

    Args:
        alternatives: the tunings.
        seconds: tuning → seconds of one run's step; infinite where it does not fit into memory.
    """
    best = alternatives[0]
    for other in alternatives[1:]:
        rounds = [(seconds(best), seconds(other)) for _ in range(_ROUNDS)]
        of_best, of_other = map(min, zip(*rounds, strict=True))
        best = other if of_other <= BETTER * of_best else best
    return best


def in_chunks(start: Tuning, seconds: Callable[[Tuning], float], most: int) -> Tuning:
    """Return a tuning with the preferred chunk size, that of `start` × a power of two.

    Walks up while it gets faster, or else down, so that few sizes are timed.

    Args:
        start: the tuning to begin with.
        seconds: as of `preferred`.
        most: the largest size to try.

    >>> in_chunks(Tuning(8), lambda tuning: abs(tuning.lanes_per_chunk - 2) + 1.0, 64).lanes_per_chunk
    2
    """
    best = start
    for factor in (2.0, 0.5):
        while 1 <= (size := int(best.lanes_per_chunk * factor)) <= most:
            other = replace(best, lanes_per_chunk=size)
            if preferred([best, other], seconds) is best:
                break
            best = other
        if best is not start:
            break
    return best


class Tuner:
    """Chooses form, options of XLA and lanes per chunk of the programs of a study, and stores what was measured.

    Args:
        instances: what the study names.
        cache: what was measured on this machine.
        kept: how programs were compiled before, as the manifest has it; on the same kind of machine they are compiled alike again.
        measures: whether anything may be measured now.
        measured: called once the tuning of a program was measured.
        target: the devices that programs are for; left out, those of the instances.
    """

    def __init__(
        self,
        instances: Instances,
        cache: TuningCache | None = None,
        *,
        kept: Sequence[Mapping[str, Any]] = (),
        measures: bool = True,
        measured: Callable[[], None] = lambda: None,
        target: Target | None = None,
    ) -> None:
        """Choose nothing yet."""
        self._instances = instances
        self._cache = cache or TuningCache()
        self._kept, self._measures, self._measured = kept, measures, measured
        mesh = instances.mesh
        device, self._devices = target or (mesh.devices.flat[0], mesh.size)
        self._platform: str = device.platform
        self._machine = {
            "platform": device.platform,
            "device": device.device_kind,
            "processor": machine.processor() if device.platform == "cpu" else "",
            "jax": jax.__version__,
        }
        """The kind of machine; a tuning is good for any number of its devices."""
        self._cache_bytes = machine.level_2_bytes() if device.platform == "cpu" else 0
        self._here = {record["program"]: record for record in kept if record["machine"] == self._machine}
        self._tunings: dict[int, Tuning] = {}
        self._considered: set[int] = set()
        self._pace: dict[int, float] = {}

    def tuning(self, program: Program) -> Tuning:
        """Return the tuning of a program."""
        if program.number not in self._tunings:
            self._tunings[program.number] = self._initial(program)
        return self._tunings[program.number]

    def lanes_per_chunk(self, program: Program, most: int | None = None) -> int:
        """Return how many lanes of a program are vmapped together in this grid.

        Args:
            program: one of the grid.
            most: the most lanes of a chunk; left out, those of the program's tuning.
        """
        tuning = self.tuning(program)
        most = most or tuning.lanes_per_chunk
        if tuning.how == "set":
            return most
        shapes, least = self._shapes(program), self._few(program)
        return lanes_per_chunk.fitting(most, least, shapes, self._devices)

    def pace(self, program: Program) -> float:
        """Return the seconds of one run's step, all devices at work, as timed now or before; 0 if it never was."""
        known = self.tuning(program).seconds_per_step
        return self._pace.get(program.number, 0.0) if math.isnan(known) else known

    def worth_measuring(
        self, program: Program, compile_seconds: float, seconds_per_step: Callable[[], float]
    ) -> bool:
        """Return whether the training ahead is so long that timing alternatives costs little; at most once `True`.

        Args:
            program: one of the grid.
            compile_seconds: the time that compiling it took.
            seconds_per_step: times one run's step.
        """
        tuning = self.tuning(program)
        if tuning.how != "rule" or not self._measures or program.number in self._considered:
            return False
        self._considered.add(program.number)
        if self._record_of(program) is not None:
            return False
        pace = tuning.seconds_per_step
        if math.isnan(pace):
            pace = self._pace[program.number] = seconds_per_step()
        runs = sum(lanes * seeds for lanes, seeds in self._instances.shapes(program))
        ahead = runs * self._instances.grid.steps_of(program.problem) * pace
        return ahead > WORTH_MEASURING * max(compile_seconds, COMPILE_SECONDS)

    def measure(self, program: Program, seconds: Callable[[Tuning], float], most: int) -> Tuning:
        """Time a program in its forms, then with options of XLA, then in other chunk sizes; return the fastest.

        Args:
            program: one of the grid.
            seconds: tuning → seconds of one run's step; infinite where it does not fit into memory.
            most: the largest chunk to try.
        """
        least: dict[tuple[int, str, str], float] = {}

        def timed(tuning: Tuning) -> float:
            """Time a tuning once more; the least of its times is the least disturbed."""
            least[tuning.choice] = min(least.get(tuning.choice, math.inf), seconds(tuning))
            return least[tuning.choice]

        # The first of a problem's forms is its own.
        forms = ["", *list(self._instances.problem(program).forms)[1:]]
        start = self.tuning(program).lanes_per_chunk
        found = preferred([Tuning(start, form) for form in forms], timed)
        for name in xla_options.accepted(self._platform):
            more = f"{found.options}+{name}" if found.options else name
            found = preferred([found, replace(found, options=more)], timed)
        found = in_chunks(found, timed, min(MOST_LANES, most))
        return replace(found, how="measured", seconds_per_step=timed(found))

    def record(self, program: Program, tuning: Tuning, compile_seconds: float) -> None:
        """Use and store a tuning of a program that took so long to compile."""
        before = self.tuning(program)
        known = before.compile_seconds
        longest = compile_seconds if math.isnan(known) else max(known, compile_seconds)
        now = self._tunings[program.number] = replace(tuning, compile_seconds=longest)
        cached = self._cached(program)
        # What one folder keeps is not what other studies start from, where that was measured.
        if cached is None or self._record_of(program) is None or cached.choice == now.choice:
            self._cache.store(self._key(program), now)
        if before.how != now.how:
            self._measured()

    def record_pace(self, program: Program, seconds_per_step: float, compile_seconds: float) -> None:
        """Store how fast a program trained, unless that is known."""
        tuning = self.tuning(program)
        if tuning.how != "set" and math.isnan(tuning.seconds_per_step):
            timed = replace(tuning, seconds_per_step=seconds_per_step)
            self.record(program, timed, compile_seconds)

    def records(self) -> list[dict[str, Any]]:
        """Return how programs are compiled, for the manifest: the grid's on this kind of machine, and all else that it had."""
        programs = [program for program in self._instances.grid.programs if self.tuning(program).how != "set"]
        own = [self._record(program) for program in programs]
        names = {record["program"] for record in own}
        others = [
            dict(record)
            for record in self._kept
            if record["machine"] != self._machine or record["program"] not in names
        ]
        return others + own

    def _record(self, program: Program) -> dict[str, Any]:
        grid, tuning = self._instances.grid, self.tuning(program)
        return {
            "program": grid.program_id(program),
            "problem": grid.problems[program.problem].name,
            "optimizer": grid.optimizers[program.optimizers[0]].name,
            "machine": self._machine,
            "lanes_per_chunk": tuning.lanes_per_chunk,
            "form": tuning.form,
            "options": tuning.options,
            "chosen": tuning.how,
        }

    def _record_of(self, program: Program) -> Tuning | None:
        """Return how a program was compiled before, on this kind of machine; `None` if it was not, or cannot be any more."""
        record = self._here.get(self._instances.grid.program_id(program))
        if record is None:
            return None
        choice = (record[part] for part in ("lanes_per_chunk", "form", "options", "chosen"))
        return self._valid(program, Tuning(*choice))

    def _initial(self, program: Program) -> Tuning:
        study = self._instances.study
        if study.lanes_per_chunk or study.deterministic:
            return Tuning(study.lanes_per_chunk or self._by_state(program), how="set")
        cached, kept = self._cached(program), self._record_of(program)
        if kept is not None:
            # How fast it is was measured for the tuning that is cached.
            return cached if cached is not None and cached.choice == kept.choice else kept
        if cached is not None and cached.how == "measured":
            return cached
        # The rule depends on the grid, which may have been another one.
        return replace(cached or Tuning(1), lanes_per_chunk=self._rule(program))

    def _cached(self, program: Program) -> Tuning | None:
        return self._valid(program, self._cache.load(self._key(program)))

    def _valid(self, program: Program, found: Tuning | None) -> Tuning | None:
        """Return a tuning, unless the program has no such form, or XLA no such options."""
        if found is None or found.lanes_per_chunk < 1:
            return None
        if found.form not in ("", *self._instances.problem(program).forms):
            return None
        return found if xla_options.are_accepted(found.options, self._platform) else None

    def _rule(self, program: Program) -> int:
        """Return the lanes per chunk by rule: by what a step touches or, where the grid has lanes for larger chunks of a tiny problem, by the cache."""
        most = max(each for each, _ in self._shapes(program)) // lanes_per_chunk.CHUNKS
        large = lanes_per_chunk.by_cache(self._working_bytes(program), self._cache_bytes)
        return max(self._few(program), min(large, most))

    def _few(self, program: Program) -> int:
        """Return the lanes of a chunk in any grid."""
        if self._platform != "cpu":
            return self._by_state(program)
        return lanes_per_chunk.few(self._working_bytes(program), self._cache_bytes)

    def _working_bytes(self, program: Program) -> int:
        """Return the bytes that a step of a run touches; as many as make no difference if a user's function raises."""
        instances = self._instances
        return (instances.lane_bytes(program) or 1) + instances.activation_bytes(program)

    def _by_state(self, program: Program) -> int:
        return lanes_per_chunk.by_state(self._instances.lane_bytes(program) or 1, self._platform)

    def _shapes(self, program: Program) -> list[tuple[int, int]]:
        """Return the lanes of a seed on the devices at once, and the seeds, of each stage."""
        longest = device_memory.most_per_pack(self._platform)
        return [(min(lanes, longest), seeds) for lanes, seeds in self._instances.shapes(program)]

    def _key(self, program: Program) -> dict[str, Any]:
        """Return what a cached tuning is valid for: the program, the devices, the versions."""
        return {
            "program": self._instances.grid.program_id(program),
            "machine": self._machine,
            "devices": self._devices,
            "lrbench": machine.version("lrbench"),
        }
