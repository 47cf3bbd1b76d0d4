"""A results folder: parts as they come, tables made from them, and a manifest of how they were made.

A part is one Parquet file of a pack: a row per run, each curve a list over the evaluations. It is written whole or
not at all, and a run is done when a part holds its run_id.
"""

from __future__ import annotations

import contextlib
import json
import os
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet as pq
from jaxtyping import Bool, Float, Int

from lrbench.errors import StoreError

SCHEMA_VERSION = 1
MANIFEST = "manifest.json"
_SCALARS = ("run_id", "diverged_step", "parameters")


@dataclass(frozen=True)
class Part:
    """What a part file holds.

    Args:
        pack_id: its name.
        run_ids: the runs, as bytes.
        step: the evaluations.
        curves: name → value of each run at each evaluation.
        diverged_step: first step with a non-finite loss, NaN for none.
        parameters: how many parameters each run's model has.
        seconds: what the pack took: compile, train, evaluate.
        saved_lane_steps: steps that its runs did not take, because they had diverged.
    """

    pack_id: str
    run_ids: np.ndarray
    step: Int[np.ndarray, " evaluation"]
    curves: Mapping[str, Float[np.ndarray, "run evaluation"]]
    diverged_step: Float[np.ndarray, " run"]
    parameters: Int[np.ndarray, " run"]
    seconds: Mapping[str, float]
    saved_lane_steps: int = 0


class Store:
    """A results folder on a local disk."""

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        """Nothing is read or made yet."""
        self.folder = Path(folder)

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
        version = found.get("schema_version", 0)
        if version > SCHEMA_VERSION:
            raise StoreError(
                f"{path}: was written by a newer lrbench (schema {version}, this one reads up to {SCHEMA_VERSION}); "
                "upgrade lrbench"
            )
        return found

    def write_manifest(self, manifest: Mapping[str, Any]) -> None:
        """Write the manifest, whole or not at all."""
        text = json.dumps({"schema_version": SCHEMA_VERSION, **manifest}, indent=1)
        self.write(MANIFEST, lambda path: path.write_text(text + "\n", encoding="utf-8"))

    def set_aside(self) -> Path | None:
        """Move a results folder to a name beside it, and return that; `None` if there was nothing to move."""
        if not self.folder.exists() or not any(self.folder.iterdir()):
            return None
        now = datetime.now(UTC).strftime("%Y%m%d-%H%M%S-%f")
        folder = self.folder.resolve()
        aside = folder.with_name(f"{folder.name}.before-{now}")
        with _telling(self.folder):
            folder.rename(aside)
        return aside

    def write_part(self, part: Part) -> Path:
        """Write a part, whole or not at all."""
        columns: dict[str, Any] = {
            "run_id": pa.array(part.run_ids, pa.string()),
            "diverged_step": pa.array(part.diverged_step, from_pandas=True),
            "parameters": part.parameters,
        }
        columns |= {name: _lists(values) for name, values in part.curves.items()}
        table = pa.table(columns)
        about = {"pack_id": part.pack_id, "step": part.step.tolist(), "seconds": dict(part.seconds)}
        about["saved_lane_steps"] = part.saved_lane_steps
        table = table.replace_schema_metadata({"lrbench": json.dumps(about)})
        return self.write(f"parts/{part.pack_id}.parquet", lambda path: pq.write_table(table, path))

    def part_files(self) -> list[Path]:
        """Return the paths of all parts, sorted by name; a name with a dot before it is not finished."""
        return sorted((self.folder / "parts").glob("[!.]*.parquet"))

    def held(self, run_ids: np.ndarray) -> Bool[np.ndarray, " run"]:
        """Return which of the runs a part holds; a part that cannot be read holds none."""
        found = [np.array([], dtype=run_ids.dtype)]
        for path in self.part_files():
            with contextlib.suppress(pa.ArrowInvalid, OSError, KeyError):
                found.append(_ids(pq.read_table(path, columns=["run_id"])))
        held: Bool[np.ndarray, " run"] = np.isin(run_ids, np.concatenate(found))
        return held

    def parts(self, run_ids: np.ndarray) -> Iterator[tuple[Part, Int[np.ndarray, " run"]]]:
        """Yield every part that holds runs of the grid, cut to those, with the runs' numbers, in the grid's order.

        A run that two parts hold is taken from the one that comes first.
        """
        order = np.argsort(run_ids)
        taken = np.zeros(len(run_ids), dtype=bool)
        found = []
        for path in self.part_files():
            with contextlib.suppress(pa.ArrowInvalid, OSError, KeyError):
                ids = _ids(pq.read_table(path, columns=["run_id"]))
                places = order[np.searchsorted(run_ids, ids, sorter=order).clip(max=len(order) - 1)]
                numbers = np.where(run_ids[places] == ids, places, -1)
                if (numbers >= 0).any():
                    found.append((int(numbers[numbers >= 0].min()), path, numbers))
        for _, path, numbers in sorted(found, key=lambda item: item[:2]):
            keep = np.flatnonzero((numbers >= 0) & ~taken[numbers])
            keep = keep[np.argsort(numbers[keep])]
            taken[numbers[keep]] = True
            if len(keep):
                yield _read_part(path, keep), numbers[keep]

    def write_table(self, name: str, frame: pd.DataFrame, *, csv: bool = True) -> None:
        """Write a table as Parquet and CSV: full precision, a missing value empty, booleans true and false."""
        table = pa.Table.from_pandas(frame, preserve_index=False).replace_schema_metadata()
        self.write(f"{name}.parquet", lambda path: pq.write_table(table, path))
        if csv:
            options = pa.csv.WriteOptions(quoting_style="needed")
            self.write(f"{name}.csv", lambda path: pa.csv.write_csv(table, path, options))

    def write(self, name: str, fill: Callable[[Path], object]) -> Path:
        """Write a file whole or not at all: fill a temporary one, flush it to disk, give it its name."""
        path = self.folder / name
        with _telling(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=".", suffix=path.suffix)
            os.close(handle)
            try:
                fill(Path(temporary))
                Path(temporary).chmod(0o644)
                _flush(Path(temporary))
                Path(temporary).replace(path)
                _flush(path.parent)
            finally:
                Path(temporary).unlink(missing_ok=True)
        return path


def _read_part(path: Path, keep: Int[np.ndarray, " run"]) -> Part:
    table = pq.read_table(path)
    about = json.loads(table.schema.metadata[b"lrbench"])
    rows = table.take(pa.array(keep)).combine_chunks()
    curves = {
        name: rows[name].combine_chunks().flatten().to_numpy(zero_copy_only=False).reshape(len(keep), -1)
        for name in table.column_names
        if name not in _SCALARS
    }
    return Part(
        about["pack_id"],
        _ids(rows),
        np.array(about["step"]),
        {name: values.astype(np.float64) for name, values in curves.items()},
        rows["diverged_step"].to_numpy().astype(np.float64),
        rows["parameters"].to_numpy(),
        about["seconds"],
        about.get("saved_lane_steps", 0),
    )


def _ids(table: pa.Table) -> np.ndarray:
    """Return the run_ids of a table as bytes of one length, without a Python object for each."""
    text = table["run_id"].combine_chunks()
    length = pc.max(pc.binary_length(text)).as_py() or 1
    padded = pc.ascii_rpad(text, length, padding="\0")
    return np.frombuffer(padded.buffers()[2], f"S{length}", count=len(padded))


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
        raise StoreError(
            f"{path}: cannot be written: {error.strerror or error}; choose another --out"
        ) from error
