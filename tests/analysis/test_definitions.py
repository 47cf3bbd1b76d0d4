"""Every definition of the docs against cases computed by hand."""

from __future__ import annotations

import itertools

import numpy as np
import pandas as pd
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from scipy import stats

from lrbench import analysis
from lrbench.analysis import Thresholds
from lrbench.analysis.loss_by_rate import loss_by_rate
from lrbench.analysis.objective import Objective
from lrbench.tables.sensitivity import sensitivity
from lrbench.tables.summary import summary
from tests.helpers import frames
from tests.helpers.frames import NAN, runs_of

STEP = [0, 25, 50, 75, 100]


def measured(
    *train: list[float], diverged: list[float] | None = None, step: list[int] | None = None
) -> pd.DataFrame:
    return analysis.measure(
        step or STEP, {"train_loss": train}, diverged or [NAN] * len(train), Objective("train_loss")
    )


# --- measure --------------------------------------------------------------------------------------


def test_status_looks_at_the_training_loss() -> None:
    table = measured(
        [2.0, 1.0, 1.0, 1.0, 1.0],
        [2.0, 1.0, 1.0, 1.0, 2.5],
        [2.0, 1.0, 1.0, 1.0, 2.0],
        [2.0, 3.0, np.inf, NAN, NAN],
        [2.0, 1.0, 1.0, 1.0, 1.0],
        diverged=[NAN, NAN, NAN, NAN, 33.0],
    )
    assert table["status"].tolist() == ["ok", "diverged", "ok", "nonfinite", "nonfinite"]
    assert table["diverged_step"].tolist() == [pd.NA, pd.NA, pd.NA, 50, 33]
    assert table["diverged_step"].dtype == "Int64"


def test_final_is_missing_after_a_divergence_and_best_ignores_it() -> None:
    row = measured([2.0, 0.5, 3.0, NAN, NAN]).iloc[0]
    assert np.isnan(row["final_train_loss"])
    assert (row["best_train_loss"], row["best_step"]) == (0.5, 25)


def test_best_of_a_score_is_its_maximum() -> None:
    curves = {"train_loss": [[1.0, 0.5]], "valid_accuracy": [[0.9, 0.3]], "valid_error": [[0.1, 0.7]]}
    row = analysis.measure([0, 1], curves, [NAN], Objective("train_loss")).iloc[0]
    assert (row["best_valid_accuracy"], row["final_valid_accuracy"], row["best_valid_error"]) == (
        0.9,
        0.3,
        0.1,
    )


def test_a_problem_without_validation_is_not_a_divergence() -> None:
    curves = {"train_loss": [[1.0, 0.5]] * 2, "valid_loss": [[NAN, NAN], [1.0, NAN]]}
    assert analysis.measure([0, 1], curves, [NAN] * 2, Objective("train_loss"))["status"].tolist() == [
        "ok",
        "nonfinite",
    ]


def test_rise_adds_the_upward_moves_of_the_second_half() -> None:
    table = measured([5.0, 9.0, 1.0, 3.0, 2.0], [5.0, 4.0, 3.0, 2.0, 1.0], [5.0, 1.0, 2.0, 3.0, 2.5])
    assert table["rise"].tolist() == [2.0, 0.0, 1.0]


def test_late_pace_compares_the_last_quarter_with_the_whole() -> None:
    # A straight line falls at its mean pace; one that rests has pace 0; one that has not fallen has none.
    table = measured([4.0, 3.0, 2.0, 1.0, 0.0], [4.0, 1.0, 0.0, 0.0, 0.0], [1.0, 1.0, 1.0, 3.0, 2.0])
    assert table["late_pace"].tolist()[:2] == [1.0, 0.0]
    assert np.isnan(table["late_pace"].iloc[2])


def test_late_pace_interpolates_where_three_quarters_is_no_evaluation() -> None:
    row = measured([4.0, 2.0, 0.0], step=[0, 50, 100]).iloc[0]
    assert row["late_pace"] == pytest.approx(1.0)


