"""W1 in lrbench: a study of one problem, one optimizer and as many rates as models, through its real engine.

Timed like the peers: what the engine reports as training time alone, the device waited for; compiling comes
before, and the study is evaluated only before the first step and after the last, outside the timed part. All
runs have one seed, so that they share initial weights and minibatches, as the peers' models do.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Sequence
from typing import Any

import numpy as np

from benchmarks.peers import common
from lrbench.engine.pack import Curves, Engine
from lrbench.grid import of_study
from lrbench.study import read


def lrbench_w1(models: int = 256, steps: int = 200, repeats: int = 5, devices: int = 0) -> common.Timing:
    """Train `models` digits MLPs as one lrbench study; on all devices where `devices` is 0."""
    study = read(_study(models, steps))
    grid = of_study(study)
    engine = Engine(study, grid, devices or None)
    (program,) = grid.programs
    capacity = engine.lanes_per_pack(program)
    packs = list(grid.packs([capacity]))

    def call() -> list[Curves]:
        return [engine.run(pack, capacity) for pack in packs]

    compiling = _sum(call(), "compile")
    seconds, evaluating, whole = [], [], []
    curves: list[Curves] = []
    for _ in range(repeats):
        gc.collect()
        began = time.perf_counter()
        curves = call()
        whole.append(time.perf_counter() - began)
        seconds.append(_sum(curves, "train"))
        evaluating.append(_sum(curves, "evaluate"))
    runs = np.concatenate([each.runs for each in curves])
    losses = np.concatenate([each.curves["train_loss"] for each in curves])[np.argsort(runs)]
    return common.Timing(
        seconds=common.median(seconds),
        final_losses=tuple(losses[:, -1].tolist()),
        initial_loss=float(losses[0, 0]),
        model_steps=models * steps,
        threads=common.cores(),
        all_seconds=tuple(seconds),
        detail={
            "devices": engine.mesh.size,
            "chunk": engine.lanes_per_chunk(program),
            "compile_seconds": round(compiling, 3),
            "evaluate_seconds": round(common.median(evaluating), 4),
            "run_seconds": round(common.median(whole), 4),
        },
    )


def _study(models: int, steps: int) -> dict[str, Any]:
    return {
        "name": "w1",
        "steps": steps,
        "evaluate_every": steps,
        "seeds": 1,
        "problem": ["digits_mlp"],
        "optimizer": ["adam"],
        "learning_rate": {"values": common.learning_rates(models).tolist()},
    }


def _sum(curves: Sequence[Curves], part: str) -> float:
    return sum(each.seconds[part] for each in curves)


if __name__ == "__main__":
    common.main(lrbench_w1, "lrbench", "jax", "jaxlib", "optax", "numpy")
