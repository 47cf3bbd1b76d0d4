"""Whole lines of the runs that are trained so far, before there are tables of them: what a study chooses its next stage from."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Int

from lrbench.analysis.objective import Objective
from lrbench.analysis.thresholds import Thresholds
from lrbench.results.building.batches import batches_of, blocks_of
from lrbench.results.building.blocks import RunBlocks
from lrbench.results.building.totals import Totals, totals
from lrbench.results.folder import ResultsFolder
from lrbench.results.helpers import ALONE, HelperPool
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
        helpers, check: as in `HelperPool.each`.
    """

    grid: Grid
    blocks: RunBlocks
    whole: Totals
    helpers: HelperPool = ALONE
    check: Callable[[], None] = lambda: None

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
        return LineRuns(
            unit,
            self.blocks.cuts.blocks(lines),
            lambda some: self.blocks.lines(lines[some]),
            share=self._each,
        )

    def _each(
        self, function: Callable[..., Any], tasks: Iterable[tuple[Int[np.ndarray, " line"], tuple[Any, ...]]]
    ) -> Iterator[Any]:
        """Yield `function(runs, *arguments)` of some lines and further arguments."""
        lines = self.whole.lines
        given = ((lines[some], arguments) for some, arguments in tasks)
        yield from self.helpers.each(_of_lines, (self.blocks, function), given, self.check)


def _of_lines(
    common: tuple[RunBlocks, Callable[..., Any]],
    lines: Int[np.ndarray, " line"],
    arguments: tuple[Any, ...],
) -> Any:
    blocks, function = common
    return function(blocks.lines(lines), *arguments)


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
