"""Steps that a better line needs, by hand and against numpy's interpolation."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as nps
from scipy import stats

from lrbench.analysis.step_equivalents import SeedCurves, step_equivalent, steps_needed

NAN = float("nan")
STEP = np.array([0, 10, 20, 40])


def curves(value: list[list[float]], step: np.ndarray = STEP) -> SeedCurves:
    """The curves of seeds 0, 1, …"""
    return SeedCurves(np.arange(len(value)), step, np.array(value))


def test_by_hand() -> None:
    better = curves([[2.0, 1.0, 0.4, 0.1], [2.0, 1.0, 0.6, 0.3]])
    other = curves([[2.0, 1.9, 1.5, 0.8], [2.0, 1.9, 1.2, 0.6]])
    found = step_equivalent(better, other, np.array([0, 1]))
    # The other ends at 0.7, which lies between 1.0 at step 10 and 0.5 at step 20.
    assert found.equivalent == pytest.approx(16)
    assert found.factor == pytest.approx(40 / 16)
    assert np.isnan([found.low, found.high]).all()
    one = step_equivalent(better, other, np.array([1]))
    assert one.equivalent == pytest.approx(20)
    # The other has a longer run, and counts its own steps.
    longer = step_equivalent(better, other._replace(step=2 * STEP), np.array([0, 1]))
    assert longer[:2] == pytest.approx((16, 80 / 16))
    assert np.isnan(step_equivalent(better, other, np.array([], dtype=np.int64))).all()


def test_seeds_are_found_whatever_their_order() -> None:
    better = SeedCurves(np.array([7, 3]), STEP, np.array([[2.0, 1.0, 0.6, 0.3], [2.0, 1.0, 0.4, 0.1]]))
    other = SeedCurves(
        np.array([3, 9, 7]), STEP, np.array([[9.0, 9.0, 9.0, 0.8], [0.0] * 4, [9.0, 9.0, 9.0, 0.6]])
    )
    assert step_equivalent(better, other, np.array([3])).equivalent == pytest.approx(10 + 10 * 0.2 / 0.6)
    assert step_equivalent(better, other, np.array([7])).equivalent == pytest.approx(20)


@given(nps.arrays(np.float64, 6, elements=st.floats(0, 1)), st.floats(0, 1))
def test_the_running_minimum_is_interpolated(curve: np.ndarray, target: float) -> None:
    step = np.array([0, 1, 2, 4, 8, 16])
    least = np.minimum.accumulate(curve)
    found = float(steps_needed(step, curve, np.array(target)))
    if target >= least[0] or target < least[-1]:
        assert np.isnan(found)
    else:
        assert np.interp(found, step, least) == pytest.approx(target, abs=1e-9)
        assert (least[step < found] > target - 1e-9).all()


def test_points_that_are_not_finite_are_passed_over() -> None:
    curve = np.array([NAN, 2.0, NAN, 1.0])
    assert steps_needed(STEP, curve, np.array(1.5)) == pytest.approx(30)  # 2.0 stands until 20
    assert np.isnan(steps_needed(STEP, np.full(4, NAN), np.array(1.0)))


def test_the_interval_is_where_a_paired_t_test_does_not_tell_the_losses_apart() -> None:
    rng = np.random.default_rng(0)
    step = np.arange(0, 401)
    mine = 2 * np.exp(-step / 100) + 0.05 * rng.normal(size=(8, 1))
    end = np.array([[1.0]]) + 0.05 * rng.normal(size=(8, 1))
    others = np.concatenate([np.full((8, 400), 2.0), end], axis=1)
    found = step_equivalent(
        SeedCurves(np.arange(8), step, mine), SeedCurves(np.arange(8), step, others), np.arange(8)
    )
    p = np.array([stats.ttest_rel(mine[:, at], end[:, 0]).pvalue for at in range(401)])
    alike = step[p > 0.05]
    assert 400 / found.high == pytest.approx(alike.min(), abs=1)
    assert 400 / found.low == pytest.approx(alike.max(), abs=1)
    assert found.low < found.factor < found.high
    assert found.equivalent == pytest.approx(100 * np.log(2 / 1.0), rel=0.15)


def test_an_end_that_is_not_met_is_missing() -> None:
    rng = np.random.default_rng(1)
    mine = np.array([2.0, 1.0, 0.9, 0.5]) + 0.01 * rng.normal(size=(6, 1))
    close = np.array([2.0, 2.0, 2.0, 0.505]) + 0.05 * rng.normal(size=(6, 1))
    seeds = np.arange(6)
    found = step_equivalent(curves(mine.tolist()), curves(close.tolist()), seeds)
    assert np.isnan(found.low)  # it may need longer than its run
    assert found.high > 1
    never = step_equivalent(curves(close.tolist()), curves((mine - 1).tolist()), seeds)
    assert np.isnan(never).all()
