"""A results folder: parts as they come, tables made from them, and a manifest of how they were made.

A part is written whole or not at all, and a run is done when a part holds its run_id. Parts lie in 256 folders, by the
first two digits of their names; those of older results folders lie beside these, and count as well. Whatever is read,
written or removed goes through `inside`, which refuses links.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pyarrow as pa
from jaxtyping import Bool, Int

from lrbench.errors import StoreError, path_of
from lrbench.results import checksums, inventory, lock, manifest_schema, part_file, safe_files
from lrbench.results.inventory import NEW, PACK_ID, Glance, Stamps
from lrbench.results.part_file import DamagedPart, Foreign, Part
from lrbench.results.run_lookup import RunLookup
from lrbench.results.tables.sheet import Sheet

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MANIFEST = "manifest.json"
JOBS_LINKS = ".submission_file_*"
"""What submitit makes links of in the folder of its jobs; nothing is read through them."""
CHECKPOINTS = "checkpoints"
"""Where packs half done are kept, each in a folder of its pack_id."""


@dataclass(frozen=True)
class Holding:
    """The runs of a grid that one part gives, without their curves.

    Args:
        folder: where the part is.
        name: of its file.
        pack_id: its name.
        rows: where the runs are in it.
        numbers: which runs of the grid they are, ascending.
        curves: the names of its curves.
        evaluations: how many values each curve has.
        seconds: what the pack took.
        saved_lane_steps, stopped_lane_steps: as in the part.
    """

    folder: Path
    name: str
    pack_id: str
    rows: Int[np.ndarray, " run"]
    numbers: Int[np.ndarray, " run"]
    curves: tuple[str, ...]
    evaluations: int
    seconds: Mapping[str, float]
    saved_lane_steps: int
    stopped_lane_steps: int

    @property
    def path(self) -> Path:
        """Where the part is."""
        return self.folder / self.name


class ResultsFolder:
    """A results folder on a local disk."""

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        """Nothing is read or made yet."""
        self.folder = path_of(folder)
        self._stamps: Stamps = {}
        self._glances: dict[Path, list[Glance]] | None = {}
        self._damaged: list[DamagedPart] = []
        self._matched: tuple[np.ndarray, bool, list[Holding]] | None = None
        self._sums: dict[str, checksums.Checksum | None] = {}
        """Of the tables that were written or removed since the manifest was read."""

    @property
    def manifest(self) -> dict[str, Any]:
        """The manifest, checked against its schema; empty if there is none yet.

        Raises:
            StoreError: if it is damaged, of a newer lrbench, or no file.
        """
        path = self.folder / MANIFEST
        try:
            text = safe_files.read(self.folder, MANIFEST, manifest_schema.LARGEST)
        except (FileNotFoundError, NotADirectoryError):
            return {}
        except OSError as error:
            raise StoreError(f"{path}: cannot be read: {error.strerror or error}") from error
        return manifest_schema.read(text, path)

    def write_manifest(self, manifest: Mapping[str, Any]) -> None:
        """Write the manifest, whole or not at all, with the sums of the tables that were written before."""
        tables = {name: found for name, found in self._all_sums(manifest).items() if found is not None}
        text = json.dumps(
            {"schema_version": manifest_schema.SCHEMA_VERSION, **manifest, "tables": tables}, indent=1
        )
        self.write_text(MANIFEST, text + "\n")

    def forget_sums(self, manifest: dict[str, Any], *names: str) -> None:
        """Write a manifest that says nothing of tables that are about to be made anew; their next one does again.

        So a reader, or whoever comes after a crash in between, takes them as they are.

        Args:
            manifest: is changed as well.
            names: of the tables' files; left out, all that are made from the parts.
        """
        known = self._all_sums(manifest)
        gone = set(names) or known.keys() - {checksums.SURFACES}
        self._sums = {}
        manifest["tables"] = {name: found for name, found in known.items() if found and name not in gone}
        self.write_manifest(manifest)

    def _all_sums(self, manifest: Mapping[str, Any]) -> dict[str, checksums.Checksum | None]:
        return {**manifest.get("tables", {}), **self._sums}

    @property
    def tables(self) -> checksums.CheckedTables:
        """The tables, each to be checked before it is read."""
        return checksums.CheckedTables(self.folder, lambda: self.manifest.get("tables", {}))

    def set_aside(self) -> Path | None:
        """Move a results folder to a name beside it, and return that; `None` if there was nothing to move."""
        if not any(self.folder.glob("[!.]*")):
            return None
        now = datetime.now(UTC).strftime("%Y%m%d-%H%M%S-%f")
        folder = self.folder.resolve()
        aside = folder.with_name(f"{folder.name}.before-{now}")
        with _telling(self.folder):
            folder.rename(aside)
        return aside

    def write_part(self, part: Part) -> Path:
        """Write a part, whole or not at all."""
        table = part_file.part_table(part)
        return self.write(inventory.place(part.pack_id), lambda path: part_file.write_part(table, path))

    def take_part(self, pack_id: str, data: bytes) -> Path:
        """Write a part that another machine made, as `part_bytes` gave it."""
        return self.write(inventory.place(pack_id), lambda path: path.write_bytes(data))

    def holds(self, pack_id: str, run_ids: np.ndarray) -> bool:
        """Return whether the part of a pack is there, and has just these runs in it."""
        try:
            file = safe_files.opened(self.folder, inventory.place(pack_id))
        except FileNotFoundError:
            return False
        with file:
            return part_file.holds(file, self.folder / inventory.place(pack_id), run_ids)

    def has_part(self, pack_id: str) -> bool:
        """Return whether there is a part of a pack, whatever it holds."""
        return safe_files.there(self.folder, inventory.place(pack_id))

    def part_files(self) -> list[Path]:
        """Return the paths of all parts, sorted by name; a name with a dot before it is not finished."""
        return inventory.files(self.folder)

    def mend(self) -> list[str]:
        """Remove what killed writers left, set damaged parts aside, and return a line for each; for its holder alone.

        What jobs on other machines are writing stays.
        """
        folders = [
            f"parts/{name}" for name in safe_files.names(self.folder, "parts") if not name.startswith(".")
        ]
        for place in ("", "plots", "jobs", "parts", *folders):
            for name in safe_files.names(self.folder, place):
                path = self.folder / place / name
                if name.startswith(NEW) and lock.abandoned(path):
                    with _telling(path):
                        path.unlink(missing_ok=True)
        self._look()
        said = [self.set_part_aside(damaged) for damaged in self._damaged]
        for name in safe_files.names(self.folder, CHECKPOINTS):
            if PACK_ID.fullmatch(name) and self.has_part(name):
                safe_files.remove_tree(self.folder, f"{CHECKPOINTS}/{name}")
        with contextlib.suppress(OSError):  # there is none, or one of a pack half done
            (self.folder / CHECKPOINTS).rmdir()
        return said

    def _look(self, *, anew: bool = False) -> None:
        """Find out what every part says without its curves, if any has changed since or if it is asked for anew."""
        stamps = inventory.stamps(self.folder)
        if stamps == self._stamps and not anew:
            return
        self._stamps, self._glances, self._matched = {}, None, None  # what was known makes room first
        damaged = []

        def look(path: Path) -> Glance | None:
            try:
                return _glance(path)
            except Foreign:
                return None
            except DamagedPart as error:
                damaged.append(error)
                return None
            except StoreError:
                if path.exists():
                    raise
                return None  # another process moved it meanwhile

        self._glances = inventory.glances(stamps, look)
        self._stamps, self._damaged = stamps, damaged

    def set_part_aside(self, damaged: DamagedPart) -> str:
        """Rename a damaged part, so that it is none any more and its runs are trained again; return a line."""
        path = damaged.path
        with _telling(path):
            aside = path.replace(path.with_suffix(".damaged"))
        return f"{path}: was damaged, and is now {aside.name}; its runs are trained again"

    def held(self, run_ids: np.ndarray, *, stopped: bool) -> Bool[np.ndarray, " run"]:
        """Return which of the runs a part holds; a part that cannot be read holds none.

        Args:
            run_ids: the runs.
            stopped: whether runs that a race stopped count, too.
        """
        held: Bool[np.ndarray, " run"] = np.zeros(len(run_ids), dtype=np.bool_)
        for holding in self.holdings(run_ids, stopped=stopped):
            held[holding.numbers] = True
        return held

    def holdings(self, run_ids: np.ndarray, *, stopped: bool) -> list[Holding]:
        """Return what every part holds of a grid, in the grid's order; no curve is read.

        A run that two parts hold is taken from the one that comes first. What the parts say is read once, and again
        where one has changed since, or another grid is asked for: only one of them is kept in memory, the run_ids
        of the parts or, for a grid, where its runs are.

        Args:
            run_ids: the runs of the grid.
            stopped: whether runs that a race stopped count, too.
        """
        self._look()
        if self._matched is None or self._matched[0] is not run_ids or self._matched[1] != stopped:
            if self._glances is None:
                self._look(anew=True)
            glances, self._glances = self._glances or {}, None
            self._matched = run_ids, stopped, _holdings(glances, run_ids, stopped)
        return self._matched[2]

    def read(self, holding: Holding, curves: Sequence[str] | None = None) -> Part:
        """Return the part of a holding, cut to its runs in the grid's order; all curves, or those that are named.

        Raises:
            DamagedPart: if it does not hold what was written to it.
        """
        names = holding.curves if curves is None else curves
        rows, path = holding.rows, holding.path
        with part_file.reading(path), safe_files.opened(holding.folder, holding.name) as file:
            step, run_ids, columns = part_file.read_columns(file, path, names)
            return Part(
                holding.pack_id,
                run_ids[rows],
                step,
                {name: columns[name][rows].astype(np.float64) for name in names},
                columns["diverged_step"].astype(np.float64)[rows],
                columns["stopped_step"].astype(np.float64)[rows],
                columns["parameters"][rows],
                holding.seconds,
                holding.saved_lane_steps,
                holding.stopped_lane_steps,
            )

    def write_table(self, name: str, frame: pd.DataFrame, *, csv: bool = True) -> None:
        """Write a table as Parquet and CSV: full precision, a missing value empty, booleans true and false.

        In the CSV, a text that a spreadsheet would run as a formula has an apostrophe before it.
        """
        with self.table(name, csv=csv) as sheet:
            sheet.add(pa.Table.from_pandas(frame, preserve_index=False))

    @contextlib.contextmanager
    def table(
        self,
        name: str,
        *,
        csv: bool = True,
        dictionaries: Sequence[str] | bool = True,
        gather: bool = True,
    ) -> Iterator[Sheet]:
        """Give a table to be filled piece by piece; at the end its files get their names, or are gone.

        Of more than `CSV_ROWS` rows there is no CSV. Where there is none, an older one goes: it would not be true any more.

        Args:
            name: of the table.
            csv: whether it is written as CSV too.
            dictionaries, gather: as in `Sheet`.
        """
        names = f"{name}.parquet", f"{name}.csv"
        with self.scratch(names[0]) as parquet, self.scratch(names[1]) as text:
            with Sheet(parquet, text if csv else None, dictionaries, gather=gather) as sheet:
                yield sheet
            self._name_table(parquet, names[0])
            if sheet.has_csv:
                self._name_table(text, names[1])
            else:
                self._remove(names[1])

    def remove_table(self, name: str) -> None:
        """Remove the files of a table, if they are there."""
        for kind in ("csv", "parquet"):
            self._remove(f"{name}.{kind}")

    def _name_table(self, temporary: Path, name: str) -> None:
        with temporary.open("rb") as file:
            self._sums[name] = checksums.of(file)
        self._name(temporary, name)

    def _remove(self, name: str) -> None:
        with _telling(self.folder / name):
            safe_files.remove(self.folder, name)
        self._sums[name] = None

    def write_text(self, name: str, text: str) -> Path:
        """Write a file of text, whole or not at all."""
        return self.write(name, lambda path: path.write_text(text, encoding="utf-8"))

    def write_picture(self, name: str, figure: Figure) -> tuple[Path, Path]:
        """Write a figure as PNG and SVG, each whole or not at all."""

        def save(kind: str) -> Path:
            return self.write(f"{name}.{kind}", lambda path: figure.savefig(path, format=kind))

        return save("png"), save("svg")

    def write(self, name: str, fill: Callable[[Path], object]) -> Path:
        """Write a file whole or not at all: fill a temporary one, flush it to disk, give it its name."""
        with self.scratch(name) as temporary:
            fill(temporary)
            self._name(temporary, name)
        return self.folder / name

    @contextlib.contextmanager
    def scratch(self, name: str) -> Iterator[Path]:
        """Give a temporary file beside one of that name; at the end it is gone."""
        path = safe_files.path(self.folder, name)
        with _telling(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            handle, made = tempfile.mkstemp(dir=path.parent, prefix=NEW, suffix=path.suffix)
            lock.mark(handle)
            temporary = Path(made)
            try:
                yield temporary
            finally:
                temporary.unlink(missing_ok=True)
                os.close(handle)

    def _name(self, temporary: Path, name: str) -> None:
        """Flush a temporary file to disk, and give it its name."""
        path = safe_files.path(self.folder, name)
        with _telling(path):
            temporary.chmod(0o644)
            _flush(temporary)
            temporary.replace(path)
            _flush(path.parent)


def _glance(path: Path) -> Glance:
    """Open a part, whose folders are no links, and return what it says without its curves."""
    with part_file.reading(path), safe_files.opened(path.parent, path.name) as file:
        return part_file.glance(file, path)


def _holdings(glances: dict[Path, list[Glance]], run_ids: np.ndarray, stopped: bool) -> list[Holding]:
    """Return what parts hold of a grid, in the grid's order; the glances are used up."""
    places, nowhere = RunLookup(run_ids), len(run_ids)
    held, count = np.zeros(nowhere, dtype=bool), 0
    parts: list[Holding] = []
    while glances:
        folder, found = glances.popitem()
        if not found:
            continue
        numbers = places.of(np.concatenate([each.run_ids for each in found]))
        if not stopped:
            numbers[np.concatenate([each.stopped for each in found])] = nowhere
        sizes = np.array([len(each.run_ids) for each in found])
        part = np.repeat(np.arange(len(found)), sizes)
        order = np.lexsort((numbers, part))  # those that are nowhere come last in their part
        numbers, begins = numbers[order], np.cumsum(sizes) - sizes
        rows = (order - begins[part]).astype(np.int32)
        there = numbers < nowhere
        held[numbers[there]] = True
        count += int(there.sum())
        ends = begins + np.bincount(part[there], minlength=len(found))
        for each, begin, end in zip(found, begins.tolist(), ends.tolist(), strict=True):
            if begin < end:
                here = slice(begin, end)
                told = {"curves": each.curves, **each.about}
                parts.append(Holding(folder, each.name, rows=rows[here], numbers=numbers[here], **told))
    parts.sort(key=lambda part: (int(part.numbers[0]), part.name))
    return parts if count == held.sum() else _once(parts, nowhere)


def _once(parts: Sequence[Holding], runs: int) -> list[Holding]:
    """Take every run from the first of the parts that hold it."""
    taken = np.zeros(runs, dtype=bool)
    left = []
    for part in parts:
        own = ~taken[part.numbers]
        taken[part.numbers] = True
        if own.any():
            left.append(replace(part, rows=part.rows[own], numbers=part.numbers[own]))
    return left


def _flush(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@contextlib.contextmanager
def _telling(path: Path) -> Iterator[None]:
    """Turn what the system says into one line that names the path."""
    try:
        yield
    except OSError as error:
        full = error.errno in {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
        remedy = "make room, and give the same command again" if full else "choose another --out"
        raise StoreError(f"{path}: cannot be written: {error.strerror or error}; {remedy}") from error
