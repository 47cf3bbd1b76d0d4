"""How many lanes a chunk has: set by the study, measured before on this machine, or by a rule, and then measured if it pays."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Sequence
from typing import Any

import jax

from lrbench import machine
from lrbench.engine import device_memory
from lrbench.engine.instances import Instances
from lrbench.engine.tuning_cache import Tuning, TuningCache
from lrbench.study.grid import Program

CACHE_BYTES = 640 * 1024
"""How much of a core's cache the lanes of a chunk may take: parameters, optimizer state and gradients."""
WORTH_MEASURING = 40
"""Other chunk sizes are timed where a program trains at least this many times as long as it compiles."""
COMPILE_SECONDS = 2.5
"""The time to compile a small program on a desktop core; a cached compilation takes less, and is counted as this."""
BETTER = 0.97
"""A size must take at most this share of another's time to be preferred to it."""
MOST_LANES = 65536
"""The largest chunk that is timed."""


def rule(bytes_per_lane: int, platform: str) -> int:
    """Return the lanes per chunk to start with: on a CPU as many as keep their state in cache, elsewhere 1,024."""
    if platform != "cpu":
        return 1024
    return max(1, min(16, 2 ** int(math.log2(max(1, CACHE_BYTES / bytes_per_lane)))))


def with_fewest_empty_lanes(most: int, shapes: Sequence[tuple[int, int]], devices: int) -> int:
    """Return the chunk size, from half of `most` on, that leaves the fewest lanes empty.

    Lanes of a chunk share their seed, so that the last chunk of each seed is rarely full.

    Args:
        most: the most lanes of a chunk.
        shapes: of each stage the lanes of a seed, and the seeds.
        devices: how many there are.

    >>> with_fewest_empty_lanes(16, [(16, 3)], 1), with_fewest_empty_lanes(16, [(16, 3), (10, 10)], 1)
    (16, 10)
    """

    def lanes(size: int) -> int:
        return sum(-(-seeds * -(-each // size) // devices) * size for each, seeds in shapes)

    return min(range(-(-most // 2), most + 1), key=lambda size: (lanes(size), -size))


def fastest(start: int, seconds: Callable[[int], float], most: int) -> tuple[int, float]:
    """Return the chunk size, start × a power of two, at which a run's step takes the least time, and that time.

    Walks up from `start` while it gets faster, or else down, so that few sizes are timed.

    Args:
        start: lanes per chunk to start with.
        seconds: lanes per chunk → seconds of one run's step; infinite where it does not fit into memory.
        most: the largest size to try.

    >>> fastest(8, lambda lanes: abs(lanes - 2) + 1.0, 64)
    (2, 1.0)
    """
    best, time = start, seconds(start)
    for factor in (2.0, 0.5):
        while 1 <= (size := int(best * factor)) <= most and (found := seconds(size)) <= BETTER * time:
            best, time = size, found
        if best != start:
            break
    return best, time


class Tuner:
    """Chooses lanes per chunk and form of the programs of a study, and stores what was measured."""

    def __init__(self, instances: Instances, cache: TuningCache | None = None) -> None:
        """Choose nothing yet."""
        self._instances = instances
        self._cache = cache or TuningCache()
        self._tunings: dict[int, Tuning] = {}
        self._considered: set[int] = set()
        self._pace: dict[int, float] = {}

    def tuning(self, program: Program) -> Tuning:
        """Return the tuning of a program: as the study sets it, as was measured before, or by the rule."""
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
        longest = device_memory.most_per_pack(self._platform)
        shapes = [(min(lanes, longest), seeds) for lanes, seeds in self._instances.shapes(program)]
        return with_fewest_empty_lanes(most, shapes, self._instances.mesh.size)

    def pace(self, program: Program) -> float:
        """Return the seconds of one run's step, all devices at work, as timed now or before; 0 if it never was."""
        known = self.tuning(program).seconds_per_step
        return self._pace.get(program.number, 0.0) if math.isnan(known) else known

    def worth_measuring(
        self, program: Program, compile_seconds: float, seconds_per_step: Callable[[], float]
    ) -> bool:
        """Return whether the training ahead is so long that timing other sizes costs little; at most once `True`.

        Args:
            program: one of the grid.
            compile_seconds: the time that compiling it took.
            seconds_per_step: times one run's step.
        """
        tuning = self.tuning(program)
        if tuning.how != "rule" or program.number in self._considered:
            return False
        self._considered.add(program.number)
        pace = tuning.seconds_per_step
        if math.isnan(pace):
            pace = self._pace[program.number] = seconds_per_step()
        runs = sum(lanes * seeds for lanes, seeds in self._instances.shapes(program))
        ahead = runs * self._instances.grid.steps_of(program.problem) * pace
        return ahead > WORTH_MEASURING * max(compile_seconds, COMPILE_SECONDS)

    def measure(self, program: Program, seconds: Callable[[int, str], float], most: int) -> Tuning:
        """Time a program in its forms, then the fastest form in other chunk sizes; return the fastest.

        Args:
            program: one of the grid.
            seconds: (lanes per chunk, form) → seconds of one run's step; infinite where it does not fit into memory.
            most: the largest size to try.
        """
        start = self.tuning(program).lanes_per_chunk
        # The first of a problem's forms is its own.
        forms = ["", *list(self._instances.problem(program).forms)[1:]]
        form = min(forms, key=lambda form: seconds(start, form)) if len(forms) > 1 else ""
        lanes, pace = fastest(start, lambda lanes: seconds(lanes, form), min(MOST_LANES, most))
        return Tuning(lanes, form, "measured", pace)

    def record(self, program: Program, tuning: Tuning, compile_seconds: float) -> None:
        """Use and store a tuning of a program that took so long to compile."""
        before = self.tuning(program).compile_seconds
        longest = compile_seconds if math.isnan(before) else max(before, compile_seconds)
        self._tunings[program.number] = dataclasses.replace(tuning, compile_seconds=longest)
        self._cache.store(self._key(program), self._tunings[program.number])

    def record_pace(self, program: Program, seconds_per_step: float, compile_seconds: float) -> None:
        """Store how fast a program trained, unless that is known."""
        tuning = self.tuning(program)
        if tuning.how != "set" and math.isnan(tuning.seconds_per_step):
            timed = dataclasses.replace(tuning, seconds_per_step=seconds_per_step)
            self.record(program, timed, compile_seconds)

    def _initial(self, program: Program) -> Tuning:
        study = self._instances.study
        if study.lanes_per_chunk or study.deterministic:
            return Tuning(study.lanes_per_chunk or self._rule(program), how="set")
        found = self._cache.load(self._key(program))
        forms = ("", *self._instances.problem(program).forms)
        if found is not None and found.lanes_per_chunk >= 1 and found.form in forms:
            return found
        return Tuning(self._rule(program))

    def _rule(self, program: Program) -> int:
        return rule(self._instances.lane_bytes(program) or 1, self._platform)

    @property
    def _platform(self) -> str:
        platform: str = self._instances.mesh.devices.flat[0].platform
        return platform

    def _key(self, program: Program) -> dict[str, Any]:
        """Return what a tuning is valid for: the program, the devices, the versions."""
        grid, mesh = self._instances.grid, self._instances.mesh
        device, optimizer = mesh.devices.flat[0], grid.optimizers[program.optimizers[0]]
        return {
            "problem": grid.problems[program.problem].identity,
            "optimizer": [optimizer.name, optimizer.source, *optimizer.structure[3:]],
            "precision": grid.precision,
            "device": [device.platform, device.device_kind, mesh.size],
            "machine": machine.processor() if device.platform == "cpu" else "",
            "versions": [machine.version("lrbench"), jax.__version__],
        }
