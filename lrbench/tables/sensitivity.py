"""One row per problem × optimizer × schedule: the best rate, the width of the good band, the cliff."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from lrbench.analysis.bootstrap import interval, resamples
from lrbench.analysis.groups import Floats, Ints, group, identity, line_columns
from lrbench.analysis.objective import Objectives, best_final, losses
from lrbench.analysis.rates import Lines, least, lines, median, stable_rates
from lrbench.analysis.thresholds import Thresholds

_BLOCK = 1_000_000  # resampled losses at a time: 8 MB, and a few copies of it
_WITH_INTERVAL = (
    "best_learning_rate",
    "best_loss",
    "tolerance_decades",
    "max_stable_learning_rate",
    "learning_rate_sensitivity",
    "steps_to_target",
)
_COLUMNS = (
    "best_learning_rate",
    "best_loss",
    "good_low",
    "good_high",
    "tolerance_decades",
    "max_stable_learning_rate",
    "cliff_decades",
    "learning_rate_sensitivity",
    "learning_rate_sensitivity_normalised",
    "best_gap",
    "steps_to_target",
    "rate_low",
    "rate_high",
    "rates",
    "seeds",
    "best_at_edge",
    "oscillating_fraction",
    "diverged_fraction",
)


def sensitivity(
    runs: pd.DataFrame, thresholds: Thresholds | None = None, objectives: Objectives = None
) -> pd.DataFrame:
    """A row per problem, optimizer and schedule: the best learning rate, the good band, the cliff, and how much the loss depends on the rate.

    ℓ(η) = median over seeds of min(ℓ, ℓ₀), NaN counting as ℓ₀; ℓ* is the problem's. Then
    best_learning_rate η* = argmin ℓ(η) over the rates with at least half the seeds ok, the smallest of
    equals;
    good rates: ℓ(η) ≤ ℓ* + ε(ℓ₀ − ℓ*); good_low, good_high: the unbroken stretch of good rates around η*;
    tolerance_decades: log₁₀ length of all good rates, each standing for the part of [a, b] nearest to it:
    inside an even grid one step (one good rate alone: one step), at either end half a step, so that all rates
    make log₁₀(b/a);
    max_stable_learning_rate: the largest η with at least half the seeds ok, missing where a race stopped runs of a
    larger one that might have trained; cliff_decades = log₁₀ of it over η*;
    learning_rate_sensitivity = mean over the grid of ℓ(η) − ℓ*, also normalised by (ℓ₀ − ℓ*);
    best_gap = (ℓ(η*) − ℓ*)/(ℓ₀ − ℓ*): η* is itself good if this is at most ε (else the good band is missing
    and tolerance_decades is 0). steps_to_target: median over seeds at η*, NaN if that is never. Where no rate is
    stable all of these are NaN.

    `_low`, `_high`: bootstrap over seeds, the same seeds at every rate (runs of a seed are paired); ℓ* and ℓ₀
    stay as observed, as the reference.

    Args:
        runs: judged runs, a row each.
        thresholds: for `good`, `stable`, `confidence`, `resamples`.
        objectives: problem -> "valid_loss" or "train_loss"; None: validation where a problem has it.

    Columns:
        problem, optimizer, schedule: their names; with their parameters and the named rates, they are a line
        best_learning_rate: the stable rate with the lowest loss
        best_loss: the loss at that rate, median over seeds
        good_low, good_high: the ends of the unbroken good band around it
        tolerance_decades: length of all good rates, in decades
        max_stable_learning_rate: the largest rate at which at least half the seeds are `ok`; missing where that depends on runs that
            a race stopped
        cliff_decades: decades from the best rate to that one
        learning_rate_sensitivity: mean over the rates of the loss above ℓ*
        learning_rate_sensitivity_normalised: that over (ℓ₀ − ℓ*)
        best_gap: how far the best loss of this line falls short of ℓ*, as a share of (ℓ₀ − ℓ*)
        steps_to_target: steps to the target at the best rate, median over seeds; missing means never
        rate_low, rate_high: the smallest and the largest rate of the grid
        rates: how many rates the grid has
        seeds: how many seeds were run
        best_at_edge: whether the best rate is the first or the last of the grid
        oscillating_fraction, diverged_fraction: the share of runs with that verdict
        <column>_low, <column>_high: 95 % bootstrap intervals of `best_learning_rate`, `best_loss`, `tolerance_decades`,
            `max_stable_learning_rate`, `learning_rate_sensitivity` and `steps_to_target`; missing with one seed

    Example:
        >>> runs = pd.DataFrame({"problem": "a", "optimizer": "sgd", "schedule": "constant", "seed": 0,
        ...     "learning_rate": [0.1, 1.0, 10.0], "initial_train_loss": 1.0,
        ...     "status": ["ok", "ok", "diverged"], "final_train_loss": [0.5, 0.0, 2.0],
        ...     "verdict": ["slow", "good", "diverged"]})
        >>> row = sensitivity(runs).iloc[0]
        >>> [float(row[k]) for k in ("best_learning_rate", "tolerance_decades", "learning_rate_sensitivity")]
        [1.0, 1.0, 0.5]

    Source: Wortsman et al., arXiv:2309.14322 (learning_rate_sensitivity); docs, "Definitions".
    """
    limits = thresholds or Thresholds()
    columns = line_columns(runs)
    problem, star = best_final(runs, *losses(runs, objectives), limits.stable)
    code, first = group(runs, columns)
    named = [part for name in _COLUMNS for part in (name, *_ends(name))]
    kinds = {"rates": np.int64, "seeds": np.int64, "best_at_edge": np.bool_}
    found: dict[str, npt.NDArray[Any]] = {
        name: np.zeros(len(first), dtype=kinds.get(name, np.float64)) for name in named
    }
    for some in lines(runs, objectives):
        for name, values in _describe(some, star[problem[first[some.line]]], limits).items():
            found[name][some.line] = values
    count = np.bincount(code, minlength=len(first))
    for verdict in ("oscillating", "diverged"):
        those = (runs["verdict"] == verdict).to_numpy(dtype=np.float64)
        found[f"{verdict}_fraction"] = np.bincount(code, those, len(first)) / count
    return pd.concat([identity(runs, first, columns), pd.DataFrame(found)], axis=1)


def _ends(name: str) -> tuple[str, ...]:
    return (f"{name}_low", f"{name}_high") if name in _WITH_INTERVAL else ()


def _describe(some: Lines, star: Floats, limits: Thresholds) -> dict[str, npt.NDArray[Any]]:
    """All columns of lines but the identity, each [line]."""
    loss, stable = median(some.loss), stable_rates(some.ok, limits.stable)
    every = np.arange(some.size.seed)[None]
    measures = _measures(some, loss[:, None], stable[:, None], every, star, limits)
    out: dict[str, npt.NDArray[Any]] = {name: value[:, 0] for name, value in measures.items()}
    best, span = out["best_learning_rate"], some.initial - star
    unit = np.where(span > 0, span, np.nan)
    out["good_low"], out["good_high"] = _band(some.rate, loss <= _bar(some, star, limits)[:, None], best)
    out |= _intervals(some, star, limits)
    unknown = _cliff_unknown(some, out["max_stable_learning_rate"], limits)
    for name in ("max_stable_learning_rate", *_ends("max_stable_learning_rate")):
        out[name] = np.where(unknown, np.nan, out[name])
    out["cliff_decades"] = np.log10(out["max_stable_learning_rate"] / best)
    out["learning_rate_sensitivity_normalised"] = out["learning_rate_sensitivity"] / unit
    out["best_gap"] = (out["best_loss"] - star) / unit
    out["rate_low"], out["rate_high"] = some.rate[:, 0], some.rate[:, -1]
    out["rates"], out["seeds"] = (np.full(len(star), size) for size in (some.size.rate, some.size.seed))
    out["best_at_edge"] = (best == out["rate_low"]) | (best == out["rate_high"])
    for name in ("steps_to_target", *_ends("steps_to_target")):  # never is missing in tables
        out[name] = np.where(np.isfinite(out[name]), out[name], np.nan)
    return out


def _cliff_unknown(some: Lines, largest: Floats, limits: Thresholds) -> npt.NDArray[np.bool_]:
    """Whether a rate above the largest stable one [line] would be stable, had all runs trained that a race stopped."""
    possible = stable_rates(some.ok + some.unknown, limits.stable)
    return np.any(possible & (some.rate > largest[:, None]), axis=1)


def _bar(some: Lines, star: Floats, limits: Thresholds) -> Floats:
    bar: Floats = star + limits.good * np.maximum(some.initial - star, 0.0)
    return bar


def _measures(
    some: Lines, loss: Floats, stable: npt.NDArray[np.bool_], index: Ints, star: Floats, limits: Thresholds
) -> dict[str, Floats]:
    """The measures that have an interval, each [line, resample], from ℓ(η) and stability [line, resample, rate].

    `index` [resample, seed]: the seeds of each resample.
    """
    at, best = least(loss, stable)
    good = loss <= _bar(some, star, limits)[:, None, None]
    best_is_good = np.take_along_axis(good, at[..., None], axis=2)[..., 0]
    last = loss.shape[2] - 1 - stable[..., ::-1].argmax(axis=2)
    finite = np.isfinite(loss)
    mean = np.where(finite, loss, 0.0).sum(axis=2) / np.maximum(finite.sum(axis=2), 1)
    steps = np.take_along_axis(some.steps, at[..., None], axis=1)
    length = (good.astype(np.float64) @ _cells(some.rate)[..., None])[..., 0]
    found = {
        "best_learning_rate": np.take_along_axis(some.rate, at, axis=1),
        "best_loss": best,
        "tolerance_decades": np.where(best_is_good, length, 0.0),
        "max_stable_learning_rate": np.take_along_axis(some.rate, last, axis=1),
        "learning_rate_sensitivity": mean - star[:, None],
        "steps_to_target": median(np.take_along_axis(steps, index[None], axis=2)),
    }
    # If nothing trains, no rate is best, and resamples in which that is so do not count.
    return {name: np.where(np.isfinite(best), value, np.nan) for name, value in found.items()}


def _cells(rate: Floats) -> Floats:
    """log₁₀ length [line, rate] of the part of [a, b] that is nearest to each rate."""
    log = np.log10(rate)
    return np.diff(np.concatenate([log[:, :1], 0.5 * (log[:, 1:] + log[:, :-1]), log[:, -1:]], axis=1))


def _band(rate: Floats, good: npt.NDArray[np.bool_], best: Floats) -> tuple[Floats, Floats]:
    """The ends [line] of the unbroken stretch of good rates [line, rate] around the best one."""
    position = np.arange(rate.shape[1])
    below, above = ~good & (rate < best[:, None]), ~good & (rate > best[:, None])
    low = np.where(below, position, -1).max(axis=1) + 1
    high = np.where(above, position, rate.shape[1]).min(axis=1) - 1
    is_good = (good & (rate == best[:, None])).any(axis=1)
    ends = (np.take_along_axis(rate, at[:, None], axis=1)[:, 0] for at in (low, high))
    first, last = (np.where(is_good, end, np.nan) for end in ends)
    return first, last


def _intervals(some: Lines, star: Floats, limits: Thresholds) -> dict[str, Floats]:
    """The ends of every interval, each [line]; a block of lines at a time."""
    names = [end for name in _WITH_INTERVAL for end in _ends(name)]
    out = {name: np.full(len(star), np.nan) for name in names}
    index, weight = resamples(some.size.seed, limits.resamples)
    lines_of_block = max(1, _BLOCK // (some.loss[0].size * len(index)))
    for at in range(0, len(star) if len(index) > 1 else 0, lines_of_block):
        here = slice(at, at + lines_of_block)
        whole = _resampled(some.cut(here), index, star[here], limits)
        for name, value in whole.items():
            low, high = interval(value.T, weight, limits.confidence)
            out[f"{name}_low"][here], out[f"{name}_high"][here] = low, high
    return out


def _resampled(some: Lines, index: Ints, star: Floats, limits: Thresholds) -> dict[str, Floats]:
    """The measures of lines in every resample of their seeds, each [line, resample]."""
    times = np.stack([np.bincount(row, minlength=index.shape[1]) for row in index]).astype(np.float64)
    there = np.isfinite(some.ok).astype(np.float64)
    ok = np.where(there > 0, some.ok, 0.0)
    step = max(1, _BLOCK // some.loss.size)
    parts = []
    for at in range(0, len(index), step):
        here = slice(at, at + step)
        loss = np.swapaxes(median(some.loss[..., index[here]]), 1, 2)
        count = times[here] @ np.swapaxes(there, 1, 2)
        stable = (times[here] @ np.swapaxes(ok, 1, 2) >= limits.stable * count) & (count > 0)
        parts.append(_measures(some, np.ascontiguousarray(loss), stable, index[here], star, limits))
    return {name: np.concatenate([part[name] for part in parts], axis=1) for name in _WITH_INTERVAL}
