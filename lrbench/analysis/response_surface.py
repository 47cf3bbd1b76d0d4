"""The loss of a line as a function of all that is sampled: a Gaussian process, its lowest point, and how much each parameter matters."""

from __future__ import annotations

import importlib.util
import warnings
from typing import NamedTuple

import numpy as np

from lrbench.analysis.groups import Floats, Ints
from lrbench.analysis.mean_loss import Bools

FEWEST = 8
"""The fewest points that a surface is fitted to."""
MOST = 512
"""The most points that it is fitted to: the time grows with the cube of their number."""
DRAWS, CANDIDATES, SPREAD = 500, 400, 2**13
"""Draws from the posterior, the points at which each looks for its lowest, and those from which these are taken."""
LINE = 201
"""Points along each parameter, for its region."""
NEIGHBOURS = 3
"""Of how many nearest points most must be useful where training may work, and all where it is taken to."""
_BINS = 32


def installed() -> bool:
    """Whether scikit-learn, which fits surfaces, is there."""
    return importlib.util.find_spec("sklearn") is not None


class Response(NamedTuple):
    """A fitted surface of one line; parameters are in the order of the columns that it was fitted to."""

    best: Floats  # [parameter] the point of the lowest predicted loss
    best_low: Floats  # [parameter] the middle 95 % of where draws from the posterior have their lowest point, and the best point that was tried
    best_high: Floats
    loss: float  # the predicted loss there
    region_low: (
        Floats  # [parameter] the unbroken stretch around the best within the tolerance, all else at the best
    )
    region_high: Floats
    length_scale: (
        Floats  # [parameter] over which the loss changes, as a share of the range; large if it hardly does
    )
    importance: Floats  # [parameter] the share of the variance of the surface that depends on it alone
    log: Bools  # [parameter] whether it is on a logarithmic scale
    points: int  # how many it was fitted to


class Scale(NamedTuple):
    """Parameters as shares of the way from the smallest to the largest."""

    low: Floats
    high: Floats
    log: Bools

    def shares(self, values: Floats) -> Floats:
        """The shares [point, parameter] of values."""
        found: Floats = (_logged(values, self.log) - self.low) / (self.high - self.low)
        return found

    def values(self, shares: Floats) -> Floats:
        """The values [point, parameter] of shares."""
        found = self.low + (self.high - self.low) * shares
        with np.errstate(over="ignore"):
            return np.where(self.log, np.exp(found), found)


def scale_of(values: Floats) -> Scale:
    """The scale of each parameter [parameter] of points [point, parameter].

    Logarithmic where all values are positive and their median is nearer to the middle of the range of logarithms than to that of the range itself.

    Example:
        >>> scale_of(np.array([[0.001, 0.1], [0.01, 0.5], [0.1, 0.9]])).log.tolist()
        [True, False]
    """
    ends = values.min(axis=0), values.max(axis=0)
    positive = ends[0] > 0
    off = [np.abs(_middle(_logged(values, positive & log)) - 0.5) for log in (False, True)]
    log = positive & (off[1] < off[0])
    low, high = (_logged(end, log) for end in ends)
    return Scale(low, np.where(high > low, high, low + 1.0), log)


def fit(
    values: Floats, loss: Floats, start: float, floor: float, tolerance: float, useful: float
) -> Response | None:
    r"""Fit a Gaussian process to the mean losses of the useful points of a line, and find its lowest point.

    y = log max(ℓ − floor, 10⁻⁶(ℓ₀ − floor)); without a floor y = log(g + 0.01), g = (ℓ − least)/(ℓ₀ − least). Its kernel is Matérn's of
    smoothness 3/2 with a length for each parameter, and white noise; inputs are shares of their ranges, `Scale`. It is fitted where g is at most
    `useful`: a cliff, beyond which training collapses, is no smooth function. The best point lies where all of the nearest points are useful, so that it is not beyond the cliff; its interval, and the region, go
    on as far as most of them are.

    Args:
        values: [point, parameter].
        loss: [point] at most ℓ₀.
        start: ℓ₀.
        floor: what no loss is below, NaN if that is not known.
        tolerance: which share of ℓ₀ − ℓ_best the region may be above ℓ_best.
        useful: the largest g of a useful point.

    Returns:
        None if there are too few useful points, or all of their losses are the same.

    Raises:
        ImportError: without scikit-learn.
    """
    from threadpoolctl import threadpool_limits  # comes with scikit-learn

    with threadpool_limits(1):  # for a few hundred points further threads cost more than they gain
        return _fitted(values, loss, start, floor, tolerance, useful)


