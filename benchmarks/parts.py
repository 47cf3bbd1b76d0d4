"""How a results folder bears many parts: writing, listing, asking what is there, and making the tables.

Synthetic parts of 10 runs × 3 evaluations. The first thousand are written and timed as any part is, the others without
waiting for the disk. Each count of parts is measured in a process of its
own; what a million parts take is that of the most that were measured, plus their slope over the fewer ones.
"""

from __future__ import annotations

import multiprocessing
import os
import resource
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.table import Row, compare, is_quick, publish, show
from lrbench import manifest, study, tables
from lrbench.analysis import Thresholds
from lrbench.grid import Grid, of_study
from lrbench.store import Part, Store

COUNTS = (10_000, 100_000)
FAR = 1_000_000
RUNS = 10
FLUSHED = 1_000
WHAT = {
    "write": "write parts, each flushed to disk (from the first thousand)",
    "list": "list the paths of all parts",
    "held, first": "which runs are there: every part is opened, and indexed",
    "held, again": "which runs are there: from the index",
    "tables": "make every table",
    "account": "what the manifest says of the parts",
}


def grid(parts: int) -> Grid:
    """A grid of as many runs as fill the parts: 10 optimizers × rates × 10 seeds."""
    asked = {
        "name": "parts",
        "steps": 20,
        "evaluate_every": 10,
        "seeds": 10,
        "problem": "quadratic",
        "optimizer": {"name": "sgd", "momentum": [place / 10 for place in range(10)]},
        "learning_rate": {"min": 1e-5, "max": 10.0, "num": max(2, parts * RUNS // 100)},
    }
    return of_study(study.check(asked, "parts", trust=False))


def write(store: Store, whole: Grid) -> float:
    """Write every part of a grid, of curves that fall and one run of ten that diverged; return the seconds of all."""
    random = np.random.default_rng(0)
    falling = np.array([1.0, 0.5, 0.25])
    step = np.where(np.arange(RUNS) == 0, 5.0, np.nan)
    began = time.perf_counter()
    for number, pack in enumerate(whole.packs([RUNS]), start=1):
        runs = len(pack.runs)
        losses = falling * random.uniform(0.5, 1.5, (runs, 1))
        losses[:, 1:][np.isfinite(step[:runs])] = np.nan
        nothing = np.full(runs, np.nan)
        seconds = {"compile": 0.0, "train": 1.0, "evaluate": 0.0}
        store.write_part(
            Part(
                pack.pack_id,
                whole.run_ids[pack.runs],
                whole.evaluations,
                {"train_loss": losses},
                step[:runs],
                nothing,
                np.full(runs, 2),
                seconds,
            )
        )
        if number == min(FLUSHED, len(whole) // RUNS):
            seconds_each = (time.perf_counter() - began) / number
            os.fsync = lambda _: None
    return seconds_each * len(whole) / RUNS


def measure(parts: int) -> dict[str, float]:
    """Return the seconds of each thing that is done with so many parts, and the most memory, in MiB."""
    whole = grid(parts)
    with tempfile.TemporaryDirectory() as place:
        store = Store(place)
        held = partial(store.held, whole.run_ids, stopped=False)
        steps: dict[str, Callable[[], Any]] = {
            "list": store.part_files,
            "held, first": held,
            "held, again": held,
            "tables": lambda: tables.build(store, whole, Thresholds(), {"quadratic": "train_loss"}),
            "account": lambda: manifest.account(store, whole, {}),
        }
        flush = os.fsync
        try:
            found = {"write": write(store, whole)}
        finally:
            os.fsync = flush
        for name, do in steps.items():
            began = time.perf_counter()
            do()
            found[name] = time.perf_counter() - began
            print(f"{parts:,} parts: {name}: {found[name]:.1f} s", file=sys.stderr)
        folders = [folder for folder in Path(place, "parts").iterdir() if folder.is_dir()]
        found["files"] = max(len(list(folder.iterdir())) for folder in folders)
    found["memory"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return found


def rows(found: dict[int, dict[str, float]], far: int) -> list[Row]:
    """A row per measure and count of parts, and one for the count that was not measured."""
    few, many = sorted(found)
    shown = []
    for name in (*WHAT, "memory", "files"):
        slope = (found[many][name] - found[few][name]) / (many - few)
        unit = {"memory": "MiB", "files": "files"}.get(name, "s")
        what = {"memory": "most memory", "files": "most files in one folder"}.get(name) or WHAT[name]
        for count, seconds in found.items():
            note = f"{1000 * seconds[name] / count:.3f} ms a part" if unit == "s" else ""
            shown.append(compare(name, f"{what}: {count:,} parts", seconds[name], unit, note=note))
        beyond = found[many][name] + slope * (far - many)
        shown.append(
            compare(
                name,
                f"{what}: {far:,} parts",
                beyond,
                unit,
                note=f"extrapolated: {slope:.3g} {unit} a part more",
            )
        )
    return shown


def main() -> None:
    """Measure, print, and save results/speed/parts.csv."""
    quick = is_quick(__doc__)
    counts = (20, 100) if quick else COUNTS
    with multiprocessing.get_context("spawn").Pool(1, maxtasksperchild=1) as pool:
        found = dict(zip(counts, pool.map(measure, counts, chunksize=1), strict=True))
    table = rows(found, 1000 if quick else FAR)
    if quick:
        show(table)
    else:
        publish("parts", table)


if __name__ == "__main__":
    main()
