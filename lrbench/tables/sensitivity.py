"""One row per problem × optimizer × schedule: the rate to use, its bands, and where training collapses."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from lrbench.analysis.answers import Answers, Problems
from lrbench.analysis.groups import Floats, Ints, group, identity, line_columns
from lrbench.analysis.intervals import FEW, masked_mean, median_interval, rate_interval, t_interval
from lrbench.analysis.line_answers import each_shape
from lrbench.analysis.mean_loss import MeanLoss, levels
from lrbench.analysis.objective import Objectives
from lrbench.analysis.rates import Lines, median, stable_rates, stages
from lrbench.analysis.thresholds import Thresholds
from lrbench.study import sample

_WITH_INTERVAL = (
    "best_learning_rate",
    "best_loss",
    "use_loss",
    "use_value",
    "learning_rate_sensitivity",
    "steps_to_target",
    "tolerance_decades",
    "max_stable_learning_rate",
)
_WITHOUT_METHOD = ("tolerance_decades", "max_stable_learning_rate")
"""Their intervals covered far less than they said; the columns stay, for scripts that read them, and are missing."""
_COLUMNS = (
    "trains",
    "use_learning_rate",
    "use_loss",
    "use_value",
    "headline",
    "best_learning_rate",
    "best_loss",
    "good_low",
    "good_high",
    "own_low",
    "own_high",
    "pace_low",
    "pace_high",
    "collapse_low",
    "collapse_high",
    "degrades_from",
    "tolerance_decades",
    "max_stable_learning_rate",
    "cliff_decades",
    "learning_rate_sensitivity",
    "learning_rate_sensitivity_normalised",
    "best_gap",
    "use_gap",
    "steps_to_target",
    "rate_low",
    "rate_high",
    "rates",
    "seeds",
    "confirmed_seeds",
    "best_at_edge",
    "oscillating_fraction",
    "collapsed_fraction",
    "diverged_fraction",
)
_OF_CURVE = (
    "tolerance_decades",
    "max_stable_learning_rate",
    "cliff_decades",
    "learning_rate_sensitivity",
    "learning_rate_sensitivity_low",
    "learning_rate_sensitivity_high",
    "best_learning_rate_low",
    "best_learning_rate_high",
)
"""What there is only where the loss is a function of the learning rate alone."""
_KINDS: dict[str, type] = {
    "rates": np.int64,
    "seeds": np.int64,
    "confirmed_seeds": np.int64,
    "best_at_edge": np.bool_,
    "trains": np.bool_,
    "headline": object,
}


def sensitivity(
    runs: pd.DataFrame, thresholds: Thresholds | None = None, objectives: Objectives = None
) -> pd.DataFrame:
    """A row per problem, optimizer and schedule: the rate to use, the bands around the best one, where training collapses, and how much the loss depends on the rate.

    ℓ(η) = mean over seeds of min(ℓ, ℓ₀), a run that is not finite counting as ℓ₀: over fresh seeds where the rate was confirmed, else over the seeds of the grid.
    ℓ* is the problem's least, ℓ*_line the line's; g_line = (ℓ(η) − ℓ*_line)/(ℓ₀ − ℓ*_line), 1 where less than half of the seeds train.
    docs, "Definitions", has all of it in formulas, with a worked example.

    Args:
        runs: judged runs, a row each.
        thresholds: for `good`, `useful`, `close`, `trains`, `stable`, `confidence`.
        objectives: problem -> what its runs are judged by; None: validation where a problem has it.

    Columns:
        problem, optimizer, schedule: their names; with their parameters and the named rates, they are a line
        trains: whether ℓ₀ − ℓ*_line is more than a twentieth of ℓ₀ − ℓ*; if not, everything that depends on a best rate is missing
        use_learning_rate: the rate to use: good, and forgiving if you miss it by a factor of two
        use_loss: the loss at that rate, mean over seeds
        use_value: the headline metric at that rate, mean over the same seeds
        headline: the name of that metric; missing if the problem has none
        best_learning_rate: the rate with the lowest loss
        best_loss: the loss at that rate, mean over seeds
        good_low, good_high: the ends of the unbroken band around the best rate that is within 5 % of the problem's best
        own_low, own_high: the same, within 5 % of the line's own best
        pace_low, pace_high: the same, of rates that need at most a fifth more steps; missing if that is unknown, because a schedule decays and nothing was confirmed
        collapse_low, collapse_high: training collapses between these rates: the last useful one, with a gap of at most ½, and the first useless one; missing if
            every larger rate is useful
        degrades_from: the rate from which on the loss grows gradually instead; missing if it does not
        tolerance_decades: length of all good rates, in decades
        max_stable_learning_rate: the largest rate at which at least half the seeds are `ok`; missing if that depends on runs that
            a race stopped
        cliff_decades: decades from the best rate to that one
        learning_rate_sensitivity: mean over the rates of the grid of the loss above ℓ*
        learning_rate_sensitivity_normalised: that, divided by (ℓ₀ − ℓ*)
        best_gap: how far the best loss of this line falls short of ℓ*, as a share of (ℓ₀ − ℓ*); 1 if the line does not train
        use_gap: the same for the loss at the rate to use
        steps_to_target: steps to the target at the best rate, median over seeds; missing means never
        rate_low, rate_high: the smallest and the largest rate that was tried
        rates: how many rates its grid has, without those that refine it
        seeds: how many seeds the grid has
        confirmed_seeds: on how many fresh seeds the rate to use was confirmed; 0 if it was not
        best_at_edge: whether the best rate is the first or the last one
        sampled_<column>: the value that was sampled together with the rate to use, in a study with `sample`. The loss of such a line is not a function of
            the rate alone, so its bands, its collapse, `tolerance_decades`, `max_stable_learning_rate` and `learning_rate_sensitivity` are missing
        oscillating_fraction, collapsed_fraction, diverged_fraction: the share of the runs of the grid with that verdict
        <column>_low, <column>_high: 95 % intervals of `use_loss`, `use_value`, `best_loss`, `best_learning_rate`, `learning_rate_sensitivity` and
            `steps_to_target`; missing with one seed; those of rates and steps are missing below six. Those of `tolerance_decades` and
            `max_stable_learning_rate` are always missing, because no interval of them had the right coverage

    Example:
        >>> runs = pd.DataFrame({"problem": "a", "optimizer": "sgd", "schedule": "constant", "seed": 0,
        ...     "learning_rate": [0.1, 1.0, 10.0], "initial_train_loss": 1.0,
        ...     "status": ["ok", "ok", "diverged"], "final_train_loss": [0.5, 0.0, 2.0],
        ...     "verdict": ["slow", "good", "diverged"]})
        >>> row = sensitivity(runs).iloc[0]
        >>> [float(row[k]) for k in ("best_learning_rate", "collapse_high", "learning_rate_sensitivity")]
        [1.0, 10.0, 0.5]

    Source: Wortsman et al., arXiv:2309.14322 (learning_rate_sensitivity); docs, "Definitions".
    """
    limits = thresholds or Thresholds()
    columns = line_columns(runs)
    code, first = group(runs, columns)
    named = [part for name in _COLUMNS for part in (name, *_ends(name))]
    found: dict[str, npt.NDArray[Any]] = {
        name: np.zeros(len(first), dtype=_KINDS.get(name, np.float64)) for name in named
    }
    level = levels(runs, limits, objectives).of_lines(first)
    near = np.full((len(first), 4), np.nan)
    for some, mean, problems, answer in each_shape(runs, limits, objectives):
        values = _describe(some, mean, problems, answer, level.rates[some.line], limits)
        for name, value in values.items():
            found[name][some.line] = value
        near[some.line] = _at_good_neighbours(some, mean, answer.use, mean.rate[..., None], limits)[..., 0]
    found |= _fractions(runs, code, len(first)) | _headlines(runs, code, found, near, limits)
    sampled = _sampled(runs, code, found["use_learning_rate"])
    frame = pd.DataFrame({name: found[name] for name in named} | sampled)
    return pd.concat([identity(runs, first, columns), frame.astype({"headline": "str"})], axis=1)


def _ends(name: str) -> tuple[str, ...]:
    return (f"{name}_low", f"{name}_high") if name in _WITH_INTERVAL else ()


def _sampled(runs: pd.DataFrame, code: Ints, use: Floats) -> dict[str, Floats]:
    """What is sampled [line] together with the rate to use; NaN where nothing is."""
    out = {name: np.full(len(use), np.nan) for name in sample.columns(runs.columns)}
    (rows,) = (runs["learning_rate"].to_numpy(dtype=np.float64) == use[code]).nonzero()
    for name, values in out.items():
        values[code[rows]] = runs[name].to_numpy(dtype=np.float64)[rows]
    return out


def _fractions(runs: pd.DataFrame, code: Ints, lines: int) -> dict[str, Floats]:
    """The share [line] of the runs of the grid with some verdicts; of all runs where the line has none there."""
    grid = stages(runs) == "grid"
    grid |= (np.bincount(code, grid, lines) == 0)[code]
    count = np.bincount(code, grid, lines)
    return {
        f"{verdict}_fraction": np.bincount(
            code, grid & (runs["verdict"] == verdict).to_numpy(dtype=bool), lines
        )
        / count
        for verdict in ("oscillating", "collapsed", "diverged")
    }


def _headlines(
    runs: pd.DataFrame, code: Ints, found: dict[str, npt.NDArray[Any]], near: Floats, limits: Thresholds
) -> dict[str, npt.NDArray[Any]]:
    """The headline metric [line] at the rate to use, its interval, and its name; `near` [line, neighbour] are good rates next to it."""
    lines = len(found["use_learning_rate"])
    name = np.full(len(runs), None, dtype=object)
    if "headline" in runs:
        name[runs["headline"].notna()] = runs["headline"].dropna().to_numpy(dtype=object)
    value = np.full(len(runs), np.nan)
    for each in {text for text in name[pd.notna(name)] if f"final_{text}" in runs}:
        mine = name == each
        value[mine] = runs[f"final_{each}"].to_numpy(dtype=np.float64, na_value=np.nan)[mine]
    rates = np.concatenate([found["use_learning_rate"][:, None], near], axis=1)
    each = _by_seed(runs, code, value, rates, found["confirmed_seeds"] > 0)
    names = np.full(lines, None, dtype=object)
    names[code] = name
    own = each[:, 0]
    low, high = t_interval(own, limits.confidence, each[:, 1:])
    return {
        "headline": names,
        "use_value": masked_mean(own, np.isfinite(own)),
        "use_value_low": low,
        "use_value_high": high,
    }


def _by_seed(
    runs: pd.DataFrame, code: Ints, value: Floats, rates: Floats, confirmed: npt.NDArray[np.bool_]
) -> Floats:
    """Values [run] of each line at some of its rates, as [line, rate, seed]: of fresh seeds where it was confirmed, else of the others."""
    mine = np.flatnonzero((stages(runs) == "confirm") == confirmed[code])
    seed, at_seed = np.unique(runs["seed"].to_numpy()[mine], return_inverse=True)
    rate = runs["learning_rate"].to_numpy(dtype=np.float64)[mine]
    out = np.full((*rates.shape, len(seed)), np.nan)
    for place in range(rates.shape[1]):
        (rows,) = (rate == rates[code[mine], place]).nonzero()
        out[code[mine[rows]], place, at_seed[rows]] = value[mine[rows]]
    return out


def _describe(
    some: Lines, mean: MeanLoss, problems: Problems, answer: Answers, union: Ints, limits: Thresholds
) -> dict[str, npt.NDArray[Any]]:
    """All columns of lines but the identity, the shares and the metric, each [line]."""
    star = problems.star
    unit = np.where(mean.start > star, mean.start - star, np.nan)
    out: dict[str, npt.NDArray[Any]] = {
        "trains": answer.trains,
        "use_learning_rate": answer.use_rate,
        "use_loss": answer.use_loss,
        "best_learning_rate": answer.best_rate,
        "best_loss": answer.best_loss,
        "best_gap": _of_best(answer.best_loss, star, unit),
        "use_gap": _of_best(answer.use_loss, star, unit),
        "degrades_from": answer.degrades_from,
        "rate_low": some.rate[:, 0],
        "rate_high": some.rate[:, -1],
        "rates": some.asked.sum(axis=1),
        "seeds": _most(np.isfinite(some.ok) & ~some.fresh[:, None]),
        "confirmed_seeds": _seeds(mean, answer, some.fresh),
    }
    for name in ("good", "own", "pace", "collapse"):
        out[f"{name}_low"], out[f"{name}_high"] = getattr(answer, name)
    out["best_at_edge"] = (answer.best_rate == out["rate_low"]) | (answer.best_rate == out["rate_high"])
    out["tolerance_decades"] = _tolerance(mean, answer, star, limits)
    out |= _stability(some, answer, limits) | _dependence(some, mean, star, union, limits)
    out |= _rates(some, mean, answer, limits)
    out["best_at_edge"] &= ~some.sampled
    out |= {name: np.where(some.sampled, np.nan, out[name]) for name in _OF_CURVE}
    out |= {end: np.full(len(star), np.nan) for name in _WITHOUT_METHOD for end in _ends(name)}
    out["learning_rate_sensitivity_normalised"] = out["learning_rate_sensitivity"] / unit
    for name, position in (("best_loss", mean.best), ("use_loss", answer.use)):
        ends = t_interval(
            _values(some.loss, mean, position), limits.confidence, _near(some, mean, position, limits)
        )
        out |= {
            f"{name}{end}": np.where(answer.trains, v, np.nan)
            for end, v in zip(("_low", "_high"), ends, strict=True)
        }
    return out


def _of_best(loss: Floats, star: Floats, unit: Floats) -> Floats:
    """(ℓ − ℓ*) / (ℓ₀ − ℓ*) [line]; 1 where the line does not train, though another one of the problem does."""
    gap = (loss - star) / unit
    return np.where(np.isfinite(gap) | ~np.isfinite(star), gap, 1.0)


def _most(present: npt.NDArray[np.bool_]) -> Ints:
    """The most seeds [line] that any rate has."""
    found: Ints = present.sum(axis=2).max(axis=1, initial=0)
    return found


def _seeds(mean: MeanLoss, answer: Answers, fresh: npt.NDArray[np.bool_]) -> Ints:
    """How many fresh seeds [line] the rate to use was confirmed on."""
    at = np.take_along_axis(mean.used, answer.use[:, None, None], axis=1)[:, 0] & fresh
    return np.where(answer.trains, at.sum(axis=1), 0)


def _values(values: Floats, mean: MeanLoss, position: Ints) -> Floats:
    """Values [line, seed] of the runs that count at a position of each line; NaN at the other seeds."""
    used = np.where(mean.used, values, np.nan)
    found: Floats = np.take_along_axis(used, position[:, None, None], axis=1)[:, 0]
    return found


def _near(some: Lines, mean: MeanLoss, position: Ints, limits: Thresholds) -> Floats:
    """The losses [line, neighbour, seed] at the good rates on both sides of a position, which have a part in its variance."""
    return _at_good_neighbours(some, mean, position, np.where(mean.used, some.loss, np.nan), limits)


def _at_good_neighbours(
    some: Lines, mean: MeanLoss, position: Ints, values: Floats, limits: Thresholds
) -> Floats:
    """Values [line, rate, any] at up to two rates on each side of a position whose loss is at most 5 % of the way to ℓ₀ above its own; else NaN."""
    places = position[:, None] + np.array([-2, -1, 1, 2])
    inside = (places >= 0) & (places < some.size.rate)
    places = np.clip(places, 0, some.size.rate - 1)
    own = np.take_along_axis(mean.loss, position[:, None], axis=1)
    level = np.take_along_axis(mean.loss, places, axis=1)
    inside &= ~mean.sampled[:, None]  # the rate beside that of a sampled point has other parameters
    kept = inside & (level <= own + limits.good * np.maximum(mean.start[:, None] - own, 0.0))
    return np.where(kept[..., None], np.take_along_axis(values, places[..., None], axis=1), np.nan)


def _tolerance(mean: MeanLoss, answer: Answers, star: Floats, limits: Thresholds) -> Floats:
    """log₁₀ length [line] of all good rates, each standing for the part of [a, b] that is nearest to it."""
    bar = star + limits.good * np.maximum(mean.start - star, 0.0)
    good = mean.stable & (mean.loss <= bar[:, None])
    length = (good * _cells(mean.rate)).sum(axis=1)
    return np.where(answer.trains, np.where(np.isfinite(answer.good.low), length, 0.0), np.nan)


def _cells(rate: Floats) -> Floats:
    """log₁₀ length [line, rate] of the part of [a, b] that is nearest to each rate."""
    log = np.log10(rate)
    return np.diff(np.concatenate([log[:, :1], 0.5 * (log[:, 1:] + log[:, :-1]), log[:, -1:]], axis=1))


def _stability(some: Lines, answer: Answers, limits: Thresholds) -> dict[str, Floats]:
    """The largest rate at which at least half the seeds are ok, and its distance from the best one, each [line]."""
    stable = stable_rates(some.ok, limits.stable)
    largest = np.where(stable, some.rate, -np.inf).max(axis=1)
    # A larger rate might be stable, had all runs trained that a race stopped.
    possible = stable_rates(some.ok + some.unknown, limits.stable) & (some.rate > largest[:, None])
    largest = np.where(np.isfinite(largest) & ~possible.any(axis=1) & answer.trains, largest, np.nan)
    return {"max_stable_learning_rate": largest, "cliff_decades": np.log10(largest / answer.best_rate)}


def _dependence(
    some: Lines, mean: MeanLoss, star: Floats, union: Ints, limits: Thresholds
) -> dict[str, Floats]:
    """learning_rate_sensitivity [line] over the rates that the lines of the problem have together, and its interval over seeds.

    A rate that a line does not have is outside the range where it trains, and counts as ℓ₀.
    """
    count = some.asked.sum(axis=1)
    total = np.maximum(union, count)
    # Subtracted first: the mean of equal losses may be below them by a rounding.
    above = np.where(some.asked, mean.asked - star[:, None], 0.0).sum(axis=1)
    above += (total - count) * (mean.start - star)
    of_grid = np.where(some.asked[..., None] & ~some.fresh[:, None], some.loss, np.nan)
    whole = np.isfinite(of_grid).sum(axis=1) == count[:, None]
    each = np.where(whole, np.nansum(of_grid, axis=1) + ((total - count) * mean.start)[:, None], np.nan)
    low, high = t_interval(each / total[:, None], limits.confidence)
    return {
        "learning_rate_sensitivity": above / total,
        "learning_rate_sensitivity_low": low - star,
        "learning_rate_sensitivity_high": high - star,
    }


def _rates(some: Lines, mean: MeanLoss, answer: Answers, limits: Thresholds) -> dict[str, Floats]:
    """Steps to the target at the best rate, and the intervals of rates and of steps, each [line]; never is missing in tables."""
    steps = np.where(answer.trains[:, None], _values(some.steps, mean, mean.best), np.nan)
    low, high = median_interval(steps, limits.confidence)
    found = {"steps_to_target": median(steps), "steps_to_target_low": low, "steps_to_target_high": high}
    out = {name: np.where(np.isfinite(value), value, np.nan) for name, value in found.items()}
    ends = ("best_learning_rate_low", "best_learning_rate_high")
    out |= {end: np.full(len(answer.trains), np.nan) for end in ends}
    for number in np.flatnonzero(answer.trains):
        able = mean.able[number]
        seeds = mean.used[number][able].all(axis=0)
        loss = some.loss[number][:, seeds]
        count = loss.shape[1]
        if count < FEW:
            continue
        without = (loss.sum(axis=1, keepdims=True) - loss) / (count - 1)
        score = np.where(able, loss.mean(axis=1), np.nan)
        rate_low, rate_high = rate_interval(
            mean.rate[number][None], score[None], without[None], limits.confidence
        )
        out[ends[0]][number], out[ends[1]][number] = rate_low[0], rate_high[0]
    return out
