"""Seeds of known distributions, and how often intervals of them cover what is true and tests call equal lines different."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy import special

from benchmarks.coverage_methods import RESAMPLES, alternatives, percentile
from lrbench.analysis.intervals import median_interval, rate_interval, t_interval
from lrbench.analysis.multiple_comparisons import FLIPS_FROM, holm, step_down
from lrbench.analysis.paired_differences import AtRate, adjusted_from, differences
from lrbench.analysis.step_equivalents import SeedCurves, step_equivalent
from lrbench.analysis.thresholds import Thresholds

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

KINDS = ("normal", "skewed", "heavy-tailed", "bimodal")
"""Normal; log-normal of skewness 1.75; Student's t of 4 degrees of freedom; 30 % of the seeds in a second mode, 4 of the first one's deviations higher."""
SEEDS = (3, 5, 10)
SCALES = np.array([0.7, 0.85, 1.0, 1.2, 1.5])
"""Standard deviations at five neighbouring rates, over that at the middle one: seeds differ more at larger rates."""
ALIKE = 0.6
"""Correlation, before the marginal distribution is put on, of a seed's losses at two rates or two lines: all runs of a seed have the same start and minibatches."""
_LIMITS = Thresholds()


class Row(NamedTuple):
    """How often one interval covers, or one test errs."""

    measure: str
    """What the interval is of; or `equal lines`, of which some two are called different."""
    method: str
    data: str
    seeds: int
    replicates: int
    share: float
    """Of the replicates: those in which the interval covers, or the test errs."""
    width: float = np.nan
    """Mean width of the interval, over that of Student's t from these seeds alone; of rates in steps of the grid."""
    lines: int | None = None
    ours: bool = True
    """Whether lrbench does it so; the others are what it was compared with."""


def draws(kind: str, shape: tuple[int, ...], rng: np.random.Generator, alike: float = ALIKE) -> Floats:
    """Values of mean 0 and standard deviation 1, [..., member, seed]; members of a seed are correlated."""
    common = rng.normal(size=(*shape[:-2], 1, shape[-1]))
    return _marginal(kind, alike**0.5 * common + (1 - alike) ** 0.5 * rng.normal(size=shape))


def _marginal(kind: str, normal: Floats) -> Floats:
    """Put a distribution on standard normal values."""
    if kind == "skewed":
        width = 0.5
        scale = np.sqrt(np.expm1(width**2) * np.exp(width**2))
        values: Floats = (np.exp(width * normal) - np.exp(width**2 / 2)) / scale
        return values
    if kind == "heavy-tailed":
        spread: Floats = special.stdtrit(4, special.ndtr(normal)) / 2**0.5
        return spread
    if kind == "bimodal":
        share, apart = 0.3, 4.0
        place = special.ndtr(normal)
        second = place > 1 - share
        within = special.ndtri(np.where(second, (place - 1 + share) / share, place / (1 - share)))
        scale = np.sqrt(1 + share * (1 - share) * apart**2)
        modes: Floats = (within + apart * second - share * apart) / scale
        return modes
    return normal


def rows(replicates: int, rng: np.random.Generator) -> Iterator[Row]:
    """Everything that is simulated."""
    for seeds in SEEDS:
        for kind in KINDS:
            yield from _means(kind, seeds, replicates, rng)
            yield from _differences(kind, seeds, replicates, rng)
            yield from _rates(kind, seeds, replicates, rng)
            yield from _steps(kind, seeds, replicates, rng)
            yield from _equal_lines(kind, seeds, replicates, rng)


def _row(
    measure: str, method: str, data: str, ends: tuple[Floats, Floats], truth: npt.ArrayLike, **more: object
) -> Row:
    low, high = (end.reshape(-1) for end in ends)
    seeds, plain = int(str(more["seeds"])), np.asarray(more.get("plain", 1.0))
    covers = (low <= truth) & (truth <= high)
    width = float(np.mean(high - low) / np.mean(plain))
    return Row(
        measure, method, data, seeds, len(low), float(covers.mean()), width, ours=bool(more.get("ours", True))
    )


