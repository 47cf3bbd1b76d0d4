"""Intervals over seeds against scipy, hand-computed cases, and how often they cover."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as nps
from scipy import stats

from lrbench.analysis.intervals import (
    median_interval,
    rate_interval,
    spread,
    spread_of_difference,
    t_interval,
)

NAN = float("nan")
SEEDS = nps.arrays(np.float64, (3, 4), elements=st.floats(-10, 10).map(lambda value: round(value, 3)))


def test_t_intervals_are_those_of_scipy_whatever_seeds_are_missing() -> None:
    values = np.random.default_rng(0).normal(size=(2, 5, 7))
    values[0, 1, 3] = values[1, 4, :5] = values[1, 3, :6] = values[0, 0] = NAN
    low, high = t_interval(values, 0.9)
    for at in np.ndindex(2, 5):
        seen = values[at][np.isfinite(values[at])]
        wanted = (
            stats.t.interval(0.9, len(seen) - 1, seen.mean(), stats.sem(seen))
            if len(seen) > 1
            else (NAN, NAN)
        )
        assert (low[at], high[at]) == pytest.approx(wanted, nan_ok=True)


def weighted(values: np.ndarray, weight: list[float]) -> tuple[float, float]:
    """Variance and degrees of freedom of a weighted mean of the variances of rates [rate, seed]."""
    cov = np.cov(values) * np.sqrt(np.outer(weight, weight))
    return np.trace(cov), (values.shape[1] - 1) * np.trace(cov) ** 2 / (cov**2).sum()


@given(SEEDS)
def test_a_tenth_of_the_variance_is_the_mean_of_those_at_the_neighbours(values: np.ndarray) -> None:
    variance, freedom = spread(values[0], values[1:]).variance(np.array(4.0))
    assert variance == pytest.approx(np.trace(np.cov(values) * np.diag([0.9, 0.05, 0.05])), abs=1e-9)
    if variance > 1e-6:
        assert freedom == pytest.approx(weighted(values, [0.9, 0.05, 0.05])[1])
    assert 3 <= freedom <= 9 * (1 + 1e-9)


@given(SEEDS, SEEDS)
def test_the_spread_of_a_difference_is_that_of_every_rate_of_one_with_every_rate_of_the_other(
    first: np.ndarray, other: np.ndarray
) -> None:
    both = spread_of_difference(spread(first[0], first[1:]), spread(other[0], other[1:]))
    variance, freedom = both.variance(np.array(4.0))
    weight = [0.9, 0.05, 0.05]
    each = np.concatenate([mine - other for mine in first])
    with np.errstate(invalid="ignore", divide="ignore"):
        wanted = weighted(each, np.outer(weight, weight).ravel().tolist())
    assert variance == pytest.approx(wanted[0], abs=1e-9)
    if variance > 1e-6:
        assert freedom == pytest.approx(wanted[1], rel=1e-6)


def test_a_rate_that_lacks_a_seed_is_left_out_and_one_more_seed_does_no_harm() -> None:
    own, near = [1.0, 2.0, 4.0, NAN], [[5.0, 3.0, 4.0, 9.0], [1.0, NAN, 1.0, 1.0], [NAN] * 4]
    found = t_interval(own, near=near)
    variance, freedom = weighted(np.array([own[:3], near[0][:3]]), [0.9, 0.1])
    half = stats.t.ppf(0.975, freedom) * (variance / 3) ** 0.5
    assert found == pytest.approx((7 / 3 - half, 7 / 3 + half))
    assert t_interval(own, near=[[NAN] * 4]) == pytest.approx(t_interval(own))


def test_many_are_made_a_block_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    values = np.random.default_rng(1).normal(size=(2, 5, 3, 6))
    found = t_interval(values[..., 0, :], near=values[..., 1:, :])
    monkeypatch.setattr("lrbench.analysis.intervals._BLOCK", 100)
    assert np.array_equal(found, t_interval(values[..., 0, :], near=values[..., 1:, :]))
    assert t_interval(values[0, 2, 0], near=values[0, 2, 1:]) == pytest.approx(
        (found[0][0, 2], found[1][0, 2])
    )


def test_medians_have_the_order_statistics_of_the_sign_test() -> None:
    values = np.random.default_rng(2).permuted(np.tile(np.arange(1.0, 31.0), (4, 1)), axis=1)
    values[1, values[1] > 10], values[2, values[2] > 6], values[3, values[3] > 5] = np.nan, np.nan, np.nan
    low, high = median_interval(values)
    # n = 30: 10th and 21st; n = 10: 2nd and 9th; n = 6: first and last; n = 5: none (Conover, table A3)
    assert low.tolist()[:3] == [10, 2, 1]
    assert high.tolist()[:3] == [21, 9, 6]
    assert np.isnan([low[3], high[3]]).all()
    for n, k in ((30, 10), (10, 2), (6, 1)):
        assert stats.binom.cdf(k - 1, n, 0.5) <= 0.025 < stats.binom.cdf(k, n, 0.5)


def test_never_is_a_value_of_a_median() -> None:
    low, high = median_interval([[10.0, 20.0, 30.0, np.inf, 15.0, np.inf], [np.inf] * 6])
    assert (low.tolist(), high.tolist()) == ([10, np.inf], [np.inf, np.inf])


def _scores(losses: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean losses [line, rate] and those without each seed, of losses [line, rate, seed]."""
    total, n = losses.sum(axis=-1, keepdims=True), losses.shape[-1]
    return losses.mean(axis=-1), (total - losses) / (n - 1)


