"""A part file: the runs of one pack as Parquet, a row per run, each curve a list over the evaluations.

Every page has Parquet's own CRC-32, which is checked when the page is read. The footer, which has the part's
metadata and where the pages are, has a BLAKE2 digest in the bytes before it, between the pages and the footer, where no
reader of Parquet looks. Parts of older versions have a CRC-32 of each column's values instead, or nothing.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from jaxtyping import Int

from lrbench.errors import StoreError
from lrbench.results.trained import Trained
from lrbench.study.ladder import RUNGS

LARGEST_STEP = 2**53
"""The largest step and the most parameters that a part may name: a table holds them exactly."""
MOST_SECONDS, MOST_STEPS = 1e15, 10**14
"""The most seconds and saved steps of a part: their sums over all parts fit into the manifest."""
FIRST_HITS = "first_hits"
"""The column of first hits, a list over the rungs; a part has it if they were kept."""
_SCALARS = ("run_id", "diverged_step", "stopped_step", "parameters")
_MAGIC, _DIGEST = b"lrb1", 16
"""How the digest of the footer begins, and its bytes."""
_TAIL = 2**16
"""So many bytes are read from the end of a file at once: many parts are no larger, and few footers are."""


class DamagedPart(StoreError):
    """A part does not hold what was written to it."""

    def __init__(self, path: Path, why: str) -> None:
        """Name the part, and why."""
        super().__init__(f"{path}: is damaged ({why}); `lrbench run` with its study trains its runs again")
        self.path = path


class NotAPart(Exception):
    """A Parquet file that lrbench did not write."""


@dataclass(frozen=True)
class PartSummary:
    """What is known of a part without reading its curves, and which of its runs belong to a grid.

    Args:
        path: the file.
        pack_id: the pack.
        curves: the names of its curves.
        evaluations: how many values each curve has.
        seconds, saved_lane_steps, stopped_lane_steps: as in `Trained`.
        rows: which rows of the file are runs of the grid.
        numbers: which runs of the grid they are, ascending.
        first_hits: whether it has first hits.
    """

    path: Path
    pack_id: str
    curves: tuple[str, ...]
    evaluations: int
    seconds: Mapping[str, float]
    saved_lane_steps: int
    stopped_lane_steps: int
    rows: Int[np.ndarray, " run"]
    numbers: Int[np.ndarray, " run"]
    first_hits: bool = False


def encoded(trained: Trained) -> bytes:
    """Return the part file of a pack's runs."""
    columns: dict[str, Any] = {
        "run_id": pa.array(trained.run_ids, pa.string()),
        "diverged_step": pa.array(trained.diverged_step, from_pandas=True),
        "stopped_step": pa.array(trained.stopped_step, from_pandas=True),
        "parameters": trained.parameters,
    }
    columns |= {name: _lists(values) for name, values in trained.curves.items()}
    if trained.first_hits is not None:
        columns[FIRST_HITS] = _lists(trained.first_hits)
    about = {
        "pack_id": trained.pack_id,
        "step": trained.step.tolist(),
        "seconds": dict(trained.seconds),
        "saved_lane_steps": trained.saved_lane_steps,
        "stopped_lane_steps": trained.stopped_lane_steps,
        "sealed": True,
    }
    return sealed(pa.table(columns).replace_schema_metadata({b"lrbench": json.dumps(about).encode()}))


def sealed(table: pa.Table) -> bytes:
    """Return the Parquet file of a table with a checksum of every page, and a digest before its footer."""
    sink = pa.BufferOutputStream()
    # Losses are nearly all distinct: a dictionary of them would take time and no less space.
    pq.write_table(table, sink, use_dictionary=False, write_page_checksum=True)
    data = sink.getvalue().to_pybytes()
    begin = len(data) - 8 - int.from_bytes(data[-8:-4], "little")
    return data[:begin] + _MAGIC + _digest(data[begin:]) + data[begin:]


def summary(
    file: Any,
    path: Path,
    numbers_of: Callable[[np.ndarray], npt.NDArray[np.int32]],
    *,
    grid_size: int,
    stopped: bool,
) -> PartSummary:
    """Return what is known of an open part without its curves.

    Args:
        file: the part, open for reading.
        path: of the part.
        numbers_of: returns the number in a grid of each run_id, `grid_size` for one that is not in it.
        grid_size: how many runs the grid has.
        stopped: whether runs that a race stopped count as runs of the grid.

    Raises:
        DamagedPart: if it does not hold what was written to it.
        NotAPart: if lrbench did not write it.
    """
    with reading(path):
        about, table = _open(file, ["run_id", "stopped_step"])
        _check_about(about)
        run_ids = _bytes(table["run_id"])
        numbers = numbers_of(run_ids)
        if not stopped:
            numbers[table["stopped_step"].is_valid().to_numpy()] = grid_size
        (rows,) = (numbers < grid_size).nonzero()
        rows = rows[np.argsort(numbers[rows])].astype(np.int32)
        if np.any(np.diff(numbers[rows]) == 0):
            raise ValueError("a run is in it twice")
        return PartSummary(
            path,
            about["pack_id"],
            tuple(name for name in about["columns"] if name not in (*_SCALARS, FIRST_HITS)),
            len(about["step"]),
            about["seconds"],
            about["saved_lane_steps"],
            about["stopped_lane_steps"],
            rows,
            numbers[rows],
            FIRST_HITS in about["columns"],
        )