def test_an_unevaluated_run_has_a_row() -> None:
    row = measured([NAN], step=[0]).iloc[0]
    assert row["status"] == "nonfinite"
    assert pd.isna(row["best_step"])


# --- judge ----------------------------------------------------------------------------------------


def test_verdicts_in_their_order() -> None:
    # ℓ* = 0, ℓ₀ = 1: good up to 0.05; collapsed above 0.5; rise above 0.25; pace from 0.5. The best rate is the fifth.
    runs = runs_of(
        [0.9, 0.5, 0.5, 0.06, 0.0, 0.05, 0.5, 0.51, 0.5, 1.5, NAN],
        rise=[0.3, 0.25, 0.25, 0.26, 0.9, 0.0, 0.25, 0.9, 0.3, 0.0, NAN],
        late_pace=[0.9, 0.5, 0.49, 0.9, 0.0, 0.0, 0.9, 0.9, 0.9, 0.9, NAN],
    )
    judged = analysis.judge(runs)
    below, at, above = (
        ["oscillating", "slow", "stuck", "oscillating"],
        ["good", "good"],
        ["stuck", "collapsed"],
    )
    expected = [*below, *at, *above, "oscillating", "diverged", "diverged"]
    assert judged["verdict"].tolist() == expected
    assert judged["oscillation"].tolist()[3:6] == [0.26, 0.9, 0.0]
    assert judged["oscillation"].isna().tolist()[-2:] == [True, True]
    assert not {"rise", "late_pace"} & set(judged.columns)
    assert list(judged.columns).index("verdict") == list(judged.columns).index("status") + 1


def test_the_best_loss_belongs_to_the_problem_and_its_parameters() -> None:
    runs = runs_of([0.0, 0.5, 0.5, 0.9], problem=["p", "p", "p", "q"], problem_hidden=[[8], [8], [16], None])
    assert analysis.judge(runs)["verdict"].tolist() == ["good", "stuck", "good", "good"]


def test_the_best_loss_is_taken_over_ok_runs_alone() -> None:
    runs = runs_of([0.0, 0.5]).assign(status=["diverged", "ok"])
    assert analysis.judge(runs)["verdict"].tolist() == ["diverged", "good"]


def test_nothing_improves_and_everything_diverges() -> None:
    # No line trains, so there is no ℓ* that a run could be near.
    assert analysis.judge(runs_of([1.0, 1.0]))["verdict"].tolist() == ["stuck", "stuck"]
    assert analysis.judge(runs_of([1.0]))["oscillation"].isna().all()
    assert analysis.judge(runs_of([NAN, 2.0]))["verdict"].tolist() == ["diverged", "diverged"]


def test_the_objective_is_validation_where_there_is_one_unless_told() -> None:
    runs = runs_of([0.0, 0.5]).assign(initial_valid_loss=1.0, final_valid_loss=[0.5, 0.0])
    assert analysis.judge(runs)["verdict"].tolist() == ["stuck", "good"]
    assert analysis.judge(runs, objectives={"p": Objective("train_loss")})["verdict"].tolist() == [
        "good",
        "stuck",
    ]


@settings(max_examples=50, deadline=None)
@given(st.lists(st.floats(0, 3) | st.just(NAN), min_size=1, max_size=20))
def test_the_best_ok_run_is_good_and_only_runs_that_failed_are_diverged(final: list[float]) -> None:
    judged = analysis.judge(runs_of(final))
    ok = judged["status"] == "ok"
    assert ((judged["verdict"] == "diverged") == ~ok).all()
    if (judged["final_train_loss"].where(ok) < 1).any():  # else nothing trains
        assert judged["verdict"][judged["final_train_loss"].where(ok).idxmin()] == "good"


# --- targets, steps_to_target, zones --------------------------------------------------------------