def test_rates_that_cannot_be_told_apart_from_the_best_by_a_paired_t() -> None:
    """Of means, the jackknife is the paired t test itself."""
    losses = np.random.default_rng(3).normal(size=(20, 7, 8)) + np.linspace(-1.5, 1.5, 7)[:, None] ** 2
    rate = np.tile(np.logspace(-3, 3, 7), (20, 1))
    low, high = rate_interval(rate, *_scores(losses))
    for line in range(20):
        best = losses[line].mean(axis=-1).argmin()
        p = [
            stats.ttest_rel(each, losses[line, best], alternative="greater").pvalue
            if each is not None
            else 1.0
            for each in [None if at == best else losses[line, at] for at in range(7)]
        ]
        kept = rate[line][np.array(p) >= 0.025]
        assert (low[line], high[line]) == (kept.min(), kept.max())


def test_rates_have_no_interval_below_six_seeds_or_without_a_score() -> None:
    losses = np.random.default_rng(4).normal(size=(2, 3, 6))
    score, without = _scores(losses)
    rate = np.tile([0.1, 1.0, 10.0], (2, 1))
    score[1] = np.nan
    low, high = rate_interval(rate, score, without)
    assert np.isfinite([low[0], high[0]]).all()
    assert np.isnan([low[1], high[1]]).all()
    assert np.isnan(rate_interval(rate, *_scores(losses[..., :5]))[0]).all()
    score[0, 1:] = np.nan
    assert rate_interval(rate, score, without)[1][0] == 0.1


def test_failures_that_neighbours_show_are_not_taken_for_impossible() -> None:
    """One seed in ten fails at each rate: most of three seeds have no failure, and alone look as if there was none."""
    seeds = 3
    rng = np.random.default_rng(5)
    values = 0.01 * rng.normal(size=(4000, 5, seeds)) + (rng.random((4000, 5, seeds)) < 0.1)
    alone = t_interval(values[:, 2])
    low, high = t_interval(values[:, 2], near=np.delete(values, 2, axis=1))
    covered = [((one <= 0.1) & (other >= 0.1)).mean() for one, other in (alone, (low, high))]
    assert covered[1] > covered[0] + 0.2
    same = rng.normal(size=(4000, 5, seeds))  # where neighbours are alike, they cost nothing
    low, high = t_interval(same[:, 2], near=np.delete(same, 2, axis=1))
    assert 0.94 < ((low <= 0) & (high >= 0)).mean() < 0.975
    assert np.mean(high - low) < 1.02 * np.mean(np.diff(t_interval(same[:, 2]), axis=0))


def test_values_whose_squares_overflow_have_a_mean_and_no_interval() -> None:
    low, high = t_interval([1.0, 1e300])
    assert np.isnan(low)
    assert np.isnan(high)