def _fitted(
    values: Floats, loss: Floats, start: float, floor: float, tolerance: float, useful: float
) -> Response | None:
    """Fit a surface, and find what `fit` returns."""
    from scipy.stats import qmc

    kept = np.isfinite(loss)
    values, loss = values[kept], loss[kept]
    least = float(loss.min(initial=np.inf))
    trained = loss - least <= useful * (start - least)
    if trained.sum() < FEWEST or np.ptp(loss[trained]) == 0:
        return None
    scale = scale_of(values)
    shares, scored = scale.shares(values), Score(start, floor, least)
    some = np.flatnonzero(trained)[_some(loss[trained])]
    process = Process(shares[some], scored.of(loss[some]), Useful(shares, trained))
    spread = qmc.Sobol(values.shape[1], rng=np.random.default_rng(1)).random(SPREAD)
    inside = process.useful(spread)
    spread = spread[inside] if inside.any() else shares[some]
    predicted = process.mean(spread)
    lowest = np.argsort(predicted, kind="stable")[:CANDIDATES]
    known = some[np.argsort(loss[some], kind="stable")[:CANDIDATES]]
    candidates = np.concatenate([spread[lowest], shares[known]])
    mean, draws = process.posterior(candidates)
    sure = process.useful(candidates, share=1.0)
    sure[len(candidates) - len(known) :] = True
    lost = float(scored.back(mean[sure].min(keepdims=True))[0])
    best = candidates[sure][mean[sure].argmin()]
    at = scale.values(best[None])[0]
    low, high = np.quantile(scale.values(candidates[draws.argmin(axis=0)]), [0.025, 0.975], axis=0)
    tried = values[loss.argmin()]
    bar = float(scored.of(np.array([lost + tolerance * (start - lost)]))[0])
    regions = [_region(process, best, number, bar) for number in range(len(best))]
    region_low, region_high = scale.values(np.array(regions).T)
    return Response(
        at,
        np.minimum.reduce([low, at, tried]),
        np.maximum.reduce([high, at, tried]),
        lost,
        region_low,
        region_high,
        process.length_scale,
        _importance(spread, predicted),
        scale.log,
        len(some),
    )


class Useful:
    """Where training works, judged by the nearest points."""

    def __init__(self, shares: Floats, useful: Bools) -> None:
        """Arrange the points [point, parameter]."""
        from scipy.spatial import KDTree

        self._tree, self._useful = KDTree(shares), useful

    def __call__(self, shares: Floats, share: float = 0.5) -> Bools:
        """Whether more than half of the points nearest to each of some others are useful; with `share` = 1 all of them."""
        _, nearest = self._tree.query(shares, k=NEIGHBOURS)
        useful = self._useful[nearest].mean(axis=1)
        found: Bools = useful > share if share < 1 else useful == 1
        return found


class Score(NamedTuple):
    """The logarithm of the loss, as the rate to use is judged by it."""

    start: float
    floor: float
    least: float

    def of(self, loss: Floats) -> Floats:
        """The score of losses."""
        if np.isfinite(self.floor):
            return np.log(np.maximum(loss - self.floor, 1e-6 * (self.start - self.floor)))
        return np.log(np.maximum((loss - self.least) / (self.start - self.least), 0.0) + 0.01)

    def back(self, score: Floats) -> Floats:
        """The losses of scores, at most ℓ₀."""
        if np.isfinite(self.floor):
            return np.minimum(self.floor + np.exp(score), self.start)
        return np.minimum(self.least + (np.exp(score) - 0.01) * (self.start - self.least), self.start)


