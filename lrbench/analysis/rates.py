"""One table of losses per problem × optimizer × schedule: [rate, seed]; and the best rate in it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from lrbench.analysis.groups import PARTS, Floats, Ints, group, members, part_columns
from lrbench.analysis.objective import Objectives, losses


class Line(NamedTuple):
    """The runs of one problem × optimizer × schedule over rates and seeds; NaN where a run is lacking."""

    rows: Ints  # [run] rows of the runs frame
    rate: Floats  # [rate] ascending
    seed: Ints  # [seed] ascending
    loss: Floats  # [rate, seed] min(ℓ(T), ℓ₀); ℓ₀ where the final loss is not finite
    ok: Floats  # [rate, seed] 1 if the status is ok, else 0
    initial: float  # median ℓ₀ over the runs


def lines(runs: pd.DataFrame, objectives: Objectives = None) -> Iterator[Line]:
    """Every problem × optimizer × schedule (with their parameters) of the runs, in order of appearance."""
    initial, final = losses(runs, objectives)
    clipped = np.fmin(final, initial)
    fine = (runs["status"] == "ok").to_numpy(dtype=np.float64)
    rates = runs["learning_rate"].to_numpy(dtype=np.float64)
    seeds = runs["seed"].to_numpy(dtype=np.int64)
    for rows in members(group(runs, part_columns(runs, *PARTS))[0]):
        rate, at_rate = np.unique(rates[rows], return_inverse=True)
        seed, at_seed = np.unique(seeds[rows], return_inverse=True)
        loss = np.full((len(rate), len(seed)), np.nan)
        ok = np.full_like(loss, np.nan)
        loss[at_rate, at_seed] = clipped[rows]
        ok[at_rate, at_seed] = fine[rows]
        starts = initial[rows]
        start = float(np.median(starts[np.isfinite(starts)])) if np.isfinite(starts).any() else np.nan
        yield Line(rows, rate, seed, loss, ok, start)


def median(values: Floats) -> Floats:
    """Median over the last axis of what is not NaN; NaN where nothing is left.

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
    """Whether at least the share `stable` of the seeds there are (last axis) is ok."""
    there = np.isfinite(ok)
    enough: npt.NDArray[np.bool_] = np.where(there, ok, 0.0).sum(axis=-1) >= stable * there.sum(axis=-1)
    return enough & there.any(axis=-1)


def best_rates(runs: pd.DataFrame, stable: float = 0.5, objectives: Objectives = None) -> pd.DataFrame:
    """The best rate of every problem × optimizer × schedule: least ℓ(η) among the stable rates.

    ℓ(η) is the median over seeds of min(ℓ(T), ℓ₀); of equal rates the smallest is taken.

    Returns:
        A row per problem × optimizer × schedule, in order of appearance: `row` (its first row in the runs),
        `learning_rate`, `loss` (both NaN where no rate is stable).
    """
    found: list[tuple[int, float, float]] = []
    for line in lines(runs, objectives):
        loss = np.where(stable_rates(line.ok, stable), median(line.loss), np.nan)
        at = int(np.nanargmin(loss)) if np.isfinite(loss).any() else -1
        rate, reached = (line.rate[at], loss[at]) if at >= 0 else (np.nan, np.nan)
        found.append((int(line.rows[0]), float(rate), float(reached)))
    return pd.DataFrame(found, columns=["row", "learning_rate", "loss"])
