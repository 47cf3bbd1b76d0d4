"""The progress of a study, from its results folder alone: on any machine that sees it, while others work on it."""

from __future__ import annotations

import contextlib
import os
import time
from collections import Counter
from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any

import numpy as np
from pydantic import Field

from lrbench.errors import StoreError, counted, duration
from lrbench.execution.json_record import SCHEMA_VERSION, Count, JsonRecord, Seconds
from lrbench.execution.stages import is_chosen
from lrbench.launchers import slurm
from lrbench.results.folder import read_manifest
from lrbench.results.inventory import Inventory
from lrbench.results.places import Place, place_of
from lrbench.study.grid import Grid
from lrbench.study.stages import GRID

UNKNOWN = "unknown"
"""The state of a job where nobody can say it."""
RunsPerHour = Annotated[float, Field(json_schema_extra={"unit": "runs an hour"})]
LATELY = 3600.0
"""The pace is that of the parts written in this many seconds before the last one."""


class Status(JsonRecord):
    """What `lrbench status --json` prints; docs/command-line.md lists its keys."""

    schema_version: int = Field(SCHEMA_VERSION, description="raised when a key changes its meaning")
    folder: str = Field(description="the results folder")
    study: str = Field(description="the name of its study")
    runs: Count = Field(description="the runs of the stages that are chosen so far")
    completed: Count = Field(description="how many of them are completed")
    missing: Count = Field(description="how many are not")
    stages: dict[str, Count] = Field(description="the runs of each stage; empty for a study of a plain grid")
    not_chosen: tuple[str, ...] = Field(description="the stages that are not chosen yet")
    jobs: dict[str, Count] = Field(
        description="submitted Slurm jobs by their state, which is `unknown` if squeue was not found"
    )
    failed_jobs: Count = Field(description="how many of the jobs had packs that failed")
    runs_per_hour: RunsPerHour | None = Field(
        description="the recent speed; null if it is unknown, or nothing is missing"
    )
    seconds_left: Seconds | None = Field(description="the time for the missing runs at that speed")
    seconds_since_last_part: Seconds | None = Field(
        description="the time since the last part was written; null if there is none"
    )


def status(where: str | os.PathLike[str]) -> Status:
    """Return completed and missing runs, the state of the submitted Slurm jobs, and the pace.

    Args:
        where: the results folder or its URL; of parts at a URL no more is read than which runs they hold.

    Raises:
        StoreError: if it is not a results folder.
    """
    place = place_of(where)
    manifest = read_manifest(place)
    if "grid" not in manifest:
        raise StoreError(
            f"{place.name}: is not a results folder (it has no manifest.json); `lrbench run STUDY` creates one"
        )
    grid = Grid.from_dict(manifest["grid"])
    inventory = Inventory(place, grid.run_ids, stopped=grid.race)
    parts = inventory.parts()
    runs = np.array([len(part.numbers) for part in parts])
    written = np.array(inventory.written())
    done = int(runs.sum())
    left, pace = grid.runs - done, 0.0
    if len(runs) and left and not _copied(manifest, written):
        pace = _pace(written, runs, np.array([part.seconds.get("train", 0.0) for part in parts]))
    stages, waiting = _stages(place, manifest, grid)
    jobs, failed = _jobs(place)
    return Status(
        folder=place.name,
        study=str(manifest.get("study", grid.name)),
        runs=grid.runs,
        completed=done,
        missing=left,
        stages=stages,
        not_chosen=waiting,
        jobs=jobs,
        failed_jobs=failed,
        runs_per_hour=3600 * pace or None,
        seconds_left=left / pace if pace else None,
        seconds_since_last_part=max(0.0, time.time() - written.max()) if len(runs) else None,
    )


def status_text(where: str | os.PathLike[str]) -> str:
    """Return the progress of a study as text; argument and errors are those of `status`."""
    found = status(where)
    lines = [
        f"{found.folder}: {found.study}: {found.completed:,} of {counted(found.runs, 'run')} completed, {found.missing:,} missing"
    ]
    if found.stages:
        line = "stages: " + ", ".join(f"{name} {counted(size, 'run')}" for name, size in found.stages.items())
        if found.not_chosen:
            line += f"; not chosen yet: {', '.join(found.not_chosen)}: give the same command again when the stages before are completed"
        lines.append(line)
    if unknown := found.jobs.get(UNKNOWN):
        lines.append(
            f"{counted(unknown, 'Slurm job')} submitted; their states are unknown, because squeue was not found"
        )
    elif found.jobs:
        counts = ", ".join(f"{count:,} {state}" for state, count in found.jobs.items())
        failed = f"; packs failed in {found.failed_jobs:,}" if found.failed_jobs else ""
        lines.append(f"Slurm jobs: {counts}{failed}")
    if found.seconds_left is not None:
        lines.append(
            f"lately {found.runs_per_hour:,.0f} runs an hour: about {duration(found.seconds_left)} more at that pace"
        )
    if found.missing and found.seconds_since_last_part is not None:
        lines.append(f"the last part was written {duration(found.seconds_since_last_part)} ago")
    return "\n".join(lines)


def _stages(place: Place, manifest: Mapping[str, Any], grid: Grid) -> tuple[dict[str, int], tuple[str, ...]]:
    """Return the runs of each stage that is chosen, and which are not, if the study has any but its grid."""
    steps = manifest.get("stages", [])
    if not steps:
        return {}, ()
    sizes = Counter(grid.stage(np.flatnonzero(grid.is_run)).tolist())
    order = dict.fromkeys(stage.name for stage in grid.stages) or [GRID]
    waiting = (step["record"] for step in steps if not is_chosen(place, step["record"]))
    return {name: sizes[name] for name in order}, tuple(waiting)


def _pace(written: np.ndarray, runs: np.ndarray, trained: np.ndarray) -> float:
    """Return the runs per second of late, 0 if unknown.

    Args:
        written: when each part was written.
        runs: the runs of each part.
        trained: the seconds of training of each part.
    """
    last = written.max()
    lately = written >= last - LATELY
    seconds = last - written[lately].min()
    if lately.all():  # the first part only says when the clock starts
        lately[written.argmin()] = False
    # Parts that were written within less time than one of them takes to train started together, or are copies.
    known = seconds > 0 and lately.any() and seconds >= trained[lately].max()
    return float(runs[lately].sum() / seconds) if known else 0.0


def _copied(manifest: Mapping[str, Any], written: np.ndarray) -> bool:
    """Return whether the parts have the times of a copy: the oldest is younger than tables that were built from it."""
    with contextlib.suppress(ValueError, KeyError):
        return bool(written.min() > datetime.fromisoformat(manifest["finished"]).timestamp() + 1)
    return False


def _jobs(place: Place) -> tuple[dict[str, int], int]:
    """Return how many of the submitted jobs are in each state, and in how many packs failed."""
    jobs = slurm.submitted(place)
    found = slurm.states() if jobs else {}
    failed = sum(place.exists(f"{slurm.FOLDER}/{job}.errors.json") for job in jobs)
    if found is None:
        return {UNKNOWN: len(jobs)}, failed
    return dict(sorted(Counter(found.get(job, "ENDED").lower() for job in jobs).items())), failed
