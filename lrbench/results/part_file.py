"""A part: one Parquet file of a pack, a row per run, each curve a list over the evaluations.

It holds checksums of all that is read from it, so that damage is noticed before it is in a table.
"""

from __future__ import annotations

import contextlib
import errno
import json
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from jaxtyping import Float, Int

from lrbench.errors import StoreError
from lrbench.results import inventory
from lrbench.results.inventory import Glance

LARGEST_STEP = 2**53
"""The largest step and the most parameters that a part may name: a table holds them exactly."""
_SCALARS = ("run_id", "diverged_step", "stopped_step", "parameters")


class DamagedPart(StoreError):
    """A part does not hold any more what was written to it."""

    def __init__(self, path: Path, why: str) -> None:
        """Say which, and why."""
        super().__init__(f"{path}: is damaged ({why}); `lrbench run` with its study trains its runs again")
        self.path = path


class Foreign(Exception):
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


def holds(file: Any, path: Path, run_ids: np.ndarray) -> bool:
    """Return whether a part, an open file, has just these runs in it; one that is damaged has none."""
    try:
        with reading(path):
            _, table = _open(file, ["run_id", "stopped_step"])
    except (DamagedPart, Foreign):
        return False
    return np.array_equal(np.sort(inventory.ids(table["run_id"])), np.sort(run_ids))


def part_bytes(part: Part) -> bytes:
    """Return the file of a part, to be sent to where its results folder is."""
    sink = pa.BufferOutputStream()
    write_part(part_table(part), sink)
    return sink.getvalue().to_pybytes()


def part_table(part: Part) -> pa.Table:
    """Return a part as the table that its file holds, with checksums of every column and of what it says of itself."""
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


def write_part(table: pa.Table, where: Any) -> None:
    """Write the table of a part to a path or an open file."""
    # Losses are nearly all distinct: a dictionary of them would take time and no less room.
    pq.write_table(table, where, use_dictionary=False)


def glance(file: Any, path: Path) -> Glance:
    """Return what a part, an open file, says without its curves.

    Raises:
        DamagedPart: if it does not hold what was written to it.
        Foreign: if lrbench did not write it.
    """
    with reading(path):
        about, table = _open(file, ["run_id", "stopped_step"])
        curves = tuple(name for name in about["curves"] if name not in _SCALARS)
        stopped = table["stopped_step"].is_valid().to_numpy()
        about["evaluations"] = len(about["step"])
        known = inventory.checked({name: about[name] for name in inventory.ABOUT})
        run_ids = inventory.ids(table["run_id"])
        if len(np.unique(run_ids)) < len(run_ids):
            raise ValueError("holds a run twice")
        return Glance(path.name, known, curves, run_ids, stopped)


def read_columns(
    file: Any, path: Path, curves: Sequence[str]
) -> tuple[Int[np.ndarray, " evaluation"], np.ndarray, dict[str, np.ndarray]]:
    """Return the evaluations of a part, an open file, its run_ids, and its other columns: scalars, and these curves.

    Raises:
        DamagedPart: if it does not hold what was written to it.
    """
    with reading(path):
        about, table = _open(file, [*_SCALARS, *curves])
        columns = {name: table[name].to_numpy() for name in _SCALARS[1:]}
        columns |= {name: _matrix(table[name]) for name in curves}
        step, run_ids = np.array(about["step"], np.int64), inventory.ids(table["run_id"])
        _check(step, run_ids, columns)
        return step, run_ids, columns


def _check(step: np.ndarray, run_ids: np.ndarray, columns: Mapping[str, np.ndarray]) -> None:
    """Refuse what no training gives, whoever wrote it with its checksums.

    Raises:
        ValueError: naming the column.
    """
    if (
        step.ndim != 1
        or not len(step)
        or np.any(np.diff(step) <= 0)
        or np.any((step < 0) | (step > LARGEST_STEP))
    ):
        raise ValueError("its evaluations are no ascending steps")
    for name, values in columns.items():
        if name not in _SCALARS:
            sound = values.shape == (len(run_ids), len(step))
        else:
            numbers = values.astype(np.float64)
            sound = not np.any((numbers < 0) | (numbers > LARGEST_STEP))  # missing is NaN
        if not sound:
            raise ValueError(f"{name} is not of its runs and evaluations")


def _open(part: Any, names: Sequence[str]) -> tuple[dict[str, Any], pa.Table]:
    """Return what a part, an open file, says of itself, and some of its columns, all as they were written.

    A part of an older lrbench has no checksums, and is taken as it is.
    """
    with pq.ParquetFile(part) as file:
        schema = file.schema_arrow  # each time made anew
        known = schema.metadata or {}
        if not {b"lrbench", b"checksum"} & known.keys():
            raise Foreign
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
def reading(path: Path) -> Iterator[None]:
    """Turn whatever goes wrong while a part is decoded into `DamagedPart`; damaged bytes can mislead any decoder."""
    try:
        yield
    except (StoreError, Foreign):
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
    data = inventory.ids(column) if pa.types.is_string(values.type) else values.to_numpy(zero_copy_only=False)
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
