"""How long a step of a compiled program takes, timed on the devices."""

from __future__ import annotations

import time

import jax
import numpy as np
from jaxtyping import Int

from lrbench.engine.instances import Instances
from lrbench.engine.lane import Hyper
from lrbench.engine.lane_batch import LaneBatch
from lrbench.engine.watchdog import Watchdog
from lrbench.engine.xla_program import CompiledProgram

SECONDS = 0.2
"""How long a program is timed, after one call that warms it up."""
_CALLS = 5


def seconds_per_step(compiled: CompiledProgram, instances: Instances, watchdog: Watchdog) -> float:
    """Return the seconds of one run's step, with every device at work on a full chunk."""
    with instances.precision():
        lanes = _full_chunks(compiled, instances)

        def seconds(steps: int) -> float:
            began = time.perf_counter()
            with watchdog.call(f"timing {steps} steps of a chunk", 0.0):
                jax.block_until_ready(lanes.train(0, steps))
            return time.perf_counter() - began

        steps, segment = 1, compiled.size.segment
        while (elapsed := seconds(steps)) < SECONDS / 4 and steps < segment:
            steps = min(segment, steps * 4)
        times = [elapsed]
        while sum(times) < SECONDS and len(times) < _CALLS:
            times.append(seconds(steps))
    return min(times) / steps / (compiled.size.lanes * compiled.mesh.size)


def _full_chunks(compiled: CompiledProgram, instances: Instances) -> LaneBatch:
    """Return a chunk of runs for each device, with hyper-parameters under which nothing diverges."""
    runs = compiled.size.lanes * compiled.mesh.size
    rates = {name: np.full(runs, 1e-6) for name in ("", *instances.grid.named_rates)}
    numeric = {name: np.full(runs, 0.5) for name in compiled.numeric}
    hyper = Hyper(rates, np.zeros(runs, np.int32), numeric)  # type: ignore[arg-type]
    seed: Int[np.ndarray, " run"] = np.full(runs, instances.grid.seeds[0])
    return LaneBatch(compiled, hyper, seed)
