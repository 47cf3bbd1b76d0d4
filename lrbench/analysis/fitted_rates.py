"""The best rate of a line between the rates of its grid: the lowest point of a parabola through the losses around the best one."""

from __future__ import annotations

import numpy as np
import pandas as pd

from lrbench.analysis.groups import Floats, Ints, group, line_columns
from lrbench.analysis.intervals import t_quantile
from lrbench.analysis.mean_loss import Bools, MeanLoss, mean_loss
from lrbench.analysis.objective import Objectives
from lrbench.analysis.rates import Lines, lines, of_loss, stages
from lrbench.analysis.thresholds import Thresholds

AROUND = 0.5
"""The parabola is fitted to the rates within so many decades of the best one, and to two neighbours on each side in any case."""
EVERY = -1
"""In place of a seed that is left out: none is."""


def fitted_rates(
    runs: pd.DataFrame, thresholds: Thresholds | None = None, objectives: Objectives = None
) -> pd.DataFrame:
    r"""Fit the best rate of every line, with all of its seeds and without each of them in turn.

    Formula: y(η) = log(ℓ(η) − floor), ℓ(η) the mean loss of the definitions; the least squares parabola in log η through the rates within half a decade of
    the best one, and through two rates on either side of it in any case, has its lowest point at the fitted rate, which is kept within these rates.
    floor: the problem's `optimum`, else 0 as long as no mean loss is negative; else y = log(gap + 0.01), with the gap to the line's own best.

    Where a parabola does not open upwards, the best rate is taken. If that is the first or the last rate of the line, there is no fitted rate: the
    best one may lie outside.

    Args:
        runs: judged runs, a row each.
        thresholds: for `stable`.
        objectives: as in the manifest; None: validation where a problem has it.

    Returns:
        A row per line and seed that is left out, the lines in order of appearance: `line`, `seed` (−1: none is left out), `fresh` (whether that seed is one of
        the stage `confirm`), `learning_rate` (missing where there are fewer than three rates, and, if no seed is left out, at an edge of the rates), `at_edge`,
        and `step`, the decades between the best rate and its farther neighbour.

    Example:
        >>> rate = [0.01, 0.1, 1.0, 10.0]
        >>> runs = pd.DataFrame({"problem": "a", "optimizer": "sgd", "schedule": "constant", "seed": 0,
        ...     "learning_rate": rate, "status": "ok", "initial_train_loss": 99.0,
        ...     "final_train_loss": np.exp((np.log10(rate) + 0.8) ** 2)})
        >>> np.log10(fitted_rates(runs)["learning_rate"]).round(6).tolist()
        [-0.8]
    """
    number, first = group(runs, line_columns(runs))
    floor = of_loss(runs.iloc[first], "optimum", objectives)
    seeds = _seeds(runs, number, len(first))
    limits = thresholds or Thresholds()
    found = [_fit(some, seeds, floor[some.line], limits) for some in lines(runs, objectives)]
    columns = ["line", "seed", "fresh", "learning_rate", "at_edge", "step"]
    if not found:
        return pd.DataFrame(columns=columns)
    return pd.concat(found).sort_values(["line", "seed"], kind="stable", ignore_index=True)[columns]


def _seeds(runs: pd.DataFrame, number: Ints, count: int) -> Ints:
    """Each line with each seed of its runs [pair, 2], as `lines` has them: without those that find its range, unless it has no others."""
    others = stages(runs) != "range"
    used = others | (np.bincount(number, others, count) == 0)[number]
    pairs = np.unique(
        (number << 32)[used] + runs["seed"].to_numpy(dtype=np.int64)[used]
    )  # seeds are below 2³²
    return np.stack([pairs >> 32, pairs & 0xFFFFFFFF], axis=1)


