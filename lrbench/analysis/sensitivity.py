"""One row per problem × optimizer × schedule: the best rate, the width of the good band, the cliff."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pandas as pd

from lrbench.analysis.bootstrap import interval, resamples
from lrbench.analysis.groups import PARTS, Floats, group, identity, part_columns
from lrbench.analysis.objective import Objectives, best_final, losses
from lrbench.analysis.rates import Line, lines, median, stable_rates
from lrbench.analysis.thresholds import Thresholds

_BLOCK = 1_000_000  # resampled losses at a time: 8 MB, and a few copies of it
_WITH_INTERVAL = (
    "best_learning_rate",
    "best_loss",
    "tolerance_decades",
    "max_stable_learning_rate",
    "learning_rate_sensitivity",
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
    """How training depends on the learning rate, per problem × optimizer × schedule (and parameters).

    ℓ(η) = median over seeds of min(ℓ, ℓ₀), NaN counting as ℓ₀; ℓ* is the problem's. Then
    best_learning_rate η* = argmin ℓ(η) over the rates with at least half the seeds ok, the smallest of
    equals;
    good rates: ℓ(η) ≤ ℓ* + ε(ℓ₀ − ℓ*); good_low, good_high: the unbroken stretch of good rates around η*;
    tolerance_decades: log₁₀ length of all good rates, each standing for the part of [a, b] nearest to it:
    inside an even grid one step (one good rate alone: one step), at either end half a step, so that all rates
    make log₁₀(b/a);
    max_stable_learning_rate: the largest η with at least half the seeds ok; cliff_decades = log₁₀ of it over
    η*; learning_rate_sensitivity = mean over the grid of ℓ(η) − ℓ*, also normalised by (ℓ₀ − ℓ*);
    best_gap = (ℓ(η*) − ℓ*)/(ℓ₀ − ℓ*): η* is itself good if this is at most ε (else the good band is missing
    and tolerance_decades is 0). Where no rate is stable all of these are NaN.

    `_low`, `_high`: bootstrap over seeds, the same seeds at every rate (runs of a seed are paired); ℓ* and ℓ₀
    stay as observed, they are the yardstick.

    Args:
        runs: judged runs, a row each.
        thresholds: for `good`, `stable`, `confidence`, `resamples`.
        objectives: problem -> "valid_loss" or "train_loss"; None: validation where a problem has it.

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
    columns = part_columns(runs, *PARTS)
    problem, star = best_final(runs, *losses(runs, objectives), limits.stable)
    verdict = runs["verdict"].to_numpy()
    rows = []
    for line in lines(runs, objectives):
        row = _row(line, float(star[problem[line.rows[0]]]), limits)
        row["oscillating_fraction"] = float(np.mean(verdict[line.rows] == "oscillating"))
        row["diverged_fraction"] = float(np.mean(verdict[line.rows] == "diverged"))
        rows.append(row)
    named = [part for name in _COLUMNS for part in (name, *_ends(name))]
    found = pd.DataFrame(rows, columns=pd.Index(named))
    return pd.concat([identity(runs, group(runs, columns)[1], columns), found], axis=1)


def _ends(name: str) -> tuple[str, ...]:
    return (f"{name}_low", f"{name}_high") if name in _WITH_INTERVAL else ()


def _row(line: Line, star: float, limits: Thresholds) -> dict[str, float | int | bool]:
    loss = median(line.loss)
    whole = _measures(line, loss[None], stable_rates(line.ok, limits.stable)[None], star, limits)
    row: dict[str, float | int | bool] = {name: float(value[0]) for name, value in whole.items()}
    best = row["best_learning_rate"]
    row["good_low"], row["good_high"] = _band(line.rate, loss <= _bar(line, star, limits), best)
    unit = line.initial - star if line.initial > star else np.nan
    row["cliff_decades"] = float(np.log10(row["max_stable_learning_rate"] / best))
    row["learning_rate_sensitivity_normalised"] = row["learning_rate_sensitivity"] / unit
    row["best_gap"] = (row["best_loss"] - star) / unit
    row |= {
        "rate_low": line.rate[0],
        "rate_high": line.rate[-1],
        "rates": len(line.rate),
        "seeds": len(line.seed),
    }
    row["best_at_edge"] = bool(best in (line.rate[0], line.rate[-1]))
    for name, (low, high) in _intervals(line, star, limits).items():
        row[f"{name}_low"], row[f"{name}_high"] = low, high
    return row


def _bar(line: Line, star: float, limits: Thresholds) -> float:
    return star + limits.good * max(line.initial - star, 0.0)


def _measures(
    line: Line, loss: Floats, stable: npt.NDArray[np.bool_], star: float, limits: Thresholds
) -> dict[str, Floats]:
    """The measures that have an interval, each [resample], from ℓ(η) and stability [resample, rate]."""
    candidates = np.where(stable & np.isfinite(loss), loss, np.inf)
    at = candidates.argmin(axis=1)
    best = candidates[np.arange(len(loss)), at]
    good = loss <= _bar(line, star, limits)
    last = loss.shape[1] - 1 - stable[:, ::-1].argmax(axis=1)
    there = np.isfinite(loss)
    mean = np.where(there, loss, 0.0).sum(axis=1) / np.maximum(there.sum(axis=1), 1)
    found = {
        "best_learning_rate": line.rate[at],
        "best_loss": best,
        "tolerance_decades": np.where(good[np.arange(len(loss)), at], good @ _cells(line.rate), 0.0),
        "max_stable_learning_rate": line.rate[last],
        "learning_rate_sensitivity": mean - star,
    }
    # Nothing trains: then no rate is best, and an interval over such resamples would be an invention.
    return {name: np.where(np.isfinite(best), value, np.nan) for name, value in found.items()}


def _cells(rate: Floats) -> Floats:
    """log₁₀ length [rate] of the part of [a, b] that is nearest to each rate."""
    log = np.log10(rate)
    return np.diff(np.concatenate([log[:1], 0.5 * (log[1:] + log[:-1]), log[-1:]]))


def _band(rate: Floats, good: npt.NDArray[np.bool_], best: float) -> tuple[float, float]:
    """The ends of the unbroken stretch of good rates around the best one."""
    at = int(np.searchsorted(rate, best)) if np.isfinite(best) else -1
    if at < 0 or not good[at]:
        return np.nan, np.nan
    before, after = np.flatnonzero(~good[:at]), np.flatnonzero(~good[at:])
    low = int(before[-1]) + 1 if len(before) else 0
    high = at + int(after[0]) - 1 if len(after) else len(rate) - 1
    return float(rate[low]), float(rate[high])


def _intervals(line: Line, star: float, limits: Thresholds) -> dict[str, tuple[float, float]]:
    seeds = len(line.seed)
    index, weight = resamples(seeds, limits.resamples)
    times = np.stack([np.bincount(row, minlength=seeds) for row in index]).astype(np.float64)
    there = np.isfinite(line.ok).astype(np.float64)
    ok = np.where(there > 0, line.ok, 0.0)
    step = max(1, _BLOCK // line.loss.size)
    parts = []
    for at in range(0, len(index), step):
        here = slice(at, at + step)
        loss = median(line.loss[:, index[here]]).T
        count = times[here] @ there.T
        stable = (times[here] @ ok.T >= limits.stable * count) & (count > 0)
        parts.append(_measures(line, loss, stable, star, limits))
    whole = {name: np.concatenate([part[name] for part in parts]) for name in _WITH_INTERVAL}
    ends = {name: interval(value, weight, limits.confidence) for name, value in whole.items()}
    return {name: (float(low), float(high)) for name, (low, high) in ends.items()}
