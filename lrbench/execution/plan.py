"""What a study would cost: programs, packs, memory and an estimate of the time, as a record and as the text of `lrbench plan`."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from importlib import import_module
from typing import TYPE_CHECKING, Any

import numpy as np

from lrbench.analysis.line_curves import decays
from lrbench.engine import known_devices
from lrbench.engine.known_devices import GIB
from lrbench.errors import StudyError, counted, duration
from lrbench.execution import costs
from lrbench.execution.costs import CostEstimate
from lrbench.execution.plan_schema import DistributionPlan, NodePlan, Plan, ProbePlan, ProgramPlan, StagePlan
from lrbench.execution.shards import divide, of_share
from lrbench.results.text_table import aligned
from lrbench.study import catalog
from lrbench.study.grid import Grid, Pack, Program, of_study
from lrbench.study.spec import Study

if TYPE_CHECKING:
    from lrbench.engine.engine import Engine

LOCAL = "local"
"""The launcher that distributes nothing by itself; of several processes each may train a share."""
BUSIEST = 12
"""At most so many nodes have a row: those that take longest."""


def plan(
    study: Study,
    devices: int | None = None,
    launcher: str = "local",
    nodes: int | None = None,
    device: str | None = None,
) -> Plan:
    """Return what a study would cost; nothing is compiled or trained.

    Times are those of `costs`; on a device that is not here they are unknown.

    Args:
        study: the study.
        devices: how many devices to use; by default all, or one of those that are not here.
        launcher: the launcher that would distribute the packs.
        nodes: the number of nodes like this machine, which with the launcher `local` are shards; by default the number of jobs in
            `[launcher.slurm]`, or else one.
        device: one of `known_devices`, which need not be here; by default those of this machine.

    Raises:
        StudyError: if there is no such launcher, or it distributes by times that are unknown.
        LaunchError: if the device is not known, or there are fewer devices than requested.
    """
    from lrbench.engine.device_memory import Target
    from lrbench.engine.engine import Engine

    known = None if device is None else known_devices.get(device)
    is_local = catalog.get("launcher", launcher).name == LOCAL
    if known and (nodes is not None or not is_local):
        given = "--nodes" if is_local else f"--launcher {launcher}"
        raise StudyError(
            f"--for {device}: times there are unknown, by which {given} distributes packs; give one of the two"
        )
    grid = of_study(study)
    if known:
        engine = Engine(study, grid, planned_for=Target(known, devices or 1))
    else:
        engine = Engine(study, grid, devices)
    each = [costs.UNKNOWN] * len(grid.programs) if known else costs.of_programs(engine)
    programs = tuple(
        _program(engine, program, cost) for program, cost in zip(grid.programs, each, strict=True)
    )
    lengths = sorted({grid.steps_of(number) for number in range(len(grid.problems))})
    stages = [(step.record, step.rates, len(step.seeds)) for step in study.stages()]
    return Plan(
        study=study.name,
        runs=grid.runs,
        most_runs=study.runs,
        axes=_axes(grid),
        least_steps=lengths[0],
        most_steps=lengths[-1],
        evaluations=-(-grid.steps // grid.evaluate_every) + 1,
        stages=tuple(
            StagePlan(
                stage=stage, runs=study.lines * rates * seeds, lines=study.lines, rates=rates, seeds=seeds
            )
            for stage, rates, seeds in stages
        ),
        shorter_runs=_shorter(study, engine),
        notes=tuple(engine.notes),
        devices=engine.target.size,
        device_kinds=(known.device_kind,) if known else _kinds(engine),
        device_bytes=known.bytes_limit if known else None,
        programs=programs,
        compile_seconds=_total([program.compile_seconds for program in programs]),
        train_seconds=_total([program.train_seconds for program in programs]),
        probes=tuple(_probes(engine, grid)),
        distribution=None
        if is_local and nodes is None
        else _distribution(engine, each, launcher, nodes or _jobs(study, launcher)),
    )


def plan_text(
    study: Study,
    devices: int | None = None,
    launcher: str = "local",
    nodes: int | None = None,
    device: str | None = None,
) -> str:
    """Return what a study would cost as text; the arguments are those of `plan`."""
    found = plan(study, devices, launcher, nodes, device)
    steps = (
        counted(found.most_steps, "step")
        if found.least_steps == found.most_steps
        else f"{found.least_steps:,} to {found.most_steps:,} steps"
    )
    lines = [
        f"{found.study}: {counted(found.runs, 'run')} of {steps} ({_shape(found.axes)}), evaluated {counted(found.evaluations, 'time')}",
        *_stages_text(found),
        *found.notes,
        f"devices: {found.devices} × {', '.join(found.device_kinds)}{_memory(found)}",
        "",
        _table([_row(program) for program in found.programs]),
        "",
        _estimate(found),
        *map(_probes_text, found.probes),
        *(_distribution_text(found.distribution) if found.distribution else []),
    ]
    return "\n".join(lines)


def _memory(found: Plan) -> str:
    """Return what a plan for a device that is not here says of its memory."""
    return (
        ""
        if found.device_bytes is None
        else f", of whose memory JAX takes {found.device_bytes / GIB:.1f} GiB"
    )


def _estimate(found: Plan) -> str:
    """Return the line about the time, which is known of this machine alone."""
    if found.compile_seconds is None or found.train_seconds is None:
        return "estimate: the times there are unknown; the same command without --for estimates them on such a machine"
    return (
        f"estimate: about {duration(found.compile_seconds)} of compiling (once per program and machine) "
        f"and {duration(found.train_seconds)} of training"
    )


def _kinds(engine: Engine) -> tuple[str, ...]:
    return tuple(sorted({str(each["kind"]) for each in engine.describe_devices()}))


def _axes(grid: Grid) -> dict[str, int]:
    """Return the size of each axis; rates that are sampled together are one, of points."""
    if not grid.points:
        return grid.sizes
    sampled = {f"learning_rate_{name}" for name in grid.sampled_rates}
    kept = {axis: size for axis, size in grid.sizes.items() if axis not in sampled}
    return {"sampled_point" if axis == "learning_rate" else axis: size for axis, size in kept.items()}


def _shape(axes: Mapping[str, int]) -> str:
    return " × ".join(counted(size, _words(axis)) for axis, size in axes.items())


def _words(axis: str) -> str:
    """Return the name of an axis in words; the rates of a part of the model are named after it."""
    named = axis.removeprefix("learning_rate_")
    return axis.replace("_", " ") if named == axis else f"{named.replace('_', ' ')} rate"


def _stages_text(found: Plan) -> list[str]:
    """Return the most runs of the stages that are chosen later."""
    if not found.stages:
        return []
    each = ", ".join(
        f"{stage.stage} {stage.runs:,} ({stage.lines:,} × {counted(stage.rates, 'rate')} × {counted(stage.seeds, 'seed')})"
        for stage in found.stages
    )
    few = found.shorter_runs
    further = f", and {counted(few, 'shorter run')}, as a schedule decays" if few else ""
    return [f"then at most: {each}; up to {found.most_runs:,} runs in all, as below{further}"]


def _shorter(study: Study, engine: Engine) -> int:
    """Return the most runs of fewer steps: of each line whose schedule decays, and of the winner of each problem."""
    decaying = sum(decays(np.array(each["shape"])) for each in engine.describe_schedules())
    first, *others = [len(step.seeds) for _, step in study.shorter_steps()] or [0]
    lines = study.lines * decaying // len(engine.grid.schedules)
    winners = min(lines, len(engine.grid.problems))
    return 2 * lines * first + winners * sum(others)


def _jobs(study: Study, launcher: str) -> int:
    jobs: int = study.launcher.get(launcher, {}).get("jobs", 1)
    return jobs


def _probes(engine: Engine, grid: Grid) -> Iterable[ProbePlan]:
    """Return the problems whose probes cost more than one step per evaluation."""
    found = {}
    for program in grid.programs:
        each = engine.instances.probe_gradients(program)
        gradients = {name: cost for name, cost in each.items() if cost >= 0.1}
        evaluations, steps = len(grid.evaluations(program.problem)), grid.steps_of(program.problem)
        if sum(gradients.values()) >= 1:
            found[program.problem] = ProbePlan(
                problem=grid.problems[program.problem].label,
                gradients=gradients,
                evaluations=evaluations,
                share=sum(gradients.values()) * evaluations / steps,
            )
    return found.values()


def _probes_text(found: ProbePlan) -> str:
    each = ", ".join(f"{name} {cost:.1f}" for name, cost in found.gradients.items())
    return (
        f"probes on {found.problem}: {each} gradients of a minibatch at each of {counted(found.evaluations, 'evaluation')}: "
        f"{found.share:.0%} of the cost of training, on top of it"
    )


def _distribution(engine: Engine, each: list[CostEstimate], launcher: str, nodes: int) -> DistributionPlan:
    """Return how a launcher would distribute the packs, or `--shard` the runs."""
    of_nodes = _packs_of_nodes(engine, each, launcher, nodes)
    found = []
    for node, packs in enumerate(of_nodes, 0 if launcher == LOCAL else 1):
        if not packs:
            continue
        programs = {pack.program for pack in packs}
        found.append(
            NodePlan(
                node=node,
                packs=len(packs),
                programs=len(programs),
                compile_seconds=sum(each[program].compile_seconds for program in programs),
                train_seconds=sum(each[pack.program].seconds_per_run * len(pack.runs) for pack in packs),
            )
        )
    found.sort(key=lambda node: -_seconds(node))
    longest = _seconds(found[0])
    return DistributionPlan(
        launcher=launcher,
        nodes=nodes,
        packs=sum(map(len, of_nodes)),
        seconds=longest,
        balance=sum(map(_seconds, found)) / (nodes * longest),
        training=sum(node.train_seconds for node in found) / (nodes * longest),
        busiest_first=tuple(found),
    )


def _packs_of_nodes(engine: Engine, each: list[CostEstimate], launcher: str, nodes: int) -> list[list[Pack]]:
    """Return the packs of each node; those of a shard are cut within its share."""
    grid = engine.grid
    per_pack = [engine.lanes_per_pack(program) or len(program.runs) for program in grid.programs]
    if launcher == LOCAL:
        shares = divide(grid, grid.is_run, costs.of_runs(engine, grid), nodes)
        return [list(grid.packs(per_pack, of_share(grid, runs))) for runs in shares]
    packs = list(grid.packs(per_pack))
    found = import_module(f"lrbench.launchers.{launcher}").shares(costs.of_packs(each, packs), nodes)
    return [[packs[number] for number in share] for share in found]


def _seconds(node: NodePlan) -> float:
    return node.compile_seconds + node.train_seconds


def _distribution_text(found: DistributionPlan) -> list[str]:
    """Return a line for all nodes, and a table of the busiest."""
    busy = found.busiest_first
    idle = f"; {counted(found.nodes - len(busy), 'node')} would be idle" if len(busy) < found.nodes else ""
    rows = [
        {
            "shard" if found.launcher == LOCAL else "node": node.node,
            "packs": node.packs,
            "programs": node.programs,
            "compile s": node.compile_seconds,
            "train s": node.train_seconds,
            "all s": _seconds(node),
        }
        for node in busy[:BUSIEST]
    ]
    less = len(busy) - BUSIEST
    return [
        "",
        f"{'--shard' if found.launcher == LOCAL else found.launcher}, over {counted(found.nodes, 'node')} like this one: {counted(found.packs, 'pack')}, "
        f"{_range([node.packs for node in busy])} each{idle}",
        "",
        _table(rows),
        *([f"  ... and {counted(less, 'node')} that would take less time"] if less > 0 else []),
        "",
        f"estimate: about {duration(found.seconds)}, the time of the busiest node; balance "
        f"{found.balance:.0%} (mean over most); {found.training:.0%} of the nodes' time is training",
    ]


def _range(counts: list[int]) -> str:
    return f"{min(counts):,} to {max(counts):,}" if min(counts) < max(counts) else f"{max(counts):,}"


def _known(seconds: float) -> float | None:
    return None if math.isnan(seconds) else seconds


def _total(seconds: list[float | None]) -> float | None:
    known = [each for each in seconds if each is not None]
    return sum(known) if len(known) == len(seconds) else None


def _program(engine: Engine, program: Program, cost: CostEstimate) -> ProgramPlan:
    about = engine.describe(program)
    per_pack = engine.lanes_per_pack(program)
    stages = [lanes * seeds for lanes, seeds in engine.instances.shapes(program)]
    return ProgramPlan(
        program=about["program"],
        problem=about["problem"],
        optimizer=about["optimizer"],
        runs=sum(stages),
        packs=sum(-(-runs // (per_pack or runs)) for runs in stages),
        parameters=about["parameters"],
        bytes_per_lane=about["bytes_per_lane"],
        lanes_per_pack=per_pack,
        bytes_per_pack=per_pack * about["bytes_per_lane"],
        lanes_per_chunk=about["lanes_per_chunk"],
        chunk_chosen=about["chunk_chosen"],
        form=about["form"],
        options=about["options"],
        compile_seconds=_known(cost.compile_seconds),
        train_seconds=_known(sum(stages) * cost.seconds_per_run),
        measured=cost.measured,
    )


def _row(program: ProgramPlan) -> dict[str, Any]:
    return {
        "program": program.program,
        "problem": program.problem,
        "optimizer": program.optimizer,
        "runs": program.runs,
        "packs": program.packs,
        "parameters": program.parameters,
        "KiB/lane": round(program.bytes_per_lane / 1024, 1),
        "lanes/chunk": program.lanes_per_chunk,
        "chosen": program.chunk_chosen,
        "form": program.form,
        "options": program.options,
        **(_full_pack(program) if program.train_seconds is None else _times(program)),
    }


def _full_pack(program: ProgramPlan) -> dict[str, Any]:
    return {"lanes/pack": program.lanes_per_pack, "MiB/pack": round(program.bytes_per_pack / 1024**2)}


def _times(program: ProgramPlan) -> dict[str, Any]:
    return {
        "compile s": program.compile_seconds,
        "train s": program.train_seconds,
        "times": "measured" if program.measured else "guessed",
    }


def _table(rows: list[dict[str, Any]]) -> str:
    """Return rows as a table, without the columns that are empty."""
    shown = [name for name in rows[0] if any(row[name] != "" for row in rows)]
    left = [name for name in shown if isinstance(rows[0][name], str)]
    return aligned([{name: _cell(row[name]) for name in shown} for row in rows], left)


def _cell(value: Any) -> str:
    if isinstance(value, str):
        return value
    return f"{value:,}" if isinstance(value, int | np.integer) else f"{value:,.1f}"
