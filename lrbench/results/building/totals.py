"""What depends on all blocks of runs: ℓ*, ℓ₀ and the target of each problem, and the best rate of each line."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pandas as pd
from jaxtyping import Float, Int

from lrbench.analysis.mean_loss import best_rates, levels
from lrbench.analysis.objective import Objective, losses
from lrbench.analysis.rates import of_loss
from lrbench.analysis.targets import default_targets
from lrbench.analysis.thresholds import Thresholds
from lrbench.results.building.blocks import RunBlocks
from lrbench.results.helpers import ALONE, HelperPool
from lrbench.study.grid import Grid
from lrbench.study.stages import GRID


@dataclass(frozen=True)
class Totals:
    """What depends on the runs of all blocks.

    Args:
        lines: the lines that have runs, as `RunBlocks.line_of` numbers them, in order of appearance.
        best: [line] the best rate of each of them; NaN where there is none.
        least: [problem] ℓ*, NaN where nothing trains.
        lowest: [problem] the lowest loss of any run.
        rates: [problem] how many rates the lines of the grid have together.
        initial: [problem] ℓ₀: the median over its runs, or the loss of the best constant prediction if that is lower.
        target: [problem] ℓ at which `steps_to_target` stops counting.
    """

    lines: Int[np.ndarray, " line"]
    best: Float[np.ndarray, " line"]
    least: Float[np.ndarray, " problem"]
    lowest: Float[np.ndarray, " problem"]
    rates: Int[np.ndarray, " problem"]
    initial: Float[np.ndarray, " problem"]
    target: Float[np.ndarray, " problem"]

    def of_problems(self, runs: pd.DataFrame, problem: Int[np.ndarray, " run"]) -> pd.DataFrame:
        """Return runs with what `analysis` has to know of the problem of each, of which they may not be all runs."""
        return runs.assign(
            least_loss=self.least[problem],
            lowest_loss=self.lowest[problem],
            rates_of_problem=self.rates[problem],
        )


OF_PROBLEM = ["least_loss", "lowest_loss", "rates_of_problem"]
"""The columns that `of_problems` adds."""


def totals(
    grid: Grid,
    blocks: RunBlocks,
    thresholds: Thresholds,
    objectives: Mapping[str, Objective],
    target: float | None,
    helpers: HelperPool = ALONE,
    check: Callable[[], None] = lambda: None,
) -> Totals:
    """Go through the blocks once; a given target applies to every problem."""
    problems = len(grid.problems)
    least, lowest, constant = (np.full(problems, np.nan) for _ in range(3))
    starts: list[list[np.ndarray]] = [[np.empty((2, 0))] for _ in range(problems)]
    lines, best = [], []
    tasks = ((numbers,) for _, numbers in blocks.groups)
    for found in helpers.each(_of_blocks, (blocks, thresholds, objectives), tasks, check):
        for some in found:
            least[some.problem] = np.fmin(least[some.problem], some.least)
            lowest[some.problem] = np.fmin(lowest[some.problem], some.lowest)
            constant[some.problem] = some.constant
            for problem, values in zip(some.problem, some.starts, strict=True):
                starts[problem].append(values)
            lines.append(some.lines)
            best.append(some.best)
    middle = np.fmin(np.array([_median(*np.concatenate(each, axis=1)) for each in starts]), constant)
    aims = default_targets(least, middle, thresholds)
    if target is not None:
        each = [objectives.get(problem.name, Objective("train_loss")) for problem in grid.problems]
        aims = np.array([objective.smaller(target) for objective in each])
    return Totals(np.concatenate(lines), np.concatenate(best), least, lowest, _rates(grid), middle, aims)


class _OfBlock(NamedTuple):
    """What the runs of a block give: of its problems, in ascending order, and of its lines."""

    problem: Int[np.ndarray, " problem"]
    least: Float[np.ndarray, " problem"]
    lowest: Float[np.ndarray, " problem"]
    constant: Float[np.ndarray, " problem"]
    starts: list[Float[np.ndarray, "2 value"]]  # different values of ℓ₀, and how many runs have each
    lines: Int[np.ndarray, " line"]
    best: Float[np.ndarray, " line"]


def _of_blocks(
    common: tuple[RunBlocks, Thresholds, Mapping[str, Objective]], numbers: Sequence[int]
) -> list[_OfBlock]:
    return [_of_block(*common, number) for number in numbers]


def _of_block(
    blocks: RunBlocks, thresholds: Thresholds, objectives: Mapping[str, Objective], number: int
) -> _OfBlock:
    """Return what the runs of one block give."""
    runs = blocks.read(number)
    numbers = runs.index.to_numpy(dtype=np.int64)
    problem = blocks.cuts.positions(numbers)["problem"]
    initial, _ = losses(runs, objectives)
    level = levels(runs, thresholds, objectives)
    mine, first = np.unique(problem, return_index=True)
    starts = [np.stack(np.unique(initial[problem == each], return_counts=True)) for each in mine]
    found = best_rates(runs, thresholds, objectives)
    lines = blocks.cuts.first_of_line(numbers[found["row"].to_numpy()])
    constant = of_loss(runs, "constant_loss", objectives)[first]
    best = found["learning_rate"].to_numpy()
    code = level.code[first]
    return _OfBlock(mine, level.least[code], level.lowest[code], constant, starts, lines, best)


def _rates(grid: Grid) -> Int[np.ndarray, " problem"]:
    """How many rates the lines of each problem have together in the stage `grid`; a study that only looks for ranges has none there."""
    problems = len(grid.problems)
    whole = [set(grid.learning_rates) if not grid.stages else set() for _ in range(problems)]
    for stage in grid.stages:
        for line, rates in enumerate(stage.rates) if stage.name == GRID else ():
            for problem in range(problems) if len(stage.rates) == 1 else (line * problems // grid.lines,):
                whole[problem] |= set(rates)
    return np.array([len(each) for each in whole], dtype=np.int64)


def _median(values: Float[np.ndarray, " value"], counts: Float[np.ndarray, " value"]) -> float:
    """The median of what is finite of values that occur so many times; NaN where nothing is.

    All runs of a seed start at the same loss, so that there are few values.
    """
    finite = np.isfinite(values)
    order = np.argsort(values[finite])
    ordered, ends = values[finite][order], np.cumsum(counts[finite][order])
    if not len(ends):
        return np.nan
    low, high = np.searchsorted(ends, [(ends[-1] - 1) // 2, ends[-1] // 2], side="right")
    return 0.5 * float(ordered[low] + ordered[high])
