"""How far a study is, told from its results folder alone: on any machine that sees it, while others work on it."""

from __future__ import annotations

import time
from collections import Counter
from pathlib import Path

import numpy as np

from lrbench.errors import StoreError
from lrbench.execution.plan import duration
from lrbench.launchers import slurm
from lrbench.results import safe_files
from lrbench.results.folder import ResultsFolder
from lrbench.study.grid import Grid

LATELY = 3600.0
"""The pace is that of the parts written in so many seconds before the last one."""


def status(folder: Path) -> str:
    """Return runs done and left, the state of the Slurm jobs that were submitted, and the pace, as text.

    Raises:
        StoreError: if it is not a results folder.
    """
    store = ResultsFolder(folder)
    manifest = store.manifest
    if "grid" not in manifest:
        raise StoreError(
            f"{folder}: is not a results folder (no manifest.json); `lrbench run STUDY` makes one"
        )
    whole = Grid.from_dict(manifest["grid"])
    parts = store.inventory(whole.run_ids, stopped=whole.race).parts()
    runs = np.array([len(part.numbers) for part in parts])
    written = np.array([_changed(part.path) for part in parts])
    done = int(runs.sum())
    left = len(whole) - done
    lines = [
        f"{folder}: {manifest.get('study', whole.name)}: {done:,} of {len(whole):,} runs are done, {left:,} are left"
    ]
    lines += _jobs(folder)
    if len(runs) and left:
        lately = written >= written.max() - LATELY
        seconds = written.max() - written.min(where=lately, initial=np.inf)
        # The first of them only says when the clock starts.
        since = runs[lately].sum() - runs[written.argmin()] if lately.all() else runs[lately].sum()
        if seconds > 0 and since > 0:
            pace = since / seconds
            lines.append(
                f"lately {3600 * pace:,.0f} runs an hour: about {duration(left / pace)} more at that pace"
            )
        lines.append(f"the last part was written {duration(time.time() - written.max())} ago")
    return "\n".join(lines)


def _changed(path: Path) -> float:
    """Return when a part was written; of one that another process has moved meanwhile, long ago."""
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
            f"{len(jobs):,} Slurm jobs were submitted; there is no squeue here that says what became of them"
        ]
    states = Counter(found.get(job, "ENDED").lower() for job in jobs)
    told = ", ".join(f"{count:,} {state}" for state, count in sorted(states.items()))
    failed = sum(safe_files.exists(folder, f"{slurm.FOLDER}/{job}.errors.json") for job in jobs)
    return [f"Slurm jobs: {told}" + (f"; packs failed in {failed:,}" if failed else "")]