def test_the_target_is_what_every_good_run_reaches() -> None:
    names = ["a", "a", "b", "b", "c", "c", "d"]
    runs = runs_of([0.5, 0.1, 0.2, 0.9, 0.6, 0.4, NAN], optimizer=names)
    assert analysis.targets(runs).tolist() == pytest.approx([0.1 + 0.05 * 0.9] * 7)
    assert analysis.targets(runs.assign(constant_loss=0.3)).tolist() == pytest.approx([0.1 + 0.05 * 0.2] * 7)
    assert analysis.targets(runs_of([NAN, 1.0])).isna().all()
    assert analysis.targets(runs, given={"p": 0.3}).tolist() == [0.3] * 7


def test_steps_to_target_is_the_first_evaluation_at_or_below_it() -> None:
    curves = [[3.0, 1.0, 2.0], [3.0, NAN, NAN], [1.0, 1.0, 1.0]]
    assert np.array_equal(
        analysis.steps_to_target([0, 5, 9], curves, [2.0, 1.0, 1.0]), [5, NAN, 0], equal_nan=True
    )
    assert np.isnan(analysis.steps_to_target([0, 5, 9], curves, [NAN] * 3)).all()


@pytest.mark.parametrize(
    ("verdicts", "zone"),
    [
        (["good", "good", "slow"], "good"),
        (["good", "slow", "slow"], "too_small"),
        (["good", "diverged", "oscillating"], "too_large"),
        (["good", "slow", "diverged"], "too_large"),  # a tied vote is the safer warning
        (["good", "diverged"], "too_large"),  # half is not a majority
        (["good", "stuck"], "too_small"),
    ],
)
def test_the_zone_is_the_word_of_most_seeds(verdicts: list[str], zone: str) -> None:
    runs = runs_of([0.5] * len(verdicts), learning_rate=0.1, seed=range(len(verdicts)), verdict=verdicts)
    assert analysis.zones(runs)["zone"].tolist() == [zone]


def test_stuck_above_the_best_rate_is_too_large() -> None:
    runs = runs_of([0.9, 0.0, 0.9], verdict=["stuck", "good", "stuck"])
    assert analysis.zones(runs)["zone"].tolist() == ["too_small", "good", "too_large"]


# --- bootstrap ------------------------------------------------------------------------------------


@pytest.mark.parametrize("seeds", [1, 2, 3, 5])
def test_few_seeds_have_the_exact_bootstrap(seeds: int) -> None:
    index, weight = analysis.resamples(seeds)
    counted: dict[tuple[int, ...], float] = {}
    for drawn in itertools.product(range(seeds), repeat=seeds):
        key = tuple(sorted(drawn))
        counted[key] = counted.get(key, 0.0) + seeds**-seeds
    assert {tuple(row): value for row, value in zip(index.tolist(), weight, strict=True)} == pytest.approx(
        counted
    )


def test_many_seeds_have_the_same_random_resamples_every_time() -> None:
    index, weight = analysis.resamples(8, 50)
    assert index.shape == (50, 8)
    assert weight.sum() == pytest.approx(1.0)
    assert (index == analysis.resamples(8, 50)[0]).all()
    assert analysis.resamples(8)[0].shape == (1000, 8)


def test_an_interval_holds_the_mass_it_names() -> None:
    low, high = analysis.interval(np.arange(1, 101), np.full(100, 0.01), 0.9)
    assert (low, high) == (5, 95)
    low, high = analysis.interval([[1.0, NAN], [2.0, NAN], [NAN, NAN]], [0.5, 0.25, 0.25], 0.9)
    assert np.array_equal([low, high], [[1, NAN], [2, NAN]], equal_nan=True)


def test_one_seed_has_no_interval() -> None:
    assert np.isnan(analysis.interval(np.ones((1, 2)), [1.0])).all()