def read(file: Any, path: Path, curves: Sequence[str], *, first_hits: bool = False) -> Trained:
    """Return the runs of an open part with some of its curves, in binary64, and its first hits if these are asked for.

    Raises:
        DamagedPart: if it does not hold what was written to it.
    """
    with reading(path):
        about, table = _open(file, [*_SCALARS, *curves, *([FIRST_HITS] if first_hits else [])])
        _check_about(about)
        trained = Trained(
            about["pack_id"],
            _bytes(table["run_id"]),
            np.array(about["step"], np.int64),
            {name: _matrix(table[name]).astype(np.float64, copy=False) for name in curves},
            table["diverged_step"].to_numpy().astype(np.float64, copy=False),
            table["stopped_step"].to_numpy().astype(np.float64, copy=False),
            table["parameters"].to_numpy(),
            about["seconds"],
            about["saved_lane_steps"],
            about["stopped_lane_steps"],
            _matrix(table[FIRST_HITS]) if first_hits else None,
        )
        _check_values(trained)
        return trained


def contains(file: Any, path: Path, run_ids: np.ndarray) -> bool:
    """Return whether an open part has exactly these runs; one that is damaged has none."""
    try:
        with reading(path):
            _, table = _open(file, ["run_id"])
            return np.array_equal(np.sort(_bytes(table["run_id"])), np.sort(run_ids))
    except (DamagedPart, NotAPart):
        return False


@contextlib.contextmanager
def reading(path: Path) -> Iterator[None]:
    """Turn whatever goes wrong while a part is decoded into `DamagedPart`; damaged bytes can mislead any decoder."""
    try:
        yield
    except (StoreError, NotAPart):
        raise
    except OSError as error:
        # Of damage, Arrow raises an OSError without a number of the system's.
        if error.errno not in {None, errno.EIO}:
            raise StoreError(f"{path}: cannot be read: {error.strerror or error}") from error
        raise DamagedPart(path, _line(error)) from error
    except Exception as error:
        raise DamagedPart(path, _line(error)) from error


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:200] or type(error).__name__


def _open(part: Any, names: Sequence[str]) -> tuple[dict[str, Any], pa.Table]:
    """Return the metadata of an open part, its columns' names included, and some of its columns, all verified."""
    tail, is_sealed = _verified_tail(part)
    whole = part.tell() == len(tail)
    source = pa.BufferReader(tail) if whole else part
    with pq.ParquetFile(source, page_checksum_verification=True) as file:
        schema = file.schema_arrow  # computed at each call
        known = schema.metadata or {}
        if not {b"lrbench", b"checksum"} & known.keys():
            raise NotAPart
        about = json.loads(known[b"lrbench"])
        if about.get("sealed", False) != is_sealed:
            raise ValueError("its footer has changed")
        table = file.read(list(names), use_threads=False)
    if not is_sealed:
        _verify_older(about, known, schema.names, table)
    return {**about, "columns": schema.names}, table


def _verified_tail(part: Any) -> tuple[bytes, bool]:
    """Return the last bytes of an open file, its position then being its end, and whether it has a digest.

    Raises:
        ValueError: if there is a digest, and it is not that of the footer.
    """
    size = part.seek(0, 2)
    part.seek(max(0, size - _TAIL))
    tail: bytes = part.read()
    footer = 8 + int.from_bytes(tail[-8:-4], "little")
    seal = len(_MAGIC) + _DIGEST
    if len(tail) < footer + seal <= size:
        part.seek(size - footer - seal)
        tail = part.read()
    begin = len(tail) - footer
    found = tail[max(0, begin - seal) : max(0, begin)]
    if not found.startswith(_MAGIC):
        return tail, False
    if found[len(_MAGIC) :] != _digest(tail[begin:]):
        raise ValueError("its footer has changed")
    return tail, True


def _digest(footer: bytes) -> bytes:
    return hashlib.blake2b(footer, digest_size=_DIGEST).digest()


