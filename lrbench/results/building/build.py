"""From the parts of a study to its tables: the catalogue says which there are, and what each is made from."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from graphlib import TopologicalSorter
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from jaxtyping import Float, Int

from lrbench.analysis import response_surface
from lrbench.analysis.groups import is_sampled
from lrbench.analysis.objective import Metrics, Objective, metrics_of
from lrbench.analysis.range_tests import LOSS, RANGE_TEST
from lrbench.analysis.step_equivalents import SeedCurves
from lrbench.analysis.thresholds import Thresholds
from lrbench.results.building import workers
from lrbench.results.building.batches import batches_of, read
from lrbench.results.building.blocks import RunBlocks
from lrbench.results.building.lines import LinesSoFar, frame_of
from lrbench.results.building.objective_curves import steps_at_target
from lrbench.results.building.of_group import Making, make
from lrbench.results.building.pace import CurvesOfLines
from lrbench.results.building.table_writer import encoded
from lrbench.results.building.totals import Totals, totals
from lrbench.results.folder import ResultsFolder
from lrbench.results.helpers import HelperPool
from lrbench.results.part_file import PartSummary
from lrbench.study import catalog
from lrbench.study.catalog import Entry
from lrbench.study.grid import Grid
from lrbench.tables.comparison import LineRuns
from lrbench.tables.curves import Evaluations, curves
from lrbench.tables.first_hits import Hits, first_hits

_BY_BLOCK = {"runs", "measured"}
"""A table made from one of these is written block by block."""
_ELSEWHERE = {"evaluations", "failed", "hits", "landscapes"}
"""A table made from one of these is written as the parts are read, or by whoever knows it."""


def build(
    store: ResultsFolder,
    grid: Grid,
    parts: Sequence[PartSummary],
    thresholds: Thresholds,
    objectives: Mapping[str, Objective],
    problems: Sequence[Mapping[str, Any]],
    target: float | None = None,
    check: Callable[[], None] = lambda: None,
    decaying: Sequence[bool] = (),
    shorter: Sequence[tuple[Grid, Sequence[PartSummary]]] = (),
) -> None:
    """Make every table of a results folder that its parts give.

    Args:
        store: the folder.
        grid: the runs that belong in the tables; others stay in the parts.
        parts: those of the folder that have runs of the grid, in its order.
        thresholds: of the verdicts.
        objectives: problem name → what its runs are judged by.
        problems: what the manifest says of each problem of the grid: its metrics, `headline`, `constant_loss` and `optimum`.
        target: the value of the objective of `steps_to_target`, as people read it; left out, what the median optimizer's best rate reaches.
        check: called between the tables; an exception that it raises ends the work.
        decaying: whether each schedule of the grid decays; left out, none does.
        shorter: the runs of fewer steps, and the parts that have them.
    """
    batches = list(batches_of(grid, parts, objectives, problems))
    runs = sum(len(part.numbers) for part in parts)
    with workers.for_tables(runs) as helpers, store.scratch("runs.arrow") as path:
        helpers.start()
        blocks = read(store, grid, batches, path, helpers, check)
        check()
        _write_first_hits(store, parts)
        whole = totals(grid, blocks, thresholds, objectives, target, helpers, check)
        check()
        reached = steps_at_target(store, grid, batches, whole.target, helpers, check)
        check()
        metrics = metrics_of({"problems": problems})
        few = _shorter(store, shorter, objectives, problems)
        flags = np.array(decaying) if len(decaying) else np.zeros(len(grid.schedules), dtype=bool)
        curves_of_lines = CurvesOfLines(store, grid, batches, flags, few, objectives, helpers, check)
        best = np.full(grid.lines, np.nan)
        best[grid.line(whole.lines)] = whole.best
        pace = curves_of_lines.reached(best, thresholds)
        check()
        sources = _Sources(
            store,
            grid,
            parts,
            blocks,
            whole,
            reached,
            thresholds,
            objectives,
            metrics,
            few,
            curves_of_lines,
            pace,
            helpers,
            check,
        )
        _write_all(store, sources)


def _shorter(
    store: ResultsFolder,
    shorter: Sequence[tuple[Grid, Sequence[PartSummary]]],
    objectives: Mapping[str, Objective],
    problems: Sequence[Mapping[str, Any]],
) -> pd.DataFrame | None:
    """Return what was measured of the runs of fewer steps, with the number of their line in the grid; `None` if there are none."""
    frames = []
    for grid, parts in shorter:
        frame = frame_of(store, grid, parts, objectives, problems)
        frames.append(frame.assign(line=grid.line(frame.index.to_numpy(dtype=np.int64))))
    few = pd.concat(frames, ignore_index=True) if frames else pd.DataFrame()
    return few if len(few) else None


def _write_first_hits(store: ResultsFolder, parts: Sequence[PartSummary]) -> None:
    """Write the first hits of the parts that have them, or remove the table if none has."""
    kept = [part for part in parts if part.first_hits]
    if not kept:
        store.remove_table("first_hits")
        return
    with store.table("first_hits") as table:
        for part in kept:
            runs = store.read_part(part, (), first_hits=True)
            assert runs.first_hits is not None
            piece = first_hits(Hits(runs.run_ids, runs.first_hits))
            table.add(encoded(piece, csv=table.has_csv, dictionaries=["run_id", "target"]))


def write_failures(store: ResultsFolder, failed: Sequence[Mapping[str, Any]]) -> None:
    """Write the table of packs that failed, or remove it if none did."""
    _write(store, "failures", [failed] if failed else None)


@dataclass(frozen=True)
class _Sources:
    """What the tables of a grid are made from, by the names of their parameters; None if there is nothing of it.

    Args:
        store, grid, thresholds, objectives: as of `build`.
        parts: those with runs of the grid.
        blocks: its runs.
        whole: what depends on all blocks.
        reached: [run] the first evaluated step at the target, -1 for none.
        metrics: problem name → curve → whether larger values of that metric are better.
        shorter: what was measured of the runs of fewer steps.
        curves: of the objective, for lines.
        pace: [line of the grid] the loss that T/1.2 steps reach at the best rate.
        helpers, check: as in `HelperPool.each`.
        made: the tables so far that others are made from.
    """

    store: ResultsFolder
    grid: Grid
    parts: Sequence[PartSummary]
    blocks: RunBlocks
    whole: Totals
    reached: Int[np.ndarray, " run"]
    thresholds: Thresholds
    objectives: Mapping[str, Objective]
    metrics: Metrics
    shorter: pd.DataFrame | None
    curves: CurvesOfLines
    pace: Float[np.ndarray, " line"]
    helpers: HelperPool
    check: Callable[[], None]
    made: dict[str, pd.DataFrame] = field(default_factory=dict)

    @property
    def line_runs(self) -> LineRuns:
        """The runs of each line."""
        lines = LinesSoFar(self.grid, self.blocks, self.whole, self.helpers, self.check)
        return lines.line_runs._replace(curves=self._at_use)

    @property
    def sampled_lines(self) -> Int[np.ndarray, " some"] | None:
        """The positions, in the sensitivity table, of the lines whose parameters are sampled; None without any, or without what fits them."""
        if not self.grid.points or not response_surface.installed():
            return None
        return np.flatnonzero(is_sampled(self.made["sensitivity"]))

    def _at_use(self, some: Int[np.ndarray, " some"]) -> dict[int, SeedCurves]:
        """Return the curves of some lines of the sensitivity table at their rates to use."""
        numbers = self.grid.line(self.whole.lines)
        rate = np.full(self.grid.lines, np.nan)
        rate[numbers] = self.made["sensitivity"]["use_learning_rate"].to_numpy(dtype=np.float64)
        found = self.curves.at(rate, numbers[some])
        return {int(line): found[numbers[line]] for line in some if numbers[line] in found}

    @cached_property
    def range_test_curves(self) -> pd.DataFrame | None:
        """The curves of the range tests that were trained."""
        names = ["run_id", "step", "learning_rate", LOSS]
        found = [
            curves(Evaluations(runs.run_ids, runs.step, runs.curves), names)
            for runs in (self.store.read_part(part, names[2:]) for part in self._range_tests())
        ]
        return pa.concat_tables(found).to_pandas() if found else None

    @property
    def range_tests(self) -> pd.DataFrame | None:
        """The identity of the range tests that were trained."""
        numbers = [part.numbers for part in self._range_tests()]
        if not numbers:
            return None
        runs = np.sort(np.concatenate(numbers))
        return self.blocks.identity.of(runs, pa.array(self.grid.run_ids[runs], pa.string()).to_pandas().array)

    def _range_tests(self) -> Iterator[PartSummary]:
        """Yield the parts with range tests; other runs in them are passed over by the rules."""
        tests = [number for number, variant in enumerate(self.grid.schedules) if variant.name == RANGE_TEST]
        for part in self.parts if tests else ():
            if LOSS in part.curves and np.isin(self.grid.positions(part.numbers)["schedule"], tests).any():
                yield part


def _write_all(store: ResultsFolder, sources: _Sources) -> None:
    """Write the tables, first those that others are made from; those made from runs share a pass through the blocks."""
    entries = {name: catalog.get("table", name) for name in catalog.names("table")}
    mine = {name: entry for name, entry in entries.items() if not _ELSEWHERE.intersection(entry.takes)}
    requires = {name: mine.keys() & set(entry.takes) - {"runs"} for name, entry in mine.items()}
    needed = set().union(*requires.values())
    made = sources.made
    order = TopologicalSorter(requires)
    order.prepare()
    while order.is_active():
        ready = sorted(order.get_ready())
        by_block = [mine[name] for name in ready if _BY_BLOCK.intersection(mine[name].takes)]
        if by_block:
            made |= _write_by_blocks(store, by_block, sources, needed)
            sources.check()
        for name in ready:
            if mine[name] not in by_block:
                given = [made.get(each, getattr(sources, each, None)) for each in mine[name].takes]
                frame = _write(store, name, None if any(each is None for each in given) else given)
                if frame is not None and name in needed:
                    made[name] = frame
                sources.check()
        order.done(*ready)


def _write(store: ResultsFolder, name: str, given: Sequence[Any] | None) -> pd.DataFrame | None:
    """Write and return a table; if there is no longer anything to make it from, remove it."""
    if given is None:
        store.remove_table(name)
        return None
    frame: pd.DataFrame = catalog.get("table", name).load()(*given)
    store.write_table(name, frame)
    return frame


def _write_by_blocks(
    store: ResultsFolder, entries: Sequence[Entry], sources: _Sources, needed: set[str]
) -> dict[str, pd.DataFrame]:
    """Write tables that are made from runs, a group of blocks at a time, and return those that other tables are made from."""
    pieces: dict[str, list[pd.DataFrame]] = {entry.name: [] for entry in entries if entry.name in needed}
    common = _making(entries, sources, needed)
    with contextlib.ExitStack() as stack:
        tables = [stack.enter_context(store.table(entry.name)) for entry in entries]
        size = sources.blocks.cuts.group
        tasks = (
            (numbers, sources.reached[group * size : (group + 1) * size], [each.has_csv for each in tables])
            for group, numbers in sources.blocks.groups
        )
        for found in sources.helpers.each(make, common, tasks, sources.check):
            for entry, table, (piece, frame) in zip(entries, tables, found, strict=True):
                table.add(piece)
                if frame is not None:
                    pieces[entry.name].append(frame)
    return {name: pd.concat(found, ignore_index=True) for name, found in pieces.items()}


def _making(entries: Sequence[Entry], sources: _Sources, needed: set[str]) -> Making:
    """Return what the tables of all groups are made from."""
    takes = {name for entry in entries for name in entry.takes} - _BY_BLOCK
    given = {name: sources.made[name] if name in sources.made else getattr(sources, name) for name in takes}
    return Making(
        [entry.name for entry in entries],
        needed,
        given,
        sources.blocks,
        sources.whole,
        sources.pace,
        sources.thresholds,
        sources.objectives,
    )
