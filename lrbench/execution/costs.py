"""What programs cost on this machine: measured when they last ran here, or else estimated from their operations."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lrbench.engine.pack import Engine
    from lrbench.study.grid import Pack

STEP_SECONDS = 3e-6
"""What a step of a small model costs beside its matrix products."""
_SIDE = 256
"""Rows of the small matrices whose products are timed."""


@dataclass(frozen=True)
class Cost:
    """What a program costs, all devices at work.

    Args:
        compile_seconds: once in each process.
        seconds_per_run: of training.
        measured: whether the training was measured, rather than estimated.
    """

    compile_seconds: float
    seconds_per_run: float
    measured: bool


def of_programs(engine: Engine) -> list[Cost]:
    """Return what each program of a grid costs; nothing is compiled or trained.

    Times are those that a program took when it last ran on this machine. For one that never did, the estimate takes the
    floating-point operations of a step, as XLA counts them, over the speed at which one device multiplies small
    matrices, measured here and now.
    """
    from lrbench.engine import capacity, products

    programs = engine.grid.programs
    known = [engine.programs.capacity(program) for program in programs]
    pace = math.inf
    if any(math.isnan(each.seconds_per_step) for each in known):
        pace = products.flops_per_second(_SIDE, [engine.mesh.devices.flat[0]])
    costs = []
    for program, found in zip(programs, known, strict=True):
        measured = not math.isnan(found.seconds_per_step)
        step = found.seconds_per_step
        if not measured:
            step = (engine.made.flops(program) / pace + STEP_SECONDS) / engine.mesh.size
        unknown = math.isnan(found.compile_seconds)
        compiling = capacity.COMPILE_SECONDS if unknown else found.compile_seconds
        costs.append(Cost(compiling, step * engine.grid.steps, measured))
    return costs


def of_packs(each: Sequence[Cost], packs: Sequence[Pack]) -> list[float]:
    """Return what packs cost, in seconds of this machine; compiling is counted at the first pack of each program.

    Args:
        each: what each program of the grid costs.
        packs: some packs of the grid.
    """
    found = [each[pack.program].seconds_per_run * len(pack.runs) for pack in packs]
    first = {pack.program: number for number, pack in reversed(list(enumerate(packs)))}
    for program, number in first.items():
        found[number] += each[program].compile_seconds
    return found
