"""The estimated cost of programs: on this machine, measured when they last ran here or else from their operations; and on any machine alike."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lrbench.engine.engine import Engine
    from lrbench.study.grid import Grid, Pack

STEP_SECONDS = 3e-6
"""The overhead of a step of a small model, in seconds."""
STEP_OPERATIONS = 20_000
"""The same overhead in operations, of which a core does so many in that time on small matrices."""
_SIDE = 256
"""Rows of the small matrices whose products are timed."""


@dataclass(frozen=True)
class CostEstimate:
    """The estimated cost of a program, with all devices at work.

    Args:
        compile_seconds: once in each process.
        seconds_per_run: of training.
        measured: whether `seconds_per_run` was measured on this machine, rather than counted.
    """

    compile_seconds: float
    seconds_per_run: float
    measured: bool


UNKNOWN = CostEstimate(math.nan, math.nan, measured=False)
"""That of a program on devices that are not here."""


def of_programs(engine: Engine) -> list[CostEstimate]:
    """Return the estimated cost of each program of a grid; nothing is compiled or trained.

    Times are those that a program took when it last ran on this machine. For one that never ran, they are the
    floating-point operations of a step, as XLA counts them, divided by the speed at which one device multiplies small
    matrices, which is measured for this call.
    """
    from lrbench.engine import matmul, tuner

    programs = engine.grid.programs
    known = [engine.tuner.tuning(program) for program in programs]
    pace = math.inf
    if any(math.isnan(each.seconds_per_step) for each in known):
        pace = matmul.flops_per_second(_SIDE, [engine.mesh.devices.flat[0]])
    estimates = []
    for program, found in zip(programs, known, strict=True):
        measured = not math.isnan(found.seconds_per_step)
        step = found.seconds_per_step
        if not measured:
            step = (engine.instances.flops(program) / pace + STEP_SECONDS) / engine.mesh.size
        unknown = math.isnan(found.compile_seconds)
        compiling = tuner.COMPILE_SECONDS if unknown else found.compile_seconds
        estimates.append(CostEstimate(compiling, step * engine.grid.steps_of(program.problem), measured))
    return estimates


def of_runs(engine: Engine, grid: Grid) -> list[float]:
    """Return the estimated cost of a run of each program, in operations: the same on every machine, since nothing is measured.

    Counted are the gradients of its steps and what the probes take at its evaluations, from their traces.

    Args:
        engine: of the study.
        grid: the runs of some of its stages.
    """
    found = []
    for program in grid.programs:
        gradient = engine.instances.gradient_operations(program)
        probes = sum(engine.instances.probe_gradients(program).values())
        steps, evaluations = grid.steps_of(program.problem), len(grid.evaluations(program.problem))
        cost = steps * (gradient + STEP_OPERATIONS) + evaluations * probes * gradient
        found.append(float(f"{cost:.6g}"))  # the last digits of a sum must not move a cut
    return found


def of_packs(each: Sequence[CostEstimate], packs: Sequence[Pack]) -> list[float]:
    """Return the estimated cost of packs, in seconds on this machine; compiling is counted with the first pack of each program.

    Args:
        each: the estimate of each program of the grid.
        packs: some packs of the grid.
    """
    found = [each[pack.program].seconds_per_run * len(pack.runs) for pack in packs]
    first = {pack.program: number for number, pack in reversed(list(enumerate(packs)))}
    for program, number in first.items():
        found[number] += each[program].compile_seconds
    return found
