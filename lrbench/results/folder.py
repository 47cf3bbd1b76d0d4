"""A results folder: what is written to it, and the parts that are read from it.

Parts are written as packs are trained, and a run is completed once a part has its run_id; the tables are made from the parts,
and the manifest records how. Whatever is written goes through `atomic`, and whatever is read through `safe_files`.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pyarrow as pa

from lrbench.errors import StoreError, path_of
from lrbench.results import atomic, checksums, inventory, lock, manifest_schema, part_file, places, safe_files
from lrbench.results.building.table_writer import CSV_ROWS, HashedFile, TableWriter, encoded
from lrbench.results.inventory import Inventory
from lrbench.results.part_file import DamagedPart, PartSummary
from lrbench.results.places import FolderPlace, Place, UrlPlace
from lrbench.results.trained import Trained

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MANIFEST = "manifest.json"
JOBS_LINKS = ".submission_file_*"
"""What submitit makes links of in the folder of its jobs; nothing is read through them."""
SHARDS = "shards"
"""Where shards write what they record for one another."""
CHECKPOINTS = "checkpoints"
"""Where the checkpoints of packs are, each in a folder of its pack_id."""


def read_manifest(place: Place) -> dict[str, Any]:
    """Return the manifest in a place, checked against its schema; empty if there is none yet.

    Raises:
        StoreError: if it is damaged, of a newer lrbench, or no file.
    """
    path = Path(place.name, MANIFEST)
    try:
        text = places.read(place, MANIFEST, manifest_schema.LARGEST)
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except OSError as error:
        raise StoreError(f"{path}: cannot be read: {error.strerror or error}") from error
    return manifest_schema.read(text, path)


class ResultsFolder:
    """A results folder on a local disk.

    `remote_folder.RemoteFolder` is one whose files are at a URL.
    """

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        """Nothing is read or created yet."""
        self.folder = path_of(folder)
        self._sums: dict[str, checksums.Checksum | None] = {}
        """Of the tables that were written or removed since the manifest was written."""

    # ---- where it meets what other processes write ----

    @property
    def url(self) -> str:
        """The URL where its files are; empty if they are in the folder alone."""
        return ""

    @property
    def place(self) -> Place:
        """Where other processes write parts and checkpoints, and find records."""
        return FolderPlace(self.folder)

    @property
    def name(self) -> str:
        """What a person calls it: its path, or its URL."""
        return str(self.folder)

    def locked(self) -> contextlib.AbstractContextManager[None]:
        """Lock it for writing, as `lock.locked`."""
        return lock.locked(self.folder)

    def refresh(self) -> None:
        """Have what other processes have written so far."""

    def flush(self) -> None:
        """Return once everything that was written is where other machines find it."""

    # ---- the manifest ----

    @property
    def manifest(self) -> dict[str, Any]:
        """The manifest, checked against its schema; empty if there is none yet.

        Raises:
            StoreError: if it is damaged, of a newer lrbench, or no file.
        """
        return read_manifest(FolderPlace(self.folder))

    def write_manifest(self, manifest: Mapping[str, Any]) -> None:
        """Write the manifest with the checksums of the tables that were written before."""
        tables = {name: found for name, found in self._all_sums(manifest).items() if found is not None}
        written = {"schema_version": manifest_schema.SCHEMA_VERSION}  # of an older folder, too, from now on
        text = json.dumps(written | dict(manifest) | written | {"tables": tables}, indent=1)
        self.write_text(MANIFEST, text + "\n")

    def drop_checksums(self, manifest: Mapping[str, Any], *names: str) -> dict[str, Any]:
        """Write a manifest without the checksums of tables that are about to be written again, and return it.

        So a reader, or the next command after a crash in between, takes them as they are.

        Args:
            manifest: with all checksums.
            names: of the tables' files; left out, all that come from the parts.
        """
        known = self._all_sums(manifest)
        gone = set(names) or known.keys() - {checksums.SURFACES}
        self._sums = {}
        left = {name: found for name, found in known.items() if found and name not in gone}
        without = {**manifest, "tables": left}
        self.write_manifest(without)
        return without

    def _all_sums(self, manifest: Mapping[str, Any]) -> dict[str, checksums.Checksum | None]:
        return {**manifest.get("tables", {}), **self._sums}

    # ---- parts ----

    def inventory(self, run_ids: np.ndarray, *, stopped: bool) -> Inventory:
        """Return the parts as far as they hold runs of a grid; the arguments are those of `Inventory`."""
        return Inventory(FolderPlace(self.folder), run_ids, stopped=stopped)

    def write_part(self, trained: Trained) -> Path:
        """Write the part of a pack."""
        return self.write_part_file(trained.pack_id, part_file.encoded(trained))

    def write_part_file(self, pack_id: str, data: bytes) -> Path:
        """Write the part of a pack, as `part_file.encoded` gave it, maybe on another machine."""
        return self.write(inventory.part_name(pack_id), lambda path: path.write_bytes(data))

    def fetch_part(self, pack_id: str, url: str) -> None:
        """Write the part of a pack as it is at a URL."""
        with UrlPlace(url).open(inventory.part_name(pack_id)) as file:
            data = file.read()
        self.write_part_file(pack_id, data)

    def read_part(
        self, part: PartSummary, curves: Sequence[str] | None = None, *, first_hits: bool = False
    ) -> Trained:
        """Return the runs of the grid that a part holds, in the grid's order; all curves, or those that are named; and first hits.

        Raises:
            DamagedPart: if it does not hold what was written to it.
        """
        names = part.curves if curves is None else curves
        with part_file.reading(part.path), safe_files.open_file(part.path.parent, part.path.name) as file:
            return part_file.read(file, part.path, names, first_hits=first_hits).take(part.rows)

    def part_paths(self) -> list[Path]:
        """Return the paths of all parts, sorted by name."""
        return inventory.part_paths(self.folder)

    def has_part(self, pack_id: str) -> bool:
        """Return whether there is a part of a pack, whatever it holds."""
        return safe_files.exists(self.folder, inventory.part_name(pack_id))

    # ---- repair ----

    def repair(self, parts: Inventory | None = None) -> list[str]:
        """Remove what killed processes left, rename damaged parts, and return a line for each; who calls it has the lock.

        What jobs on other machines are writing stays.
        """
        folders = [
            f"{above}/{name}"
            for above in ("parts", CHECKPOINTS)
            for name in safe_files.names(self.folder, above)
            if not name.startswith(".")
        ]
        atomic.remove_abandoned(self.folder, ["", "plots", "jobs", "stages", SHARDS, "parts", *folders])
        lines = [self.set_part_aside(damaged) for damaged in (parts.damaged() if parts else ())]
        packs = {name.split("/")[1] for name in self.place.stamps(CHECKPOINTS) if name.count("/") > 1}
        for name in packs:
            if inventory.PACK_ID.fullmatch(name) and self.has_part(name):
                self.place.remove(f"{CHECKPOINTS}/{name}")
        return lines

    def set_part_aside(self, damaged: DamagedPart) -> str:
        """Rename a damaged part, so that it is no part any more and its runs are trained again; return a line."""
        path = damaged.path
        with atomic.reporting(path):
            aside = path.replace(path.with_suffix(".damaged"))
        return f"{path}: was damaged, and is now {aside.name}; its runs are trained again"

    def set_aside(self) -> str | None:
        """Rename the results folder to a name beside it, and return that; `None` if there was nothing in it."""
        if not any(self.folder.glob("[!.]*")):
            return None
        now = datetime.now(UTC).strftime("%Y%m%d-%H%M%S-%f")
        folder = self.folder.resolve()
        aside = folder.with_name(f"{folder.name}.before-{now}")
        with atomic.reporting(self.folder):
            folder.rename(aside)
        return str(aside)

    # ---- tables and other files ----

    @property
    def tables(self) -> checksums.CheckedTables:
        """The tables, each to be checked before it is read."""
        return checksums.CheckedTables(self.folder, lambda: self.manifest.get("tables", {}))

    def write_table(self, name: str, frame: pd.DataFrame, *, csv: bool = True) -> None:
        """Write a table as Parquet and CSV: full precision, a missing value empty, booleans true and false.

        In the CSV, a text that a spreadsheet would run as a formula has an apostrophe before it.
        """
        with self.table(name, csv=csv) as writer:
            csv = csv and len(frame) <= CSV_ROWS
            writer.add(encoded(pa.Table.from_pandas(frame, preserve_index=False), csv=csv))

    @contextlib.contextmanager
    def table(self, name: str, *, csv: bool = True) -> Iterator[TableWriter]:
        """Give a table to be filled piece by piece; at the end its files get their names, or are gone.

        Of more than `CSV_ROWS` rows there is no CSV. Where there is none, an older one is removed: it would not be true any more.

        Args:
            name: of the table.
            csv: whether it is written as CSV too.
        """
        names = f"{name}.parquet", f"{name}.csv"
        with self.scratch(names[0]) as parquet, self.scratch(names[1]) as text:
            with TableWriter(parquet, text if csv else None) as writer:
                yield writer
            self._rename_table(parquet, names[0], writer.parquet)
            if writer.csv and writer.has_csv:
                self._rename_table(text, names[1], writer.csv)
            else:
                self._remove_table_file(names[1])

    def remove_table(self, name: str) -> None:
        """Remove the files of a table, if they are there."""
        for kind in ("csv", "parquet"):
            self._remove_table_file(f"{name}.{kind}")

    def _rename_table(self, temporary: Path, name: str, written: HashedFile) -> None:
        self._sums[name] = written.sum
        atomic.rename(temporary, self.folder, name)

    def _remove_table_file(self, name: str) -> None:
        with atomic.reporting(self.folder / name):
            safe_files.remove(self.folder, name)
        self._sums[name] = None

    def write_text(self, name: str, text: str) -> Path:
        """Write a text file, whole or not at all."""
        return self.write(name, lambda path: path.write_text(text, encoding="utf-8"))

    def write_picture(self, name: str, figure: Figure) -> tuple[Path, Path]:
        """Write a figure as PNG and SVG, each whole or not at all."""

        def save(kind: str) -> Path:
            return self.write(f"{name}.{kind}", lambda path: figure.savefig(path, format=kind))

        return save("png"), save("svg")

    def write(self, name: str, fill: Callable[[Path], object]) -> Path:
        """Write a file, whole or not at all; see `atomic.write`."""
        return atomic.write(self.folder, name, fill)

    def scratch(self, name: str) -> contextlib.AbstractContextManager[Path]:
        """Give a temporary file beside one of that name; at the end it is gone."""
        return atomic.scratch(self.folder, name)
