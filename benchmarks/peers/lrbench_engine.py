"""A study in lrbench, through its real engine; by default W1.

Timed like the peers: what the engine reports as training time alone, the device waited for; compiling comes
before, and the studies of `benchmarks.workloads` are evaluated only before the first step and after the last,
outside the timed part. Their runs have one seed, so that they share initial weights and minibatches, as the
peers' models do.
"""

from __future__ import annotations

import gc
import json
import time
from collections.abc import Sequence

import numpy as np

from benchmarks import workloads
from benchmarks.peers import common
from lrbench.engine.engine import Engine
from lrbench.results.run_lookup import RunLookup
from lrbench.results.trained import Trained
from lrbench.study.grid import of_study
from lrbench.study.spec import read


def lrbench_engine(study: str = "", repeats: int = 5, devices: int = 0, warm_up: int = 1) -> common.Timing:
    """Train the runs of a study, given as JSON (W1 where it is empty); on all devices where `devices` is 0.

    `warm_up` is how many packs are trained before: compiling is timed apart anyhow, so that long packs need none.
    """
    asked = read(json.loads(study) if study else workloads.w1())
    grid = of_study(asked)
    engine = Engine(asked, grid, devices or None)
    capacities = [engine.lanes_per_pack(program) for program in grid.programs]
    packs = list(grid.packs(capacities))

    def call(some: int | None = None) -> list[Trained]:
        return [engine.run(pack, capacities[pack.program]) for pack in packs[:some]]

    compiling = _sum(call(warm_up), "compile")
    seconds, evaluating, whole = [], [], []
    curves: list[Trained] = []
    for _ in range(repeats):
        gc.collect()
        began = time.perf_counter()
        curves = call()
        whole.append(time.perf_counter() - began)
        seconds.append(_sum(curves, "train"))
        evaluating.append(_sum(curves, "evaluate"))
    runs = RunLookup(grid.run_ids).numbers(np.concatenate([each.run_ids for each in curves]))
    about = engine.describe(grid.programs[0])
    losses = np.concatenate([each.curves["train_loss"] for each in curves])[np.argsort(runs)]
    compiling = compiling or _sum(curves, "compile")
    return common.Timing(
        seconds=common.median(seconds),
        final_losses=tuple(losses[:, -1].tolist()),
        initial_loss=float(losses[0, 0]),
        model_steps=len(grid) * grid.steps,
        threads=common.cores(),
        all_seconds=tuple(seconds),
        detail={
            "devices": engine.mesh.size,
            "device": engine.mesh.devices.flat[0].device_kind,
            "chunk": about["lanes_per_chunk"],
            "form": about.get("form", ""),
            "packs": len(packs),
            "compile_seconds": round(compiling, 3),
            "evaluate_seconds": round(common.median(evaluating), 4),
            "run_seconds": round(common.median(whole), 4),
        },
    )


def _sum(curves: Sequence[Trained], part: str) -> float:
    return sum(each.seconds[part] for each in curves)


if __name__ == "__main__":
    common.main(lrbench_engine, "lrbench", "jax", "jaxlib", "optax", "numpy")
