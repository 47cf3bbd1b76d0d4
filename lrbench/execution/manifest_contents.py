"""The contents of the manifest: how a study was trained, on which machine, and its progress."""

from __future__ import annotations

import hashlib
import json
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Bool

from lrbench import machine
from lrbench.analysis.objective import Objective
from lrbench.errors import StudyError
from lrbench.results.part_file import PartSummary
from lrbench.study import catalog, metric
from lrbench.study.grid import Grid, Pack
from lrbench.study.spec import Study

if TYPE_CHECKING:
    from lrbench.engine.engine import Engine

PACKS_LISTED = 10_000
"""With more packs than this, the manifest has the totals alone; each part has its own figures."""


def describe(engine: Engine, grid: Grid, before: Mapping[str, Any]) -> dict[str, Any]:
    """Return the contents of the manifest of a study before it is trained."""
    known = before.get("lanes_per_pack", ())
    if len(known) != len(grid.programs):
        known = [0] * len(grid.programs)
    # 0 means that the program could not be compiled so far.
    lanes_per_pack = [
        lanes or engine.lanes_per_pack(program) for lanes, program in zip(known, grid.programs, strict=True)
    ]
    return {
        "study": grid.name,
        "started": before.get("started", now()),
        "versions": machine.versions(),
        "devices": engine.describe_devices(),
        "matmul_precision": engine.matmul_precision,
        "commit": _commit(),
        "grid": grid.asdict(),
        "stages": [{"stage": step.stage, "record": step.record} for step in engine.study.stages()],
        "lanes_per_pack": lanes_per_pack,
        "problems": engine.describe_problems(),
        "programs": [engine.describe(program) for program in grid.programs],
        "tunings": engine.describe_tunings(),
        "schedules": engine.describe_schedules(),
    }


def with_tunings(manifest: Mapping[str, Any], engine: Engine) -> dict[str, Any]:
    """Return a manifest with how programs are compiled now."""
    programs = [
        {**about, **engine.describe_tuning(program)}
        for about, program in zip(manifest["programs"], engine.grid.programs, strict=True)
    ]
    return {**manifest, "programs": programs, "tunings": engine.describe_tunings()}


def kept_tunings(
    manifest: Mapping[str, Any], grid: Grid, completed: Bool[np.ndarray, " run"]
) -> list[dict[str, Any]]:
    """Return what a manifest says of how programs were compiled, without those of which nothing is trained and nothing was measured.

    Args:
        manifest: of the folder.
        grid: the runs.
        completed: which of them are trained.
    """
    untrained = {grid.program_id(program) for program in grid.programs if not completed[program.runs].any()}
    return [
        record
        for record in manifest.get("tunings", ())
        if record["chosen"] == "measured" or record["program"] not in untrained
    ]


def describes(manifest: Mapping[str, Any], grid: Grid) -> bool:
    """Return whether a manifest was written for exactly these problems, optimizers, schedules and rates, whatever later stages chose.

    It must also say of its problems all that is said today.
    """
    problems = manifest.get("problems") or [{}]
    if not all("metrics" in problem for problem in problems):
        return False
    return _asked(Grid.from_dict(manifest["grid"])) == _asked(grid)


def request(study: Study, grid: Grid) -> str:
    """Return a hash of all that decides which stages a study has: the grid that it begins with, its steps and what its runs are judged by."""
    steps = [step._asdict() for step in study.stages()], [factor for factor, _ in study.shorter_steps()]
    text = json.dumps([_asked(grid), *steps, study.objective, study.at])
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


def _asked(grid: Grid) -> str:
    """Return a grid as a study asks for it, before later stages, as text."""
    first = grid.stages[:1]
    rates, seeds = (first[0].rates[0], first[0].seeds) if first else (grid.learning_rates, grid.seeds)
    return json.dumps(replace(grid, learning_rates=rates, seeds=seeds, stages=()).asdict())


def objectives(manifest: Mapping[str, Any]) -> dict[str, Objective]:
    """Return what each problem's runs are judged by."""
    names = [variant["name"] for variant in manifest["grid"]["problems"]]
    return {
        name: _objective(manifest, problem) for name, problem in zip(names, manifest["problems"], strict=True)
    }


def _objective(manifest: Mapping[str, Any], problem: Mapping[str, Any]) -> Objective:
    """Return the study's objective for one problem; the problem's own loss where it has no such metric."""
    asked, at = manifest.get("objective", "auto"), manifest.get("at", "end")
    metrics = {f"valid_{name}": each for name, each in problem.get("metrics", {}).items()}
    if asked in metrics:
        return Objective(asked, metrics[asked]["larger"], metrics[asked]["bound"], at)
    return Objective("valid_loss" if problem["validated"] and asked != "train_loss" else "train_loss", at=at)


def check_objective(manifest: Mapping[str, Any], study: Study) -> None:
    """Refuse a study whose objective a problem of the manifest lacks, with a `StudyError` that says what it has."""
    for problem in manifest["problems"]:
        valid = ["loss", *problem["metrics"]] if problem["validated"] else []
        curves = ["train_loss", *(f"valid_{name}" for name in valid)]
        try:
            metric.check_objective(study.objective, problem["name"], curves)
        except StudyError as error:
            raise StudyError(f"{study.where}: {error}") from error


def account(parts: Sequence[PartSummary], grid: Grid) -> dict[str, Any]:
    """Return the totals of the parts that have runs of the grid."""
    packs: list[dict[str, Any]] = []
    totals, steps = {"compile": 0.0, "train": 0.0, "evaluate": 0.0}, 0
    saved = stopped = 0
    for part in parts:
        runs = len(part.numbers)
        packs.append({"pack_id": part.pack_id, "runs": runs, "seconds": dict(part.seconds)})
        steps += runs * grid.steps_of(int(grid.positions(part.numbers[:1])["problem"][0]))
        saved += part.saved_lane_steps
        stopped += part.stopped_lane_steps
        totals = {name: total + part.seconds.get(name, 0.0) for name, total in totals.items()}
    done = sum(pack["runs"] for pack in packs)
    if len(packs) > PACKS_LISTED:
        packs = []
    return {
        "runs": {"total": grid.runs, "done": done, "left": grid.runs - done},
        "packs": packs,
        "seconds": {name: round(total, 3) for name, total in totals.items()},
        "lane_steps": {"total": steps, "saved": saved, "stopped": stopped},
        "model_steps_per_second": round(steps / totals["train"], 1) if totals["train"] else None,
    }


def failure(grid: Grid, pack: Pack, error: str) -> dict[str, Any]:
    """Return the record of a failed pack: its points of the grid, and the error."""
    at = grid.positions(pack.runs)
    rates = grid.rates(pack.runs)[""]

    def labels(kind: str) -> str:
        return "; ".join(grid.variants[kind][number].label for number in np.unique(at[kind]))

    return {
        "pack_id": pack.pack_id,
        "problem": labels("problem"),
        "optimizer": labels("optimizer"),
        "schedule": labels("schedule"),
        "learning_rate_low": float(rates.min()),
        "learning_rate_high": float(rates.max()),
        "seeds": " ".join(str(grid.seeds[position]) for position in np.unique(at["seed"])),
        "runs": len(pack.runs),
        "error": error,
    }


def _commit() -> str | None:
    """Return the commit of lrbench itself, where it runs from a checkout."""
    command = ["git", "-C", str(catalog.PACKAGE), "rev-parse", "HEAD"]
    try:
        found = subprocess.run(command, capture_output=True, text=True, timeout=5, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return found.stdout.strip() or None if found.returncode == 0 else None


def now() -> str:
    """Return the time as ISO 8601, in UTC, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")