def _fit(some: Lines, seeds: Ints, floor: Floats, limits: Thresholds) -> pd.DataFrame:
    """The fitted rates of lines with as many rates and seeds."""
    mean = mean_loss(some, limits)
    # [line, left out, rate], in this order in memory: the rounding of a line must not depend on how many others there are.
    means = np.ascontiguousarray(np.swapaxes(_left_out(some, mean), 1, 2))
    position = np.log10(some.rate)[:, None]
    height = _height(means, mean.start, floor)
    at, lowest = lowest_points(position, height, mean.able[:, None])
    there = np.isfinite(height)
    first, last = there.argmax(axis=2), there.shape[2] - 1 - there[..., ::-1].argmax(axis=2)
    edge = (at == first) | (at == last)
    names = seeds[np.isin(seeds[:, 0], some.line), 1].reshape(len(some.line), -1)
    seed = np.concatenate([np.full((len(names), 1), EVERY), names], axis=1)
    fresh = np.concatenate([np.zeros((len(names), 1), dtype=bool), some.fresh], axis=1)
    columns = {
        "line": np.broadcast_to(some.line[:, None], seed.shape),
        "seed": seed,
        "fresh": fresh,
        "learning_rate": np.where(edge & (seed == EVERY), np.nan, 10.0**lowest),
        "at_edge": edge & there.any(axis=2),
        "step": np.broadcast_to(_step(position[:, 0], at[:, :1]), seed.shape),
    }
    shown = seed.shape[1] if some.size.seed > 1 else 1  # without its only seed a line has no loss
    return pd.DataFrame({name: values[:, :shown].reshape(-1) for name, values in columns.items()})


def _left_out(some: Lines, mean: MeanLoss) -> Floats:
    """The mean losses [line, rate, left out] of all seeds, and without each of them."""
    own = np.where(mean.used, some.loss, 0.0)
    count = mean.used.sum(axis=2)[..., None]
    with np.errstate(invalid="ignore", divide="ignore"):
        less = (own.sum(axis=2)[..., None] - own) / (count - mean.used)
    means = np.concatenate([mean.loss[..., None], less], axis=2)
    means[~np.isfinite(mean.loss)] = np.nan
    return means


def _height(means: Floats, initial: Floats, floor: Floats) -> Floats:
    """What the parabola is fitted to [line, left out, rate], from the mean losses [line, left out, rate]."""
    least = np.fmin.reduce(means, axis=(1, 2))
    floor = np.where(np.isnan(floor) & (least >= 0), 0.0, floor)
    start, least, floor = (values[:, None, None] for values in (initial, least, floor))
    with np.errstate(invalid="ignore", divide="ignore"):
        above = np.log(np.maximum(means - floor, 1e-6 * (start - floor)))
        short = np.log(np.maximum((means - least) / (start - least), 0.0) + 0.01)
    return np.where(np.isnan(floor), short, above)


def _step(position: Floats, at: Ints) -> Floats:
    """Decades [line, 1] from the rate at `at` [line, 1] to its farther neighbour."""
    gaps = np.diff(position, axis=1, prepend=np.nan, append=np.nan)
    sides = (np.take_along_axis(gaps, at + side, axis=1) for side in (0, 1))
    return np.fmax(*sides)


