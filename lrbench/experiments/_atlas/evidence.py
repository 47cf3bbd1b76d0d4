"""What the atlas measured, as arrays over problem, optimizer, schedule, rate and fresh seed, in units of each problem."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from lrbench.analysis.groups import Floats, group, line_columns
from lrbench.analysis.labels import label
from lrbench.analysis.line_answers import each_shape
from lrbench.analysis.mean_loss import levels
from lrbench.analysis.objective import objectives_of
from lrbench.analysis.thresholds import Thresholds
from lrbench.errors import LrbenchError
from lrbench.tables.base import StudyTables

NAN = float("nan")
LIMITS = Thresholds()


class StudyLines(NamedTuple):
    """The lines of one study, which has one problem; all have the same rates."""

    names: pd.DataFrame  # [line] optimizer and schedule, as labels
    rate: Floats  # [rate] ascending
    start: Floats  # [line] ℓ₀
    star: float  # ℓ*, the least mean loss of any line
    grid: Floats  # [line, rate] mean over the seeds of the grid
    fresh: Floats  # [line, rate, seed] NaN where a rate was not confirmed
    use: npt.NDArray[np.int64]  # [line] the position of the rate to use; 0 where the line does not train
    trains: npt.NDArray[np.bool_]  # [line]


class SomeLines(NamedTuple):
    """Some lines of one problem."""

    table: pd.DataFrame  # [line] their rows of the table
    fresh: Floats  # [line, seed] gap of each fresh seed at the rate to use


class MeasuredLines(NamedTuple):
    """All studies of the atlas. Gaps are (ℓ − ℓ*) / (ℓ₀ − ℓ*) of the problem: 0 is its best line, 1 is its start."""

    problems: list[str]
    optimizers: list[str]
    schedules: list[str]
    rate: Floats  # [rate]
    start: Floats  # [problem]
    star: Floats  # [problem]
    grid: Floats  # [problem, optimizer, schedule, rate] gap, mean over the seeds of the grid
    tuned: Floats  # [problem, optimizer, schedule, seed] gap of each fresh seed at the rate to use; 1 where a line does not train
    table: pd.DataFrame  # sensitivity tables, in the order of the first three axes

    @property
    def shape(self) -> tuple[int, int, int]:
        """How many problems, optimizers and schedules there are."""
        return len(self.problems), len(self.optimizers), len(self.schedules)

    def column(self, name: str) -> Floats:
        """A column of the table as [problem, optimizer, schedule]."""
        values: Floats = self.table[name].to_numpy(dtype=np.float64, na_value=np.nan)
        return values.reshape(self.shape)

    def rows(self, problem: str, optimizers: Sequence[str], schedule: str) -> SomeLines:
        """Some lines of a problem."""
        p, s = self.problems.index(problem), self.schedules.index(schedule)
        at = [self.optimizers.index(name) for name in optimizers]
        rows = [int(np.ravel_multi_index((p, o, s), self.shape)) for o in at]
        return SomeLines(self.table.iloc[rows], self.tuned[p, at, s])


def lines_of(results: StudyTables) -> StudyLines:
    """Read the lines of a study, in the order of its sensitivity table.

    Raises:
        LrbenchError: if they differ in their rates.
    """
    runs, objectives = results.runs, objectives_of(results.manifest)
    first = group(runs, line_columns(runs))[1]
    seeds = int(runs.groupby("stage")["seed"].nunique().get("confirm", 0))
    found = list(each_shape(runs, LIMITS, objectives))
    rate = found[0][0].rate[0]
    if any(some.rate.shape[1] != len(rate) or (some.rate != rate).any() for some, *_ in found):
        raise LrbenchError("the lines of a study have different rates; run the atlas in a new folder")
    count = len(first)
    start, grid, fresh = (
        np.zeros(count),
        np.zeros((count, len(rate))),
        np.full((count, len(rate), seeds), NAN),
    )
    use, trains = np.zeros(count, dtype=np.int64), np.zeros(count, dtype=np.bool_)
    for some, mean, _, answer in found:
        start[some.line], grid[some.line] = mean.start, mean.asked
        use[some.line], trains[some.line] = answer.use, answer.trains
        for line, those in zip(some.line, some.fresh, strict=True):
            if those.any():
                place = np.flatnonzero(some.line == line)[0]
                fresh[line] = some.loss[place][:, those]
    names = pd.DataFrame({kind: label(runs, kind).iloc[first] for kind in ("optimizer", "schedule")})
    star = float(levels(runs, LIMITS, objectives).least[0])
    return StudyLines(names.reset_index(drop=True), rate, start, star, grid, fresh, use, trains)


def evidence_of(studies: Mapping[str, StudyTables]) -> MeasuredLines:
    """Arrange the studies of the problems, by problem."""
    found = {problem: lines_of(results) for problem, results in studies.items()}
    names = next(iter(found.values())).names
    optimizers, schedules = (list(dict.fromkeys(names[kind])) for kind in ("optimizer", "schedule"))
    tables = [_arranged(lines, studies[problem], problem) for problem, lines in found.items()]
    shape = len(optimizers), len(schedules)
    start = np.array([float(np.median(lines.start)) for lines in found.values()])
    star = np.array([lines.star for lines in found.values()])
    span = np.where(start > star, start - star, NAN)
    grid, tuned = [], []
    for lines, low, unit in zip(found.values(), star, span, strict=True):
        order = _order(lines.names)
        grid.append(((lines.grid[order] - low) / unit).reshape(*shape, -1))
        chosen = np.take_along_axis(lines.fresh, lines.use[:, None, None], axis=1)[:, 0]
        gap = np.where(lines.trains[:, None], (chosen - low) / unit, 1.0)
        tuned.append(gap[order].reshape(*shape, -1))
    rate = next(iter(found.values())).rate
    table = pd.concat(tables, ignore_index=True)
    return MeasuredLines(
        list(found), optimizers, schedules, rate, start, star, np.array(grid), np.array(tuned), table
    )


def _order(names: pd.DataFrame) -> npt.NDArray[np.int64]:
    """The lines by optimizer, then by schedule, each in order of appearance."""
    codes = [pd.factorize(names[kind])[0] for kind in ("schedule", "optimizer")]
    return np.lexsort(codes).astype(np.int64)


def _arranged(lines: StudyLines, results: StudyTables, problem: str) -> pd.DataFrame:
    """The sensitivity table of a problem, with labels in place of names, in that order."""
    table = results.sensitivity.reset_index(drop=True)
    table = table.assign(problem=problem, **{kind: lines.names[kind] for kind in ("optimizer", "schedule")})
    return table.iloc[_order(lines.names)].reset_index(drop=True)


def mean_interval(values: Sequence[float] | Floats) -> tuple[float, float, float]:
    """The mean of some values, and Student's t interval; NaN below two."""
    from lrbench.analysis.intervals import t_interval

    each = np.asarray(values, dtype=np.float64)
    low, high = t_interval(each, LIMITS.confidence)
    return float(np.mean(each)), float(low), float(high)
