"""What runs are judged by: a loss or a metric, smaller is better, at the end or at the best evaluation."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lrbench import analysis
from lrbench.analysis.objective import Objective, losses, objective_of_each, objectives_of

NAN = float("nan")
ACCURACY = Objective("valid_accuracy", larger=True, bound=1.0)
STATUS = ["ok", "ok", "diverged", "nonfinite", "stopped"]


def _runs() -> pd.DataFrame:
    return pd.DataFrame(
        {
            "problem": ["a", "a", "a", "a", "a"],
            "optimizer": "sgd",
            "schedule": "constant",
            "learning_rate": [0.1, 0.2, 0.4, 0.8, 1.6],
            "seed": 0,
            "status": STATUS,
            "initial_train_loss": 2.0,
            "final_train_loss": [1.0, 0.5, 3.0, NAN, 1.5],
            "initial_valid_loss": 2.5,
            "final_valid_loss": [1.5, 0.75, 4.0, NAN, 2.0],
            "initial_valid_accuracy": 0.125,
            "final_valid_accuracy": [0.75, 0.5, 0.25, NAN, 0.5],
            "best_valid_accuracy": [0.875, 0.75, 0.5, 0.375, 0.625],
            "initial_valid_score": -3.0,
            "final_valid_score": [2.0, 5.0, np.inf, NAN, 0.0],
        }
    )


@pytest.mark.parametrize(
    ("objective", "initial", "final"),
    [
        (Objective("train_loss"), 2.0, [1.0, 0.5, 3.0, NAN, 1.5]),
        (Objective("valid_loss"), 2.5, [1.5, 0.75, 4.0, NAN, 2.0]),
        (ACCURACY, 0.875, [0.25, 0.5, 0.75, NAN, 0.5]),
        # The run that ends above its start and the one that breaks are not good at their best evaluation either.
        (Objective("valid_accuracy", True, 1.0, "best"), 0.875, [0.125, 0.25, NAN, NAN, 0.375]),
        (Objective("valid_score", larger=True), 3.0, [-2.0, -5.0, NAN, NAN, 0.0]),
    ],
)
def test_every_objective_is_a_number_that_is_better_the_smaller_it_is(
    objective: Objective, initial: float, final: list[float]
) -> None:
    found = losses(_runs(), {"a": objective})
    np.testing.assert_array_equal(found[0], [initial] * 5)
    np.testing.assert_array_equal(found[1], final)


def test_each_problem_has_its_own_and_by_default_validation_where_it_has_one() -> None:
    runs = pd.concat(
        [_runs(), _runs().assign(problem="b"), _runs().assign(problem="c", initial_valid_loss=NAN)]
    )
    found = objective_of_each(runs, {"b": ACCURACY})
    assert found == {"a": Objective("valid_loss"), "b": ACCURACY, "c": Objective("train_loss")}
    initial, final = losses(runs, {"b": ACCURACY})
    assert initial.tolist() == [2.5] * 5 + [0.875] * 5 + [2.0] * 5
    assert final[[0, 5, 10]].tolist() == [1.5, 0.25, 1.0]


def test_a_column_that_is_missing_is_no_loss() -> None:
    initial, final = losses(
        _runs().drop(columns="initial_valid_accuracy"), {"a": Objective("valid_f1", True, 1.0)}
    )
    assert np.isnan(initial).all()
    assert np.isnan(final).all()


def test_a_metric_to_raise_changes_which_rate_is_best() -> None:
    runs = _runs().assign(rise=0.0, late_pace=0.0)
    by_loss = analysis.judge(runs)["verdict"].tolist()
    by_accuracy = analysis.judge(runs, objectives={"a": ACCURACY})["verdict"].tolist()
    assert (by_loss[:2], by_accuracy[:2]) == (["stuck", "good"], ["good", "stuck"])


def test_what_a_curve_shows_is_that_of_the_objective() -> None:
    curves = {"train_loss": [[4.0, 3.0, 2.0, 1.0, 0.5]], "valid_accuracy": [[0.0, 0.5, 0.75, 0.625, 0.875]]}
    row = analysis.measure([0, 1, 2, 3, 4], curves, [NAN], ACCURACY).iloc[0]
    assert (row["initial_valid_accuracy"], row["final_valid_accuracy"], row["best_valid_accuracy"]) == (
        0,
        0.875,
        0.875,
    )
    assert (row["best_step"], row["rise"]) == (4, 0.125)
    assert row["late_pace"] == pytest.approx(4 * (0.375 - 0.125) / 0.875)
    assert analysis.measure([0, 1, 2, 3, 4], curves, [NAN], Objective("train_loss")).iloc[0]["rise"] == 0


def test_the_late_pace_of_a_decaying_rate_is_that_of_the_distance_still_taken() -> None:
    """At a rate that falls linearly to 0 the last quarter of a run covers 1/16 of the area: a quarter of its share of the steps."""
    steps, loss = [0, 2, 4, 6, 8], [[4.0, 3.0, 2.0, 1.5, 1.0]]

    def pace(*rate: float) -> float:
        curves = {"train_loss": loss, "learning_rate": [rate]}
        return float(analysis.measure(steps, curves, [NAN], Objective("train_loss"))["late_pace"].iloc[0])

    constant = 4 * (1.5 - 1.0) / 3.0
    assert pace(0.5, 0.5, 0.5, 0.5, 0.5) == pytest.approx(constant)
    assert pace(1.0, 0.75, 0.5, 0.25, 0.0) == pytest.approx(constant / 0.25)
    assert pace(1.0, 1.0, 1.0, 0.0, 0.0) == pytest.approx(constant / 0.05)  # at least so slow
    assert pace(0.0, 0.0, 0.0, 0.0, 0.0) == pytest.approx(constant)  # no rate is known


def test_manifests_hold_names_of_losses_or_tables() -> None:
    manifest = {"objectives": {"a": "valid_loss", "b": ACCURACY.asdict(), "c": {"column": "train_loss"}}}
    assert objectives_of(manifest) == {
        "a": Objective("valid_loss"),
        "b": ACCURACY,
        "c": Objective("train_loss"),
    }
    assert objectives_of({}) == {}


@given(
    st.builds(Objective, st.just("valid_m"), st.booleans(), st.none() | st.floats(-10, 10)),
    st.lists(st.floats(-1e6, 1e6), min_size=2, max_size=2),
)
def test_a_better_value_is_a_smaller_number_and_the_way_back_is_the_same(
    objective: Objective, values: list[float]
) -> None:
    low, high = sorted(values)
    if objective.larger:
        low, high = high, low
    assert objective.smaller(low) <= objective.smaller(high)
    assert objective.smaller(objective.smaller(low)) == pytest.approx(low, abs=1e-9)


def test_labels_say_which_way_is_better() -> None:
    found = [
        Objective("train_loss"),
        ACCURACY,
        Objective("valid_score", larger=True),
        Objective("valid_f1", True, 1.0, "best"),
    ]
    assert [each.label for each in found] == [
        "training loss",
        "1 − validation accuracy",
        "− validation score",
        "1 − validation f1",
    ]
