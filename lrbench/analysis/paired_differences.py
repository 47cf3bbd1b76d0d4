"""Differences between two lines of a problem, each at one rate, paired by seed: intervals, p values, and how many more seeds they need."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from lrbench.analysis.groups import Floats, Ints, group
from lrbench.analysis.intervals import (
    blocks,
    masked_mean,
    spread,
    spread_of_difference,
    t_p,
    t_quantile,
)
from lrbench.analysis.multiple_comparisons import FLIPS_FROM, holm, holm_from, step_down, step_down_from
from lrbench.analysis.objective import Objectives
from lrbench.analysis.rates import Cube, cubes
from lrbench.analysis.thresholds import Thresholds
from lrbench.errors import counted

REACH = 2
"""How many neighbours on each side of a rate enter its variance, as far as they are good."""
POWER, MOST_SEEDS = 0.8, 10_000
"""With which probability `more_seeds` finds a difference as large as the one seen, and how many are no use to name."""
NUMBERS = (
    "seeds learning_rate other_learning_rate loss other_loss difference difference_low difference_high "
    "difference_normalised difference_normalised_low difference_normalised_high p decided more_seeds"
).split()
"""The columns of a pair, in the order of the tables."""


class AtRate(NamedTuple):
    """Lines of one problem, each at one rate."""

    rate: Floats  # [line] NaN where the line has none
    seed: Ints  # [seed] ascending
    fresh: npt.NDArray[np.bool_]  # [seed] whether it confirms rates that other seeds have chosen
    loss: Floats  # [line, seed] NaN where a run is missing, or the line has no rate
    near: Floats  # [line, neighbour, seed] at the good rates next to it; NaN where there are fewer

    def take(self, some: Ints) -> AtRate:
        """Some of the lines, in this order."""
        return self._replace(rate=self.rate[some], loss=self.loss[some], near=self.near[some])


def rates_to_use(sensitivity: pd.DataFrame) -> Floats:
    """The rate [line] at which each line is compared: its `use`, or its best rate in a table from before there was one."""
    return _use(sensitivity, "learning_rate")


def losses_at_use(sensitivity: pd.DataFrame) -> Floats:
    """The loss [line] there."""
    return _use(sensitivity, "loss")


def _use(sensitivity: pd.DataFrame, name: str) -> Floats:
    column = f"use_{name}" if f"use_{name}" in sensitivity else f"best_{name}"
    return sensitivity[column].to_numpy(dtype=np.float64)


def at_rates(
    runs: pd.DataFrame,
    columns: Sequence[str],
    rate: Floats,
    limits: Thresholds,
    objectives: Objectives = None,
) -> AtRate:
    """The losses of lines at one rate each, and at the good rates next to it: at most 5 % of the way to ℓ₀ above it.

    Args:
        runs: those of lines of one problem; those that only look for a range, or are shorter, are passed over.
        columns: what identifies a line.
        rate: [line] in the order in which lines appear in the runs; NaN: none.
        limits: `good`.
        objectives: as in `losses`.
    """
    code = group(runs, columns)[0]
    stage = runs["stage"].to_numpy() if "stage" in runs else np.full(len(runs), "grid")
    kept = ~np.isin(stage, ["range", "shorter"])
    runs, stage, code = runs[kept], stage[kept], code[kept]
    seed = np.unique(runs["seed"].to_numpy(dtype=np.int64))
    fresh = np.isin(seed, runs["seed"].to_numpy(dtype=np.int64)[stage == "confirm"])
    loss = np.full((len(rate), 2 * REACH + 1, len(seed)), np.nan)
    for cube in cubes(runs, columns, objectives):  # one, or none if no run is kept
        number = code[group(runs, columns)[1]][cube.line]
        loss[number] = _around(cube, rate[number], limits.good)
    return AtRate(rate, seed, fresh, loss[:, REACH], np.delete(loss, REACH, axis=1))


def _around(cube: Cube, rate: Floats, good: float) -> Floats:
    """The losses [line, 2 REACH + 1, seed] of lines at a rate each, in the middle, and at its neighbours; NaN where those are not good.

    A neighbour of a sampled point has other parameters, too, and is none.
    """
    apart = np.abs(np.log(cube.rate) - np.log(rate)[:, None])
    at = np.where(np.isfinite(apart), apart, np.inf).argmin(axis=1)
    places = at[:, None] + np.arange(-REACH, REACH + 1)
    inside = (places >= 0) & (places < cube.rate.shape[1]) & np.isfinite(rate)[:, None]
    taken = np.take_along_axis(cube.loss, np.clip(places, 0, cube.rate.shape[1] - 1)[..., None], axis=1)
    mean = masked_mean(taken, np.isfinite(taken))
    own = mean[:, REACH, None]
    inside &= ~cube.sampled[:, None] | (places == at[:, None])
    kept = inside & (mean <= own + good * np.maximum(cube.initial - own, 0.0))
    return np.where(kept[..., None], taken, np.nan)


def together(parts: Sequence[AtRate]) -> AtRate:
    """Lines that were fetched apart, over the seeds of all."""
    seed = np.unique(np.concatenate([part.seed for part in parts]))
    fresh = np.isin(seed, np.concatenate([part.seed[part.fresh] for part in parts]))
    shape = sum(len(part.rate) for part in parts), 2 * REACH, len(seed)
    loss, near = np.full((shape[0], shape[2]), np.nan), np.full(shape, np.nan)
    begin = 0
    for part in parts:
        lines, at = np.arange(begin, begin + len(part.rate)), np.searchsorted(seed, part.seed)
        loss[lines[:, None], at], near[lines[:, None], :, at] = part.loss, np.swapaxes(part.near, 1, 2)
        begin += len(part.rate)
    return AtRate(np.concatenate([part.rate for part in parts]), seed, fresh, loss, near)


def paired(lines: AtRate, first: Ints, other: Ints) -> Floats:
    """ℓ_first − ℓ_other [pair, seed] on the fresh seeds, where both have at least two of them, else on the other seeds of both; NaN elsewhere."""
    difference = lines.loss[first] - lines.loss[other]
    known = np.isfinite(difference)
    confirmed = (known & lines.fresh).sum(axis=-1, keepdims=True) > 1
    gridded = (known & ~lines.fresh).any(axis=-1, keepdims=True)
    return np.where(np.where(confirmed | ~gridded, lines.fresh, ~lines.fresh), difference, np.nan)


class Differences(NamedTuple):
    """Pairs of lines, each [pair]; NaN below two seeds in common."""

    each: Floats  # [pair, seed] the paired differences, NaN at seeds that are not used
    mean: Floats  # NaN without a seed in common
    low: Floats
    high: Floats
    p: Floats  # of this pair alone
    deviation: Floats  # standard deviation over seeds

    def take(self, some: npt.NDArray[np.bool_]) -> Differences:
        """Some of the pairs."""
        return Differences(*(each[some] for each in self))

    @property
    def seeds(self) -> Ints:
        """How many seeds each pair is compared on."""
        return np.isfinite(self.each).sum(axis=1).astype(np.int64)


def differences(lines: AtRate, first: Ints, other: Ints, limits: Thresholds) -> Differences:
    """Compare pairs of lines: the mean of ℓ_first − ℓ_other over the seeds of both, with a t interval and the p of a paired t.

    A fifth of the variance is that at good neighbours of the two rates (`intervals.spread_of_difference`).

    Args:
        lines: the lines, each at its rate.
        first, other: [pair] positions of lines.
        limits: `confidence`.
    """
    each = paired(lines, first, other)
    used = np.isfinite(each)
    count = used.sum(axis=1).astype(np.float64)
    mean = masked_mean(each, used)
    variance, freedom = np.full(len(first), np.nan), np.full(len(first), np.nan)
    for shared, pairs in _alike(used, count > 1):
        some, place = np.unique(np.concatenate([first[pairs], other[pairs]]), return_inverse=True)
        own = spread(lines.loss[some][..., shared], lines.near[some][..., shared])
        mine, others = np.split(place.reshape(-1), 2)
        for part in blocks(len(pairs), int(shared.sum())):
            both = spread_of_difference(own.take(mine[part]), own.take(others[part]))
            variance[pairs[part]], freedom[pairs[part]] = both.variance(count[pairs[part]])
    error = np.sqrt(variance / np.maximum(count, 1))
    half = t_quantile(freedom, limits.confidence) * error
    with np.errstate(divide="ignore", invalid="ignore"):
        p = np.where(mean == 0, np.where(count > 1, 1.0, np.nan), t_p(mean / error, freedom))
    return Differences(each, mean, mean - half, mean + half, p, np.sqrt(variance))


def _alike(
    used: npt.NDArray[np.bool_], some: npt.NDArray[np.bool_]
) -> list[tuple[npt.NDArray[np.bool_], Ints]]:
    """Some of the pairs by the seeds that they use: those seeds [seed], and the pairs."""
    pairs = np.flatnonzero(some)
    if not len(pairs):
        return []
    shared, which = np.unique(used[pairs], axis=0, return_inverse=True)
    return [(seeds, pairs[which.reshape(-1) == number]) for number, seeds in enumerate(shared)]


def adjusted(found: Differences) -> Floats:
    """The p [pair] adjusted for all of these pairs: by joint sign flips from 8 seeds on, else after Holm.

    It is never below that of the pair's own t test, so that the interval of a pair that is told apart excludes 0.
    """
    return np.maximum(step_down(found.each), found.p) if _flips(found.seeds) else holm(found.p)


def adjusted_from(lines: AtRate, winner: int, others: Ints, found: Differences) -> Floats:
    """The p [pair] of the winner against each of the others, adjusted for its being the winner, in the same way.

    `found` has their differences.
    """
    if not _flips(found.seeds):
        return holm_from(found.p)
    flipped = step_down_from(winner, others, lambda first, other: paired(lines, first, other))
    return np.maximum(flipped, found.p)


def _flips(seeds: Ints) -> bool:
    return bool((seeds[seeds > 1] >= FLIPS_FROM).all())


def more_seeds(found: Differences, comparisons: Ints, limits: Thresholds) -> Floats:
    """How many more seeds [pair] a paired t test takes to find, with 80 % power, a difference as large as the one seen.

    n = (z(1 − α/2) + z(0.8))² s² / d² + z(1 − α/2)² / 2, with α = (1 − confidence) over the number of comparisons [pair] that are still
    open; rounded up to two digits. NaN above 10,000, and where there is no variance or no difference to go by.

    Example:
        >>> one = Differences(np.zeros((1, 5)), *(np.array([value]) for value in (0.1, -0.1, 0.3, 0.2, 0.2)))
        >>> more_seeds(one, np.array([1]), Thresholds()).tolist()
        [29.0]

    Source: Guenther, The American Statistician 35 (1981): normal sample size, corrected for t.
    """
    from scipy import special  # not while a command starts

    level = special.ndtri(1 - (1 - limits.confidence) / (2 * np.maximum(comparisons, 1)))
    with np.errstate(divide="ignore", invalid="ignore"):
        wanted = (level + special.ndtri(POWER)) ** 2 * (found.deviation / found.mean) ** 2 + level**2 / 2
        more = np.maximum(np.ceil(wanted - found.seeds), 1.0)
        unit = 10.0 ** np.maximum(np.floor(np.log10(more)) - 1, 0)
        rounded: Floats = np.ceil(more / unit) * unit
    return np.where(rounded <= MOST_SEEDS, rounded, np.nan)


def numbers_table(
    lines: AtRate,
    first: Ints,
    other: Ints,
    found: Differences,
    p: Floats,
    unit: float,
    limits: Thresholds,
    headline: npt.NDArray[np.bool_] | None = None,
) -> pd.DataFrame:
    """The columns of pairs, with their adjusted p; the difference is also divided by `unit`, ℓ₀ − ℓ* of the problem.

    Pairs of the `headline` are adjusted apart from the others, each for all lines that are left.
    """
    headline = np.zeros(len(first), dtype=np.bool_) if headline is None else headline
    trains = np.isfinite(lines.rate)
    decided = np.where(
        trains[first] & trains[other], p <= 1 - limits.confidence, trains[first] | trains[other]
    )
    columns: dict[str, Any] = {"seeds": found.seeds}
    for prefix, mine in (("", first), ("other_", other)):
        columns[prefix + "learning_rate"] = lines.rate[mine]
        columns[prefix + "loss"] = _mean_loss(lines, mine, np.isfinite(found.each))
    scale = unit if unit > 0 else np.nan
    for end, values in (("", found.mean), ("_low", found.low), ("_high", found.high)):
        columns[f"difference{end}"] = values
        columns[f"difference_normalised{end}"] = values / scale
    still = ~decided & np.isfinite(p)
    left = int((still & headline).sum())
    comparisons = np.where(headline, left * (left + 1) // 2, still.sum())
    more = np.where(still, more_seeds(found, comparisons, limits), np.nan)
    columns |= {"p": p, "decided": decided, "more_seeds": more}
    return pd.DataFrame(columns)[NUMBERS]


def _mean_loss(lines: AtRate, mine: Ints, used: npt.NDArray[np.bool_]) -> Floats:
    """Mean loss [pair] of a line on the seeds that the pair uses; on its own seeds if the pair has none."""
    known = np.isfinite(lines.loss[mine])
    own = known & (lines.fresh | ~(known & lines.fresh).any(axis=1, keepdims=True))
    return masked_mean(lines.loss[mine], np.where(used.any(axis=1, keepdims=True), used, own))


def answer(first: str, other: str, row: Mapping[Any, Any]) -> str:
    """Answer in words whether a difference is real.

    Example:
        >>> numbers = {"seeds": 9, "learning_rate": 0.1, "other_learning_rate": 0.2, "difference": -0.01, "decided": False}
        >>> answer("a", "b", numbers | {"difference_low": -0.02, "difference_high": 0.01, "more_seeds": 40})
        'cannot be told apart at this confidence: −0.02 to 0.01; about 40 more seeds would tell'
    """
    low, high = row["difference_low"], row["difference_high"]
    if np.isnan(row["learning_rate"]) or np.isnan(row["other_learning_rate"]):
        names = (first, "learning_rate"), (other, "other_learning_rate")
        trains = [name for name, key in names if np.isfinite(row[key])]
        return f"only {trains[0]} trains" if trains else "neither trains"
    if row["seeds"] == 0:
        return "no seed in common"
    if row["seeds"] == 1:
        return f"one seed: no interval; the difference is {_text(row['difference'])}"
    if not row["decided"]:
        more = row["more_seeds"]
        wanted = "" if pd.isna(more) else f"; about {counted(int(more), 'more seed')} would tell"
        return f"cannot be told apart at this confidence: {_text(low)} to {_text(high)}{wanted}"
    better, ends = (first, (-high, -low)) if row["difference"] < 0 else (other, (low, high))
    return f"{better} is better: {_text(ends[0])} to {_text(ends[1])} lower"


def _text(value: float) -> str:
    """A number with three digits and a minus sign; 0 has none."""
    return f"{value + 0.0:.3g}".replace("-", "−")
