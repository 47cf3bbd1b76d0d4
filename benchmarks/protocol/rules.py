"""Rules for the rate to use, compared on the same studies: the one in use, and others that were tried.

They are written out here, in plain NumPy, because all but one of them are not lrbench's. The candidates of stages are the same for all: those that lrbench chooses.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
import pandas as pd

from benchmarks.protocol.methods import Study, study
from benchmarks.protocol.recorded import RATES, Draw, Floats, Ints, Recorded
from benchmarks.protocol.truth import Truth, frame, judged
from lrbench.analysis.groups import group, line_columns

STEP = 2
"""Trained rates in a step of the grid, a third of a decade."""


class Rule(NamedTuple):
    """Choose the rate with the least weighted mean of y over itself and rates whole steps of the grid away, or one in the middle of those that are as good."""

    weights: tuple[float, ...]
    """From the rate farthest below to the one farthest above; one weight looks at the rate alone."""
    y: Callable[[Floats, Floats, float, float], Floats]
    """(ℓ(η), g_line(η), floor, ℓ₀) → y(η)."""
    most: float = np.inf
    """Only rates with at most this gap are chosen."""
    worst: bool = False
    """Take the greatest y instead of the weighted mean."""
    flat: float = 0.0
    """How far above the least a score is as good; 0: only that rate is."""
    close: float = np.inf
    """How far from the gap there that of a rate as good may be."""


def _log(softening: float) -> Callable[[Floats, Floats, float, float], Floats]:
    """y = log(max(ℓ − floor, 10⁻⁶(ℓ₀ − floor)) + softening · (ℓ₀ − floor))."""

    def y(mean: Floats, gap: Floats, floor: float, start: float) -> Floats:
        unit = start - floor
        found: Floats = np.log(np.maximum(mean - floor, 1e-6 * unit) + softening * unit)
        return found

    return y


def _gap(mean: Floats, gap: Floats, floor: float, start: float) -> Floats:
    return gap


def _log_of_gap(mean: Floats, gap: Floats, floor: float, start: float) -> Floats:
    return np.log(gap + 0.01)


USE = (0.15, 0.5, 0.35)
RULES = {
    "least mean": Rule((1.0,), _gap),
    "log, 0.15 0.5 0.35": Rule(USE, _log(0.0)),
    **{
        f"the same, the middle within {flat}": Rule(USE, _log(0.0), flat=flat)
        for flat in (0.005, 0.01, 0.02, 0.05)
    },
    "use: the same, the middle within 0.01 and a gap of 0.01": Rule(USE, _log(0.0), flat=0.01, close=0.01),
    **{
        f"the same, the middle within {flat} and a gap of {close}": Rule(
            USE, _log(0.0), flat=flat, close=close
        )
        for flat, close in ((0.01, 0.0025), (0.01, 0.005), (0.02, 0.01), (0.05, 0.01))
    },
    "log + 0.003, 0.15 0.5 0.35": Rule((0.15, 0.5, 0.35), _log(0.003)),
    "log + 0.01, 0.15 0.5 0.35": Rule((0.15, 0.5, 0.35), _log(0.01)),
    "log + 0.03, 0.15 0.5 0.35": Rule((0.15, 0.5, 0.35), _log(0.03)),
    "log, 0.25 0.5 0.25": Rule((0.25, 0.5, 0.25), _log(0.0)),
    "log, 0.2 0.5 0.3": Rule((0.2, 0.5, 0.3), _log(0.0)),
    "log, 0.15 0.6 0.25": Rule((0.15, 0.6, 0.25), _log(0.0)),
    "log, 0.1 0.5 0.4": Rule((0.1, 0.5, 0.4), _log(0.0)),
    "log, five points": Rule((0.05, 0.15, 0.35, 0.3, 0.15), _log(0.0)),
    "log + 0.01, 0.2 0.55 0.25": Rule((0.2, 0.55, 0.25), _log(0.01)),
    "log, 0.15 0.5 0.35, gap of at most 0.05": Rule((0.15, 0.5, 0.35), _log(0.0), 0.05),
    "log + 0.01, 0.15 0.5 0.35, gap of at most 0.05": Rule((0.15, 0.5, 0.35), _log(0.01), 0.05),
    "log + 0.01, 0.2 0.55 0.25, gap of at most 0.05": Rule((0.2, 0.55, 0.25), _log(0.01), 0.05),
    "log of gap + 0.01, 0.15 0.5 0.35": Rule((0.15, 0.5, 0.35), _log_of_gap),
    "gap, 0.15 0.5 0.35": Rule((0.15, 0.5, 0.35), _gap),
    "least greatest gap of three": Rule((1.0, 1.0, 1.0), _gap, worst=True),
}


class Means(NamedTuple):
    """What a study knows, on the lattice of all trained rates; each [replicate, line, rate]."""

    mean: Floats  # ℓ(η) of fresh seeds where there are any; ℓ₀ where less than half of the seeds train; NaN where not known
    able: np.ndarray  # whether the rate may be chosen: it trains and, in a confirmed study, has fresh seeds


def compared(
    problem: Recorded, drawn: Draw, known: Truth, seeds: int, confirm: int, refine: int
) -> Iterator[pd.DataFrame]:
    """A row per line and rule; candidates of stages are those that lrbench chooses."""
    optimum = problem.runs["optimum"].iloc[0] if "optimum" in problem.runs else np.nan
    floor = 0.0 if np.isnan(optimum) else float(optimum)
    means = known_means(problem, study(problem, drawn, seeds, confirm, refine))
    trains = means.able.any(axis=-1)
    for name, rule in RULES.items():
        rate = problem.rate[np.arange(len(problem.rate)), chosen(rule, means, floor, problem.start)]
        table = judged(problem, known, np.where(trains, rate, np.nan))
        yield frame(table, problem, rule=name, seeds=seeds, confirm=confirm, refine=refine)


def known_means(problem: Recorded, found: Study) -> Means:
    """Average the runs of a study, replicate by replicate."""
    runs = found.runs
    shape = (len(found.table) // len(problem.rate), len(problem.rate), RATES)
    code = group(runs, line_columns(runs))[0]
    line = code % shape[1]
    log = np.log10(runs["learning_rate"].to_numpy())
    first, step = np.log10(problem.rate[:, 0]), np.log10(problem.rate[:, 1] / problem.rate[:, 0])
    point = code * RATES + np.rint((log - first[line]) / step[line]).astype(np.int64)
    final = runs[f"final_{problem.objective.column}"].to_numpy(dtype=np.float64)
    loss = np.fmin(
        np.where(np.isfinite(final), problem.objective.smaller(final), problem.start), problem.start
    )
    ok = (runs["status"] == "ok").to_numpy(dtype=np.float64)
    is_fresh = (runs["stage"] == "confirm").to_numpy()

    def average(values: Floats, some: np.ndarray) -> Floats:
        count = np.bincount(point[some], minlength=np.prod(shape))
        total = np.bincount(point[some], values[some], np.prod(shape))
        with np.errstate(invalid="ignore"):
            return (total / count).reshape(shape)

    fresh, grid = average(loss, is_fresh), average(loss, ~is_fresh)
    confirmed = np.isfinite(fresh)
    stable = np.where(confirmed, average(ok, is_fresh), average(ok, ~is_fresh)) >= 0.5
    mean = np.where(confirmed, fresh, grid)
    able = stable & (confirmed | ~confirmed.any(axis=-1, keepdims=True))
    return Means(np.where(stable | np.isnan(mean), mean, problem.start), able)


def chosen(rule: Rule, means: Means, floor: float, start: float) -> Ints:
    """The position of the rate [replicate, line] that a rule chooses."""
    score, gap = scores(rule, means, floor, start)
    able = np.where(means.able & (gap <= rule.most) & np.isfinite(score), score, np.inf)
    at = able.argmin(axis=-1)
    if not rule.flat:
        return at
    place, first = np.arange(able.shape[-1]), at[..., None]
    least, level = (np.take_along_axis(values, first, axis=-1) for values in (able, gap))
    alike = (score <= least + rule.flat) & (np.abs(gap - level) <= rule.close)
    # What was not trained neither is in the stretch nor ends it.
    other = np.isfinite(means.mean) & ~alike
    after = np.where(other & (place < first), place, -1).max(axis=-1, keepdims=True)
    before = np.where(other & (place > first), place, len(place)).min(axis=-1, keepdims=True)
    inside = alike & np.isfinite(means.mean) & (place > after) & (place < before)
    low = np.where(inside, place, len(place)).min(axis=-1, keepdims=True)
    high = np.where(inside, place, -1).max(axis=-1, keepdims=True)
    away = np.where(np.isfinite(able), np.abs(2 * place - low - high), np.iinfo(np.int64).max)
    found: Ints = away.argmin(axis=-1)
    return found


def scores(rule: Rule, means: Means, floor: float, start: float) -> tuple[Floats, Floats]:
    """The score and the gap of each rate [replicate, line, rate]."""
    least = np.where(means.able, means.mean, np.inf).min(axis=-1, keepdims=True)
    with np.errstate(invalid="ignore", divide="ignore"):
        gap = np.maximum(means.mean - least, 0.0) / (start - least)
        y = _filled(rule.y(means.mean, gap, floor, start))
    half = len(rule.weights) // 2
    each = [_shifted(y, STEP * away) for away in range(-half, half + 1)]
    if rule.worst:
        score = np.maximum.reduce(each)
    else:
        score = sum(
            (weight * part for weight, part in zip(rule.weights, each, strict=True)), np.zeros_like(y)
        )
    return score, gap


def _filled(y: Floats) -> Floats:
    """y with what is not known interpolated linearly between what is."""
    flat = y.reshape(-1, y.shape[-1])
    place = np.arange(y.shape[-1])
    known = np.isfinite(flat)
    rows = [
        np.interp(place, place[some], row[some]) if some.any() else row
        for row, some in zip(flat, known, strict=True)
    ]
    return np.stack(rows).reshape(y.shape)


def _shifted(values: Floats, steps: int) -> Floats:
    """The values so many rates above, with the edge values beyond."""
    last = values.shape[-1] - 1
    return values[..., np.clip(np.arange(last + 1) + steps, 0, last)]