def lowest_points(position: Floats, height: Floats, able: Bools | bool = True) -> tuple[Ints, Floats]:
    """Find the lowest point between given ones, by a parabola through those around the lowest of them.

    Args:
        position: [..., point] ascending.
        height: [..., point]; what is not finite is left out.
        able: [..., point] whether a point may be that lowest one.

    Returns:
        at [...]: the lowest of the given points; lowest [...]: the position of the parabola's lowest point, or of the
        lowest given point where the parabola does not open upwards; NaN where fewer than three points are finite.
    """
    position = np.broadcast_to(position, height.shape)
    usable = np.isfinite(height)
    at = np.where(usable & able, height, np.inf).argmin(axis=-1)
    centre, base = (np.take_along_axis(values, at[..., None], axis=-1) for values in (position, height))
    rank = usable.cumsum(axis=-1)
    near = np.abs(rank - np.take_along_axis(rank, at[..., None], axis=-1)) <= 2
    around = usable & (near | (np.abs(position - centre) <= AROUND + 1e-9))
    x = np.where(around, position - centre, 0.0)
    y = np.where(around, height - base, 0.0)
    moments = np.stack([(around * x**power).sum(axis=-1) for power in range(5)], axis=-1)
    matrix = moments[..., np.add.outer(np.arange(3), np.arange(3))]
    vector = np.stack([(y * x**power).sum(axis=-1) for power in range(3)], axis=-1)
    enough = (around.sum(axis=-1) >= 3) & (usable & able).any(axis=-1)
    matrix = np.where(enough[..., None, None], matrix, np.eye(3))
    slope, bend = np.moveaxis(np.linalg.solve(matrix, vector[..., None])[..., 0], -1, 0)[1:]
    with np.errstate(invalid="ignore", divide="ignore"):
        offset = np.clip(-slope / (2 * bend), x.min(axis=-1), x.max(axis=-1))
    found = np.where(enough, centre[..., 0] + np.where(bend > 0, offset, 0.0), np.nan)
    return at.astype(np.int64), found


def jackknife(every: Floats, left_out: Floats) -> Floats:
    """Variance of a smooth statistic of n seeds: (n − 1)/n · Σ (θ₋ᵢ − mean θ₋)².

    Args:
        every: [...] the statistic of all seeds; where it is NaN, so is the variance.
        left_out: [..., seed] the statistic without each seed.

    Example:
        >>> values = np.array([1.0, 2.0, 6.0])
        >>> left = (values.sum() - values) / 2
        >>> bool(np.isclose(jackknife(values.mean(), left), values.var(ddof=1) / 3))
        True

    Source: Efron & Stein, The jackknife estimate of variance, Annals of Statistics 9 (1981).
    """
    count = left_out.shape[-1]
    if count < 2:
        return np.full(np.shape(every), np.nan)
    spread = np.square(left_out - left_out.mean(axis=-1, keepdims=True)).sum(axis=-1)
    found: Floats = np.where(np.isnan(every), np.nan, (count - 1) / count * spread)
    return found


def half_width(every: Floats, left_out: Floats, fresh: Bools, confidence: float = 0.95) -> Floats:
    """Half width of the t interval of a statistic of two kinds of seeds, those of the grid and fresh ones, by the jackknife of each.

    The degrees of freedom are Welch's: (v + w)² / (v²/(n − 1) + w²/(m − 1)), v and w the variances from n and m seeds. A kind of which there is one seed does
    not count; NaN where there is no other.

    Args:
        every: [...] the statistic of all seeds.
        left_out: [..., seed] the statistic without each seed.
        fresh: [seed] which of them are fresh.
        confidence: probability mass of the interval.

    Example:
        >>> values = np.array([1.0, 2.0, 6.0])
        >>> left = (values.sum() - values) / 2
        >>> half = half_width(values.mean(), left, np.zeros(3, dtype=bool))
        >>> bool(np.isclose(half, 4.302653 * values.std(ddof=1) / 3**0.5))  # t of two degrees of freedom
        True
    """
    kinds = [kind for kind in (fresh, ~fresh) if kind.sum() > 1]
    if not kinds:
        return np.full(np.shape(every), np.nan)
    variances = [jackknife(every, left_out[..., kind]) for kind in kinds]
    total = np.sum(variances, axis=0)
    with np.errstate(invalid="ignore", divide="ignore"):
        parts = [np.square(v / total) / (kind.sum() - 1) for v, kind in zip(variances, kinds, strict=True)]
    freedom = 1 / np.where(total > 0, np.sum(parts, axis=0), 1.0)
    found: Floats = t_quantile(freedom, confidence) * np.sqrt(total)
    return found
