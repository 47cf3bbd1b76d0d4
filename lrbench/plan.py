"""What `lrbench plan` prints: programs, packs, memory and an estimate of the time."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from lrbench import grid
from lrbench.grid import Grid
from lrbench.parts import Parts
from lrbench.study import Study
from lrbench.tabulate import aligned

STEP_SECONDS = 3e-6
"""What a step of a small model costs beside its matrix products."""
_SIDE = 256
"""Rows of the small matrices whose products are timed."""


def plan(study: Study | Parts, devices: int | None = None) -> str:
    """Return a plan of a study as text, of one of parts the plan of every part; nothing is compiled or trained.

    Times are those that a program took when it last ran on this machine. For one that never did, the estimate takes the
    floating-point operations of a step, as XLA counts them, over the speed at which one device multiplies small
    matrices, measured here and now.
    """
    from lrbench.engine import products
    from lrbench.engine.pack import Engine

    if isinstance(study, Parts):
        return "\n\n".join(plan(part, devices) for part in study.studies.values())
    whole = grid.of_study(study)
    engine = Engine(study, whole, devices)
    pace = products.flops_per_second(_SIDE, [engine.mesh.devices.flat[0]])
    rows = [_row(engine, program, pace) for program in whole.programs]
    head = (
        f"{study.name}: {len(whole):,} runs of {whole.steps:,} steps "
        f"({_shape(whole)}), evaluated {len(whole.evaluations)} times"
    )
    kinds = sorted({str(d["kind"]) for d in engine.describe_devices()})
    lines = [
        head,
        f"devices: {engine.mesh.size} × {', '.join(kinds)}",
        "",
        _table(rows),
        "",
        f"estimate: about {_time(sum(row['compile s'] for row in rows))} of compiling (once per program and machine) "
        f"and {_time(sum(row['train s'] for row in rows))} of training",
        *_probes(engine, whole),
    ]
    return "\n".join(lines)


def _probes(engine: Any, whole: Grid) -> list[str]:
    """Return a line for each problem whose probes cost more than a step at each evaluation."""
    lines = {}
    for program in whole.programs:
        costs = {name: cost for name, cost in engine.made.probe_gradients(program).items() if cost >= 0.1}
        share = sum(costs.values()) * len(whole.evaluations) / whole.steps
        if sum(costs.values()) >= 1:
            each = ", ".join(f"{name} {cost:.1f}" for name, cost in costs.items())
            lines[program.problem] = (
                f"probes on {whole.problems[program.problem].label}: {each} gradients of a minibatch at each of "
                f"{len(whole.evaluations)} evaluations: {share:.0%} of the training's, beside it"
            )
    return list(lines.values())


def _row(engine: Any, program: Any, pace: float) -> dict[str, Any]:
    from lrbench.engine import capacity

    about = engine.describe(program)
    known = engine.programs.capacity(program)
    flops = engine.made.flops(program)  # raises where a user's function does
    per_pack = engine.lanes_per_pack(program)
    estimate = (flops / pace + STEP_SECONDS) / engine.mesh.size
    return {
        "program": about["program"],
        "problem": about["problem"],
        "optimizer": about["optimizer"],
        "runs": about["runs"],
        "packs": -(-about["runs"] // per_pack),
        "parameters": about["parameters"],
        "KiB/lane": round(about["bytes_per_lane"] / 1024, 1),
        "lanes/chunk": about["lanes_per_chunk"],
        "chosen": about["chunk_chosen"],
        **({"form": about["form"]} if any(problem.forms for problem in engine.problems) else {}),
        "compile s": _first(known.compile_seconds, capacity.COMPILE_SECONDS),
        "train s": about["runs"] * engine.grid.steps * _first(known.seconds_per_step, estimate),
        "times": "guessed" if math.isnan(known.seconds_per_step) else "measured",
    }


def _first(measured: float, guessed: float) -> float:
    return guessed if math.isnan(measured) else measured


def _shape(whole: Grid) -> str:
    named = (f"{name.replace('_', ' ')} rate" for name in whole.named_rates)
    words = ("problem", "optimizer", "schedule", "learning rate", *named, "seed")
    return " × ".join(
        f"{n} {word}{'s' if n != 1 else ''}" for n, word in zip(whole.shape, words, strict=True)
    )


def _table(rows: list[dict[str, Any]]) -> str:
    left = [name for name, value in rows[0].items() if isinstance(value, str)]
    return aligned([{name: _cell(value) for name, value in row.items()} for row in rows], left)


def _cell(value: Any) -> str:
    if isinstance(value, str):
        return value
    return f"{value:,}" if isinstance(value, int | np.integer) else f"{value:,.1f}"


def _time(seconds: float) -> str:
    if seconds < 90:
        return f"{max(1, round(seconds))} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
