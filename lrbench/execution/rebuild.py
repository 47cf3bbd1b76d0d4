"""The tables, plots and report of a results folder, made from its parts."""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import Any

from lrbench.errors import StoreError
from lrbench.execution import manifest as manifests
from lrbench.execution import several
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
    whole: Grid | None = None,
    report: bool = True,
    seconds: dict[str, float] | None = None,
    failures: Iterable[Outcome] | None = None,
    listener: Listener | None = None,
) -> Results:
    """Make the tables, plots and report of a folder anew from its parts; one that is damaged is set aside.

    Args:
        store: the folder.
        manifest: what is known of it; left out, what it says itself.
        whole: its grid; left out, that of the manifest.
        report: whether plots and the report are made too.
        seconds: wall time so far, by name; filled in.
        failures: packs that failed; left out, those that the manifest names.
        listener: told what is set aside, and asked after every table and plot whether to go on.

    Raises:
        StoreError: if it is no results folder, cannot be written, or another process works on it.
    """
    manifest, listener = dict(manifest or store.manifest), listener or Listener()
    if "parts" in manifest:
        with lock.holding(store.folder):
            for part in several.stores(store).values():
                rebuild(part, report=report, listener=listener)
            return several.rebuild(store, report=report, check=listener.check)
    if not {"grid", "problems"} <= manifest.keys():
        raise StoreError(
            f"{store.folder}: is no results folder (manifest.json is not there, or says of no grid and problems); "
            "`lrbench run STUDY` makes one"
        )
    whole = Grid.from_dict(manifest["grid"]) if whole is None else whole
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
                return _rebuild(store, whole, manifest, report, seconds, failures, listener)
            except DamagedPart as damaged:
                listener.warn(store.set_part_aside(damaged))


def _rebuild(
    store: Store,
    whole: Grid,
    manifest: dict[str, Any],
    report: bool,
    seconds: dict[str, float],
    failures: Iterable[Outcome] | None,
    listener: Listener,
) -> Results:
    """Write everything that is made from the parts of a folder."""
    from lrbench.analysis import Thresholds
    from lrbench.results.tables import build

    thresholds = Thresholds()
    objectives = manifests.objectives(manifest)
    manifest |= {"thresholds": thresholds.asdict(), "objectives": objectives}
    store.forget_sums(manifest)
    began = time.perf_counter()
    build.build(store, whole, thresholds, objectives, manifest.get("target"), listener.check)
    seconds["tables"] = time.perf_counter() - began
    if failures is not None:
        manifest["failures"] = [manifests.failure(whole, failed.pack, failed.error) for failed in failures]
    build.write_failures(store, manifest.get("failures", ()))
    manifest |= manifests.account(store, whole)
    store.write_manifest(manifest)
    results = Results(store.folder)
    if report and not too_many(results):
        began = time.perf_counter()
        write_pictures(results, listener.check)
        seconds["plots and report"] = time.perf_counter() - began
    elif report:
        remove_pictures(results)
        listener.warn(
            f"{store.folder}: plots and the report are made of at most {MOST_RUNS:,} runs and {MOST_ROWS:,} rows of curves; "
            "the tables are there, for `lrbench best` and `lrbench query`"
        )
    manifest["seconds"] = manifest.get("seconds", {}) | {
        key: round(value, 3) for key, value in seconds.items()
    }
    manifest["finished"] = manifests.now()
    store.write_manifest(manifest)
    return Results(store.folder)
