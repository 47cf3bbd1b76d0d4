"""The tables, plots and report of a results folder, built from its parts."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any

import numpy as np

from lrbench.errors import StoreError
from lrbench.execution import manifest_contents
from lrbench.execution.listener import Listener
from lrbench.results import drawing, pictures, safe_files
from lrbench.results.checksums import SURFACES
from lrbench.results.drawing import Helpers
from lrbench.results.folder import ResultsFolder
from lrbench.results.inventory import Inventory
from lrbench.results.part_file import DamagedPart
from lrbench.results.results import Results
from lrbench.study.grid import Grid
from lrbench.study.stages import Shorter


def rebuild(
    store: ResultsFolder, *, report: bool = True, listener: Listener | None = None, helpers: bool = False
) -> Results:
    """Rebuild the tables, plots and report of a folder from its parts; a damaged part is set aside.

    Args:
        store: the folder.
        report: whether to write plots and the report too.
        listener: receives warnings, and may stop the work after every table and plot.
        helpers: whether further processes draw, too.

    Raises:
        StoreError: if it is not a results folder, cannot be written, or another process works on it.
    """
    listener = listener or Listener()
    with store.locked():
        return _rebuild(store, report, listener, helpers)


def _rebuild(store: ResultsFolder, report: bool, listener: Listener, helpers: bool) -> Results:
    manifest = store.manifest
    if not {"grid", "problems"} <= manifest.keys():
        raise StoreError(
            f"{store.name}: is not a results folder (manifest.json is missing, or has no grid and problems); "
            "`lrbench run STUDY` creates one"
        )
    grid = Grid.from_dict(manifest["grid"])
    with Helpers(store.folder, grid.rows_of_curves) as others:
        if report and helpers:
            others.start()
        parts = store.inventory(grid.run_ids, stopped=grid.race)
        return write_all(store, manifest, grid, parts, report=report, listener=listener, helpers=others)


def write_all(
    store: ResultsFolder,
    manifest: Mapping[str, Any],
    grid: Grid,
    parts: Inventory,
    *,
    report: bool,
    listener: Listener,
    seconds: Mapping[str, float] = MappingProxyType({}),
    failures: Iterable[Mapping[str, Any]] | None = None,
    helpers: Helpers | None = None,
) -> Results:
    """Write everything that is built from the parts of a folder; the caller holds the lock of the folder.

    Args:
        store: the folder.
        manifest: its manifest so far.
        grid: its grid.
        parts: its parts.
        report, listener: as of `rebuild`.
        seconds: wall time so far, by activity.
        failures: the records of packs that failed; by default those of the manifest.
        helpers: processes that draw, too.
    """
    for line in store.repair(parts):
        listener.warn(line)
    for name, changed in store.tables.changed().items():
        listener.warn(str(changed))
        if name == SURFACES:
            safe_files.remove(store.folder, name)
    while True:
        try:
            return _write_all(store, manifest, grid, parts, report, seconds, failures, listener, helpers)
        except DamagedPart as damaged:
            listener.warn(store.set_part_aside(damaged))


def _write_all(
    store: ResultsFolder,
    manifest: Mapping[str, Any],
    grid: Grid,
    parts: Inventory,
    report: bool,
    seconds: Mapping[str, float],
    failures: Iterable[Mapping[str, Any]] | None,
    listener: Listener,
    helpers: Helpers | None,
) -> Results:
    from lrbench.analysis import Thresholds, response_surface
    from lrbench.analysis.line_curves import decays
    from lrbench.analysis.measured_coverage import interval_methods
    from lrbench.results.building import build

    thresholds, seconds = Thresholds(), dict(seconds)
    objectives = manifest_contents.objectives(manifest)
    plain = {name: objective.asdict() for name, objective in objectives.items()}
    described = {"thresholds": thresholds.asdict(), "objectives": plain, "intervals": interval_methods()}
    manifest = {**manifest, **described}
    manifest = store.drop_checksums(manifest)
    began = time.perf_counter()
    found = parts.parts()
    shorter = [
        (few, store.inventory(few.run_ids, stopped=False).parts()) for few in _shorter_grids(manifest, grid)
    ]
    decaying = [decays(np.array(schedule["shape"])) for schedule in manifest["schedules"]]
    target, problems = manifest.get("target"), manifest["problems"]
    build.build(
        store, grid, found, thresholds, objectives, problems, target, listener.check, decaying, shorter
    )
    seconds["tables"] = time.perf_counter() - began
    if failures is not None:
        manifest["failures"] = list(failures)
    if grid.points and not response_surface.installed():
        listener.notify(
            "the table `response`, which says how the loss depends on what is sampled, requires scikit-learn: "
            "pip install 'lrbench[surface]', then `lrbench report DIR`"
        )
    build.write_failures(store, manifest.get("failures", ()))
    manifest |= manifest_contents.account(found, grid)
    store.write_manifest(manifest)
    results = Results(store.folder)
    if report and not pictures.too_many(results):
        began = time.perf_counter()
        drawing.write_all(results, listener.check, helpers)
        seconds["plots and report"] = time.perf_counter() - began
    elif report:
        pictures.remove(results)
        listener.warn(
            f"{store.name}: plots and the report are written for at most {pictures.MOST_RUNS:,} runs and "
            f"{pictures.MOST_ROWS:,} rows of curves; `lrbench best` and `lrbench query` read the tables"
        )
    manifest["seconds"] = manifest.get("seconds", {}) | {
        key: round(value, 3) for key, value in seconds.items()
    }
    manifest["finished"] = manifest_contents.now()
    store.write_manifest(manifest)
    return Results(store.folder)


def _shorter_grids(manifest: Mapping[str, Any], grid: Grid) -> list[Grid]:
    """Return the runs of fewer steps that a manifest names."""
    found = map(Shorter.from_dict, manifest.get("shorter", ()))
    return [grid.shorter(each.factor, each.stage) for each in found]
