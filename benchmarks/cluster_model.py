"""How a study of 10^8 runs would use 1 to 10,000 devices: a simulation, no measurement of a cluster.

What a worker takes to start, a program to compile, a pack to be handed out, written and tabulated is measured here, on one
machine; a device is this machine, and trains at the pace that `throughput` published. Then packs are handed out, event by event, to so many devices. What is assumed and not measured:
packs of one size vary by 10 % (log-normal), all devices start at once, and the driver, which makes the tables, has 16 cores: what helpers do of
them is divided by 16, and what one process does by itself is not.
"""

from __future__ import annotations

import csv
import heapq
import logging
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import making_tables
from benchmarks.making_tables import CORES, Seconds
from benchmarks.pictures import save
from benchmarks.table import FOLDER, ROOT, Row, clean_environment, compare, is_quick, publish, show
from lrbench.results.folder import ResultsFolder
from lrbench.results.trained import Trained
from lrbench.study import spec
from lrbench.study.grid import Grid, of_study

RUNS, STEPS, LANES, PROGRAMS = 10**8, 1_000, 2_048, 10
DEVICES = (1, 10, 100, 1_000, 3_000, 10_000)
SPREAD = 0.1
SEEDS, RATES = 5, 100
PROBLEM = {
    "name": "digits_mlp",
    "validated": True,
    "headline": "accuracy",
    "metrics": {"accuracy": {"larger": True, "bound": 1.0}},
}
"""What a manifest says of the problem."""
LOSSES = ("start", "compile", "hand out", "write", "imbalance", "tables")


@dataclass(frozen=True)
class Costs:
    """Seconds that were measured here."""

    pack: float
    """Training of a pack, at the published pace."""
    start: float
    """A worker, from nothing to JAX imported and its devices found."""
    compile: float
    """A program, in each worker that has a pack of it."""
    hand_out: float
    """One task of the launcher, in its one driver."""
    write: float
    """A part, flushed to disk."""
    serial: float
    """All tables, a run: what one process does by itself, with finding the parts."""
    shared: float
    """All tables, a run: what can be shared."""

    @property
    def tables(self) -> float:
        """All tables, a run, on the driver."""
        return self.serial + self.shared / CORES


def measure(quick: bool) -> Costs:
    """Measure what a pack and its handling cost on this machine."""
    task = _ray_task(quick)  # before JAX has threads
    from lrbench.engine.engine import Engine

    steps = 20 if quick else 100
    asked = {"name": "model", "steps": steps, "seeds": 2, "problem": "digits_mlp", "optimizer": "adam"}
    rates = {"min": 1e-5, "max": 1.0, "num": 64 if quick else LANES // 2}
    wanted = spec.check({**asked, "learning_rate": rates}, "model", trust=False)
    grid = of_study(wanted)
    engine = Engine(wanted, grid)
    (pack,) = grid.packs([LANES])
    first = engine.run(pack, LANES)
    curves = engine.run(pack, LANES)
    engine.close()
    sizes = [_tables(_lines(asked, packs), curves) for packs in ((2, 4) if quick else (150, 450))]
    (few, _, less), (many, writing, more) = sizes
    code = "import jax, lrbench.engine.engine; jax.devices()"
    environment = clean_environment(PYTHONPATH=str(ROOT))
    command = [sys.executable, "-c", code]
    starting = _seconds(lambda: subprocess.run(command, check=True, env=environment, cwd=ROOT))
    serial, shared = (
        (b - a) / (many - few) for a, b in ((less.serial, more.serial), (less.shared, more.shared))
    )
    pack_seconds = LANES * STEPS / _pace()
    return Costs(pack_seconds, starting, first.seconds["compile"], task, writing, serial, shared)


def _lines(asked: Mapping[str, Any], packs: int) -> Grid:
    """A grid with about so many packs: lines of 100 rates and 5 seeds."""
    lines = packs * LANES // (SEEDS * RATES)
    decays = [0.5 + 0.4 * line / lines for line in range(lines)]
    optimizer = {"name": "adam", "b1": decays}
    rates = {"min": 1e-5, "max": 1.0, "num": RATES}
    changes = {"seeds": SEEDS, "optimizer": optimizer, "learning_rate": rates}
    return of_study(spec.check({**asked, **changes}, "model", trust=False))


def _tables(grid: Grid, trained: Trained) -> tuple[int, float, Seconds]:
    """Return how many runs a grid has, and what writing a part and making all tables takes, in seconds."""
    runs = len(trained.run_ids)
    with tempfile.TemporaryDirectory() as place:
        store = ResultsFolder(place)
        packs = [pack for pack in grid.packs([runs]) if len(pack.runs) == runs]
        began = time.perf_counter()
        for each in packs:
            store.write_part(_part(each.pack_id, grid, each.runs, trained))
        writing = (time.perf_counter() - began) / len(packs)
        find = store.inventory
        making = making_tables.measure(
            store, grid, lambda: find(grid.run_ids, stopped=False).parts(), PROBLEM
        )
        print(f"{len(packs) * runs:,} runs: {making}", file=sys.stderr)
    return len(packs) * runs, writing, making


def _pace() -> float:
    """Return the model-steps a second of digits_mlp that results/speed/throughput.csv has."""
    with (FOLDER / "throughput.csv").open(encoding="utf-8", newline="") as file:
        return next(float(row["value"]) for row in csv.DictReader(file) if row["measure"] == "P1")


def _part(pack_id: str, grid: Grid, runs: np.ndarray, trained: Trained) -> Trained:
    empty = np.full(len(runs), np.nan)
    some = replace(trained, pack_id=pack_id, run_ids=grid.run_ids[runs], step=grid.evaluations(0))
    return replace(some, diverged_step=empty, stopped_step=empty)


def _ray_task(quick: bool) -> float:
    """Return what a task that does nothing takes in Ray, many of them in the queue."""
    import ray

    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, logging_level=logging.ERROR)
    try:
        nothing = ray.remote(lambda: None)
        count = 20 if quick else 2_000
        ray.get([nothing.remote() for _ in range(4)])
        return _seconds(lambda: ray.get([nothing.remote() for _ in range(count)])) / count
    finally:
        ray.shutdown()


