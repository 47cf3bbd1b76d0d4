"""What `lrbench plan` prints: programs, packs, memory and an estimate of the time."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

import numpy as np

from lrbench.errors import StudyError
from lrbench.execution import costs
from lrbench.execution.costs import Cost
from lrbench.results.text_table import aligned
from lrbench.study import catalog, grid
from lrbench.study.grid import Grid, Program
from lrbench.study.spec import Study

if TYPE_CHECKING:
    from lrbench.engine.pack import Engine

BUSIEST = 12
"""So many nodes have a row, those that are busy longest."""


def plan(study: Study, devices: int | None = None, launcher: str = "local", nodes: int | None = None) -> str:
    """Return a plan of a study as text; nothing is compiled or trained.

    Times are those of `costs`.

    Args:
        study: the study.
        devices: how many devices are used; all, left out.
        launcher: who would share the packs out.
        nodes: over how many nodes like this machine; left out, the jobs that the study asks of Slurm, or else one.

    Raises:
        StudyError: if there is no such launcher, or it shares nothing out.
    """
    from lrbench.engine.pack import Engine

    alone = catalog.get("launcher", launcher).name == "local"
    if alone and nodes is not None:
        raise StudyError(
            f"--nodes {nodes}: goes with a launcher that shares packs out: --launcher ray or slurm"
        )
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
        *([] if alone else ["", *_shared(engine, each, launcher, nodes or _jobs(study, launcher))]),
    ]
    return "\n".join(lines)


def _jobs(study: Study, launcher: str) -> int:
    jobs: int = study.launcher.get(launcher, {}).get("jobs", 1)
    return jobs


def _probes(engine: Engine, whole: Grid) -> list[str]:
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


def _shared(engine: Engine, each: list[Cost], launcher: str, nodes: int) -> list[str]:
    """Return how a launcher would share the packs out to nodes: a line for all, and a table of the busiest."""
    per_pack = [engine.lanes_per_pack(program) for program in engine.grid.programs]
    packs = list(engine.grid.packs(per_pack))
    shares = import_module(f"lrbench.launchers.{launcher}").shares(costs.of_packs(each, packs), nodes)
    rows = []
    for node, share in enumerate(shares, 1):
        programs = {packs[n].program for n in share}
        compiled = sum(each[program].compile_seconds for program in programs)
        trained = sum(each[packs[n].program].seconds_per_run * len(packs[n].runs) for n in share)
        about = {"node": node, "packs": len(share), "programs": len(programs)}
        rows.append({**about, "compile s": compiled, "train s": trained, "all s": compiled + trained})
    training = sum(row["train s"] for row in rows)
    rows.sort(key=lambda row: -row["all s"])
    longest = rows[0]["all s"]
    idle = f"; {nodes - len(shares):,} have nothing to do" if len(shares) < nodes else ""
    more = [f"  ... and {len(rows) - BUSIEST:,} that take less"] if len(rows) > BUSIEST else []
    return [
        f"{launcher}, over {nodes:,} nodes like this one: {len(packs):,} packs, {_range([len(share) for share in shares])} each{idle}",
        "",
        _table(rows[:BUSIEST]),
        *more,
        "",
        f"estimate: about {duration(longest)}, the time of the node that is busy longest; balance "
        f"{np.mean([row['all s'] for row in rows]) * len(rows) / nodes / longest:.0%} (mean over most); "
        f"{training / (nodes * longest):.0%} of the nodes' time is training",
    ]


def _range(counts: list[int]) -> str:
    return f"{min(counts):,} to {max(counts):,}" if min(counts) < max(counts) else f"{max(counts):,}"


def _row(engine: Engine, program: Program, cost: Cost) -> dict[str, Any]:
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
        f"{n} {word}{'s' if n != 1 else ''}" for n, word in zip(whole.sizes.values(), words, strict=True)
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
