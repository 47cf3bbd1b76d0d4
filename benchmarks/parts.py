"""What many parts and many runs of a results folder take: writing, finding out which runs are completed, and making the tables.

Synthetic parts of 3 evaluations, in two cases: many parts of 10 runs, and many runs in parts of 1,000. The first thousand
parts are written and timed as any part is, the others without waiting for the disk. Each size is measured in a process of
its own; what more parts or runs take is that of the largest size that was measured, plus the slope over the smaller one.
Tables are made in one process, with one helper and with two; what they take on 16 cores is modelled from what was shared.
"""

from __future__ import annotations

import multiprocessing
import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from benchmarks import making_tables
from benchmarks.table import Row, compare, is_quick, publish, show
from lrbench.execution import manifest_contents
from lrbench.results.folder import ResultsFolder
from lrbench.results.trained import Trained
from lrbench.study import spec
from lrbench.study.grid import Grid, of_study

FLUSHED = 1_000
SEEDS, RATES = 5, 100
PROGRESS = 10_000
WHAT = {
    "write": "write parts, each flushed to disk (from the first thousand)",
    "list": "list the paths of all parts",
    "completed": "which runs are completed: every part is opened",
    "tables": "make every table, in one process",
    "tables, 1": "the same with one helper",
    "tables, 2": "the same with two helpers",
    "serial": "of these, what this process does by itself",
    "shared": "and what helpers do",
    "tables, 16": "make every table on 16 cores: the former, and a sixteenth of the latter",
    "account": "what the manifest says of the parts",
}
OTHERS = {
    "memory": ("most memory of the process that has helpers", "MiB"),
    "helper": ("most memory of a helper", "MiB"),
    "files": ("most files in one folder", "files"),
}
PROBLEM = {"name": "quadratic", "validated": False}
"""What a manifest says of the problem."""


class Size(NamedTuple):
    """How many parts there are, and how many runs each of them has."""

    parts: int
    runs: int

    @property
    def text(self) -> str:
        return f"{self.parts:,} parts of {self.runs:,} runs"


SIZES = (
    (Size(3_000, 10), Size(10_000, 10), Size(1_000_000, 10)),
    (Size(800, 1_000), Size(2_000, 1_000), Size(100_000, 1_000)),
)
"""For each case two sizes that are measured, and one that is extrapolated."""
QUICK = (
    (Size(100, 10), Size(200, 10), Size(1_000, 10)),
    (Size(2, 1_000), Size(4, 1_000), Size(10, 1_000)),
)


def grid(size: Size) -> Grid:
    """A grid of as many runs as fill the parts: optimizers × 100 rates × 5 seeds."""
    optimizers = max(2, -(-size.parts * size.runs // (SEEDS * RATES)))
    asked = {
        "name": "parts",
        "steps": 20,
        "evaluate_every": 10,
        "seeds": SEEDS,
        "problem": "quadratic",
        "optimizer": {"name": "sgd", "momentum": [place / optimizers for place in range(optimizers)]},
        "learning_rate": {"min": 1e-5, "max": 10.0, "num": RATES},
    }
    return of_study(spec.check(asked, "parts", trust=False))


def write(store: ResultsFolder, whole: Grid, size: Size) -> float:
    """Write every part of a grid, of curves that fall and one run of ten that diverged; return the seconds of all."""
    random = np.random.default_rng(0)
    falling = np.array([0.5, 0.25])
    began = time.perf_counter()
    for number, pack in enumerate(whole.packs([size.runs]), start=1):
        runs = len(pack.runs)
        start = 1.0 + whole.positions(pack.runs)["seed"][:, None] / SEEDS  # runs of a seed start alike
        losses = np.hstack([start, start * falling * random.uniform(0.5, 1.5, (runs, 1))])
        diverged = np.where(np.arange(runs) % 10 == 0, 5.0, np.nan)
        losses[np.isfinite(diverged), 1:] = np.nan
        store.write_part(
            Trained(
                pack.pack_id,
                whole.run_ids[pack.runs],
                whole.evaluations(0),
                {"train_loss": losses},
                diverged,
                np.full(runs, np.nan),
                np.full(runs, 2),
                {"compile": 0.0, "train": 1.0, "evaluate": 0.0},
            )
        )
        if number == min(FLUSHED, size.parts):
            seconds_each = (time.perf_counter() - began) / number
            os.fsync = lambda _: None
        if number % PROGRESS == 0:
            print(f"{size.text}: {number:,} are written", file=sys.stderr)
    return seconds_each * size.parts


def measure(size: Size) -> dict[str, float]:
    """Return the seconds of each thing that is done with so many parts, and the most memory of tables, in MiB."""
    whole = grid(size)
    with tempfile.TemporaryDirectory() as place:
        flush = os.fsync
        try:
            found = {"write": write(ResultsFolder(place), whole, size)}
        finally:
            os.fsync = flush
        again = ResultsFolder(place)
        parts = again.inventory(whole.run_ids, stopped=False)
        steps: dict[str, Callable[[], Any]] = {
            "list": again.part_paths,
            "completed": parts.completed,
            "account": lambda: manifest_contents.account(parts.parts(), whole),
        }
        for name, do in steps.items():
            began = time.perf_counter()
            do()
            found[name] = time.perf_counter() - began
            print(f"{size.text}: {name}: {found[name]:.1f} s", file=sys.stderr)
        tables = making_tables.measure(again, whole, parts.parts, PROBLEM)
        print(f"{size.text}: {tables}", file=sys.stderr)
        found |= {"tables": tables.alone, "tables, 1": tables.one, "tables, 2": tables.two}
        found |= {"serial": tables.serial, "shared": tables.shared, "tables, 16": tables.modelled}
        found |= {"memory": tables.memory, "helper": tables.helper}
        folders = [folder for folder in Path(place, "parts").iterdir() if folder.is_dir()]
        found["files"] = max(len(list(folder.iterdir())) for folder in folders)
    return found


def rows(found: dict[Size, dict[str, float]], far: Size) -> list[Row]:
    """A row per measure and size of a case, and one for the size that was not measured."""
    few, many = sorted(found)
    shown = []
    for name in (*WHAT, *OTHERS):
        what, unit = (WHAT[name], "s") if name in WHAT else OTHERS[name]
        for size, values in found.items():
            each = 1e3 * values[name] / size.parts
            note = f"{each:.3f} ms a part, {1e3 * each / size.runs:.3f} µs a run" if unit == "s" else ""
            shown.append(compare(name, f"{what}: {size.text}", values[name], unit, note=note))
        if name == "helper":  # it does not grow with the study
            continue
        slope = (found[many][name] - found[few][name]) / (many.parts - few.parts)
        beyond = found[many][name] + slope * (far.parts - many.parts)
        modelled = "modelled, and " if name == "tables, 16" else ""
        note = f"{modelled}extrapolated: {slope:.3g} {unit} a part more"
        shown.append(compare(name, f"{what}: {far.text}", beyond, unit, note=note))
    return shown


def main() -> None:
    """Measure, print, and save results/speed/parts.csv."""
    quick = is_quick(__doc__)
    table = []
    with multiprocessing.get_context("spawn").Pool(1, maxtasksperchild=1) as pool:
        for *sizes, far in QUICK if quick else SIZES:
            found = dict(zip(sizes, pool.map(measure, sizes, chunksize=1), strict=True))
            table += rows(found, far)
    if quick:
        show(table)
    else:
        publish("parts", table)


if __name__ == "__main__":
    main()
