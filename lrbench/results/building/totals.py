"""What depends on all blocks of runs: ℓ*, ℓ₀ and the target of each problem."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from lrbench.analysis.objective import best_final, losses
from lrbench.analysis.rates import best_rates
from lrbench.analysis.targets import median_line
from lrbench.analysis.thresholds import Thresholds
from lrbench.results.building.blocks import RunBlocks
from lrbench.study.grid import Grid


@dataclass(frozen=True)
class Totals:
    """What depends on the runs of all blocks.

    Args:
        lines: the lines that have runs, as `RunBlocks.line_of` numbers them, in order of appearance.
        least: [problem] ℓ*, NaN where nothing trains.
        initial: [problem] the median ℓ₀ of its runs.
        target: [problem] the loss of `steps_to_target`.
    """

    lines: Int[np.ndarray, " line"]
    least: Float[np.ndarray, " problem"]
    initial: Float[np.ndarray, " problem"]
    target: Float[np.ndarray, " problem"]


def totals(
    grid: Grid,
    blocks: RunBlocks,
    thresholds: Thresholds,
    objectives: Mapping[str, str],
    target: float | None,
) -> Totals:
    """Go through the blocks once; a given target applies to every problem."""
    problems = len(grid.problems)
    least = np.full(problems, np.nan)
    starts: list[list[np.ndarray]] = [[np.empty((2, 0))] for _ in range(problems)]
    lines, reached = [], []
    for block in blocks.numbers:
        runs = blocks.read(block)
        numbers = runs.index.to_numpy(dtype=np.int64)
        problem = grid.positions(numbers)["problem"]
        initial, final = losses(runs, objectives)
        code, here = best_final(runs, initial, final, thresholds.stable)
        mine = problem[np.unique(code, return_index=True)[1]]
        least[mine] = np.fmin(least[mine], here)
        for each in mine:
            starts[each].append(np.stack(np.unique(initial[problem == each], return_counts=True)))
        best = best_rates(runs, objectives=objectives)
        lines.append(blocks.line_of(numbers[best["row"].to_numpy()]))
        reached.append(best["loss"].to_numpy())
        del runs  # before the next ones are read
    every = np.concatenate(lines)
    aims = median_line(grid.positions(every)["problem"], np.concatenate(reached), problems)
    middle = np.array([_median(*np.concatenate(each, axis=1)) for each in starts])
    return Totals(every, least, middle, aims if target is None else np.full(problems, target))


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
