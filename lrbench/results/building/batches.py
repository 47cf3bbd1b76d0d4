"""Parts, read a batch at a time: their curves go into the table of curves, and what they show of each run into blocks."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain, groupby
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from jaxtyping import Float, Int

from lrbench.analysis.measure import measure
from lrbench.analysis.objective import Objective, metrics_of
from lrbench.results.building import table_writer
from lrbench.results.building.blocks import BlockWriter, Cuts, MeasuredRuns, RunBlocks
from lrbench.results.building.table_writer import Encoded, encoded
from lrbench.results.folder import ResultsFolder
from lrbench.results.helpers import ALONE, HelperPool
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


def read(
    store: ResultsFolder,
    grid: Grid,
    batches: Sequence[Batch],
    path: Path,
    helpers: HelperPool,
    check: Callable[[], None],
) -> RunBlocks:
    """Read every part once: write its curves, and put what they show of each run into blocks, which are in a file.

    Only a few batches of parts are in memory at a time; the curves are written in the order of the batches, each of which is a row group.
    """
    names = names_of(_curves(batches))
    csv = sum(batch.rows for batch in batches) <= table_writer.CSV_ROWS  # else it would be written in vain
    with store.table("curves", csv=csv) as table:
        table.add(encoded(schema(names).empty_table(), csv=csv, dictionaries=_REPEATED))
        reading = _Reading(store, Cuts.of(grid), _metrics(batches), names, csv)
        return _blocks_of(reading, grid, batches, path, helpers, check, table.add)


def blocks_of(store: ResultsFolder, grid: Grid, batches: Sequence[Batch], path: Path) -> RunBlocks:
    """Read every part once, and put what it shows of each run into blocks, which are in a file."""
    reading = _Reading(store, Cuts.of(grid), _metrics(batches))
    return _blocks_of(reading, grid, batches, path, ALONE, lambda: None, lambda curves: None)


@dataclass(frozen=True)
class _Reading:
    """How parts are read.

    Args:
        store: the results folder.
        cuts: of the grid.
        metrics: the names of all metrics of any of the parts.
        names: the columns of the table of curves; none if it is not written.
        csv: whether that has a CSV.
    """

    store: ResultsFolder
    cuts: Cuts
    metrics: list[str]
    names: list[str] = field(default_factory=list)
    csv: bool = False


def _blocks_of(
    reading: _Reading,
    grid: Grid,
    batches: Sequence[Batch],
    path: Path,
    helpers: HelperPool,
    check: Callable[[], None],
    add: Callable[[Encoded], object],
) -> RunBlocks:
    """Read every batch, and let `add` have its curves."""
    with BlockWriter(grid, path) as blocks:
        tasks = ((batch,) for batch in batches)
        for curves_of_batch, measured in helpers.each(_read, reading, tasks, check):
            blocks.add(measured)
            if curves_of_batch:
                add(curves_of_batch)
    return RunBlocks(blocks, _no_runs())


def _read(reading: _Reading, batch: Batch) -> tuple[Encoded | None, MeasuredRuns]:
    """Read a batch of parts; return their curves, if these are written, and what they show of each run."""
    part = batch.read(reading.store)
    found = _measured(part, batch.objective, batch.problem)
    found = found.assign(
        pack_id=batch.pack_ids().to_pandas().array,
        run_id=pa.array(part.run_ids, pa.string()).to_pandas().array,
    )
    columns = [*found, *(f"{of}_{name}" for name in reading.metrics for of in ("initial", "final", "best"))]
    found = found.reindex(columns=list(dict.fromkeys(columns))).set_index(batch.numbers)
    measured = MeasuredRuns.of(reading.cuts, found)
    if not reading.names:
        return None, measured
    table = curves(Evaluations(part.run_ids, part.step, part.curves), reading.names)
    return encoded(table, csv=reading.csv, dictionaries=_REPEATED), measured


def _curves(batches: Sequence[Batch]) -> list[str]:
    """The names of the curves of any of the parts."""
    return list(dict.fromkeys(chain.from_iterable(batch.parts[0].curves for batch in batches)))


def _metrics(batches: Sequence[Batch]) -> list[str]:
    """The names of the metrics of any of the parts."""
    return [name for name in _curves(batches) if _is_metric(name)]


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
    last = ["parameters", "constant_loss", "optimum", "headline", "pack_id", "run_id"]
    return pd.DataFrame(columns=[*table, *last], dtype=float)
