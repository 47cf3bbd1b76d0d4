"""The progress of a study, from its results folder alone: on any machine that sees it, while others work on it."""

from __future__ import annotations

import contextlib
import time
from collections import Counter
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np

from lrbench.errors import StoreError, counted
from lrbench.execution.plan import duration
from lrbench.execution.stages import is_chosen
from lrbench.launchers import slurm
from lrbench.results import safe_files
from lrbench.results.folder import ResultsFolder
from lrbench.study.grid import Grid
from lrbench.study.stages import GRID

LATELY = 3600.0
"""The pace is that of the parts written in this many seconds before the last one."""


def status_text(folder: Path) -> str:
    """Return completed and missing runs, the state of the submitted Slurm jobs, and the pace, as text.

    Raises:
        StoreError: if it is not a results folder.
    """
    store = ResultsFolder(folder)
    manifest = store.manifest
    if "grid" not in manifest:
        raise StoreError(
            f"{folder}: is not a results folder (it has no manifest.json); `lrbench run STUDY` creates one"
        )
    grid = Grid.from_dict(manifest["grid"])
    parts = store.inventory(grid.run_ids, stopped=grid.race).parts()
    runs = np.array([len(part.numbers) for part in parts])
    written = np.array([_changed(part.path) for part in parts])
    done = int(runs.sum())
    left = grid.runs - done
    lines = [
        f"{folder}: {manifest.get('study', grid.name)}: {done:,} of {counted(grid.runs, 'run')} completed, {left:,} missing"
    ]
    lines += _stages(store, manifest, grid)
    lines += _jobs(folder)
    if len(runs) and left:
        trained = np.array([part.seconds.get("train", 0.0) for part in parts])
        if (pace := _pace(written, runs, trained)) and not _copied(manifest, written):
            lines.append(
                f"lately {3600 * pace:,.0f} runs an hour: about {duration(left / pace)} more at that pace"
            )
        lines.append(f"the last part was written {duration(time.time() - written.max())} ago")
    return "\n".join(lines)


def _stages(store: ResultsFolder, manifest: Mapping[str, Any], grid: Grid) -> list[str]:
    """Return the runs of each stage that is chosen, and the stage that comes next, if the study has any but its grid."""
    steps = manifest.get("stages", [])
    if not steps:
        return []
    sizes = Counter(grid.stage(np.flatnonzero(grid.is_run)).tolist())
    order = dict.fromkeys(stage.name for stage in grid.stages) or [GRID]
    line = "stages: " + ", ".join(f"{name} {counted(sizes[name], 'run')}" for name in order)
    waiting = [step["record"] for step in steps if not is_chosen(store, step["record"])]
    if waiting:
        line += f"; not chosen yet: {', '.join(waiting)}: give the same command again when the stages before are completed"
    return [line]


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


def _changed(path: Path) -> float:
    """Return when a part was written; 0 if another process has moved it meanwhile."""
    try:
        return path.lstat().st_mtime
    except FileNotFoundError:
        return 0.0


def _jobs(folder: Path) -> list[str]:
    jobs = slurm.submitted(folder)
    if not jobs:
        return []
    found = slurm.states()
    if found is None:
        return [
            f"{counted(len(jobs), 'Slurm job')} submitted; their states are unknown, because squeue was not found"
        ]
    states = Counter(found.get(job, "ENDED").lower() for job in jobs)
    counts = ", ".join(f"{count:,} {state}" for state, count in sorted(states.items()))
    failed = sum(safe_files.exists(folder, f"{slurm.FOLDER}/{job}.errors.json") for job in jobs)
    return [f"Slurm jobs: {counts}" + (f"; packs failed in {failed:,}" if failed else "")]