def _seconds(do: Callable[[], object]) -> float:
    began = time.perf_counter()
    do()
    return time.perf_counter() - began


def simulate(costs: Costs, devices: int, runs: int = RUNS) -> dict[str, float]:
    """Return the seconds until the tables are there, and the share of all devices' time that is training, and that is lost to each.

    Packs are handed out one at a time, in the order of the grid, to whichever device is free first.
    """
    random = np.random.default_rng(0)
    packs = -(-runs // LANES)
    training = costs.pack * np.exp(random.normal(-(SPREAD**2) / 2, SPREAD, packs))
    program = np.arange(packs) * PROGRAMS // packs
    lost = dict.fromkeys(LOSSES, 0.0)
    free = [(costs.start, device) for device in range(devices)]
    has = np.full(devices, -1)
    ends = np.full(devices, costs.start)
    lost["start"] = costs.start * devices
    driver = 0.0
    for pack in range(packs):
        ready, device = heapq.heappop(free)
        driver = max(driver, ready) + costs.hand_out
        compiling = costs.compile * (has[device] != program[pack])
        has[device] = program[pack]
        end = driver + compiling + training[pack] + costs.write
        lost["hand out"] += driver - ready
        lost["compile"] += compiling
        lost["write"] += costs.write
        ends[device] = end
        heapq.heappush(free, (end, device))
    trained = ends.max()
    lost["imbalance"] = float((trained - ends).sum())
    lost["tables"] = costs.tables * runs * devices
    seconds = trained + costs.tables * runs
    total = seconds * devices
    return {
        "seconds": seconds,
        "training": training.sum() / total,
        **{name: each / total for name, each in lost.items()},
    }


def rows(costs: Costs, found: dict[int, dict[str, float]]) -> list[Row]:
    """What was measured, then a row for each number of devices."""
    about = {
        "pack": f"train a pack: digits_mlp, adam, {LANES:,} runs × {STEPS:,} steps",
        "start": "start a worker: Python, JAX, lrbench",
        "compile": "compile a program",
        "hand_out": "hand out a task (Ray, one driver)",
        "write": "write a part, flushed to disk",
        "serial": f"make all tables, a further run ({RATES} rates, {SEEDS} seeds, evaluated 11 times): what one process does by itself",
        "shared": "the same: what helpers do",
        "tables": f"make all tables on a driver of {CORES} cores, a further run: the former, and a sixteenth of the latter",
    }
    notes = {"pack": "published", "tables": "MODELLED"}
    table = [
        compare(
            name,
            what,
            getattr(costs, name),
            "s",
            note=notes.get(name, "measured on this machine"),
        )
        for name, what in about.items()
    ]
    for devices, each in found.items():
        worst = max(LOSSES, key=each.__getitem__)
        shares = ", ".join(f"{name} {each[name]:.2%}" for name in LOSSES)
        note = f"SIMULATED: {each['seconds'] / 3600:,.1f} h; most is lost to {worst}; {shares}"
        what = (
            f"share of the time of {devices:,} devices that is training, {RUNS:,} runs of {PROGRAMS} programs"
        )
        table.append(compare("efficiency", what, each["training"], "of 1", note=note))
        before = each["training"] / (1 - each["tables"])
        what = f"the same, with the devices given back before the tables are made: {devices:,} devices"
        table.append(compare("efficiency", what, before, "of 1", note="SIMULATED"))
    return table


def picture(found: dict[int, dict[str, float]], path: Path) -> None:
    """Draw where the devices' time goes, over the number of devices."""
    from lrbench.plots import base, theme

    title = f"SIMULATED: {RUNS:,} runs of digits_mlp, {STEPS:,} steps"
    figure, (axes,) = base.panels(1, title, width=6.0, height=3.0, foot=0.45)
    names = ("training", *LOSSES)
    shares = np.array([[each[name] for each in found.values()] for name in names])
    places = np.arange(len(found))
    bottom = np.zeros(len(found))
    handles = {}
    for name, share, colour in zip(names, shares, theme.COLOURS, strict=False):
        handles[name] = axes.bar(places, share, bottom=bottom, color=colour, width=0.75)[0]
        bottom += share
    axes.set_xticks(places, [f"{devices:,}" for devices in found])
    axes.set_xlabel("devices", fontsize=theme.LABEL, color=base.INK)
    axes.set_ylabel("share of all devices' time", fontsize=theme.LABEL, color=base.INK)
    axes.set_ylim(0, 1)
    base.legend(figure, handles, 4)
    save(figure, path)


def main() -> None:
    """Measure, simulate, print, and save results/speed/cluster_model.csv and .png."""
    quick = is_quick(__doc__)
    costs = measure(quick)
    runs = 10**5 if quick else RUNS
    found = {devices: simulate(costs, devices, runs) for devices in ((1, 10) if quick else DEVICES)}
    table = rows(costs, found)
    if quick:
        show(table)
        return
    picture(found, FOLDER / "cluster_model.png")
    publish("cluster_model", table)


if __name__ == "__main__":
    main()
