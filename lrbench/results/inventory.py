"""Which runs the parts of a folder hold, told without opening each of them again.

A folder of many parts gets an index beside them, `.index`, a row per part: its name, size and time of change, what it
says of itself, and its run_ids. It is a cache: a part that is not in it as it lies on the disk is opened, and an index
that is damaged, or cannot be written, costs time alone.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import tempfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from lrbench.errors import StoreError
from lrbench.results import safe_files

PACK_ID = re.compile("[0-9a-f]{16}")
"""What the name of a pack looks like."""
NEW = ".new-"
"""How the name of a file begins that is not finished."""
INDEX = ".index"
WORTH_INDEXING = 8
"""A folder's index is written anew where so many of its parts are not in it: opening a part takes about 1 ms."""
ABOUT = ("pack_id", "evaluations", "seconds", "saved_lane_steps", "stopped_lane_steps")
"""What the index keeps of what a part says of itself."""
MOST_SECONDS, MOST_STEPS = 1e15, 10**14
"""The most seconds that a part may say a pack took, and lane-steps that it saved: the manifest can hold all of them."""
Stamp = tuple[int, int]
Stamps = Mapping[Path, Mapping[str, Stamp]]


class Glance(NamedTuple):
    """What a part says without its curves.

    Args:
        name: of its file.
        about: what it says of itself: pack_id, evaluations, seconds, saved_lane_steps, stopped_lane_steps.
        curves: the names of its curves.
        run_ids: its runs, as bytes.
        stopped: which of them a race stopped.
    """

    name: str
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


def files(results: Path) -> list[Path]:
    """Return the paths of all parts of a results folder, sorted by name, those beside its folders too.

    A name with a dot before it is not finished, or no part.

    Raises:
        StoreError: as of `stamps`.
    """
    found = [folder / name for folder, there in stamps(results).items() for name in there]
    return sorted(found, key=lambda path: path.name)


def stamps(results: Path) -> Stamps:
    """Return the size and the time of change of every part of a results folder, by its folder and its name.

    Raises:
        StoreError: if a part or a folder of parts is a link, is no folder, or cannot be read: parts that are not seen would
            be trained again.
    """
    parts = safe_files.path(results, "parts")
    if not os.path.lexists(parts):
        return {}
    found, folders = _stamps(parts)
    return {parts: found} | {parts / name: _stamps(parts / name)[0] for name in folders}


def glances(there: Stamps, look: Callable[[Path], Glance | None]) -> dict[Path, list[Glance]]:
    """Return what every part says, by its folder.

    Args:
        there: what `stamps` found.
        look: opens a part and returns what it says, if it says anything; asked of those alone that no index knows.
    """
    return {folder: _of_folder(folder, mine, look) for folder, mine in there.items()}


