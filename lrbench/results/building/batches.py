"""Parts, read a batch at a time: their curves go into the table of curves, and what they show of each run into blocks."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, groupby
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from jaxtyping import Float, Int

from lrbench.analysis.measure import measure
from lrbench.analysis.objective import Objective, metrics_of
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
        objective: what their runs are judged by.
        problem: what the manifest says of their problem.
    """

    parts: tuple[PartSummary, ...]
    objective: Objective
    problem: Mapping[str, Any]

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


def batches_of(
    grid: Grid,
    parts: Sequence[PartSummary],
    objectives: Mapping[str, Objective],
    problems: Sequence[Mapping[str, Any]],
) -> Iterator[Batch]:
    """Yield neighbouring parts in batches, in the order of the grid."""
    starts = np.array([part.numbers[0] for part in parts], dtype=np.int64)
    numbers = grid.positions(starts)["problem"]
    rows = np.cumsum([len(part.numbers) * part.evaluations for part in parts]) // BATCH_ROWS
    kinds = [
        (int(number), int(turn), part.curves, part.evaluations)
        for part, number, turn in zip(parts, numbers, rows, strict=True)
    ]
    for kind, alike in groupby(zip(kinds, parts, strict=True), key=lambda each: each[0]):
        number, _, measured, _ = kind
        objective = objectives.get(grid.problems[number].name, Objective("valid_loss"))
        if objective.column not in measured:
            objective = Objective("train_loss")
        yield Batch(tuple(part for _, part in alike), objective, problems[number])


def read(store: ResultsFolder, grid: Grid, batches: Sequence[Batch], path: Path) -> RunBlocks:
    """Read every part once: write its curves, and put what they show of each run into blocks, which are in a file.

    Only one batch of parts is in memory at a time; the curves are written in the order of the batches.
    """
    names = names_of(_curves(batches))
    csv = sum(batch.rows for batch in batches) <= table_writer.CSV_ROWS  # else it would be written in vain
    with store.table("curves", csv=csv, dictionaries=_REPEATED, gather=False) as table:
        table.add(schema(names).empty_table())

        def write(part: Trained) -> None:
            table.add(curves(Evaluations(part.run_ids, part.step, part.curves), names))

        return blocks_of(store, grid, batches, path, write)


def blocks_of(
    store: ResultsFolder,
    grid: Grid,
    batches: Sequence[Batch],
    path: Path,
    each: Callable[[Trained], None] = lambda part: None,
) -> RunBlocks:
    """Read every part once, and put what it shows of each run into blocks, which are in a file; `each` is called with every batch."""
    metrics = [name for name in _curves(batches) if _is_metric(name)]
    with BlockWriter(grid, path) as blocks:
        for batch in batches:
            part = batch.read(store)
            each(part)
            found = _measured(part, batch.objective, batch.problem).assign(
                pack_id=batch.pack_ids().to_pandas().array
            )
            columns = dict.fromkeys(
                [*found, *(f"{of}_{name}" for name in metrics for of in ("initial", "final", "best"))]
            )
            blocks.add(found.reindex(columns=list(columns)).set_index(batch.numbers))
    return RunBlocks(blocks, _no_runs())


def _curves(batches: Sequence[Batch]) -> list[str]:
    """The names of the curves of any of the parts."""
    return list(dict.fromkeys(chain.from_iterable(batch.parts[0].curves for batch in batches)))


def steps_at_target(
    store: ResultsFolder, grid: Grid, batches: Sequence[Batch], targets: Float[np.ndarray, " problem"]
) -> Int[np.ndarray, " run"]:
    """Return the first evaluated step at which each run of the grid meets the target of its problem; -1 for none."""
    reached = np.full(len(grid), -1, dtype=np.int32)
    with (
        safe_files.open_file(store.folder, "curves.parquet") as file,
        safe_files.native(file) as native,
        pq.ParquetFile(native) as written,
    ):
        first = 0
        for batch in batches:
            groups = range(first, first := first + -(-batch.rows // table_writer.ROW_GROUP))
            name = batch.objective.column
            column = written.read_row_groups(groups, [name])[name]
            numbers = batch.numbers
            values = batch.objective.smaller(column.to_numpy().reshape(len(numbers), -1))
            aims = targets[grid.positions(numbers)["problem"]]
            problem = int(grid.positions(numbers[:1])["problem"][0])
            found = steps_to_target(grid.evaluations(problem), values, aims)
            reached[numbers] = np.where(np.isfinite(found), found, -1)
    return reached


def _is_metric(curve: str) -> bool:
    return curve.startswith("valid_") and curve != "valid_loss"


def _measured(part: Trained, objective: Objective, problem: Mapping[str, Any]) -> pd.DataFrame:
    found = {"valid_loss": np.full((len(part.run_ids), len(part.step)), np.nan), **part.curves}
    judged = ("train_", "valid_")
    losses = {n: values for n, values in found.items() if n.startswith(judged) or n == "learning_rate"}
    larger = metrics_of({"problems": [problem]})[problem["name"]]
    table = measure(part.step, losses, part.diverged_step, objective, part.stopped_step, larger)
    return table.assign(parameters=part.parameters, **_of_problem(problem, objective, len(table)))


def _of_problem(problem: Mapping[str, Any], objective: Objective, runs: int) -> dict[str, Any]:
    """Return what is known of the problem of runs as columns; losses, where they are those that the runs are judged by."""
    own = Objective("valid_loss" if problem["validated"] else "train_loss").column == objective.column
    known = [problem.get(name) if own else None for name in ("constant_loss", "optimum")]
    constant, optimum = (
        np.full(runs, np.nan if value is None else value, dtype=np.float64) for value in known
    )
    headline = f"valid_{problem['headline']}" if problem.get("headline") else None
    text = pd.array(np.full(runs, headline, dtype=object), dtype="str")
    return {"constant_loss": constant, "optimum": optimum, "headline": text}


def _no_runs() -> pd.DataFrame:
    """Return what was measured of no run: every column, and no row."""
    nothing: Float[np.ndarray, "0 1"] = np.empty((0, 1))
    losses = dict.fromkeys(("train_loss", "valid_loss", "valid_accuracy"), nothing)
    table = measure([0], losses, np.empty(0), Objective("train_loss"))
    last = ["parameters", "constant_loss", "optimum", "headline", "pack_id"]
    return pd.DataFrame(columns=[*table, *last], dtype=float)
