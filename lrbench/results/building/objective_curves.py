"""The curves of the objective, read again from the table of curves, batch by batch."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import pyarrow.parquet as pq
from jaxtyping import Float, Int

from lrbench.analysis.objective import Objective
from lrbench.analysis.targets import steps_to_target
from lrbench.results import safe_files
from lrbench.results.building import table_writer
from lrbench.results.building.batches import Batch
from lrbench.results.folder import ResultsFolder
from lrbench.results.helpers import HelperPool
from lrbench.study.grid import Grid

Values = Float[np.ndarray, "run evaluation"]
_TOGETHER = 16
"""Batches that are read from one opening of the file, whose footer is as long as there are batches."""


class _Place(NamedTuple):
    """Where the objective of the runs of a batch is in the table of curves: row groups, runs, and what they are judged by."""

    groups: range
    runs: int
    objective: Objective


def each_batch(
    store: ResultsFolder,
    batches: Sequence[Batch],
    function: Callable[..., Any],
    arguments: Sequence[tuple[Any, ...] | None],
    helpers: HelperPool,
    check: Callable[[], None],
) -> Iterator[Any]:
    """Yield `function(values, *arguments)` of the batches that have arguments, in their order; values are smaller where they are better.

    Args:
        store: the results folder, whose curves are written.
        batches: in whose order they are.
        function: of a module of lrbench.
        arguments: of each batch, `None` if it is passed over.
        helpers, check: as in `HelperPool.each`.
    """
    places = []
    first = 0
    for batch in batches:
        groups = range(first, first := first + -(-batch.rows // table_writer.ROW_GROUP))
        places.append(_Place(groups, len(batch.numbers), batch.objective))
    wanted = [(place, given) for place, given in zip(places, arguments, strict=True) if given is not None]
    tasks = ((wanted[begin : begin + _TOGETHER],) for begin in range(0, len(wanted), _TOGETHER))
    for found in helpers.each(_apply, (store, function), tasks, check):
        yield from found


def _apply(
    common: tuple[ResultsFolder, Callable[..., Any]], wanted: Sequence[tuple[_Place, tuple[Any, ...]]]
) -> list[Any]:
    """Apply a function to the curves of some batches."""
    store, function = common
    with (
        safe_files.open_file(store.folder, "curves.parquet") as file,
        safe_files.native(file) as native,
        pq.ParquetFile(native) as written,
    ):
        found = []
        for place, arguments in wanted:
            name = place.objective.column
            column = written.read_row_groups(place.groups, [name])[name]
            values = place.objective.smaller(column.to_numpy().reshape(place.runs, -1))
            found.append(function(values, *arguments))
    return found


def steps_at_target(
    store: ResultsFolder,
    grid: Grid,
    batches: Sequence[Batch],
    targets: Float[np.ndarray, " problem"],
    helpers: HelperPool,
    check: Callable[[], None],
) -> Int[np.ndarray, " run"]:
    """Return the first evaluated step at which each run of the grid meets the target of its problem; -1 for none."""
    reached = np.full(len(grid), -1, dtype=np.int32)
    problems = [int(grid.positions(batch.numbers[:1])["problem"][0]) for batch in batches]
    arguments = [(grid.evaluations(problem), float(targets[problem])) for problem in problems]
    found = each_batch(store, batches, _steps, arguments, helpers, check)
    for batch, steps in zip(batches, found, strict=True):
        reached[batch.numbers] = steps
    return reached


def _steps(values: Values, step: Int[np.ndarray, " evaluation"], target: float) -> Int[np.ndarray, " run"]:
    found = steps_to_target(step, values, np.full(len(values), target))
    return np.where(np.isfinite(found), found, -1).astype(np.int32)


def curves_of(
    store: ResultsFolder,
    batches: Sequence[Batch],
    numbers: Int[np.ndarray, " run"],
    helpers: HelperPool,
    check: Callable[[], None],
) -> dict[int, Float[np.ndarray, " evaluation"]]:
    """Return the curves of chosen runs, by the number of the run; a value that is not finite, or is above the first one, counts as that.

    Args:
        store, batches, helpers, check: as of `each_batch`.
        numbers: of the runs, ascending.
    """
    mine = [_places(numbers, batch.numbers) for batch in batches]
    arguments = [(rows,) if len(rows) else None for rows in mine]
    found = each_batch(store, batches, _chosen, arguments, helpers, check)
    curves: dict[int, Float[np.ndarray, " evaluation"]] = {}
    for batch, rows in zip(batches, mine, strict=True):
        if len(rows):
            curves |= dict(zip(batch.numbers[rows].tolist(), next(found), strict=True))
    return curves


def _places(numbers: Int[np.ndarray, " run"], some: Int[np.ndarray, " run"]) -> Int[np.ndarray, " row"]:
    """Return the places of those of some runs that are among the ascending numbers."""
    if not len(numbers):
        return np.arange(0)
    at = np.minimum(np.searchsorted(numbers, some), len(numbers) - 1)
    return np.flatnonzero(numbers[at] == some)


def _chosen(values: Values, rows: Int[np.ndarray, " row"]) -> Values:
    chosen = values[rows]
    return np.fmin(chosen, chosen[:, :1])
