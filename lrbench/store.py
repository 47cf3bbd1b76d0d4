"""A results folder: parts as they come, tables made from them, and a manifest of how they were made.

A part is one Parquet file of a pack: a row per run, each curve a list over the evaluations. It is written whole or
not at all, and a run is done when a part holds its run_id. It holds checksums of all that is read from it, so that
damage is noticed before it is in a table. Parts lie in 256 folders, by the first two digits of their names; those of
older results folders lie beside these, and count as well.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import shutil
import tempfile
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from jaxtyping import Bool, Float, Int

from lrbench import lock, part_index
from lrbench.errors import StoreError, path_of
from lrbench.part_index import NEW, Glance, Stamps
from lrbench.places import Places
from lrbench.sheet import Sheet

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SCHEMA_VERSION = 1
MANIFEST = "manifest.json"
CHECKPOINTS = "checkpoints"
"""Where packs half done are kept, each in a folder of its pack_id."""
_SCALARS = ("run_id", "diverged_step", "stopped_step", "parameters")


class DamagedPart(StoreError):
    """A part does not hold any more what was written to it."""

    def __init__(self, path: Path, why: str) -> None:
        """Say which, and why."""
        super().__init__(f"{path}: is damaged ({why}); `lrbench run` with its study trains its runs again")
        self.path = path


class _Foreign(Exception):
    """A file among the parts that lrbench did not write."""


@dataclass(frozen=True)
class Part:
    """What a part file holds.

    Args:
        pack_id: its name.
        run_ids: the runs, as bytes.
        step: the evaluations.
        curves: name → value of each run at each evaluation.
        diverged_step: first step with a non-finite loss, NaN for none.
        stopped_step: the step after which a race stopped the run, NaN for none.
        parameters: how many parameters each run's model has.
        seconds: what the pack took: compile, train, evaluate.
        saved_lane_steps: steps that its runs did not take, because they had diverged or were stopped.
        stopped_lane_steps: those of them that races saved.
    """

    pack_id: str
    run_ids: np.ndarray
    step: Int[np.ndarray, " evaluation"]
    curves: Mapping[str, Float[np.ndarray, "run evaluation"]]
    diverged_step: Float[np.ndarray, " run"]
    stopped_step: Float[np.ndarray, " run"]
    parameters: Int[np.ndarray, " run"]
    seconds: Mapping[str, float]
    saved_lane_steps: int = 0
    stopped_lane_steps: int = 0


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


class Store:
    """A results folder on a local disk."""

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        """Nothing is read or made yet."""
        self.folder = path_of(folder)
        self._stamps: Stamps = {}
        self._glances: dict[Path, list[Glance]] | None = {}
        self._damaged: list[DamagedPart] = []
        self._matched: tuple[np.ndarray, bool, list[Holding]] | None = None

    @property
    def manifest(self) -> dict[str, Any]:
        """The manifest, empty if there is none yet."""
        path = self.folder / MANIFEST
        try:
            found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        except (FileNotFoundError, NotADirectoryError):
            return {}
        except (OSError, ValueError) as error:
            raise StoreError(f"{path}: cannot be read ({error}); start anew with --fresh") from error
        version = found.get("schema_version") if isinstance(found, dict) else None
        if not isinstance(version, int) or version < 1:
            raise StoreError(
                f"{path}: schema_version = {version!r}: must be a whole number from 1 to {SCHEMA_VERSION}, which says how to "
                "read the folder; put the file back as lrbench wrote it, or start anew with --fresh"
            )
        if version > SCHEMA_VERSION:
            raise StoreError(
                f"{path}: was written by a newer lrbench (schema {version}, this one reads up to {SCHEMA_VERSION}); "
                "upgrade lrbench"
            )
        return found

    def write_manifest(self, manifest: Mapping[str, Any]) -> None:
        """Write the manifest, whole or not at all."""
        text = json.dumps({"schema_version": SCHEMA_VERSION, **manifest}, indent=1)
        self.write_text(MANIFEST, text + "\n")

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
        table = _part_table(part)
        return self.write(part_index.place(part.pack_id), lambda path: _write_part(table, path))

    def take_part(self, pack_id: str, data: bytes) -> Path:
        """Write a part that another machine made, as `part_bytes` gave it."""
        return self.write(part_index.place(pack_id), lambda path: path.write_bytes(data))

    def holds(self, pack_id: str, run_ids: np.ndarray) -> bool:
        """Return whether the part of a pack is there, and has just these runs in it."""
        path = self.part_file(pack_id)
        return path.exists() and holds(path, path, run_ids)

    def part_file(self, pack_id: str) -> Path:
        """Return the path of a pack's part, whether or not it is there."""
        return self.folder / part_index.place(pack_id)

    def part_files(self) -> list[Path]:
        """Return the paths of all parts, sorted by name; a name with a dot before it is not finished."""
        return part_index.files(self.folder / "parts")

    def mend(self) -> list[str]:
        """Remove what killed writers left, set damaged parts aside, and return a line for each; for its holder alone.

        What jobs on other machines are writing stays.
        """
        for pattern in ("", "plots/", "jobs/", "parts/", "parts/*/"):
            for path in filter(lock.abandoned, self.folder.glob(f"{pattern}{NEW}*")):
                with _telling(path):
                    path.unlink(missing_ok=True)
        self._look()
        said = [self.set_part_aside(damaged) for damaged in self._damaged]
        for half in (self.folder / CHECKPOINTS).glob("*"):
            if self.part_file(half.name).exists():
                shutil.rmtree(half, ignore_errors=True)
        with contextlib.suppress(OSError):  # there is none, or one of a pack half done
            (self.folder / CHECKPOINTS).rmdir()
        return said

    def _look(self, *, anew: bool = False) -> None:
        """Find out what every part says without its curves, if any has changed since or if it is asked for anew."""
        stamps = part_index.stamps(self.folder / "parts")
        if stamps == self._stamps and not anew:
            return
        self._stamps, self._glances, self._matched = {}, None, None  # what was known makes room first
        damaged = []

        def look(path: Path) -> Glance | None:
            try:
                return _glance(path)
            except _Foreign:
                return None
            except DamagedPart as error:
                damaged.append(error)
                return None
            except StoreError:
                if path.exists():
                    raise
                return None  # another process moved it meanwhile

        self._glances = part_index.glances(stamps, look)
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
        with _reading(holding.path):
            about, table = _open(holding.path, [*_SCALARS, *names])
            rows = holding.rows
            return Part(
                holding.pack_id,
                part_index.ids(table["run_id"])[rows],
                np.array(about["step"]),
                {name: _matrix(table[name])[rows].astype(np.float64) for name in names},
                table["diverged_step"].to_numpy().astype(np.float64)[rows],
                table["stopped_step"].to_numpy().astype(np.float64)[rows],
                table["parameters"].to_numpy()[rows],
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
            self._name(parquet, names[0])
            if sheet.has_csv:
                self._name(text, names[1])
            else:
                (self.folder / names[1]).unlink(missing_ok=True)

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
        path = self.folder / name
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
        path = self.folder / name
        with _telling(path):
            temporary.chmod(0o644)
            _flush(temporary)
            temporary.replace(path)
            _flush(path.parent)


def holds(file: Any, path: Path, run_ids: np.ndarray) -> bool:
    """Return whether a part, a path or an open file, has just these runs in it; one that is damaged has none."""
    try:
        with _reading(path):
            _, table = _open(file, ["run_id", "stopped_step"])
    except (DamagedPart, _Foreign):
        return False
    return np.array_equal(np.sort(part_index.ids(table["run_id"])), np.sort(run_ids))


def part_bytes(part: Part) -> bytes:
    """Return the file of a part, to be sent to where its results folder is."""
    sink = pa.BufferOutputStream()
    _write_part(_part_table(part), sink)
    return sink.getvalue().to_pybytes()


def _part_table(part: Part) -> pa.Table:
    columns: dict[str, Any] = {
        "run_id": pa.array(part.run_ids, pa.string()),
        "diverged_step": pa.array(part.diverged_step, from_pandas=True),
        "stopped_step": pa.array(part.stopped_step, from_pandas=True),
        "parameters": part.parameters,
    }
    columns |= {name: _lists(values) for name, values in part.curves.items()}
    table = pa.table(columns)
    about = {"pack_id": part.pack_id, "step": part.step.tolist(), "seconds": dict(part.seconds)}
    about |= {"saved_lane_steps": part.saved_lane_steps, "stopped_lane_steps": part.stopped_lane_steps}
    about |= {"checksums": {name: _checksum(table[name]) for name in columns}}
    text = json.dumps(about).encode()
    return table.replace_schema_metadata({b"lrbench": text, b"checksum": b"%08x" % zlib.crc32(text)})


def _write_part(table: pa.Table, where: Any) -> None:
    # Losses are nearly all distinct: a dictionary of them would take time and no less room.
    pq.write_table(table, where, use_dictionary=False)


def _glance(path: Path) -> Glance:
    """Open a part and return what it says without its curves."""
    with _reading(path):
        about, table = _open(path, ["run_id", "stopped_step"])
        curves = tuple(name for name in about["curves"] if name not in _SCALARS)
        stopped = table["stopped_step"].is_valid().to_numpy()
        about["evaluations"] = len(about["step"])
        known = {name: about[name] for name in part_index.ABOUT}
        return Glance(path.name, known, curves, part_index.ids(table["run_id"]), stopped)


def _holdings(glances: dict[Path, list[Glance]], run_ids: np.ndarray, stopped: bool) -> list[Holding]:
    """Return what parts hold of a grid, in the grid's order; the glances are used up."""
    places, nowhere = Places(run_ids), len(run_ids)
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


def _open(part: Any, names: Sequence[str]) -> tuple[dict[str, Any], pa.Table]:
    """Return what a part, a path or an open file, says of itself, and some of its columns, all as they were written.

    A part of an older lrbench has no checksums, and is taken as it is.
    """
    with pq.ParquetFile(part) as file:
        schema = file.schema_arrow  # each time made anew
        known = schema.metadata or {}
        if not {b"lrbench", b"checksum"} & known.keys():
            raise _Foreign
        about = json.loads(known[b"lrbench"])
        about["curves"] = schema.names
        sums = about.get("checksums")
        if (sums is not None or b"checksum" in known) and (
            b"%08x" % zlib.crc32(known[b"lrbench"]) != known.get(b"checksum")
            or list(sums or ()) != schema.names
        ):
            raise ValueError("what it says of itself has changed")
        table = file.read(list(names), use_threads=False)
    if sums is not None:
        for name in names:
            if _checksum(table[name]) != sums[name]:
                raise ValueError(f"{name} has changed")
    return about, table


@contextlib.contextmanager
def _reading(path: Path) -> Iterator[None]:
    """Turn whatever goes wrong while a part is decoded into `DamagedPart`; damaged bytes can mislead any decoder."""
    try:
        yield
    except (StoreError, _Foreign):
        raise
    except OSError as error:
        # Of damage, Arrow says so without a number of the system's.
        if error.errno not in {None, errno.EIO}:
            raise StoreError(f"{path}: cannot be read: {error.strerror or error}") from error
        raise DamagedPart(path, _line(error)) from error
    except Exception as error:
        raise DamagedPart(path, _line(error)) from error


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:200] or type(error).__name__


