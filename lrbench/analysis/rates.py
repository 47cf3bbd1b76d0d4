"""Losses by line, rate and seed; and the best rate of each line."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from lrbench.analysis.groups import Floats, Ints, columns_of, group, is_sampled, line_columns, members
from lrbench.analysis.objective import Objectives, losses, objective_of_each, trained


class Axes(NamedTuple):
    """The axes of a cube of losses: how long each is, or a position on each."""

    line: Any
    rate: Any
    seed: Any


class Lines(NamedTuple):
    """Lines with the same number of rates and of seeds; NaN where a run is missing."""

    line: Ints  # [line] numbers of the lines, in order of appearance
    rate: Floats  # [line, rate] ascending
    loss: Floats  # [line, rate, seed] min(ℓ(T), ℓ₀); ℓ₀ where the final loss is not finite
    ok: Floats  # [line, rate, seed] 1 if the run trained, else 0
    stopped: Floats  # [line, rate, seed] 1 if a race stopped the run, else 0
    steps: Floats  # [line, rate, seed] steps to the target; infinite if it was never met
    fresh: npt.NDArray[np.bool_]  # [line, seed] whether the seed is a fresh one, of the stage `confirm`
    asked: npt.NDArray[np.bool_]  # [line, rate] whether the rate is one of the grid
    initial: Floats  # [line] ℓ₀: the median over the runs, or the loss of the best constant prediction if that is lower
    sampled: npt.NDArray[np.bool_]  # [line] whether other parameters are sampled together with the rate

    @property
    def size(self) -> Axes:
        """How many lines, rates and seeds there are."""
        return Axes(*self.loss.shape)

    @property
    def unknown(self) -> Floats:
        """[line, rate, seed] 1 if a race stopped the run before it was seen to train, else 0."""
        return self.stopped * (1 - self.ok)


def lines(runs: pd.DataFrame, objectives: Objectives = None) -> Iterator[Lines]:
    """Every line of the runs, those with as many rates and seeds together; without the runs that find its range, unless it has no others."""
    initial, final = losses(runs, objectives)
    code, first = group(runs, line_columns(runs))
    start = starts(runs, code, initial, len(first), objectives)
    clipped = np.fmin(final, start[code])
    fine = trained(runs).astype(np.float64)
    stopped = (runs["status"] == "stopped").to_numpy(dtype=np.float64)
    reached, stage, sampled = _steps(runs), stages(runs), is_sampled(runs.iloc[first])
    ranged = stage == "range"
    only = np.bincount(code, ~ranged, len(first)) == 0
    (used,) = (~ranged | only[code]).nonzero()
    code, stage = code[used], stage[used]
    rates = runs["learning_rate"].to_numpy(dtype=np.float64)[used]
    at_rate, rate_count = _ranks(code, rates, len(first))
    at_seed, seed_count = _ranks(code, runs["seed"].to_numpy(dtype=np.int64)[used], len(first))
    shapes, shape_of = np.unique(np.stack([rate_count, seed_count]), axis=1, return_inverse=True)
    shape_of = shape_of.reshape(-1)
    rows = np.split(np.argsort(shape_of[code], kind="stable"), np.cumsum(np.bincount(shape_of[code]))[:-1])
    for shape, (rate_size, seed_size) in enumerate(shapes.T.tolist()):
        line = np.flatnonzero(shape_of == shape)
        mine = rows[shape]
        at = Axes(np.searchsorted(line, code[mine]), at_rate[mine], at_seed[mine])
        size = Axes(len(line), rate_size, seed_size)
        rate = np.empty((len(line), rate_size))
        rate[at.line, at.rate] = rates[mine]
        fresh, asked = np.zeros((len(line), seed_size), dtype=bool), np.zeros(rate.shape, dtype=bool)
        fresh[at.line, at.seed] = stage[mine] == "confirm"
        those = (stage[mine] == "grid") | (stage[mine] == "range")
        asked[at.line[those], at.rate[those]] = True
        loss, ok, stop, steps = (
            _filled(size, at, values[used[mine]]) for values in (clipped, fine, stopped, reached)
        )
        yield Lines(line, rate, loss, ok, stop, steps, fresh, asked, start[line], sampled[line])


def stages(runs: pd.DataFrame) -> npt.NDArray[Any]:
    """The stage of every run [run]; `grid` where a frame has none."""
    if "stage" not in runs:
        return np.full(len(runs), "grid", dtype=object)
    return runs["stage"].to_numpy(dtype=object)


def starts(
    runs: pd.DataFrame, code: Ints, initial: Floats, lines: int, objectives: Objectives = None
) -> Floats:
    """ℓ₀ [line]: the median of the initial losses, or the loss of the best constant prediction where that is lower.

    Args:
        runs: whose column `constant_loss` has the latter, where it is known.
        code: [run] the line of each run.
        initial: [run] its initial objective.
        lines: how many there are.
        objectives: what each problem is judged by; a metric has no constant loss.
    """
    found = medians(code, initial, lines)
    found[code] = np.fmin(found[code], of_loss(runs, "constant_loss", objectives))
    return found


def of_loss(runs: pd.DataFrame, column: str, objectives: Objectives = None) -> Floats:
    """A column [run] that is about the loss; NaN where there is none, or where a problem is judged by a metric."""
    if column not in runs:
        return np.full(len(runs), np.nan)
    by_loss = {
        name: each.column.endswith("_loss") for name, each in objective_of_each(runs, objectives).items()
    }
    found: Floats = np.where(
        runs["problem"].astype(str).map(by_loss).to_numpy(dtype=bool),
        runs[column].to_numpy(dtype=np.float64, na_value=np.nan),
        np.nan,
    )
    return found


class Cube(NamedTuple):
    """The lines of one problem over one axis of seeds; NaN where a run is missing."""

    line: Ints  # [line] numbers of the lines, in order of appearance
    rate: Floats  # [line, rate] ascending; NaN beyond those that the line has
    loss: Floats  # [line, rate, seed] min(ℓ(T), ℓ₀); ℓ₀ where the final loss is not finite
    ok: Floats  # [line, rate, seed] 1 if the run trained, else 0
    initial: float  # median ℓ₀ over the lines
    sampled: npt.NDArray[np.bool_]  # [line] whether other parameters are sampled together with the rate


def cubes(runs: pd.DataFrame, columns: Sequence[str], objectives: Objectives = None) -> Iterator[Cube]:
    """Every problem of the runs; its lines are what `columns` distinguish, so that seeds can be paired across them."""
    initial, final = losses(runs, objectives)
    fine = trained(runs).astype(np.float64)
    rates, seeds = runs["learning_rate"].to_numpy(dtype=np.float64), runs["seed"].to_numpy()
    code, first = group(runs, columns)
    begin = starts(runs, code, initial, len(first), objectives)
    clipped = np.fmin(final, begin[code])
    at_rate, _ = _ranks(code, rates, len(first))
    sampled = is_sampled(runs.iloc[first])
    for mine in members(group(runs, columns_of(runs, "problem"))[0]):
        line, at_line = np.unique(code[mine], return_inverse=True)
        seed, at_seed = np.unique(seeds[mine], return_inverse=True)
        at = Axes(at_line, at_rate[mine], at_seed)
        size = Axes(len(line), int(at.rate.max()) + 1, len(seed))
        loss, ok = (_filled(size, at, values[mine]) for values in (clipped, fine))
        rate = np.full((size.line, size.rate), np.nan)
        rate[at.line, at.rate] = rates[mine]
        start = float(median(begin[line]))
        yield Cube(line.astype(np.int64), rate, loss, ok, start, sampled[line])


def _filled(size: Axes, at: Axes, values: Floats) -> Floats:
    cube = np.full(size, np.nan)
    cube[at] = values
    return cube


def _steps(runs: pd.DataFrame) -> Floats:
    """Steps to the target [run], infinite where it was never met; NaN where they are not known."""
    if "steps_to_target" not in runs:
        return np.full(len(runs), np.nan)
    return runs["steps_to_target"].to_numpy(dtype=np.float64, na_value=np.inf)


def _ranks(code: Ints, values: npt.NDArray[Any], groups: int) -> tuple[Ints, Ints]:
    """The rank of every value among the distinct ones of its group, from 0, and how many of these each group has."""
    order = np.lexsort((values, code))
    ordered, own = values[order], code[order]
    begins = np.ones(len(code), dtype=bool)
    begins[1:] = own[1:] != own[:-1]
    new = begins.copy()
    new[1:] |= ordered[1:] != ordered[:-1]
    count = np.bincount(own[new], minlength=groups)
    rank = np.empty(len(code), dtype=np.int64)
    rank[order] = np.cumsum(new) - 1 - (np.cumsum(count) - count)[own]
    return rank, count.astype(np.int64)


def medians(code: Ints, initial: Floats, groups: int) -> Floats:
    """Median [group] of the finite ℓ₀ [run] in every group; NaN where none is finite."""
    finite = np.isfinite(initial)
    code, initial = code[finite], initial[finite]
    ordered = initial[np.lexsort((initial, code))]
    count = np.bincount(code, minlength=groups)
    begin = np.cumsum(count) - count
    found = np.full(groups, np.nan)
    some = count > 0
    low, high = begin + (count - 1) // 2, begin + count // 2
    found[some] = 0.5 * (ordered[low[some]] + ordered[high[some]])
    return found


def median(values: Floats) -> Floats:
    """Median over the last axis of what is not NaN; NaN where everything is.

    Example:
        >>> median(np.array([[3.0, 1.0, np.nan], [np.nan] * 3])).tolist()
        [2.0, nan]
    """
    ordered = np.sort(values, axis=-1)  # NaN goes last
    size = values.shape[-1]
    if not np.isnan(ordered[..., -1]).any():
        middle: Floats = 0.5 * (ordered[..., (size - 1) // 2] + ordered[..., size // 2])
        return middle
    count = size - np.isnan(ordered).sum(axis=-1, keepdims=True)
    low = np.take_along_axis(ordered, np.maximum(count - 1, 0) // 2, axis=-1)
    high = np.take_along_axis(ordered, np.minimum(count // 2, size - 1), axis=-1)
    found: Floats = (0.5 * (low + high))[..., 0]
    return found


def stable_rates(ok: Floats, stable: float) -> npt.NDArray[np.bool_]:
    """Whether at least the share `stable` of the seeds that were run (last axis) is ok."""
    present = np.isfinite(ok)
    enough: npt.NDArray[np.bool_] = np.where(present, ok, 0.0).sum(axis=-1) >= stable * present.sum(axis=-1)
    return enough & present.any(axis=-1)


def least(loss: Floats, stable: npt.NDArray[np.bool_]) -> tuple[Ints, Floats]:
    """The position of the first least finite loss among the stable rates (last axis), and that loss; infinite if there is none."""
    candidates = np.where(stable & np.isfinite(loss), loss, np.inf)
    at = candidates.argmin(axis=-1)
    return at, np.take_along_axis(candidates, at[..., None], axis=-1)[..., 0]