def _means(kind: str, seeds: int, replicates: int, rng: np.random.Generator) -> Iterator[Row]:
    """Losses, and accuracies of 360 examples: at a rate with two good neighbours on each side."""
    noise = draws(kind, (replicates, len(SCALES), seeds), rng) * SCALES[:, None]
    right = np.round(360 * np.clip(0.95 - 0.015 * noise, 0, 1)) / 360
    many = draws(kind, (1, 1, 10**6), rng)
    metric = float((np.round(360 * np.clip(0.95 - 0.015 * many, 0, 1)) / 360).mean())
    for measure, values, truth in (("losses", noise, 0.0), ("metrics", right, metric)):
        own, near = values[:, 2], np.delete(values, 2, axis=1)
        plain = t_interval(own)
        same = {"seeds": seeds, "plain": plain[1] - plain[0]}
        yield _row(measure, "t, with its neighbours", kind, t_interval(own, near=near), truth, **same)
        for method, ends in alternatives(own, near, rng):
            yield _row(measure, method, kind, ends, truth, ours=False, **same)


def _differences(kind: str, seeds: int, replicates: int, rng: np.random.Generator) -> Iterator[Row]:
    """Two lines, each with good neighbours of its rate; the one varies twice as much as the other."""
    noise = draws(kind, (2 * replicates, len(SCALES), seeds), rng) * SCALES[:, None]
    common = draws(kind, (replicates, 1, seeds), rng)
    losses = (
        noise.reshape(replicates, 2, len(SCALES), seeds) * np.array([1.0, 2.0])[:, None, None]
        + common[:, None]
    )
    at = lines_at(losses.reshape(2 * replicates, len(SCALES), seeds))
    first, other = np.arange(0, 2 * replicates, 2), np.arange(1, 2 * replicates, 2)
    found = differences(at, first, other, _LIMITS)
    plain = t_interval(found.each)
    same = {"seeds": seeds, "plain": plain[1] - plain[0]}
    yield _row("paired differences", "t, with its neighbours", kind, (found.low, found.high), 0.0, **same)
    yield _row("paired differences", "t of these seeds alone", kind, plain, 0.0, ours=False, **same)
    ends = percentile(found.each, rng)
    yield _row("paired differences", "percentile bootstrap", kind, ends, 0.0, ours=False, **same)


def lines_at(losses: Floats) -> AtRate:
    """Lines at the middle one of their rates, from losses [line, rate, seed]; the other rates are good neighbours of it."""
    middle = losses.shape[1] // 2
    seed = np.arange(losses.shape[2])
    fresh = np.zeros(len(seed), dtype=np.bool_)
    return AtRate(np.ones(len(losses)), seed, fresh, losses[:, middle], np.delete(losses, middle, axis=1))


def _rates(kind: str, seeds: int, replicates: int, rng: np.random.Generator) -> Iterator[Row]:
    """The best of 15 rates: a valley whose best rate lies anywhere between two of the grid, so flat that it is often missed."""
    if seeds < 6:
        return
    rate = np.arange(15.0)
    center = rng.uniform(5, 9, size=(replicates, 1))
    mean = 0.3 * (rate - center) ** 2
    truth = np.abs(rate - center).argmin(axis=1).astype(np.float64)
    losses = mean[..., None] + draws(kind, (replicates, 15, seeds), rng)
    score, without = leaving_one_out(losses)
    grid = np.broadcast_to(rate, mean.shape)
    ends = rate_interval(grid, score, without)
    yield _row("rates", "those not told apart, jackknife t", kind, ends, truth, seeds=seeds)
    index = rng.integers(seeds, size=(RESAMPLES, seeds))
    best = np.stack([losses[..., row].mean(axis=-1).argmin(axis=1) for row in index], axis=-1)
    low, high = np.quantile(best, [0.025, 0.975], axis=-1, method="nearest")
    yield _row("rates", "percentile bootstrap", kind, (low, high), truth, seeds=seeds, ours=False)
    point = score.argmin(axis=1).astype(np.float64)
    moved = without.argmin(axis=1)
    half = special.stdtrit(seeds - 1, 0.975) * np.sqrt((seeds - 1) * moved.var(axis=1))
    yield _row(
        "rates",
        "jackknife t of the best rate",
        kind,
        (point - half, point + half),
        truth,
        seeds=seeds,
        ours=False,
    )


