"""Whether a results folder may be used for a study: its runs must be of that study, trained by the present code."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from lrbench.errors import StoreError
from lrbench.execution.listener import Listener
from lrbench.results.folder import MANIFEST, SHARDS, ResultsFolder
from lrbench.results.inventory import PARTS
from lrbench.results.part_file import PartSummary
from lrbench.study.grid import Grid


def prepare(store: ResultsFolder, fresh: bool, listener: Listener) -> None:
    """Refuse a folder of other files; with `fresh`, set the contents of the folder aside."""
    if not store.url and store.folder.exists() and not store.folder.is_dir():
        raise StoreError(f"{store.name}: is a file; choose another --out")
    names = store.place.names()
    known = MANIFEST in names or any(bool(store.place.stamps(each)) for each in {PARTS, SHARDS} & names)
    if names and not known:
        raise StoreError(f"{store.name}: is not a results folder, but has other files; choose another --out")
    if fresh:
        if store.folder.is_symlink():
            raise StoreError(
                f"{store.name}: is a symbolic link, which --fresh would leave dangling; give the folder itself, "
                f"{store.folder.resolve()}, or choose another --out"
            )
        with store.locked():
            if aside := store.set_aside():
                listener.notify(f"the contents of {store.name} are now in {aside}")


def checked_manifest(store: ResultsFolder, grid: Grid) -> dict[str, Any]:
    """Return the folder's manifest; a folder of another study, or of other code of the user's, raises `StoreError`."""
    manifest = store.manifest
    name = manifest.get("study", grid.name)
    if name != grid.name:
        raise StoreError(
            f"{store.name}: holds the study {name!r}, not {grid.name!r}; choose another --out, or --fresh"
        )
    before, now = _trained_sources(store, manifest) if "grid" in manifest else {}, _sources(grid)
    changed = sorted(what for what in before.keys() & now.keys() if before[what] != now[what])
    if changed:
        raise StoreError(
            f"{store.name}: {', '.join(changed)} has changed since its runs were trained; "
            "choose another --out, or --fresh"
        )
    return manifest


def check_curves(store: ResultsFolder, grid: Grid, parts: Sequence[PartSummary], objective: str) -> None:
    """Refuse an objective that completed runs lack, because they were trained before their problem had it."""
    for part in parts:
        if objective != "auto" and objective not in part.curves:
            name = grid.problems[int(grid.positions(part.numbers[:1])["problem"][0])].name
            raise StoreError(
                f"{store.name}: has runs of {name} that were trained when it had no {objective}; choose another objective, or "
                "train them again with --fresh"
            )


def _trained_sources(store: ResultsFolder, manifest: Mapping[str, Any]) -> dict[str, str]:
    """Return the hashes of the code that completed runs were trained with; code that only ever failed may change."""
    before = Grid.from_dict(manifest["grid"])
    if not _sources(before):
        return {}
    completed = np.flatnonzero(store.inventory(before.run_ids, stopped=True).completed())
    at = {axis: np.unique(positions) for axis, positions in before.positions(completed).items()}
    return _sources(
        replace(
            before,
            problems=tuple(before.problems[number] for number in at["problem"]),
            optimizers=tuple(before.optimizers[number] for number in at["optimizer"]),
            schedules=tuple(before.schedules[number] for number in at["schedule"]),
        )
    )


def _sources(grid: Grid) -> dict[str, str]:
    """Return the hashes of the user's own code and files, by what they are."""
    variants = {"problem": grid.problems, "optimizer": grid.optimizers, "schedule": grid.schedules}
    each = [(kind, v) for kind, found in variants.items() for v in found]
    code = {f"the code of {kind} {v.name}": v.source for kind, v in each if v.source}
    return code | {
        f"the file {Path(v.params[name]).name} of {kind} {v.name}": found
        for kind, v in each
        for name, found in v.files.items()
    }
