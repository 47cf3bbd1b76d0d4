"""The rows that a group of blocks gives to the tables that are made from runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from jaxtyping import Float, Int

from lrbench.analysis.objective import Objective
from lrbench.analysis.thresholds import Thresholds
from lrbench.results.building.blocks import RunBlocks
from lrbench.results.building.table_writer import Encoded, encoded
from lrbench.results.building.totals import OF_PROBLEM, Totals
from lrbench.study import catalog
from lrbench.tables.runs import runs as runs_table

_INTERNAL = [*OF_PROBLEM, "pace_loss"]
"""Columns of the runs that tables are made from, and that the table of runs does not have."""


@dataclass(frozen=True)
class Making:
    """What the tables of all groups are made from.

    Args:
        tables: their names.
        needed: which of them are returned as frames, too.
        given: the arguments of tables, by their names, except for the runs.
        blocks: the runs.
        whole: what depends on all of them.
        pace: [line of the grid] the loss that T/1.2 steps reach at the best rate.
        thresholds, objectives: as of `build`.
    """

    tables: Sequence[str]
    needed: set[str]
    given: Mapping[str, Any]
    blocks: RunBlocks
    whole: Totals
    pace: Float[np.ndarray, " line"]
    thresholds: Thresholds
    objectives: Mapping[str, Objective]


def make(
    making: Making, numbers: Sequence[int], reached: Int[np.ndarray, " run"], csv: Sequence[bool]
) -> list[tuple[Encoded, pd.DataFrame | None]]:
    """Return the rows of every table that the blocks of a group give, and the same as a frame where that is needed.

    Args:
        making: what is the same for all groups.
        numbers: of the blocks.
        reached: [run of the group] the first evaluated step at the target, -1 for none.
        csv: whether each table has a CSV so far.
    """
    frames: list[list[pd.DataFrame]] = [[] for _ in making.tables]
    pieces: list[list[pa.Table]] = [[] for _ in making.tables]
    for number in numbers:
        runs = _runs(making, number, reached)
        for table, name in enumerate(making.tables):
            frame = _table(making, name, runs)
            pieces[table].append(making.blocks.identity.table(frame))
            if name in making.needed:
                frames[table].append(frame)
        del runs, frame  # before the next ones are read
    return [
        (
            encoded(pa.concat_tables(some, promote_options="permissive"), csv=has_csv),
            pd.concat(each, ignore_index=True) if each else None,
        )
        for some, each, has_csv in zip(pieces, frames, csv, strict=True)
    ]


def _runs(making: Making, number: int, reached: Int[np.ndarray, " run"]) -> pd.DataFrame:
    """Return a block of the table of runs, with `least_loss`: ℓ* of their problem, of which it may not have all runs."""
    measured, cuts = making.blocks.read(number), making.blocks.cuts
    numbers = measured.index.to_numpy(dtype=np.int64)
    steps = reached[numbers % cuts.group].astype(np.float64)
    found = pd.Series(np.where(steps < 0, np.nan, steps), measured.index).astype("Int64")
    measured = measured.assign(steps_to_target=found, pace_loss=making.pace[cuts.lines(numbers)])
    measured = making.whole.of_problems(measured, cuts.positions(numbers)["problem"])
    table = runs_table(measured, making.thresholds, making.objectives)
    return table.assign(**{name: measured[name] for name in _INTERNAL})


def _table(making: Making, name: str, runs: pd.DataFrame) -> pd.DataFrame:
    if name == "runs":
        return runs.drop(columns=_INTERNAL)
    entry = catalog.get("table", name)
    frame: pd.DataFrame = entry.load()(*(runs if e == "runs" else making.given[e] for e in entry.takes))
    return frame
