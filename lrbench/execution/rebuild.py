"""The tables, plots and report of a results folder, made from its parts."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any

from lrbench.errors import StoreError
from lrbench.execution import manifest_contents
from lrbench.execution.listener import Listener
from lrbench.launchers import Outcome
from lrbench.results import lock, safe_files
from lrbench.results.checksums import SURFACES
from lrbench.results.folder import ResultsFolder
from lrbench.results.inventory import Inventory
from lrbench.results.part_file import DamagedPart
from lrbench.results.results import MOST_ROWS, MOST_RUNS, Results, remove_pictures, too_many, write_pictures
from lrbench.study.grid import Grid


def rebuild(store: ResultsFolder, *, report: bool = True, listener: Listener | None = None) -> Results:
    """Write the tables, plots and report of a folder again from its parts; one that is damaged is set aside.

    Args:
        store: the folder.
        report: whether plots and the report are written too.
        listener: is told what is set aside, and whether to go on is asked after every table and plot.

    Raises:
        StoreError: if it is not a results folder, cannot be written, or another process works on it.
    """
    manifest, listener = store.manifest, listener or Listener()
    if not {"grid", "problems"} <= manifest.keys():
        raise StoreError(
            f"{store.folder}: is not a results folder (manifest.json is not there, or says of no grid and problems); "
            "`lrbench run STUDY` makes one"
        )
    whole = Grid.from_dict(manifest["grid"])
    with lock.locked(store.folder):
        parts = store.inventory(whole.run_ids, stopped=whole.race)
        return write_all(store, manifest, whole, parts, report=report, listener=listener)


def write_all(
    store: ResultsFolder,
    manifest: Mapping[str, Any],
    whole: Grid,
    parts: Inventory,
    *,
    report: bool,
    listener: Listener,
    seconds: Mapping[str, float] = MappingProxyType({}),
    failures: Iterable[Outcome] | None = None,
) -> Results:
    """Write all that is made from the parts of a folder; who calls it has the folder's lock.

    Args:
        store: the folder.
        manifest: what is known of it.
        whole: its grid.
        parts: its parts.
        report, listener: as of `rebuild`.
        seconds: wall time so far, by name.
        failures: packs that failed; left out, those that the manifest names.
    """
    for line in store.repair(parts):
        listener.say(line)
    for name, changed in store.tables.changed().items():
        listener.say(str(changed))
        if name == SURFACES:
            safe_files.remove(store.folder, name)
    while True:
        try:
            return _write_all(store, manifest, whole, parts, report, seconds, failures, listener)
        except DamagedPart as damaged:
            listener.say(store.set_part_aside(damaged))


def _write_all(
    store: ResultsFolder,
    manifest: Mapping[str, Any],
    whole: Grid,
    parts: Inventory,
    report: bool,
    seconds: Mapping[str, float],
    failures: Iterable[Outcome] | None,
    listener: Listener,
) -> Results:
    from lrbench.analysis import Thresholds
    from lrbench.results.tables import build

    thresholds, seconds = Thresholds(), dict(seconds)
    objectives = manifest_contents.objectives(manifest)
    manifest = {**manifest, "thresholds": thresholds.asdict(), "objectives": objectives}
    manifest = store.drop_checksums(manifest)
    began = time.perf_counter()
    found = parts.parts()
    build.build(store, whole, found, thresholds, objectives, manifest.get("target"), listener.check)
    seconds["tables"] = time.perf_counter() - began
    if failures is not None:
        manifest["failures"] = [
            manifest_contents.failure(whole, failed.pack, failed.error) for failed in failures
        ]
    build.write_failures(store, manifest.get("failures", ()))
    manifest |= manifest_contents.account(found, whole)
    store.write_manifest(manifest)
    results = Results(store.folder)
    if report and not too_many(results):
        began = time.perf_counter()
        write_pictures(results, listener.check)
        seconds["plots and report"] = time.perf_counter() - began
    elif report:
        remove_pictures(results)
        listener.say(
            f"{store.folder}: plots and the report are made of at most {MOST_RUNS:,} runs and {MOST_ROWS:,} rows of curves; "
            "the tables are written, for `lrbench best` and `lrbench query`"
        )
    manifest["seconds"] = manifest.get("seconds", {}) | {
        key: round(value, 3) for key, value in seconds.items()
    }
    manifest["finished"] = manifest_contents.now()
    store.write_manifest(manifest)
    return Results(store.folder)