@settings(deadline=None)
@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=20))
def test_iqm_is_the_trimmed_mean_of_scipy(values: list[float]) -> None:
    assert analysis.iqm(values) == pytest.approx(stats.trim_mean(values, 0.25), rel=1e-9, abs=1e-6)


def test_iqm_computes_in_double_precision() -> None:
    values = np.float32([1.0, 1e8, 1.0, 1e8, 4.0, 4.0, 4.0, 4.0])
    assert analysis.iqm(values).dtype == np.float64
    assert analysis.iqm(np.array([1, 2, 3, 5])) == 2.5


# --- summary --------------------------------------------------------------------------------------


def test_summary_is_a_row_per_grid_point() -> None:
    runs = runs_of([1.0, 2.0, 3.0, 4.0, 100.0], learning_rate=0.1, seed=range(5), status="ok", run_id="x")
    row = summary(runs.assign(pack_id="y")).squeeze()
    assert "seed" not in row.index
    assert "run_id" not in row.index
    assert "pack_id" not in row.index
    names = [f"final_train_loss_{key}" for key in ("mean", "median", "iqm")]
    assert (row["seeds"], *row[names]) == (5, 22.0, 3.0, 3.0)
    values = runs["final_train_loss"].to_numpy()
    ends = stats.t.interval(0.95, 4, loc=22.0, scale=stats.sem(values))
    assert (row["final_train_loss_low"], row["final_train_loss_high"]) == pytest.approx(ends)


def test_summary_is_of_the_grid_alone() -> None:
    runs = runs_of([1.0, 3.0, 5.0, 7.0], learning_rate=0.1, seed=[0, 1, 2**30, 0], status="ok")
    row = summary(runs.assign(stage=["grid", "grid", "confirm", "range"])).squeeze()
    assert (row["seeds"], row["final_train_loss_mean"]) == (2, 2.0)
    assert summary(runs.assign(stage="range")).empty


def test_a_diverged_seed_is_infinitely_bad() -> None:
    runs = runs_of([0.1, 0.2, NAN], learning_rate=0.1, seed=range(3), final_valid_accuracy=[0.9, 0.8, NAN])
    row = summary(runs).squeeze()
    assert row["diverged_fraction"] == pytest.approx(1 / 3)
    assert row["final_train_loss_median"] == pytest.approx(0.2)
    assert row[["final_train_loss_mean", "final_train_loss_low", "final_train_loss_high"]].isna().all()
    assert row["final_valid_accuracy_median"] == 0.8


def test_a_metric_that_a_problem_lacks_is_missing_not_bad() -> None:
    runs = runs_of([0.1, 0.2], problem=["p", "q"], final_valid_loss=[NAN, 0.3], initial_valid_loss=[NAN, 1.0])
    assert summary(runs)["final_valid_loss_median"].isna().tolist() == [True, False]


def test_grid_points_may_have_different_numbers_of_seeds() -> None:
    runs = runs_of([1.0, 3.0, 5.0], learning_rate=[0.1, 0.1, 0.2], seed=[0, 1, 0], status="ok")
    table = summary(runs)
    assert table["seeds"].tolist() == [2, 1]
    assert table["final_train_loss_median"].tolist() == [2.0, 5.0]
    assert table["final_train_loss_low"].isna().tolist() == [False, True]


# --- sensitivity ----------------------------------------------------------------------------------


def line(final: list[float], **columns: object) -> pd.Series:
    return sensitivity(analysis.judge(runs_of(final, **columns))).iloc[0]


