"""What `lrbench plan` prints: programs, packs, memory and an estimate of the time."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

import numpy as np

from lrbench.analysis.line_curves import decays
from lrbench.errors import StudyError, counted
from lrbench.execution import costs
from lrbench.execution.costs import CostEstimate
from lrbench.results.text_table import aligned
from lrbench.study import catalog
from lrbench.study.grid import Grid, Program, of_study
from lrbench.study.spec import Study

if TYPE_CHECKING:
    from lrbench.engine.engine import Engine

BUSIEST = 12
"""At most so many nodes have a row: those that take longest."""


def plan_text(
    study: Study, devices: int | None = None, launcher: str = "local", nodes: int | None = None
) -> str:
    """Return a plan of a study as text; nothing is compiled or trained.

    Times are those of `costs`.

    Args:
        study: the study.
        devices: how many devices to use; by default all.
        launcher: the launcher that would distribute the packs.
        nodes: the number of nodes like this machine; by default the number of jobs in `[launcher.slurm]`, or else one.

    Raises:
        StudyError: if there is no such launcher, or it distributes nothing.
    """
    from lrbench.engine.engine import Engine

    is_local = catalog.get("launcher", launcher).name == "local"
    if is_local and nodes is not None:
        raise StudyError(
            f"--nodes {nodes}: requires a launcher that distributes packs: --launcher ray or slurm"
        )
    grid = of_study(study)
    engine = Engine(study, grid, devices)
    each = costs.of_programs(engine)
    rows = [_row(engine, program, cost) for program, cost in zip(grid.programs, each, strict=True)]
    evaluations = -(-grid.steps // grid.evaluate_every) + 1
    head = (
        f"{study.name}: {counted(grid.runs, 'run')} of {_steps(grid)} ({_shape(grid)}), evaluated "
        f"{counted(evaluations, 'time')}"
    )
    kinds = sorted({str(d["kind"]) for d in engine.describe_devices()})
    lines = [
        head,
        *_stages(study, engine),
        f"devices: {engine.mesh.size} × {', '.join(kinds)}",
        "",
        _table(rows),
        "",
        f"estimate: about {duration(sum(row['compile s'] for row in rows))} of compiling (once per program and machine) "
        f"and {duration(sum(row['train s'] for row in rows))} of training",
        *_probes(engine, grid),
        *([] if is_local else ["", *_distribution(engine, each, launcher, nodes or _jobs(study, launcher))]),
    ]
    return "\n".join(lines)


def _steps(grid: Grid) -> str:
    """Return how many steps runs have, which may depend on their problem."""
    lengths = sorted({grid.steps_of(number) for number in range(len(grid.problems))})
    return counted(lengths[0], "step") if len(lengths) == 1 else f"{lengths[0]:,} to {lengths[-1]:,} steps"


def _stages(study: Study, engine: Engine) -> list[str]:
    """Return the most runs of the stages that are chosen later."""
    found = [
        f"{step.record} {study.lines * step.rates * len(step.seeds):,} ({study.lines:,} × {counted(step.rates, 'rate')} × "
        f"{counted(len(step.seeds), 'seed')})"
        for step in study.stages()
    ]
    few = _shorter(study, engine)
    further = f", and {counted(few, 'shorter run')}, as a schedule decays" if few else ""
    return (
        [f"then at most: {', '.join(found)}; up to {study.runs:,} runs in all, as below{further}"]
        if found
        else []
    )


def _shorter(study: Study, engine: Engine) -> int:
    """Return the most runs of fewer steps: of each line whose schedule decays, and of the winner of each problem."""
    decaying = sum(decays(np.array(each["shape"])) for each in engine.describe_schedules())
    first, *others = [len(step.seeds) for _, step in study.shorter()] or [0]
    lines = study.lines * decaying // len(engine.grid.schedules)
    winners = min(lines, len(engine.grid.problems))
    return 2 * lines * first + winners * sum(others)


def _jobs(study: Study, launcher: str) -> int:
    jobs: int = study.launcher.get(launcher, {}).get("jobs", 1)
    return jobs


def _probes(engine: Engine, grid: Grid) -> list[str]:
    """Return a line for each problem whose probes cost more than one step per evaluation."""
    lines = {}
    for program in grid.programs:
        found = engine.instances.probe_gradients(program)
        costs = {name: cost for name, cost in found.items() if cost >= 0.1}
        evaluations, steps = len(grid.evaluations(program.problem)), grid.steps_of(program.problem)
        share = sum(costs.values()) * evaluations / steps
        if sum(costs.values()) >= 1:
            each = ", ".join(f"{name} {cost:.1f}" for name, cost in costs.items())
            lines[program.problem] = (
                f"probes on {grid.problems[program.problem].label}: {each} gradients of a minibatch at each of "
                f"{counted(evaluations, 'evaluation')}: {share:.0%} of the cost of training, on top of it"
            )
    return list(lines.values())


def _distribution(engine: Engine, each: list[CostEstimate], launcher: str, nodes: int) -> list[str]:
    """Return how a launcher would distribute the packs: a line for all nodes, and a table of the busiest."""
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
    idle = f"; {counted(nodes - len(shares), 'node')} would be idle" if len(shares) < nodes else ""
    more = (
        [f"  ... and {counted(len(rows) - BUSIEST, 'node')} that would take less time"]
        if len(rows) > BUSIEST
        else []
    )
    return [
        f"{launcher}, over {counted(nodes, 'node')} like this one: {counted(len(packs), 'pack')}, "
        f"{_range([len(share) for share in shares])} each{idle}",
        "",
        _table(rows[:BUSIEST]),
        *more,
        "",
        f"estimate: about {duration(longest)}, the time of the busiest node; balance "
        f"{np.mean([row['all s'] for row in rows]) * len(rows) / nodes / longest:.0%} (mean over most); "
        f"{training / (nodes * longest):.0%} of the nodes' time is training",
    ]


def _range(counts: list[int]) -> str:
    return f"{min(counts):,} to {max(counts):,}" if min(counts) < max(counts) else f"{max(counts):,}"


def _row(engine: Engine, program: Program, cost: CostEstimate) -> dict[str, Any]:
    about = engine.describe(program)
    per_pack = engine.lanes_per_pack(program)
    stages = [lanes * seeds for lanes, seeds in engine.instances.shapes(program)]
    return {
        "program": about["program"],
        "problem": about["problem"],
        "optimizer": about["optimizer"],
        "runs": sum(stages),
        "packs": sum(-(-runs // per_pack) for runs in stages),
        "parameters": about["parameters"],
        "KiB/lane": round(about["bytes_per_lane"] / 1024, 1),
        "lanes/chunk": about["lanes_per_chunk"],
        "chosen": about["chunk_chosen"],
        "form": about["form"],
        "options": about["options"],
        "compile s": cost.compile_seconds,
        "train s": sum(stages) * cost.seconds_per_run,
        "times": "measured" if cost.measured else "guessed",
    }


def _shape(grid: Grid) -> str:
    named = [f"{name.replace('_', ' ')} rate" for name in grid.named_rates]
    rates = "sampled point" if grid.points else "learning rate"
    words = ("problem", "optimizer", "schedule", rates, *named, "seed")
    sampled = {f"{name.replace('_', ' ')} rate" for name in grid.sampled_rates}
    sizes = zip(grid.sizes.values(), words, strict=True)
    return " × ".join(counted(size, word) for size, word in sizes if word not in sampled)


def _table(rows: list[dict[str, Any]]) -> str:
    """Return rows as a table, without the columns that are empty."""
    shown = [name for name in rows[0] if any(row[name] != "" for row in rows)]
    left = [name for name in shown if isinstance(rows[0][name], str)]
    return aligned([{name: _cell(row[name]) for name in shown} for row in rows], left)


def _cell(value: Any) -> str:
    if isinstance(value, str):
        return value
    return f"{value:,}" if isinstance(value, int | np.integer) else f"{value:,.1f}"


def duration(seconds: float) -> str:
    """Return a duration in seconds, minutes or hours, whichever reads best."""
    if seconds < 90:
        return f"{max(1, round(seconds))} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