def _checksum(column: pa.ChunkedArray) -> int:
    """Return the CRC-32 of the values of a column: texts, numbers, or lists of numbers; missing values count as they are."""
    values, lengths = column.combine_chunks(), ""
    if pa.types.is_list(values.type):
        each = pc.list_value_length(values).to_numpy(zero_copy_only=False)
        lengths = f"{each.min(initial=0)} {each.max(initial=0)}"
        values = values.flatten()
    kind = f"{values.type} {len(column)} {lengths}".encode()
    data = (
        part_index.ids(column) if pa.types.is_string(values.type) else values.to_numpy(zero_copy_only=False)
    )
    return zlib.crc32(np.ascontiguousarray(data).data.cast("B") if len(data) else b"", zlib.crc32(kind))


def _matrix(column: pa.ChunkedArray) -> Float[np.ndarray, "run evaluation"]:
    """Return a column of lists, all of one length, as a matrix."""
    values = column.combine_chunks().flatten().to_numpy(zero_copy_only=False)
    return values.reshape(len(column), -1)


def _lists(values: Float[np.ndarray, "run evaluation"]) -> pa.Array:
    """Return a matrix as an Arrow list per row."""
    runs, evaluations = values.shape
    offsets = np.arange(0, (runs + 1) * evaluations, evaluations, dtype=np.int32)
    return pa.ListArray.from_arrays(offsets, pa.array(np.ascontiguousarray(values).reshape(-1)))


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
