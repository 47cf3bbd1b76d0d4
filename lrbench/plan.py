"""What `lrbench plan` prints: programs, packs, memory and an estimate of the time."""

from __future__ import annotations

from typing import Any

import numpy as np

from lrbench import grid
from lrbench.grid import Grid
from lrbench.study import Study


def plan(study: Study, devices: int | None = None) -> str:
    """Return a plan of a study as text; nothing is compiled or trained.

    The estimate takes the floating-point operations of a step, as XLA counts them, over the matrix-product speed of
    this machine; small models reach a third of that.
    """
    from lrbench.engine.pack import Engine

    whole = grid.of_study(study)
    engine = Engine(study, whole, devices)
    rows = [_row(engine, program) for program in whole.programs]
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
    ]
    return "\n".join(lines)


def _row(engine: Any, program: Any) -> dict[str, Any]:
    about = engine.describe(program)
    per_pack = engine.lanes_per_pack(program)
    return {
        "program": about["program"],
        "problem": about["problem"],
        "optimizer": about["optimizer"],
        "runs": about["runs"],
        "packs": -(-about["runs"] // per_pack),
        "parameters": about["parameters"],
        "KiB/lane": round(about["bytes_per_lane"] / 1024, 1),
        "lanes/chunk": about["lanes_per_chunk"],
        "compile s": 3.0,
        "train s": about["runs"] * engine.grid.steps * engine.step_seconds(program),
    }


def _shape(whole: Grid) -> str:
    words = ("problem", "optimizer", "schedule", "learning rate", "seed")
    return " × ".join(
        f"{n} {word}{'s' if n != 1 else ''}" for n, word in zip(whole.shape, words, strict=True)
    )


def _table(rows: list[dict[str, Any]]) -> str:
    names = list(rows[0])
    cells = [names, *([_cell(row[name]) for name in names] for row in rows)]
    widths = [max(len(row[i]) for row in cells) for i in range(len(names))]
    left = {i for i, name in enumerate(names) if isinstance(rows[0][name], str)}
    return "\n".join(
        "  ".join(
            f"{c:<{w}}" if i in left else f"{c:>{w}}"
            for i, (c, w) in enumerate(zip(row, widths, strict=True))
        )
        for row in cells
    )


def _cell(value: Any) -> str:
    if isinstance(value, str):
        return value
    return f"{value:,}" if isinstance(value, int | np.integer) else f"{value:,.1f}"


def _time(seconds: float) -> str:
    if seconds < 90:
        return f"{max(1, round(seconds))} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