def test_sensitivity_by_hand() -> None:
    # Rates 1e-3 … 1e1; ℓ₀ = 1, ℓ* = 0: the bar is 0.05; the last diverged and counts as ℓ₀.
    row = line([0.8, 0.04, 0.0, 0.4, NAN], learning_rate=[1e-3, 1e-2, 1e-1, 1.0, 10.0])
    assert (row["best_learning_rate"], row["best_loss"], row["best_gap"]) == (0.1, 0.0, 0.0)
    assert (row["good_low"], row["good_high"]) == (0.01, 0.1)
    assert row["tolerance_decades"] == pytest.approx(2.0)  # two good rates, a decade each
    assert row["max_stable_learning_rate"] == 1.0
    assert row["cliff_decades"] == pytest.approx(1.0)
    assert row["learning_rate_sensitivity"] == pytest.approx((0.8 + 0.04 + 0.0 + 0.4 + 1.0) / 5)
    assert row["learning_rate_sensitivity_normalised"] == row["learning_rate_sensitivity"]
    assert (row["rate_low"], row["rate_high"], row["rates"], row["seeds"]) == (1e-3, 10.0, 5, 1)
    assert not row["best_at_edge"]
    assert row["diverged_fraction"] == 0.2
    assert np.isnan(row["best_learning_rate_low"])


def test_a_stopped_run_is_no_sign_of_divergence() -> None:
    """At 10 the run is seen to diverge; where a race stopped it above ℓ₀, it might have come down."""
    final, rates = [0.8, 0.04, 0.0, 0.4, 3.0], [1e-3, 1e-2, 1e-1, 1.0, 10.0]
    for status, cliff in (("diverged", 1.0), ("stopped", NAN)):
        runs = analysis.judge(runs_of(final, learning_rate=rates, status=["ok"] * 4 + [status]))
        row = sensitivity(runs)
        np.testing.assert_equal(row["max_stable_learning_rate"].item(), cliff)
        np.testing.assert_equal(row["cliff_decades"].item(), np.log10(cliff / 0.1))
        assert row["best_learning_rate"].item() == 0.1
        np.testing.assert_equal(analysis.best(row)["cliff"].item(), cliff)


def test_a_stopped_run_below_others_that_diverge_leaves_the_cliff_open() -> None:
    """Of three seeds one is stopped: 1 is the last stable rate or 10 is, whose fate one seed decides."""
    runs = runs_of(
        [0.0, 0.0, 0.0, 0.4, 3.0, NAN, 3.0, NAN, NAN],
        learning_rate=[1.0] * 3 + [10.0] * 3 + [100.0] * 3,
        seed=[0, 1, 2] * 3,
        status=["ok"] * 4 + ["stopped", "nonfinite", "stopped", "nonfinite", "nonfinite"],
    )
    row = sensitivity(analysis.judge(runs)).iloc[0]
    assert np.isnan(row["max_stable_learning_rate"])
    runs.loc[4, "status"] = "diverged"
    assert sensitivity(analysis.judge(runs)).iloc[0]["max_stable_learning_rate"] == 1.0


def test_all_good_rates_make_the_whole_range_and_a_gap_ends_the_band() -> None:
    assert line([0.0] * 4)["tolerance_decades"] == pytest.approx(3.0)
    row = line([0.0, 0.01, 0.5, 0.01])
    assert (row["good_low"], row["good_high"]) == pytest.approx((1e-3, 1e-2))
    assert row["tolerance_decades"] == pytest.approx(0.5 + 1.0 + 0.5)
    assert row["best_at_edge"]


def test_a_best_rate_short_of_the_problems_best_has_no_good_band() -> None:
    runs = runs_of([0.5, 0.4, 0.0], optimizer=["weak", "weak", "strong"])
    table = sensitivity(analysis.judge(runs)).set_index("optimizer")
    assert np.isnan(table.loc["weak", "good_low"])
    assert table.loc["weak", "tolerance_decades"] == 0.0
    assert table.loc["weak", "best_gap"] == pytest.approx(0.4)


def test_a_rate_is_stable_with_half_its_seeds() -> None:
    runs = runs_of([0.5, 0.5, 0.0, NAN, NAN, NAN], learning_rate=[1, 1, 2, 2, 3, 3], seed=[0, 1] * 3)
    row = sensitivity(analysis.judge(runs)).iloc[0]
    assert row["max_stable_learning_rate"] == 2
    assert row["best_learning_rate"] == 1  # at 2 the median of (0, ℓ₀) is 0.5: the smallest of equals
    runs.loc[3, "status"], runs.loc[3, "final_train_loss"] = "ok", 0.2
    assert sensitivity(analysis.judge(runs)).iloc[0]["best_learning_rate"] == 2