def leaving_one_out(losses: Floats) -> tuple[Floats, Floats]:
    """Means [..., rate] of losses [..., rate, seed], and those without each seed [..., rate, seed]."""
    return losses.mean(axis=-1), (losses.sum(axis=-1, keepdims=True) - losses) / (losses.shape[-1] - 1)


def _steps(kind: str, seeds: int, replicates: int, rng: np.random.Generator) -> Iterator[Row]:
    """Steps to a target that one seed in five never meets; and how many times the steps the worse of two lines needs."""
    if seeds < 6:
        return
    log = draws(kind, (replicates, 1, seeds), rng)[:, 0]
    steps = np.where(rng.random(log.shape) < 0.2, np.inf, np.ceil(np.exp(0.5 * log) * 10) * 10)
    many = np.where(
        rng.random(10**6) < 0.2, np.inf, np.ceil(np.exp(0.5 * draws(kind, (1, 10**6), rng)) * 10) * 10
    )
    low, high = median_interval(steps)
    covers = (low <= np.median(many)) & (np.median(many) <= high)
    yield Row(
        "steps to the target", "order statistics (sign test)", kind, seeds, replicates, float(covers.mean())
    )
    truth, found = factors(kind, seeds, replicates, rng)
    low, high = found.T
    covers = ~(low > truth) & ~(high < truth)  # a missing end has no limit
    yield Row("steps, times as many", "inverted paired t", kind, seeds, replicates, float(covers.mean()))


def factors(kind: str, seeds: int, replicates: int, rng: np.random.Generator) -> tuple[float, Floats]:
    """The true factor of two lines' steps, and the ends [replicate, 2] of its interval from curves that seeds shift and jitter."""
    step = np.arange(0, 401, 20)
    shapes = 2 * np.exp(-step / np.array([[80.0], [130.0]]))
    truth = 400 / (80 * 400 / 130)
    ends = np.empty((replicates, 2))
    for replicate in range(replicates):
        level = 0.03 * draws(kind, (2, seeds), rng)[:, :, None]
        jitter = 0.02 * rng.normal(size=(2, seeds, len(step)))
        mine, others = (SeedCurves(np.arange(seeds), step, each) for each in shapes[:, None] + level + jitter)
        ends[replicate] = step_equivalent(mine, others, np.arange(seeds))[2:]
    return truth, ends


def _equal_lines(kind: str, seeds: int, replicates: int, rng: np.random.Generator) -> Iterator[Row]:
    """Lines of the same distribution: how often any is told apart from the winner."""
    for lines in (2, 3, 6, 12):
        losses = draws(kind, (replicates, lines * len(SCALES), seeds), rng).reshape(
            replicates, lines, len(SCALES), seeds
        )
        errs = np.array([_errs(each * SCALES[:, None]) for each in losses], dtype=np.float64).mean(axis=0)
        what = "step-down sign flips" if seeds >= FLIPS_FROM else "Holm, t with neighbours"
        yield Row(
            "equal lines", f"{what}; for having been chosen", kind, seeds, replicates, errs[0], lines=lines
        )
        yield Row(
            "equal lines",
            f"{what}; as if named beforehand",
            kind,
            seeds,
            replicates,
            errs[1],
            lines=lines,
            ours=False,
        )


def _errs(losses: Floats) -> tuple[bool, bool]:
    """Whether any line is told apart from the winner: as lrbench does it, and as if the winner had been named beforehand."""
    at = lines_at(losses)
    order = np.argsort(at.loss.mean(axis=1))
    winner, others = int(order[0]), order[1:]
    found = differences(at, np.full_like(others, winner), others, _LIMITS)
    named = step_down(found.each) if losses.shape[-1] >= FLIPS_FROM else holm(found.p)
    return bool(adjusted_from(at, winner, others, found).min() <= 0.05), bool(named.min() <= 0.05)
