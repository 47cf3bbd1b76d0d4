"""Whole lines of the runs that are trained so far, before there are tables of them: what a study chooses its next stage from."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from lrbench.analysis.objective import Objective
from lrbench.analysis.thresholds import Thresholds
from lrbench.results.building.batches import batches_of, blocks_of
from lrbench.results.building.blocks import RunBlocks
from lrbench.results.building.totals import Totals, totals
from lrbench.results.folder import ResultsFolder
from lrbench.results.part_file import PartSummary
from lrbench.study.grid import Grid
from lrbench.tables.comparison import LineRuns


@dataclass(frozen=True)
class LinesSoFar:
    """The runs so far, line by line.

    Args:
        grid: the runs.
        blocks: what was measured of them.
        whole: what depends on all blocks.
    """

    grid: Grid
    blocks: RunBlocks
    whole: Totals

    def frames(self) -> Iterator[pd.DataFrame]:
        """Yield the runs of whole lines, many lines at a time, as `analysis` takes them; the index is the number of the run in the grid."""
        for block in self.blocks.numbers:
            runs = self.blocks.read(block)
            yield self.whole.of_problems(runs, self.grid.positions(runs.index.to_numpy())["problem"])

    @property
    def line_runs(self) -> LineRuns:
        """The runs of each line, in the order of the lines of `frames`."""
        lines = self.whole.lines
        unit = (self.whole.initial - self.whole.least)[self.grid.positions(lines)["problem"]]
        return LineRuns(unit, self.blocks.of(lines), lambda some: self.blocks.lines(lines[some]))


@contextlib.contextmanager
def lines_so_far(
    store: ResultsFolder,
    grid: Grid,
    parts: Sequence[PartSummary],
    thresholds: Thresholds,
    objectives: Mapping[str, Objective],
    problems: Sequence[Mapping[str, Any]],
) -> Iterator[LinesSoFar]:
    """Give the runs so far, which are read from their parts; the arguments are those of `build`."""
    with store.scratch("lines.arrow") as path:
        blocks = blocks_of(store, grid, list(batches_of(grid, parts, objectives, problems)), path)
        yield LinesSoFar(grid, blocks, totals(grid, blocks, thresholds, objectives, None))


def frame_of(
    store: ResultsFolder,
    grid: Grid,
    parts: Sequence[PartSummary],
    objectives: Mapping[str, Objective],
    problems: Sequence[Mapping[str, Any]],
) -> pd.DataFrame:
    """Return what was measured of the runs of a grid, which are few."""
    with store.scratch("lines.arrow") as path:
        blocks = blocks_of(store, grid, list(batches_of(grid, parts, objectives, problems)), path)
        return pd.concat([blocks.read(block) for block in blocks.numbers])
