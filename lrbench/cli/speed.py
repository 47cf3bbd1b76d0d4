"""What `lrbench speed` prints: how fast this machine trains many runs together, and one at a time."""

from __future__ import annotations

import gc
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lrbench.results.text_table import aligned
from lrbench.study import grid, spec

if TYPE_CHECKING:
    from lrbench.engine.engine import Engine

STEPS = 200
TOGETHER = 256
"""Runs that plain vmap and lrbench both train."""
MORE = {"cpu": 1024}
"""Runs that lrbench trains beside, by platform."""
MORE_ELSEWHERE = 4096
ONE_AT_A_TIME = 8
"""Runs that stand for any number of them, where each waits for the one before."""
SECONDS = 16.0
"""No further round begins once so many seconds of training are measured."""
ROUNDS = range(3, 10)
"""How many rounds are measured: at least the first of these, at most the last."""
LARGE, SMALL = 2048, 64
"""Rows of the matrices whose products are the peak, and of those that digits_mlp multiplies."""


@dataclass(frozen=True)
class Pace:
    """How fast one way of training is.

    Args:
        what: the way.
        runs: how many runs a training has.
        seconds: the median over the rounds, compiling and evaluating left out, the devices waited for.
        per_second: steps of all runs per second.
    """

    what: str
    runs: int
    seconds: float
    per_second: float


def speed_table() -> str:
    """Return a table of what this machine trains per second, and a sentence that sums it up.

    The work is digits_mlp (a 64-64-10 network, batch 64) with adam: in plain JAX one run after another and under
    `vmap`, and by lrbench. The ways take turns, so that a busy moment of the machine does not fall on one of them.
    """
    from lrbench.engine import matmul

    first = _engine(TOGETHER, STEPS)
    devices = list(first.mesh.devices.flat)
    peak = matmul.flops_per_second(LARGE, devices)
    small = matmul.flops_per_second(SMALL, devices)
    paces = measure(first, MORE.get(devices[0].platform, MORE_ELSEWHERE))
    flops = first.instances.flops(first.grid.programs[0])
    kinds = ", ".join(sorted({device.device_kind for device in devices}))
    alone, best = paces[0], paces[-1]
    times = best.per_second / alone.per_second
    return "\n".join(
        [
            f"digits_mlp (64-64-10, batch 64), adam, {STEPS} steps, on {len(devices)} × {kinds}",
            "",
            aligned(
                [
                    {
                        "what": pace.what,
                        "model-steps/s": f"{pace.per_second:,.0f}",
                        "times": f"{pace.per_second / alone.per_second:.1f}",
                        "of peak": f"{pace.per_second * flops / peak:.1%}",
                    }
                    for pace in paces
                ]
            ),
            "",
            f"peak: {peak / 1e9:,.0f} GFLOP/s, products of {LARGE} × {LARGE} matrices on all devices; "
            f"of {SMALL} × {SMALL} matrices: {small / 1e9:,.0f}",
            f"lrbench trains {best.runs:,} runs in {best.seconds:.2g} s; one at a time in plain JAX they take "
            f"{best.seconds * times:.2g} s, {times:.1f} times as long.",
        ]
    )


def measure(first: Engine, more: int, seconds: float = SECONDS) -> list[Pace]:
    """Return the pace of plain JAX one run at a time, of plain vmap, and of lrbench with two numbers of runs.

    Args:
        first: the engine of the smaller study, whose runs plain vmap trains too.
        more: runs of the larger study.
        seconds: how long is measured, beyond the fewest rounds.
    """
    together, steps = len(first.grid), first.grid.steps
    alone = min(ONE_AT_A_TIME, together)
    ways: list[tuple[str, int, Callable[[], float]]] = [
        ("plain JAX, one run at a time, one device", alone, _plain(first, alone, vmap=False)),
        (f"plain JAX, vmap of {together:,} runs, one device", together, _plain(first, together, vmap=True)),
        (f"lrbench, {together:,} runs", together, _packs(first)),
        (f"lrbench, {more:,} runs", more, _packs(_engine(more, steps))),
    ]
    found: list[list[float]] = [[] for _ in ways]
    for number in range(ROUNDS.stop - 1):
        if number >= ROUNDS.start and sum(map(sum, found)) >= seconds:
            break
        for taken, (_, _, train) in zip(found, ways, strict=True):
            gc.collect()
            taken.append(train())
    medians = map(statistics.median, found)
    return [
        Pace(what, runs, taken, runs * steps / taken)
        for (what, runs, _), taken in zip(ways, medians, strict=True)
    ]


def _engine(runs: int, steps: int) -> Engine:
    """Return the engine of a study with so many rates, nearly all of which train; it is evaluated at its ends alone."""
    from lrbench.engine.engine import Engine

    table = {
        "name": "speed",
        "steps": steps,
        "evaluate_every": steps,
        "seeds": 1,
        "problem": ["digits_mlp"],
        "optimizer": ["adam"],
        "learning_rate": {"min": 1e-4, "max": 1e-1, "num": runs},
    }
    checked = spec.read(table)
    return Engine(checked, grid.of_study(checked))


def _packs(engine: Engine) -> Callable[[], float]:
    """Compile an engine's one program; return a call that trains all runs and says how long the training took."""
    (program,) = engine.grid.programs
    capacity = engine.lanes_per_pack(program)
    packs: Sequence[Any] = list(engine.grid.packs([capacity]))
    engine.compile(program, capacity).result()
    return lambda: sum(engine.run(pack, capacity).seconds["train"] for pack in packs)


def plain_training(engine: Engine, runs: int, *, vmap: bool) -> Callable[[], Any]:
    """Return a call that trains an engine's network in plain JAX: the same data, minibatches, weights and range of rates.

    Args:
        engine: that of a study of `digits_mlp` with one hidden layer, one seed, and adam.
        runs: how many rates are trained.
        vmap: whether all are trained together, or one after another.
    """
    import jax.numpy as jnp
    import numpy as np

    from lrbench.engine import plain_jax, seeds

    problem, seed, all_rates = engine.problems[0], engine.grid.seeds[:1], engine.grid.learning_rates
    layers = engine.instances.initial[0].of(seed)
    weights = {
        name: jnp.asarray(values)
        for number, layer in enumerate(layers, 1)
        for name, values in ((f"w{number}", layer["weight"][0].T), (f"b{number}", layer["bias"][0, :, 0]))
    }
    rates = jnp.asarray(np.geomspace(all_rates[0], all_rates[-1], runs), jnp.float32)
    batches = jnp.asarray(seeds.orders(problem, seed, 0, engine.grid.steps)[0])
    images, labels = map(jnp.asarray, problem.data.train)
    way = plain_jax.vmapped if vmap else plain_jax.one_at_a_time
    return way(rates, weights, batches, images, labels)


def _plain(engine: Engine, runs: int, *, vmap: bool) -> Callable[[], float]:
    """Compile the training in plain JAX; return a call that trains and says how long that took."""
    call = plain_training(engine, runs, vmap=vmap)
    call()  # compiles

    def timed() -> float:
        began = time.perf_counter()
        call()
        return time.perf_counter() - began

    return timed