def test_nothing_trains_and_everything_is_missing() -> None:
    row = line([NAN, NAN])
    assert (
        row[["best_learning_rate", "tolerance_decades", "learning_rate_sensitivity", "good_low"]].isna().all()
    )
    assert (row["diverged_fraction"], row["best_at_edge"]) == (1.0, False)


def test_a_lacking_run_is_left_out() -> None:
    runs = runs_of([0.5, 0.1, 0.3], learning_rate=[1, 2, 2], seed=[0, 0, 1], verdict="good")
    row = sensitivity(runs).iloc[0]
    assert (row["best_learning_rate"], row["best_loss"]) == (2, pytest.approx(0.2))


@pytest.mark.parametrize("seed", range(3))
def test_lines_of_any_shape_are_what_they_are_alone(seed: int) -> None:
    """Every problem has one line, of rates and seeds of its own, some runs lacking, in any order."""
    random = np.random.default_rng(seed)
    each = []
    for problem in "abcdef":
        rates, seeds = int(random.integers(1, 5)), int(random.integers(1, 4))
        runs = runs_of(
            np.where(random.random(rates * seeds) < 0.2, NAN, 1.3 * random.random(rates * seeds)).tolist(),
            problem=problem,
            learning_rate=np.repeat(np.geomspace(0.1, random.random() + 1, rates), seeds),
            seed=np.tile(np.arange(seeds) + random.integers(9), rates),
        )
        each.append(
            analysis.judge(runs[random.random(len(runs)) < 0.9]) if len(runs) > 4 else analysis.judge(runs)
        )
    mixed = pd.concat(each, ignore_index=True).sample(frac=1, random_state=seed)
    for measured in (sensitivity, loss_by_rate):
        wanted = pd.concat([measured(runs) for runs in each]).drop(columns="line", errors="ignore")
        found = measured(mixed).drop(columns="line", errors="ignore")
        assert found.index.equals(pd.RangeIndex(len(found)))
        order = ["problem", *(["learning_rate"] if "learning_rate" in wanted else [])]
        pd.testing.assert_frame_equal(
            found.sort_values(order, ignore_index=True), wanted.sort_values(order, ignore_index=True)
        )


def test_losses_by_rate_of_no_runs_have_the_columns_of_others() -> None:
    runs = analysis.judge(runs_of([0.5, 0.2]))
    none = loss_by_rate(runs[:0])
    assert none.empty
    assert list(none.columns) == list(loss_by_rate(runs).columns)


@pytest.mark.slow
@settings(max_examples=40, deadline=None)  # a busy machine is no failure
@given(st.lists(st.lists(st.floats(0, 2) | st.just(NAN), min_size=2, max_size=2), min_size=1, max_size=8))
@example([[0.0, 3.6992183586528185e-29]] * 3)  # their mean is below each of them by one rounding
def test_sensitivity_keeps_its_order(final: list[list[float]]) -> None:
    flat = [value for pair in final for value in pair]
    rates = np.repeat(np.logspace(-3, 0, len(final)), 2)
    row = line(flat, learning_rate=rates, seed=[0, 1] * len(final))
    if np.isfinite(row["best_learning_rate"]):
        assert row["best_learning_rate"] <= row["max_stable_learning_rate"]
        assert 0 <= row["tolerance_decades"] <= np.log10(rates[-1] / rates[0]) + 1e-12
        assert 0 <= row["learning_rate_sensitivity"] <= 1
        assert not row["good_low"] > row["best_learning_rate"]


# --- labels and the answer ------------------------------------------------------------------------


