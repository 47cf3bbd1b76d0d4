"""Which runs the parts of a folder hold, told without opening each of them again.

A folder of many parts gets an index beside them, `.index`, a row per part: its name, size and time of change, what it
says of itself, and its run_ids. It is a cache: a part that is not in it as it lies on the disk is opened, and an index
that is damaged, or cannot be written, costs time alone.
"""

from __future__ import annotations

import contextlib
import json
import os
import tempfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

NEW = ".new-"
"""How the name of a file begins that is not finished."""
INDEX = ".index"
WORTH_INDEXING = 8
"""A folder's index is written anew where so many of its parts are not in it: opening a part takes about 1 ms."""


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


def glances(parts: Path, look: Callable[[Path], Glance | None]) -> list[Glance]:
    """Return what every part below a folder says, sorted by name.

    Args:
        parts: the folder.
        look: opens a part and returns what it says, if it says anything; asked of those alone that no index knows.
    """
    folders = [parts, *(path for path in parts.glob("[!.]*") if path.is_dir())] if parts.is_dir() else []
    found = [glance for folder in folders for glance in _of_folder(folder, look)]
    return sorted(found, key=lambda glance: glance.path.name)


def ids(column: pa.ChunkedArray) -> np.ndarray:
    """Return run_ids as bytes of one length, without a Python object for each."""
    text = column.combine_chunks()
    length = pc.max(pc.binary_length(text)).as_py() or 1
    padded = pc.ascii_rpad(text, length, padding="\0")
    return np.frombuffer(padded.buffers()[2] or b"", f"S{length}", count=len(padded))


def _of_folder(folder: Path, look: Callable[[Path], Glance | None]) -> list[Glance]:
    there = _stamps(folder)
    indexed = dict(_read(folder))
    known = {(name, *stamp): indexed.get((name, *stamp)) for name, stamp in there.items()}
    new = [row for row, seen in known.items() if seen is None]
    known |= {row: look(folder / row[0]) for row in new}
    told = {row: seen for row, seen in known.items() if seen is not None}
    if len(new) >= WORTH_INDEXING:
        _write(folder, told)
    return list(told.values())


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
        data = (folder / INDEX).read_bytes()
        if zlib.crc32(data[4:]).to_bytes(4) != data[:4]:
            return
        table = pa.ipc.open_stream(data[4:]).read_all()
        ends = np.cumsum(table["runs"].to_numpy())
        run_ids = np.split(ids(pa.chunked_array([pc.list_flatten(table["run_id"].combine_chunks())])), ends)
        stopped = np.split(pc.list_flatten(table["stopped"]).to_numpy(), ends)
        rows = zip(*(table[name].to_pylist() for name in ("name", "size", "changed", "says")), strict=True)
        for (name, size, changed, says), mine, gone in zip(rows, run_ids, stopped, strict=False):
            about, curves = json.loads(says)
            yield (name, size, changed), Glance(folder / name, about, tuple(curves), mine, gone)
    except (FileNotFoundError, pa.ArrowException, KeyError):  # the last two: of another version
        return


def _write(folder: Path, known: Mapping[tuple[str, int, int], Glance]) -> None:
    if not known:
        return
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
    data = pa.BufferOutputStream()
    with pa.ipc.new_stream(data, table.schema) as stream:
        stream.write_table(table)
    text = data.getvalue().to_pybytes()
    with contextlib.suppress(OSError):
        handle, made = tempfile.mkstemp(dir=folder, prefix=NEW)
        os.close(handle)
        try:
            Path(made).write_bytes(zlib.crc32(text).to_bytes(4) + text)
            Path(made).replace(folder / INDEX)
        finally:
            Path(made).unlink(missing_ok=True)
