"""What is recommended from a study: by lrbench's own tables and stages, and by the rules that people use without it."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

import lrbench as lb
from benchmarks.protocol.recorded import GRID, Draw, Floats, Recorded, further_runs, grid_runs
from lrbench.analysis.groups import group, line_columns
from lrbench.analysis.stages import confirm_rates, refined_rates
from lrbench.tables.sensitivity import sensitivity


class Advice(NamedTuple):
    """The rate that a method recommends for each line of each replicate, and what it cost."""

    rate: Floats  # [replicate, line]
    runs: float  # per line, the mean


class Study(NamedTuple):
    """A study of every replicate, with the stages that it asked for, and its table."""

    runs: pd.DataFrame
    table: pd.DataFrame  # sensitivity, replicate by replicate
    cost: float  # runs per line, the mean

    def column(self, name: str, lines: int) -> Floats:
        """A column of the table as [replicate, line]."""
        return self.table[name].to_numpy(dtype=np.float64, na_value=np.nan).reshape(-1, lines)


def study(problem: Recorded, drawn: Draw, seeds: int, confirm: int = 0, refine: int = 0) -> Study:
    """A study on this many seeds, refined so many times and confirmed on so many fresh seeds, once for each replicate."""
    objectives = {problem.name: problem.objective}
    runs = grid_runs(problem, drawn.grid(seeds))
    for _ in range(refine):
        chosen = refined_rates(runs, objectives=objectives)
        runs = _with(problem, runs, chosen, drawn.grid(seeds), "refine")
    if confirm:
        chosen = confirm_rates(runs, objectives=objectives)
        runs = _with(problem, runs, chosen, drawn.fresh(confirm), "confirm")
    table = sensitivity(runs, objectives=objectives)
    return Study(runs, table, len(runs) / len(table))


def _with(
    problem: Recorded, runs: pd.DataFrame, chosen: pd.DataFrame, seeds: np.ndarray, stage: str
) -> pd.DataFrame:
    """The runs, and those of a stage at the chosen rates: `row`, the position of the line's first run, and `learning_rate`."""
    code = group(runs, line_columns(runs))[0][chosen["row"].to_numpy()]
    replicate, line = np.divmod(code, len(problem.rate))
    rate = chosen["learning_rate"].to_numpy(dtype=np.float64)
    return pd.concat([runs, further_runs(problem, replicate, line, rate, seeds, stage)], ignore_index=True)


def least_median(problem: Recorded, drawn: Draw, seeds: int) -> Advice:
    """The rate of the least median, among those at which at least half the seeds train: one seed is what most people do."""
    rows = drawn.grid(seeds)
    median = np.stack([np.median(problem.loss[:, GRID][..., some], axis=-1) for some in rows])
    stable = np.stack([problem.ok[:, GRID][..., some].mean(axis=-1) >= 0.5 for some in rows])
    best = np.where(stable, median, np.inf).argmin(axis=-1)
    rate = problem.rate[np.arange(len(problem.rate)), GRID[best]]
    return Advice(rate, float(seeds * len(GRID)))


def finders(problem: Recorded, folder: Path) -> dict[str, Advice]:
    """What each rule of a learning-rate finder suggests, a replicate for each of its seeds; NaN where it suggests nothing.

    A range test knows no schedule: both schedules of an optimizer get the same suggestion.
    """
    table = lb.load(folder / f"{problem.name}_find").finders
    momentum = "optimizer_momentum"
    lines = problem.runs.drop_duplicates(line_columns(problem.runs))
    found = {}
    for rule, rows in table.groupby("rule", sort=False):
        known = {
            (row["optimizer"], row["seed"], str(row.get(momentum))): row["suggestion"]
            for row in rows.to_dict("records")
        }
        seeds = sorted(set(rows["seed"]))
        rate = [
            [known[line["optimizer"], seed, str(line[momentum])] for line in lines.to_dict("records")]
            for seed in seeds
        ]
        found[str(rule)] = Advice(np.array(rate, dtype=np.float64), 1.0)
    return found
