"""Parts, read a batch at a time: their curves go into the table of curves, and what they show of each run into blocks."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, groupby
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from jaxtyping import Float, Int

from lrbench.analysis.measure import measure
from lrbench.analysis.targets import steps_to_target
from lrbench.results import safe_files
from lrbench.results.building import table_writer
from lrbench.results.building.blocks import BlockWriter, RunBlocks
from lrbench.results.folder import ResultsFolder
from lrbench.results.part_file import PartSummary
from lrbench.results.trained import Trained, joined
from lrbench.study.grid import Grid
from lrbench.tables.curves import Evaluations, curves, names_of, schema

BATCH_ROWS = 500_000
"""Parts are joined up to so many rows of curves: reducing a small one alone costs ten times as much as reading it."""

# Parquet would try a dictionary for every column; for losses, nearly all of them distinct, that takes most of the time.
_REPEATED = ["run_id", "step", "learning_rate"]


@dataclass(frozen=True)
class Batch:
    """Parts that are read together: of one problem, and with the same curves.

    Args:
        parts: their summaries.
        objective: the loss that their runs are judged by.
    """

    parts: tuple[PartSummary, ...]
    objective: str

    @property
    def numbers(self) -> Int[np.ndarray, " run"]:
        """Which runs of the grid they are, in the order of the parts."""
        return np.concatenate([part.numbers for part in self.parts])

    @property
    def rows(self) -> int:
        """How many rows of curves they are."""
        return sum(len(part.numbers) * part.evaluations for part in self.parts)

    def read(self, store: ResultsFolder) -> Trained:
        """Return all of their runs as one record."""
        return joined([store.read_part(part) for part in self.parts])

    def pack_ids(self) -> pa.Array:
        """Return the name of the pack of each run."""
        each = np.repeat(np.arange(len(self.parts)), [len(part.numbers) for part in self.parts])
        return pa.array([part.pack_id for part in self.parts], pa.string()).take(pa.array(each))


def batches_of(grid: Grid, parts: Sequence[PartSummary], objectives: Mapping[str, str]) -> Iterator[Batch]:
    """Yield neighbouring parts in batches, in the order of the grid."""
    starts = np.array([part.numbers[0] for part in parts], dtype=np.int64)
    problems = grid.positions(starts)["problem"]
    rows = np.cumsum([len(part.numbers) * part.evaluations for part in parts]) // BATCH_ROWS
    kinds = [
        (int(problem), int(turn), part.curves, part.evaluations)
        for part, problem, turn in zip(parts, problems, rows, strict=True)
    ]
    for kind, alike in groupby(zip(kinds, parts, strict=True), key=lambda each: each[0]):
        problem, _, measured, _ = kind
        name = objectives.get(grid.problems[problem].name, "valid_loss")
        objective = name if name in measured else "train_loss"
        yield Batch(tuple(part for _, part in alike), objective)


def read(store: ResultsFolder, grid: Grid, batches: Sequence[Batch], path: Path) -> RunBlocks:
    """Read every part once: write its curves, and put what they show of each run into blocks, which are in a file.

    Only one batch of parts is in memory at a time; the curves are written in the order of the batches.
    """
    measured = [batch.parts[0].curves for batch in batches]
    names = names_of(chain.from_iterable(measured))
    metrics = [name for name in dict.fromkeys(chain.from_iterable(measured)) if _is_metric(name)]
    csv = sum(batch.rows for batch in batches) <= table_writer.CSV_ROWS  # else it would be written in vain
    with (
        store.table("curves", csv=csv, dictionaries=_REPEATED, gather=False) as table,
        BlockWriter(grid, path) as blocks,
    ):
        table.add(schema(names).empty_table())
        for batch in batches:
            part = batch.read(store)
            table.add(curves(Evaluations(part.run_ids, part.step, part.curves), names))
            found = _measured(part, batch.objective).assign(pack_id=batch.pack_ids().to_pandas().array)
            columns = dict.fromkeys(
                [*found, *(f"{of}_{name}" for name in metrics for of in ("final", "best"))]
            )
            blocks.add(found.reindex(columns=list(columns)).set_index(batch.numbers))
    return RunBlocks(blocks, _no_runs())


def steps_at_target(
    store: ResultsFolder, grid: Grid, batches: Sequence[Batch], targets: Float[np.ndarray, " problem"]
) -> Int[np.ndarray, " run"]:
    """Return the first evaluated step at which each run of the grid meets the target of its problem; -1 for none."""
    reached = np.full(len(grid), -1, dtype=np.int32)
    with safe_files.open_file(store.folder, "curves.parquet") as file, pq.ParquetFile(file) as written:
        first = 0
        for batch in batches:
            groups = range(first, first := first + -(-batch.rows // table_writer.ROW_GROUP))
            column = written.read_row_groups(groups, [batch.objective])[batch.objective]
            numbers = batch.numbers
            values = column.to_numpy().reshape(len(numbers), -1)
            aims = targets[grid.positions(numbers)["problem"]]
            found = steps_to_target(grid.evaluations, values, aims)
            reached[numbers] = np.where(np.isfinite(found), found, -1)
    return reached


def _is_metric(curve: str) -> bool:
    return curve.startswith("valid_") and curve != "valid_loss"


def _measured(part: Trained, objective: str) -> pd.DataFrame:
    found = {"valid_loss": np.full((len(part.run_ids), len(part.step)), np.nan), **part.curves}
    losses = {name: values for name, values in found.items() if name.startswith(("train_", "valid_"))}
    table = measure(part.step, losses, part.diverged_step, objective, part.stopped_step)
    return table.assign(parameters=part.parameters)


def _no_runs() -> pd.DataFrame:
    """Return what was measured of no run: every column, and no row."""
    nothing: Float[np.ndarray, "0 1"] = np.empty((0, 1))
    losses = dict.fromkeys(("train_loss", "valid_loss", "valid_accuracy"), nothing)
    table = measure([0], losses, np.empty(0), "train_loss")
    return pd.DataFrame(columns=[*table, "parameters", "pack_id"], dtype=float)