class Process:
    """A Gaussian process over shares of the ranges, and its posterior without the noise of single points."""

    def __init__(self, shares: Floats, score: Floats, useful: Useful) -> None:
        """Fit it to points [point, parameter] and their scores [point]."""
        from sklearn.exceptions import ConvergenceWarning
        from sklearn.gaussian_process import GaussianProcessRegressor
        from sklearn.gaussian_process.kernels import ConstantKernel, Matern, WhiteKernel

        self.useful = useful
        self._center, self._unit = float(score.mean()), float(score.std()) or 1.0
        y = (score - self._center) / self._unit
        lengths = Matern(np.full(shares.shape[1], 0.5), (0.02, 20.0), nu=1.5)
        kernel = ConstantKernel(1.0, (1e-2, 1e3)) * lengths + WhiteKernel(1e-2, (1e-3, 1.0))
        with warnings.catch_warnings():
            # A parameter without effect has a length at its bound, which is what there is to say of it.
            warnings.simplefilter("ignore", ConvergenceWarning)
            fitted = GaussianProcessRegressor(kernel, random_state=0).fit(shares, y).kernel_
        self._process = GaussianProcessRegressor(fitted.k1, alpha=fitted.k2.noise_level, optimizer=None)
        self._process.fit(shares, y)
        self.length_scale: Floats = np.atleast_1d(fitted.k1.k2.length_scale)

    def mean(self, shares: Floats) -> Floats:
        """The predicted scores [point]."""
        found: Floats = self._center + self._unit * self._process.predict(shares)
        return found

    def posterior(self, shares: Floats) -> tuple[Floats, Floats]:
        """The predicted scores [point], and draws [point, draw] from what they may be."""
        mean, covariance = self._process.predict(shares, return_cov=True)
        # Rounding may leave a covariance a little short of positive.
        root = np.linalg.cholesky(covariance + 1e-8 * np.eye(len(mean)))
        draws = mean[:, None] + root @ np.random.default_rng(0).standard_normal((len(mean), DRAWS))
        return self._center + self._unit * mean, self._center + self._unit * draws


def _some(loss: Floats) -> Ints:
    """The points that a surface is fitted to: all, or the better half of `MOST` and as many of the others, evenly by their loss."""
    order = np.argsort(loss, kind="stable")
    if len(order) <= MOST:
        return np.sort(order)
    half = MOST // 2
    rest = half + np.unique(np.linspace(0, len(order) - half - 1, MOST - half).round().astype(np.int64))
    return np.sort(np.concatenate([order[:half], order[rest]]))


def _region(process: Process, best: Floats, number: int, bar: float) -> tuple[float, float]:
    """The ends, as shares, of the unbroken stretch around the best of one parameter in which the score is below a bar."""
    along = np.union1d(np.linspace(0.0, 1.0, LINE), best[number])
    points = np.repeat(best[None], len(along), axis=0)
    points[:, number] = along
    bad = (process.mean(points) > bar) | ~process.useful(points)
    at = int(np.searchsorted(along, best[number]))
    below, above = np.flatnonzero(bad[:at]), np.flatnonzero(bad[at + 1 :])
    low = below[-1] + 1 if len(below) else 0
    high = at + above[0] if len(above) else len(along) - 1
    return float(along[low]), float(along[high])


def _importance(shares: Floats, score: Floats) -> Floats:
    """Sobol's first-order index [parameter]: the share of the variance of the score that is that of its mean given the parameter."""
    bins = np.minimum((shares * _BINS).astype(np.int64), _BINS - 1)
    whole = score.var()
    found = []
    for column in bins.T:
        count = np.bincount(column, minlength=_BINS)
        mean = np.bincount(column, score, _BINS) / np.maximum(count, 1)
        found.append(np.average((mean - score.mean()) ** 2, weights=count) / whole if whole > 0 else 0.0)
    return np.array(found)


def _logged(values: Floats, log: Bools) -> Floats:
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(log, np.log(values), values)


def _middle(values: Floats) -> Floats:
    """Where the median of each column is between its ends, as a share."""
    low, high = values.min(axis=0), values.max(axis=0)
    found: Floats = (np.median(values, axis=0) - low) / np.where(high > low, high - low, 1.0)
    return found
