"""The tables, plots and report of a results folder, built from its parts."""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import Any

from lrbench.errors import StoreError
from lrbench.execution import manifest as manifests
from lrbench.execution.listener import Listener
from lrbench.launchers import Outcome
from lrbench.results import inside, lock
from lrbench.results.folder import Store
from lrbench.results.part import DamagedPart
from lrbench.results.results import MOST_ROWS, MOST_RUNS, Results, remove_pictures, too_many, write_pictures
from lrbench.results.sums import SURFACES
from lrbench.study.grid import Grid


def rebuild(
    store: Store,
    manifest: dict[str, Any] | None = None,
    *,
    grid: Grid | None = None,
    report: bool = True,
    seconds: dict[str, float] | None = None,
    failures: Iterable[Outcome] | None = None,
    listener: Listener | None = None,
) -> Results:
    """Rebuild the tables, plots and report of a folder from its parts; a damaged part is set aside.

    Args:
        store: the folder.
        manifest: its manifest; by default the file in it.
        grid: its grid; by default that of the manifest.
        report: whether to write plots and the report too.
        seconds: wall time so far, by activity; extended in place.
        failures: packs that failed; by default those of the manifest.
        listener: receives warnings, and may stop the work after every table and plot.

    Raises:
        StoreError: if it is not a results folder, cannot be written, or another process works on it.
    """
    manifest, listener = dict(manifest or store.manifest), listener or Listener()
    if not {"grid", "problems"} <= manifest.keys():
        raise StoreError(
            f"{store.folder}: is not a results folder (manifest.json is missing, or has no grid and problems); "
            "`lrbench run STUDY` creates one"
        )
    grid = Grid.from_dict(manifest["grid"]) if grid is None else grid
    seconds = {} if seconds is None else seconds
    with lock.holding(store.folder):
        for line in store.mend():
            listener.warn(line)
        for name, changed in store.tables.changed().items():
            listener.warn(str(changed))
            if name == SURFACES:
                inside.remove(store.folder, name)
        while True:
            try:
                return _rebuild(store, grid, manifest, report, seconds, failures, listener)
            except DamagedPart as damaged:
                listener.warn(store.set_part_aside(damaged))


def _rebuild(
    store: Store,
    grid: Grid,
    manifest: dict[str, Any],
    report: bool,
    seconds: dict[str, float],
    failures: Iterable[Outcome] | None,
    listener: Listener,
) -> Results:
    """Write everything that is built from the parts of a folder."""
    from lrbench.analysis import Thresholds
    from lrbench.results.tables import build

    thresholds = Thresholds()
    objectives = manifests.objectives(manifest)
    manifest |= {"thresholds": thresholds.asdict(), "objectives": objectives}
    store.forget_sums(manifest)
    began = time.perf_counter()
    build.build(store, grid, thresholds, objectives, manifest.get("target"), listener.check)
    seconds["tables"] = time.perf_counter() - began
    if failures is not None:
        manifest["failures"] = [manifests.failure(grid, failed.pack, failed.error) for failed in failures]
    build.write_failures(store, manifest.get("failures", ()))
    manifest |= manifests.account(store, grid)
    store.write_manifest(manifest)
    results = Results(store.folder)
    if report and not too_many(results):
        began = time.perf_counter()
        write_pictures(results, listener.check)
        seconds["plots and report"] = time.perf_counter() - began
    elif report:
        remove_pictures(results)
        listener.warn(
            f"{store.folder}: plots and the report are written for at most {MOST_RUNS:,} runs and {MOST_ROWS:,} rows of curves; "
            "`lrbench best` and `lrbench query` read the tables"
        )
    manifest["seconds"] = manifest.get("seconds", {}) | {
        key: round(value, 3) for key, value in seconds.items()
    }
    manifest["finished"] = manifests.now()
    store.write_manifest(manifest)
    return Results(store.folder)
