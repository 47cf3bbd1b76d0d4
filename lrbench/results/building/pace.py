"""How losses fall along runs, for lines: the loss that fewer steps reach, and the curves at the rate to use."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float, Int

from lrbench.analysis.objective import Objectives, losses
from lrbench.analysis.step_equivalents import SeedCurves
from lrbench.analysis.thresholds import Thresholds
from lrbench.results.building.batches import Batch
from lrbench.results.building.objective_curves import curves_of
from lrbench.results.folder import ResultsFolder
from lrbench.results.helpers import ALONE, HelperPool
from lrbench.study.grid import Grid
from lrbench.study.stages import CONFIRM, RANGE

Numbers = Int[np.ndarray, " run"]


@dataclass(frozen=True)
class CurvesOfLines:
    """The objective of chosen runs along training, as a number that is better the smaller it is.

    Where a schedule decays, a run that is cut short is not a shorter run; its points are then the ends of runs of several lengths.

    Args:
        store: the results folder, whose curves are written.
        grid: its runs.
        batches: in whose order they are.
        decaying: whether each schedule of the grid decays.
        shorter: the runs of fewer steps, with `line`, the number of their line in the grid; `None` if there are none.
        objectives: what the runs of each problem are judged by.
        helpers, check: as in `HelperPool.each`.
    """

    store: ResultsFolder
    grid: Grid
    batches: Sequence[Batch]
    decaying: Bool[np.ndarray, " schedule"]
    shorter: pd.DataFrame | None
    objectives: Objectives
    helpers: HelperPool = ALONE
    check: Callable[[], None] = lambda: None

    def reached(self, rate: Float[np.ndarray, " line"], thresholds: Thresholds) -> Float[np.ndarray, " line"]:
        """Return the loss that T/1.2 steps reach at a rate of each line of the grid: the least of the mean curve so far; NaN where it is not known.

        Args:
            rate: NaN for a line without one.
            thresholds: for `faster`, 1.2.
        """
        found = np.full(self.grid.lines, np.nan)
        runs = self._runs_at(rate)
        line = self.grid.line(runs)
        schedule = self.grid.positions(runs)["schedule"]
        constant = ~self.decaying[schedule]
        curves = self._curves(runs[constant])
        for number, mine in _groups(line[constant], runs[constant]):
            if all(run in curves for run in mine):
                step = self.grid.evaluations(int(self.grid.positions(mine[:1])["problem"][0]))
                least = np.minimum.accumulate(np.mean([curves[run] for run in mine], axis=0))
                found[number] = np.interp(step[-1] / thresholds.faster, step, least)
        if self.shorter is not None:
            few = self.shorter
            steps = self._full_steps(few)
            about = np.abs(few["steps"] * thresholds.faster - steps) <= 0.5 * thresholds.faster + 1e-9
            at = about & (few["learning_rate"].to_numpy() == rate[few["line"]])
            for number, rows in few[at].groupby("line"):
                found[int(number)] = _ends(rows, self.objectives).mean()
        return found

    def at(self, rate: Float[np.ndarray, " line"], lines: Int[np.ndarray, " some"]) -> dict[int, SeedCurves]:
        """Return the curves of some lines of the grid, each at its rate, by the number of the line; lines whose curves are not known are left out."""
        wanted = np.full(self.grid.lines, np.nan)
        wanted[lines] = rate[lines]
        runs = self._runs_at(wanted)
        line, positions = self.grid.line(runs), self.grid.positions(runs)
        seeds = np.array(self.grid.seeds, dtype=np.int64)[positions["seed"]]
        steps = [self.grid.evaluations(each).astype(np.int64) for each in range(len(self.grid.problems))]
        curves = self._curves(runs)
        found = {}
        for number, rows in _groups(line, np.arange(len(runs))):
            mine = runs[rows].tolist()
            if not all(run in curves for run in mine):
                continue
            seed, step = seeds[rows], steps[positions["problem"][rows[0]]]
            value = np.stack([curves[run] for run in mine])
            if self.decaying[positions["schedule"][rows[0]]]:
                points = self._points(number, float(wanted[number]), seed, int(step[-1]), value[:, -1])
                if points is None:
                    continue
                step, value = points
            found[number] = SeedCurves(seed, step.astype(np.int64), value)
        return found

    def _points(
        self,
        line: int,
        rate: float,
        seed: Int[np.ndarray, " seed"],
        steps: int,
        end: Float[np.ndarray, " seed"],
    ) -> tuple[np.ndarray, np.ndarray] | None:
        """Return the lengths of the runs of a line, and where they end [seed, length]; `None` without shorter runs of all seeds."""
        if self.shorter is None:
            return None
        few = self.shorter[(self.shorter["line"] == line) & (self.shorter["learning_rate"] == rate)]
        few = few.assign(end=_ends(few, self.objectives))
        table = few.pivot_table(index="seed", columns="steps", values="end").reindex(seed)
        if not len(table.columns) or table.isna().any(axis=None):
            return None
        return np.append(table.columns.to_numpy(), steps), np.column_stack([table.to_numpy(), end])

    def _full_steps(self, few: pd.DataFrame) -> Int[np.ndarray, " row"]:
        """Return the steps that the runs of the grid have where these have fewer."""
        per_problem = self.grid.lines // len(self.grid.problems)
        steps = np.array([self.grid.steps_of(number) for number in range(len(self.grid.problems))])
        found: Int[np.ndarray, " row"] = steps[few["line"].to_numpy() // per_problem]
        return found

    def _runs_at(self, rate: Float[np.ndarray, " line"]) -> Numbers:
        """Return the runs of each line at its rate, ascending: of the stage `confirm`, where it was confirmed there, else of the grid's seeds."""
        rates = np.array(self.grid.learning_rates)
        order = np.argsort(rates)
        lines = np.flatnonzero(np.isin(rate, rates))
        at = order[np.searchsorted(rates, rate[lines], sorter=order)]
        runs = self._runs_of(lines, at)
        runs = np.sort(runs[self.grid.is_run[runs]])
        stage, line = self.grid.stage(runs), self.grid.line(runs)
        confirmed = np.bincount(line, stage == CONFIRM, self.grid.lines) > 0
        kept = np.where(confirmed[line], stage == CONFIRM, stage != RANGE)
        return runs[kept]

    def _runs_of(self, lines: Int[np.ndarray, " some"], rates: Int[np.ndarray, " some"]) -> Numbers:
        """Return the runs of lines of the grid, each at the position of its learning rate, with every seed."""
        sizes = {
            axis: size for axis, size in self.grid.sizes.items() if axis not in {"learning_rate", "seed"}
        }
        at = dict(zip(sizes, np.unravel_index(lines, tuple(sizes.values())), strict=True))
        at["learning_rate"] = rates
        first = sum(position * self.grid.stride(axis) for axis, position in at.items())
        runs: Numbers = np.add.outer(first, np.arange(len(self.grid.seeds))).reshape(-1)
        return runs

    def _curves(self, numbers: Numbers) -> dict[int, Float[np.ndarray, " evaluation"]]:
        return curves_of(self.store, self.batches, numbers, self.helpers, self.check)


def _ends(few: pd.DataFrame, objectives: Objectives) -> pd.Series:
    """min(ℓ, ℓ₀) of each run."""
    initial, final = losses(few, objectives)
    return pd.Series(np.fmin(final, initial), few.index)


def _groups(line: Int[np.ndarray, " run"], runs: Numbers) -> list[tuple[int, Numbers]]:
    """Return the runs of each line."""
    if not len(line):
        return []
    order = np.argsort(line, kind="stable")
    numbers, begins = np.unique(line[order], return_index=True)
    return list(zip(numbers.tolist(), np.split(runs[order], begins[1:]), strict=True))
