"""Curves of a line by rate, seed and evaluation, against tables written by hand."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from lrbench.analysis.line_curves import CurvesByRun, LineCurves, decays
from lrbench.analysis.objective import Objective

NAN = float("nan")

RUNS = pd.DataFrame(
    {
        "run_id": ["a", "b", "c", "d", "other"],
        "problem": ["p"] * 4 + ["q"],
        "learning_rate": [0.1, 0.1, 0.01, 0.01, 0.1],
        "seed": [7, 3, 7, 3, 3],
    }
)
CURVES = pd.DataFrame(
    {
        "run_id": ["a", "a", "b", "b", "c", "c", "other", "other"],
        "step": [0, 5, 0, 5, 0, 5, 0, 9],
        "train_loss": [1.0, 0.5, 2.0, np.inf, 3.0, 0.25, 4.0, 8.0],
        "valid_accuracy": [0.1, 0.75, 0.2, 0.5, 0.0, 1.0, 0.5, 0.5],
    }
)


def test_curves_are_by_rate_seed_and_evaluation() -> None:
    found = CurvesByRun(RUNS, CURVES, {}).of([0, 1, 2, 3])
    assert found.rate.tolist() == [0.01, 0.1]
    assert found.step.tolist() == [0, 5]
    assert found.step.dtype == np.int64
    # [rate, seed 3 then 7, evaluation]; d has no curve, and what is not finite is missing.
    wanted = [[[NAN, NAN], [3.0, 0.25]], [[2.0, NAN], [1.0, 0.5]]]
    np.testing.assert_array_equal(found.value, wanted)


def test_the_order_of_the_curves_does_not_matter() -> None:
    wanted = CurvesByRun(RUNS, CURVES, {}).of([0, 1, 2])
    for seed in range(5):
        mixed = CURVES.sample(frac=1, random_state=seed)
        np.testing.assert_array_equal(CurvesByRun(RUNS, mixed, {}).of([0, 1, 2]).value, wanted.value)


def test_a_run_without_an_evaluation_has_none_there() -> None:
    found = CurvesByRun(RUNS, CURVES.drop(index=1), {}).of([0, 1])
    np.testing.assert_array_equal(found.step, [0, 5])
    np.testing.assert_array_equal(found.value, [[[2.0, NAN], [1.0, NAN]]])


def test_runs_with_as_many_evaluations_may_have_others() -> None:
    found = CurvesByRun(RUNS, CURVES.assign(step=[0, 5, 0, 7, 0, 5, 0, 9]), {}).of([0, 1])
    np.testing.assert_array_equal(found.step, [0, 5, 7])
    np.testing.assert_array_equal(found.value, [[[2.0, NAN, NAN], [1.0, 0.5, NAN]]])


def test_runs_may_be_categories() -> None:
    for curves in (CURVES, CURVES.sample(frac=1, random_state=0), CURVES.drop(index=1)):
        wanted = CurvesByRun(RUNS, curves, {}).of([0, 1, 2, 3])
        found = CurvesByRun(RUNS, curves.astype({"run_id": "category"}), {}).of([0, 1, 2, 3])
        np.testing.assert_array_equal(found.value, wanted.value)


def test_the_objective_is_that_of_the_problem() -> None:
    objectives = {"p": Objective("valid_accuracy", larger=True, bound=1.0), "q": Objective("train_loss")}
    paths = CurvesByRun(RUNS, CURVES, objectives)
    np.testing.assert_allclose(paths.of([0]).value, [[[0.9, 0.25]]])
    np.testing.assert_array_equal(paths.of([4]).value, [[[4.0, 8.0]]])


def test_no_run_has_no_curve() -> None:
    for rows in ([], [3]):
        found = CurvesByRun(RUNS, CURVES, {}).of(rows)
        assert found.value.shape == (0, 0, 0)


def test_the_middle_counts_what_broke_as_infinite() -> None:
    value = np.array(
        [[[1.0, 1.0], [2.0, NAN], [9.0, 3.0], [NAN, NAN]], [[NAN, 1.0], [NAN, NAN], [1.0, NAN], [NAN, NAN]]]
    )
    found = LineCurves(np.array([0.1, 1.0]), np.array([0, 5]), value).middle()
    # Rate 0.1: the medians of 1, 2, 9 and of 1, ∞, 3, the last seed was not run. Rate 1: of ∞ and 1, and of 1 and ∞.
    np.testing.assert_array_equal(found, [[2.0, 3.0], [NAN, NAN]])


@pytest.mark.parametrize(
    ("shape", "wanted"),
    [
        ([1.0, 1.0, 1.0, 1.0], False),
        ([1.0, 1.0, 1.0, 0.5], True),  # 0.5 against 0.9 × 0.875
        ([1.0, 1.0, 1.0, 0.86], True),  # 0.86 against 0.9 × 0.965 = 0.8685
        ([1.0, 1.0, 1.0, 0.88], False),  # 0.88 against 0.9 × 0.97 = 0.873
        ([0.0, 0.5, 1.0, 1.0], False),
        ([1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 0.0], True),  # the last quarter is two steps: 0.5 against 0.7875
        ([0.5], False),
    ],
)
def test_a_schedule_decays_below_nine_tenths_of_its_mean(shape: list[float], wanted: bool) -> None:
    assert decays(np.array(shape)) is wanted
