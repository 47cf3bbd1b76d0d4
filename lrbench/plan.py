"""What `lrbench plan` prints: programs, packs, memory and an estimate of the time."""

from __future__ import annotations

from typing import Any

import numpy as np

from lrbench import costs, grid
from lrbench.costs import Cost
from lrbench.grid import Grid
from lrbench.launchers.slurm import balanced
from lrbench.parts import Parts
from lrbench.study import Study
from lrbench.tabulate import aligned


def plan(study: Study | Parts, devices: int | None = None, nodes: int | None = None) -> str:
    """Return a plan of a study as text, of one of parts the plan of every part; nothing is compiled or trained.

    Times are those of `costs`.

    Args:
        study: the study.
        devices: how many devices are used; all, left out.
        nodes: over how many nodes like this machine a launcher would share it out; left out, none.
    """
    from lrbench.engine.pack import Engine

    if isinstance(study, Parts):
        return "\n\n".join(plan(part, devices, nodes) for part in study.studies.values())
    whole = grid.of_study(study)
    engine = Engine(study, whole, devices)
    each = costs.of_programs(engine)
    rows = [_row(engine, program, cost) for program, cost in zip(whole.programs, each, strict=True)]
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
        f"estimate: about {duration(sum(row['compile s'] for row in rows))} of compiling (once per program and machine) "
        f"and {duration(sum(row['train s'] for row in rows))} of training",
        *_probes(engine, whole),
        *([] if nodes is None else ["", *_shared(engine, each, nodes)]),
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


def _shared(engine: Any, each: list[Cost], nodes: int) -> list[str]:
    """Return how the packs would be shared out to nodes: a line for all, and one for the node that is busy longest."""
    per_pack = [engine.lanes_per_pack(program) for program in engine.grid.programs]
    packs = list(engine.grid.packs(per_pack))
    training = costs.of_packs(each, packs)
    shares = balanced(training, nodes)
    programs = [{packs[n].program for n in share} for share in shares]
    trained = [sum(training[n] for n in share) for share in shares]
    compiled = [sum(each[n].compile_seconds for n in mine) for mine in programs]
    times = [a + b for a, b in zip(trained, compiled, strict=True)]
    longest = int(np.argmax(times))
    idle = f"; {nodes - len(shares):,} have nothing to do" if len(shares) < nodes else ""
    return [
        f"over {nodes:,} nodes like this one: {len(packs):,} packs, {_range([len(share) for share in shares])} each{idle}",
        f"  the node that is busy longest: {len(shares[longest]):,} packs of {len(programs[longest])} programs, about "
        f"{duration(compiled[longest])} of compiling and {duration(trained[longest])} of training",
        f"  balance {np.mean(trained) * len(shares) / nodes / max(trained):.0%} (mean over most training); with compiling, "
        f"{sum(training) / (nodes * max(times)):.0%} of the nodes' time is training",
    ]


def _range(counts: list[int]) -> str:
    return f"{min(counts):,} to {max(counts):,}" if min(counts) < max(counts) else f"{max(counts):,}"


def _row(engine: Any, program: Any, cost: Cost) -> dict[str, Any]:
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
        "chosen": about["chunk_chosen"],
        **({"form": about["form"]} if any(problem.forms for problem in engine.problems) else {}),
        "compile s": cost.compile_seconds,
        "train s": about["runs"] * cost.seconds_per_run,
        "times": "measured" if cost.measured else "guessed",
    }


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


def duration(seconds: float) -> str:
    """Return a time as people say it: in seconds, minutes or hours."""
    if seconds < 90:
        return f"{max(1, round(seconds))} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