def checked(about: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return what a part says of itself, under the names of `ABOUT`, if the manifest can hold it.

    Raises:
        ValueError: if it is not.
    """
    seconds, pack_id = about["seconds"], about["pack_id"]
    numbers = [about[name] for name in ("evaluations", "saved_lane_steps", "stopped_lane_steps")]
    if not (
        isinstance(seconds, dict)
        and all(_is_name(name) for name in (pack_id, *seconds))
        and all(isinstance(value, int | float) and 0 <= value <= MOST_SECONDS for value in seconds.values())
        and all(isinstance(value, int) and 0 <= value <= MOST_STEPS for value in numbers)
    ):
        raise ValueError("what it says of itself is not what lrbench writes")
    return about


def _is_name(text: Any) -> bool:
    return isinstance(text, str) and 1 <= len(text) <= 100 and text.isprintable()


def ids(column: pa.ChunkedArray) -> np.ndarray:
    """Return run_ids as bytes of one length, without a Python object for each."""
    text = column.combine_chunks()
    length = pc.max(pc.binary_length(text)).as_py() or 1
    padded = pc.ascii_rpad(text, length, padding="\0")
    return np.frombuffer(padded.buffers()[2] or b"", f"S{length}", count=len(padded))


def fixed(run_ids: np.ndarray) -> pa.Array:
    """Return run_ids as an Arrow array of the same bytes, without a copy."""
    data = pa.py_buffer(np.ascontiguousarray(run_ids))
    return pa.Array.from_buffers(pa.binary(run_ids.dtype.itemsize), len(run_ids), [None, data])


def _of_folder(
    folder: Path, there: Mapping[str, Stamp], look: Callable[[Path], Glance | None]
) -> list[Glance]:
    indexed = dict(_read(folder))
    known = {(name, *stamp): indexed.get((name, *stamp)) for name, stamp in there.items()}
    new = [row for row, seen in known.items() if seen is None]
    known |= {row: look(folder / row[0]) for row in new}
    told = {row: seen for row, seen in known.items() if seen is not None}
    if len(new) >= WORTH_INDEXING:
        _write(folder, told)
    return list(told.values())


def _stamps(folder: Path) -> tuple[dict[str, Stamp], list[str]]:
    """Return the parts in a folder, and the names of the folders in it."""
    found: dict[str, Stamp] = {}
    folders: list[str] = []
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                if entry.name.startswith("."):
                    continue
                if entry.is_symlink():
                    raise safe_files.link(entry)
                if entry.is_dir():
                    folders.append(entry.name)
                elif entry.name.endswith(".parquet"):
                    with contextlib.suppress(FileNotFoundError):  # another process may move it
                        stat = entry.stat()
                        found[entry.name] = stat.st_size, stat.st_mtime_ns
    except FileNotFoundError:
        return {}, []
    except OSError as error:
        raise StoreError(
            f"{folder}: cannot be read: {error.strerror or error}; make a folder of it that you may read, or start anew with "
            "--fresh"
        ) from error
    return found, folders


def _read(folder: Path) -> Iterator[tuple[tuple[str, int, int], Glance]]:
    """Yield name, size and time of change of each part in a folder's index, and what it says."""
    try:
        with safe_files.opened(folder, INDEX) as file:
            data = file.read()
        if zlib.crc32(memoryview(data)[4:]).to_bytes(4) != data[:4]:
            return
        table = pa.ipc.open_stream(pa.py_buffer(data).slice(4)).read_all()
        run_ids, stopped = (table[name].combine_chunks().flatten() for name in ("run_id", "stopped"))
        each = run_ids.type.byte_width
        whole = np.frombuffer(run_ids.buffers()[1] or b"", f"S{each}", len(run_ids), run_ids.offset * each)
        gone = stopped.to_numpy(zero_copy_only=False)
        ends = np.cumsum(table["runs"].to_numpy()).tolist()
        says = json.loads(f"[{','.join(table['says'].to_pylist())}]")
        rows = zip(*(table[name].to_pylist() for name in ("name", "size", "changed")), says, strict=True)
        for (name, size, changed, said), begin, end in zip(rows, [0, *ends], ends, strict=False):
            *about, curves = said
            told = checked(dict(zip(ABOUT, about, strict=True)))
            here = slice(begin, end)
            yield (name, size, changed), Glance(name, told, tuple(curves), whole[here], gone[here])
    except (OSError, StoreError, pa.ArrowException, KeyError, AttributeError, TypeError, ValueError):
        return  # there is none, it cannot be read, or it is of another version


def _write(folder: Path, known: Mapping[tuple[str, int, int], Glance]) -> None:
    if not known:
        return
    seen = list(known.values())
    names, sizes, changes = zip(*known, strict=True)
    offsets = np.cumsum([0, *(len(each.run_ids) for each in seen)]).astype(np.int32)
    run_ids = np.concatenate([each.run_ids for each in seen])
    stopped = pa.array(np.concatenate([each.stopped for each in seen]))
    table = pa.table(
        {
            "name": names,
            "size": pa.array(sizes, pa.int64()),
            "changed": pa.array(changes, pa.int64()),
            "says": [json.dumps([*(each.about[key] for key in ABOUT), each.curves]) for each in seen],
            "runs": np.diff(offsets),
            "run_id": pa.ListArray.from_arrays(offsets, fixed(run_ids)),
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
            Path(made).chmod(0o644)
            Path(made).replace(folder / INDEX)
        finally:
            Path(made).unlink(missing_ok=True)