def _verify_older(
    about: Mapping[str, Any], known: Mapping[bytes, bytes], columns: Sequence[str], table: pa.Table
) -> None:
    """Compare a part of an older version with the checksums in it; the oldest have none, and are taken as they are.

    Raises:
        ValueError: naming what has changed.
    """
    sums = about.get("checksums")
    if sums is None and b"checksum" not in known:
        return
    if b"%08x" % zlib.crc32(known[b"lrbench"]) != known.get(b"checksum") or list(sums or ()) != list(columns):
        raise ValueError("its metadata have changed")
    for name in table.column_names:
        if column_sum(table[name]) != about["checksums"][name]:
            raise ValueError(f"{name} has changed")


def column_sum(column: pa.ChunkedArray) -> int:
    """Return the CRC-32 of a column's values, as parts of older versions hold it; missing values count as they are."""
    values, lengths = column.combine_chunks(), ""
    if pa.types.is_list(values.type):
        each = pc.list_value_length(values).to_numpy(zero_copy_only=False)
        lengths = f"{each.min(initial=0)} {each.max(initial=0)}"
        values = values.flatten()
    kind = f"{values.type} {len(column)} {lengths}".encode()
    data = _bytes(column) if pa.types.is_string(values.type) else values.to_numpy(zero_copy_only=False)
    return zlib.crc32(np.ascontiguousarray(data).data.cast("B") if len(data) else b"", zlib.crc32(kind))


def _check_about(about: Mapping[str, Any]) -> None:
    """Refuse what the manifest could not hold, whoever wrote it with the right digest.

    Raises:
        ValueError: if it is not what lrbench writes.
    """
    seconds, counts = about["seconds"], [about["saved_lane_steps"], about["stopped_lane_steps"]]
    if not (
        isinstance(seconds, dict)
        and isinstance(about["step"], list)
        and all(_is_name(name) for name in (about["pack_id"], *seconds))
        and all(isinstance(value, int | float) and 0 <= value <= MOST_SECONDS for value in seconds.values())
        and all(isinstance(value, int) and 0 <= value <= MOST_STEPS for value in counts)
    ):
        raise ValueError("its metadata are not what lrbench writes")


def _is_name(text: Any) -> bool:
    return isinstance(text, str) and 1 <= len(text) <= 100 and text.isprintable()


def _check_values(trained: Trained) -> None:
    """Refuse what no training gives, whoever wrote it with the right checksums.

    Raises:
        ValueError: naming the column.
    """
    step = trained.step
    if (
        step.ndim != 1
        or not len(step)
        or np.any(np.diff(step) <= 0)
        or np.any((step < 0) | (step > LARGEST_STEP))
    ):
        raise ValueError("its evaluations are not ascending steps")
    shape = len(trained.run_ids), len(step)
    wrong = [name for name, values in trained.curves.items() if values.shape != shape]
    hits = trained.first_hits
    if hits is not None and not (
        hits.shape == (len(trained.run_ids), RUNGS) and hits.dtype == np.int32 and np.all(hits >= -1)
    ):
        wrong.append(FIRST_HITS)
    for name in _SCALARS[1:]:
        numbers = np.asarray(getattr(trained, name), np.float64)  # a missing one is NaN
        if np.any((numbers < 0) | (numbers > LARGEST_STEP)):
            wrong.append(name)
    if wrong:
        raise ValueError(f"{wrong[0]} does not fit its runs and evaluations")


def _bytes(column: pa.ChunkedArray) -> np.ndarray:
    """Return run_ids as bytes of one length, without a Python object for each."""
    text = column.combine_chunks()
    if len(text) and not text.null_count and not text.offset:
        _, offsets, data = text.buffers()
        lengths = np.diff(np.frombuffer(offsets, np.int32, len(text) + 1))
        if lengths[0] and (lengths == lengths[0]).all():  # as of all parts but foreign ones
            return np.frombuffer(data, f"S{lengths[0]}", len(text))
    length = pc.max(pc.binary_length(text)).as_py() or 1
    padded = pc.ascii_rpad(text, length, padding="\0")
    return np.frombuffer(padded.buffers()[2] or b"", f"S{length}", count=len(padded))


def _matrix(column: pa.ChunkedArray) -> Any:
    """Return a column of lists, all of one length, as a matrix."""
    values = column.combine_chunks().flatten().to_numpy(zero_copy_only=False)
    return values.reshape(len(column), -1)


def _lists(values: np.ndarray) -> pa.Array:
    """Return a matrix as an Arrow list per row."""
    runs, evaluations = values.shape
    offsets = np.arange(0, (runs + 1) * evaluations, evaluations, dtype=np.int32)
    return pa.ListArray.from_arrays(offsets, pa.array(np.ascontiguousarray(values).reshape(-1)))