def test_a_label_names_what_differs() -> None:
    frame = pd.DataFrame(
        {
            "optimizer": ["sgd", "sgd", "adam", "adam"],
            "optimizer_momentum": [0.0, 0.9, NAN, NAN],
            "optimizer_b2": [NAN, NAN, 0.999, 0.999],
            "optimizer_nesterov": [True, True, None, None],
        }
    )
    assert analysis.label(frame, "optimizer").tolist() == [
        "sgd(momentum=0)",
        "sgd(momentum=0.9)",
        "adam",
        "adam",
    ]
    assert analysis.label(frame.iloc[1], "optimizer") == "sgd(momentum=0.9, nesterov=true)"
    hidden = pd.DataFrame({"problem": ["mlp", "mlp"], "problem_hidden": [[64, 64], [8]]})
    assert analysis.label(hidden, "problem").tolist() == ["mlp(hidden=64x64)", "mlp(hidden=8)"]


def test_a_named_rate_is_part_of_the_identity() -> None:
    results = frames.study(output=(0.1, 1.0), optimizers=(("sgd", 0.9, 0.1),), seeds=2)
    table = results.sensitivity
    assert list(table)[:5] == [
        "problem",
        "optimizer",
        "schedule",
        "optimizer_momentum",
        "learning_rate_output",
    ]
    assert table["learning_rate_output"].tolist() == [0.1, 1.0]
    assert table["rates"].tolist() == [25, 25]
    alone = frames.study(optimizers=(("sgd", 0.9, 0.1),), seeds=2).sensitivity
    assert table["best_learning_rate"][1] == alone["best_learning_rate"][0]
    np.testing.assert_allclose(table["best_learning_rate"][0] / table["best_learning_rate"][1], 10, rtol=0.2)
    assert list(results.summary)[4:7] == ["learning_rate", "learning_rate_output", "steps"]
    assert len(results.summary) == 50
    assert set(results.summary["seeds"]) == {2}
    answers = analysis.best(table)["answer"]
    assert sorted(text.partition(":")[0] for text in answers) == [
        "sgd(learning_rate_output=0.1) + constant",
        "sgd(learning_rate_output=1) + constant",
    ]
    assert len(analysis.zones(results.runs)) == 50


def test_thresholds_are_plain_data_for_the_manifest() -> None:
    assert Thresholds().asdict() == {
        "good": 0.05,
        "oscillating": 0.25,
        "slow": 0.5,
        "useful": 0.5,
        "close": 0.01,
        "trains": 0.05,
        "faster": 1.2,
        "stable": 0.5,
        "confidence": 0.95,
        "profile_ratio": 4.0,
        "resamples": 1000,
    }


def test_a_stopped_run_counts_as_if_it_had_stayed_where_it_was() -> None:
    nan = float("nan")
    curves = {"train_loss": [[4.0, 3.0, nan, nan], [4.0, 5.0, nan, nan], [4.0, 2.0, 1.0, 1.0]]}
    runs = analysis.measure([0, 10, 20, 30], curves, [nan] * 3, Objective("train_loss"), [10.0, 10.0, nan])
    assert runs["status"].tolist() == ["stopped", "stopped", "ok"]
    assert runs["final_train_loss"].tolist() == [3.0, 5.0, 1.0]
    assert runs["best_train_loss"].tolist() == [3.0, 4.0, 1.0]
    runs = runs.assign(
        problem="a", optimizer="sgd", schedule="constant", learning_rate=[0.1, 10.0, 1.0], seed=0
    )
    judged = analysis.judge(runs)
    assert judged["verdict"].tolist() == ["slow", "diverged", "good"]
    row = sensitivity(judged).iloc[0]
    assert row["best_learning_rate"] == 1.0
    assert np.isnan(row["max_stable_learning_rate"])  # 10 was stopped, not seen to diverge to the end
    assert summary(judged)["diverged_fraction"].tolist() == [0.0, 1.0, 0.0]
