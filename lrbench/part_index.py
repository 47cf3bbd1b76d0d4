"""Which runs the parts of a folder hold, told without opening each of them again.

A folder of many parts gets an index beside them, `.index.parquet`, a row per part: its name, size and time of change,
what it says of itself, and its run_ids. It is a cache: a part that is not in it as it lies on the disk is opened, and
an index that cannot be read or written costs time alone.
"""

from __future__ import annotations

import contextlib
import json
import os
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

SCALARS = ("run_id", "diverged_step", "stopped_step", "parameters")
"""The columns of a part that are no curves."""
_ABOUT = ("pack_id", "step", "seconds", "saved_lane_steps", "stopped_lane_steps")
INDEX = ".index.parquet"
WORTH_INDEXING = 8
"""A folder's index is written anew where so many of its parts are not in it: opening a part takes about 1 ms."""
_UNREADABLE = (pa.ArrowException, OSError, KeyError, ValueError, TypeError)


@dataclass(frozen=True)
class Glance:
    """What a part says without its curves.

    Args:
        path: of the part.
        about: what it says of itself: pack_id, step, seconds, saved_lane_steps, stopped_lane_steps.
        curves: the names of its curves.
        run_ids: its runs, as bytes.
        stopped: which of them a race stopped.
    """

    path: Path
    about: Mapping[str, Any]
    curves: tuple[str, ...]
    run_ids: np.ndarray
    stopped: np.ndarray


def place(pack_id: str) -> str:
    """Return where in a results folder the part of a pack lies: 256 folders, so that none has a million files.

    >>> place("0f3a")
    'parts/0f/0f3a.parquet'
    """
    return f"parts/{pack_id[:2]}/{pack_id}.parquet"


def files(parts: Path) -> list[Path]:
    """Return the paths of all parts below a folder, sorted by name, those beside its folders too.

    A name with a dot before it is not finished, or no part.
    """
    found = [path for pattern in ("[!.]*.parquet", "[!.]*/[!.]*.parquet") for path in parts.glob(pattern)]
    return sorted(found, key=lambda path: path.name)


def glances(parts: Path) -> list[Glance]:
    """Return what every part below a folder says, sorted by name; one that cannot be read says nothing."""
    folders = [parts, *(path for path in parts.glob("[!.]*") if path.is_dir())] if parts.is_dir() else []
    found = [glance for folder in folders for glance in _of_folder(folder)]
    return sorted(found, key=lambda glance: glance.path.name)


def glance(path: Path) -> Glance:
    """Open a part and return what it says."""
    with pq.ParquetFile(path) as file:
        said = json.loads((file.schema_arrow.metadata or {})[b"lrbench"])
        curves = tuple(name for name in file.schema_arrow.names if name not in SCALARS)
        table = file.read(["run_id", "stopped_step"], use_threads=False)
    about = {name: said[name] for name in _ABOUT}
    return Glance(path, about, curves, ids(table["run_id"]), table["stopped_step"].is_valid().to_numpy())


def ids(column: pa.ChunkedArray) -> np.ndarray:
    """Return run_ids as bytes of one length, without a Python object for each."""
    text = column.combine_chunks()
    length = pc.max(pc.binary_length(text)).as_py() or 1
    padded = pc.ascii_rpad(text, length, padding="\0")
    return np.frombuffer(padded.buffers()[2] or b"", f"S{length}", count=len(padded))


def _of_folder(folder: Path) -> list[Glance]:
    there = _stamps(folder)
    known = {row: seen for row, seen in _read(folder) if there.get(row[0]) == row[1:]}
    found, new = [], 0
    for name, stamp in there.items():
        seen = known.get((name, *stamp))
        if seen is None:
            with contextlib.suppress(*_UNREADABLE):
                seen = glance(folder / name)
                known[(name, *stamp)] = seen
                new += 1
        if seen is not None:
            found.append(seen)
    if new >= WORTH_INDEXING:
        _write(folder, known)
    return found


def _stamps(folder: Path) -> dict[str, tuple[int, int]]:
    """Return the size and the time of change of each part in a folder, by its name."""
    with os.scandir(folder) as entries:
        files = {
            entry.name: entry.stat()
            for entry in entries
            if entry.name.endswith(".parquet") and not entry.name.startswith(".")
        }
    return {name: (stat.st_size, stat.st_mtime_ns) for name, stat in files.items()}


def _read(folder: Path) -> Iterator[tuple[tuple[str, int, int], Glance]]:
    """Yield name, size and time of change of each part in a folder's index, and what it says."""
    try:
        table = pq.read_table(folder / INDEX)
        ends = np.cumsum(table["runs"].to_numpy())
        run_ids = np.split(ids(pa.chunked_array([pc.list_flatten(table["run_id"].combine_chunks())])), ends)
        stopped = np.split(pc.list_flatten(table["stopped"]).to_numpy(), ends)
        rows = zip(*(table[name].to_pylist() for name in ("name", "size", "changed", "says")), strict=True)
        for (name, size, changed, says), mine, gone in zip(rows, run_ids, stopped, strict=False):
            about, curves = json.loads(says)
            yield (name, size, changed), Glance(folder / name, about, tuple(curves), mine, gone)
    except _UNREADABLE:
        return


def _write(folder: Path, known: Mapping[tuple[str, int, int], Glance]) -> None:
    seen = list(known.values())
    names, sizes, changes = zip(*known, strict=True)
    offsets = np.cumsum([0, *(len(each.run_ids) for each in seen)]).astype(np.int32)
    run_ids = pa.array(np.concatenate([each.run_ids for each in seen]), pa.string())
    stopped = pa.array(np.concatenate([each.stopped for each in seen]))
    table = pa.table(
        {
            "name": names,
            "size": pa.array(sizes, pa.int64()),
            "changed": pa.array(changes, pa.int64()),
            "says": [json.dumps([each.about, each.curves]) for each in seen],
            "runs": np.diff(offsets),
            "run_id": pa.ListArray.from_arrays(offsets, run_ids),
            "stopped": pa.ListArray.from_arrays(offsets, stopped),
        }
    )
    with contextlib.suppress(OSError):
        handle, made = tempfile.mkstemp(dir=folder, prefix=".", suffix=".parquet")
        os.close(handle)
        try:
            pq.write_table(table, made, use_dictionary=False)
            Path(made).replace(folder / INDEX)
        finally:
            Path(made).unlink(missing_ok=True)
