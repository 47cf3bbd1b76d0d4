"""The rate to use, the bands and the collapse: cases computed by hand, and random studies against plain Python."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lrbench.analysis import Thresholds
from lrbench.analysis.answers import interpolated
from lrbench.analysis.stages import confirm_rates, ranged_rates, refined_rates
from lrbench.analysis.verdicts import judge
from lrbench.tables.sensitivity import sensitivity
from lrbench.tables.tuning_budget import tuning_budget
from tests.helpers import plain_answers

NAN = float("nan")
FRESH = 2**30
THIRD = 10 ** (1 / 3)
ANSWERS = [
    "use_learning_rate",
    "use_loss",
    "best_learning_rate",
    "best_loss",
    *(f"{name}_{end}" for name in ("good", "own", "pace", "collapse") for end in ("low", "high")),
]


def study(final: dict[float, list[float]], stage: str = "grid", **columns: object) -> pd.DataFrame:
    """Runs of one line that start at 1: rate -> the final loss of each seed."""
    rows = [
        {"learning_rate": rate, "seed": seed + (FRESH if stage == "confirm" else 0), "final_train_loss": loss}
        for rate, losses in final.items()
        for seed, loss in enumerate(losses)
    ]
    frame = pd.DataFrame(rows)
    loss = frame["final_train_loss"].to_numpy(dtype=np.float64)
    base: dict[str, object] = {
        "problem": "p",
        "optimizer": "sgd",
        "schedule": "constant",
        "initial_train_loss": 1.0,
        "status": np.where(np.isnan(loss), "nonfinite", np.where(loss > 1, "diverged", "ok")),
        "stage": stage,
        "rise": 0.0,
        "late_pace": 0.0,
    }
    return frame.assign(**base | columns)


def row_of(*parts: pd.DataFrame, **thresholds: float) -> pd.Series:
    return table_of(*parts, **thresholds).iloc[0]


def table_of(*parts: pd.DataFrame, **thresholds: float) -> pd.DataFrame:
    limits = Thresholds(**thresholds)  # type: ignore[arg-type]
    return sensitivity(judge(pd.concat(parts, ignore_index=True), limits), limits)


# --- ℓ(η), and where a line trains -----------------------------------------------------------------


def test_a_rate_has_the_mean_of_its_seeds_and_one_that_breaks_counts_as_the_start() -> None:
    # 0.1: mean of 0.1, 0.1 and ℓ₀ = 1; its median is 0.1. 1: a divergence to 5 counts as ℓ₀, too.
    row = row_of(study({0.01: [0.3, 0.3, 0.3], 0.1: [0.1, 0.1, NAN], 1.0: [0.2, 5.0, 5.0]}))
    assert (row["best_learning_rate"], row["best_loss"]) == (0.01, pytest.approx(0.3))
    assert row["learning_rate_sensitivity"] == pytest.approx((0.3 + 0.4 + (0.2 + 1 + 1) / 3) / 3 - 0.3)


def test_the_start_is_that_of_the_best_constant_prediction_where_that_is_lower() -> None:
    # The run at 0.1 ends at 0.6: below its own start, but no better than a constant.
    runs = study({0.01: [0.2], 0.1: [0.6]}, constant_loss=0.5)
    row = row_of(runs)
    assert row["collapse_high"] == 0.1
    assert row["learning_rate_sensitivity_normalised"] == pytest.approx((0.0 + 0.3) / 2 / 0.3)
    assert judge(runs)["status"].tolist() == ["ok", "ok"]
    assert np.isnan(row_of(runs.assign(constant_loss=NAN))["collapse_high"])


def test_a_line_trains_if_it_goes_more_than_a_twentieth_of_the_way() -> None:
    strong, weak = study({0.1: [0.0], 1.0: [0.5]}), study({0.1: [0.951], 1.0: [0.96]}, optimizer="adam")
    table = table_of(strong, weak)
    assert table["trains"].tolist() == [True, False]
    assert table["best_gap"].tolist() == [0.0, 1.0]
    assert np.isnan(table.loc[1, ANSWERS].astype(float)).all()
    assert table_of(strong, weak.assign(final_train_loss=[0.949, 0.96]))["trains"].tolist() == [True, True]


@pytest.mark.parametrize("final", [1.0, NAN, 2.0], ids=["flat", "all NaN", "all diverge"])
def test_where_nothing_trains_nothing_is_answered(final: float) -> None:
    row = row_of(study({0.1: [final, final], 1.0: [final, final]}))
    assert not row["trains"]
    assert np.isnan(row[ANSWERS].astype(float)).all()
    assert np.isnan(row["learning_rate_sensitivity"])


def test_runs_of_a_line_that_does_not_train_have_not_collapsed() -> None:
    # It wanders around its start: of which rates are too large nothing is known.
    noise = study({0.1: [0.9990], 1.0: [0.9995], 10.0: [0.9999]}, optimizer="adam")
    judged = judge(pd.concat([study({0.1: [0.0]}), noise], ignore_index=True))
    assert judged["verdict"].tolist() == ["good", "stuck", "stuck", "stuck"]


# --- the rate to use ------------------------------------------------------------------------------


def test_the_rate_to_use_is_good_and_forgiving() -> None:
    # A third of a decade apart, so that the kernel falls on rates. With y = ln ℓ:
    #   η₂: 0.15 ln 0.20 + 0.5 ln 0.10 + 0.35 ln 0.09 = −2.2355
    #   η₃: 0.15 ln 0.10 + 0.5 ln 0.09 + 0.35 ln 0.90 = −1.5862
    losses = [0.20, 0.10, 0.09, 0.90]
    rates = [round(0.01 * THIRD**k, 9) for k in range(4)]
    row = row_of(study({rate: [loss] for rate, loss in zip(rates, losses, strict=True)}))
    assert row["best_learning_rate"] == rates[2]
    assert (row["use_learning_rate"], row["use_loss"]) == (rates[1], 0.10)


def test_on_a_coarse_grid_the_neighbours_are_interpolated_and_the_edges_go_on() -> None:
    # A decade apart, a third of the way to each neighbour; y = ln ℓ. Of both: 0.15 y(left) + 0.5 y + 0.35 y(right)
    #   0.01: 0.15 ln 0.3 + 0.5 ln 0.3 + 0.35 (⅔ ln 0.3 + ⅓ ln 0.1)   = −1.3321
    #   0.1:  0.15 (⅔ ln 0.1 + ⅓ ln 0.3) + 0.5 ln 0.1 + 0.35 (⅔ ln 0.1 + ⅓ ln 0.9) = −1.9913
    #   1:    0.15 (⅔ ln 0.9 + ⅓ ln 0.1) + 0.85 ln 0.9 = −0.2152
    runs = study({0.01: [0.3], 0.1: [0.1], 1.0: [0.9]})
    found = plain_answers.scores(plain_answers.lines_of(runs)[0], 0.1, NAN)
    assert found == pytest.approx({0.01: -1.3321, 0.1: -1.9913, 1.0: -0.2152}, abs=1e-4)
    assert row_of(runs)["use_learning_rate"] == 0.1


def curve(*losses: float) -> pd.DataFrame:
    """Rates from 0.01 on, a third of a decade apart."""
    return study({rate: [loss] for rate, loss in zip(lattice(len(losses)), losses, strict=True)})


def lattice(count: int) -> list[float]:
    return [float(f"{0.01 * THIRD**k:.9g}") for k in range(count)]


FLAT_CURVES: dict[str, tuple[list[float], int]] = {
    # Scores with y = ln ℓ, from the second rate of the flat part to the last but one: −1.609; its first is 0.15 ln(0.9/0.2) = 0.23 worse, its last 0.35 · 1.5 = 0.53.
    "an odd number": ([0.9, 0.2, 0.2, 0.2, 0.2, 0.2, 0.9], 3),
    "an even number: of the two in the middle the smaller": ([0.9, 0.2, 0.2, 0.2, 0.2, 0.9], 2),
    "up to the largest rate": ([0.9, 0.2, 0.2, 0.2, 0.2, 0.2, 0.2], 4),
    "down to the smallest rate": ([0.2, 0.2, 0.2, 0.2, 0.2, 0.2, 0.9], 2),
    # The least score, ln 0.1990 at the last, is 0.005 lower than ln 0.2.
    "with the least loss at its end": ([0.9, 0.2, 0.2, 0.2, 0.2, 0.2, 0.199], 4),
    # ln 0.196 = ln 0.2 − 0.02: the last rate alone has the least score, −1.6266; before it −1.6165 is 0.0101 higher.
    "falling by more than a hundredth": ([0.9, 0.2, 0.2, 0.2, 0.2, 0.2, 0.196], 6),
    # Two parts, at 0.2 and at 0.1995, with a rate at 0.3 between: the second is the lower one.
    "two parts": ([0.9, 0.2, 0.2, 0.2, 0.2, 0.3, 0.1995, 0.1995, 0.1995, 0.1995, 0.1995], 8),
    "two parts, the first one the lower": ([0.1995, 0.1995, 0.1995, 0.1995, 0.3, 0.2, 0.2, 0.2, 0.2, 0.9], 1),
    "none: a sharp minimum": ([0.9, 0.5, 0.2, 0.1, 0.2, 0.9], 3),
    "two rates": ([0.2, 0.2], 0),
    "one rate": ([0.2], 0),
}


@pytest.mark.parametrize("case", FLAT_CURVES)
def test_where_the_curve_is_flat_the_middle_is_used(case: str) -> None:
    losses, wanted = FLAT_CURVES[case]
    assert row_of(curve(*losses))["use_learning_rate"] == lattice(len(losses))[wanted]


def test_flat_is_what_is_flat_in_the_gap_as_well() -> None:
    # Far above the floor 1 % of the loss is much of the way: 0.892 to 0.9 are 0.0089 in ln ℓ, and from ℓ₀ = 1 a gap of 0.074.
    falling = [0.97, 0.9, 0.9, 0.9, 0.9, 0.9, 0.892]
    assert row_of(curve(*falling))["use_learning_rate"] == lattice(7)[6]
    # The gap may differ by `close`: 0.0009 / 0.1009 = 0.0089.
    assert row_of(curve(*falling[:-1], 0.8991))["use_learning_rate"] == lattice(7)[4]
    assert row_of(curve(*falling), close=0.1)["use_learning_rate"] == lattice(7)[4]


def test_the_middle_is_among_the_candidates_but_the_stretch_is_not() -> None:
    # Flat from the third rate to the last; only the three largest are confirmed.
    rates, grid = lattice(9), curve(NAN, 0.9, 0.2, 0.2, 0.2, 0.2, 0.2, 0.2, 0.2)
    fresh = study({rate: [0.2, 0.2] for rate in rates[6:]}, "confirm")
    assert row_of(grid)["use_learning_rate"] == rates[5]
    assert row_of(grid, fresh)["use_learning_rate"] == rates[6]
    # The best rate is the first of the flat ones. Of those beside it one breaks, and the farthest makes way for the one to use.
    chosen = confirm_rates(judge(grid))["learning_rate"].tolist()
    assert chosen == [rates[k] for k in (1, 2, 3, 5)]
    confirmed = study({rate: [0.2, 0.2] for rate in chosen}, "confirm")
    assert row_of(grid, confirmed)["use_learning_rate"] == rates[5]


def test_a_rate_whose_loss_is_not_known_ends_a_flat_part() -> None:
    runs = curve(0.9, 0.2, 0.2, 0.2, 0.2, 0.2, 0.2, 0.2)
    runs["status"] = ["ok", "ok", "stopped", "ok", "ok", "ok", "ok", "ok"]
    # The stopped run fell: nobody knows how far. From the fourth rate to the last it is flat.
    assert row_of(runs)["use_learning_rate"] == lattice(8)[5]


def test_equal_rates_have_the_middle_one_to_use_and_the_smallest_one_best() -> None:
    row = row_of(study({0.01: [0.5], 0.1: [0.5], 1.0: [0.5]}))
    assert (row["use_learning_rate"], row["best_learning_rate"]) == (0.1, 0.01)
    assert (row["own_low"], row["own_high"]) == (0.01, 1.0)
    assert np.isnan([row["collapse_low"], row["collapse_high"]]).all()


def test_a_single_rate_is_the_one_to_use() -> None:
    row = row_of(study({0.1: [0.5, 0.7]}))
    assert (row["use_learning_rate"], row["use_loss"]) == (0.1, pytest.approx(0.6))
    assert (row["own_low"], row["own_high"], row["best_at_edge"]) == (0.1, 0.1, True)


def test_the_floor_is_the_known_optimum() -> None:
    # Above 0.09 the losses are 0.11, 0.01, 0.0 and 0.81: the third is 10⁻⁶ of the way, ever so much better.
    rates = [round(0.01 * THIRD**k, 9) for k in range(4)]
    runs = study(dict(zip(rates, [[0.20], [0.10], [0.09], [0.90]], strict=True)))
    assert row_of(runs.assign(optimum=0.09))["use_learning_rate"] == rates[2]
    assert row_of(runs.assign(optimum=0.0))["use_learning_rate"] == rates[1]


def test_where_losses_may_be_negative_the_gap_decides() -> None:
    # From −0.09 up to 0.9 the gaps are 0.266, 0.174, 0 and 0.908: with ln(g + 0.01) η₃ has 0.15·(−1.69) + 0.5·(−4.61) + 0.35·(−0.09) = −2.59,
    # η₂ 0.15·(−1.29) + 0.5·(−1.69) + 0.35·(−4.61) = −2.65.
    rates = [round(0.01 * THIRD**k, 9) for k in range(4)]
    runs = study(dict(zip(rates, [[0.20], [0.10], [-0.09], [0.90]], strict=True)))
    assert row_of(runs)["use_learning_rate"] == rates[1]
    assert row_of(runs.assign(optimum=-0.09))["use_learning_rate"] == rates[2]


# --- bands and collapse ---------------------------------------------------------------------------


def test_the_bands_are_the_unbroken_stretches_around_the_best_rate() -> None:
    # Two bands: the one at 10 is as good, but another one. The line's own best is 0.2, the problem's 0.
    own = study({1e-3: [0.9], 1e-2: [0.23], 1e-1: [0.2], 1.0: [0.5], 10.0: [0.2]})
    best = study({0.1: [0.0]}, optimizer="adam")
    row = row_of(own, best)
    assert (row["best_learning_rate"], row["own_low"], row["own_high"]) == (0.1, 0.01, 0.1)
    assert np.isnan([row["good_low"], row["good_high"]]).all()
    alone = row_of(own)
    assert (alone["good_low"], alone["good_high"]) == (0.01, 0.1)
    assert alone["tolerance_decades"] == pytest.approx(1 + 1 + 0.5)  # 10 is good, too


def test_the_band_by_pace_has_the_rates_that_need_a_fifth_more_steps_at_most() -> None:
    runs = study({0.01: [0.2], 0.1: [0.1], 1.0: [0.115], 10.0: [0.8]})
    row = row_of(runs.assign(pace_loss=0.12))
    assert (row["pace_low"], row["pace_high"]) == (0.1, 1.0)
    # Where the curve is flat at the end, a rate within a hundredth counts anyway.
    flat = row_of(study({0.01: [0.2], 0.1: [0.1], 1.0: [0.108], 10.0: [0.8]}, pace_loss=0.1))
    assert (flat["pace_low"], flat["pace_high"]) == (0.1, 1.0)
    assert np.isnan([row_of(runs)["pace_low"], row_of(runs.assign(pace_loss=NAN))["pace_high"]]).all()


def test_training_collapses_between_the_last_useful_rate_and_the_next() -> None:
    # Dead units end just below ℓ₀: stable, and useless. 100 trains by luck; what is above the first useless rate does not count.
    row = row_of(study({0.01: [0.3], 0.1: [0.0], 1.0: [0.5], 10.0: [0.98], 100.0: [0.4]}))
    assert (row["collapse_low"], row["collapse_high"]) == (1.0, 10.0)
    assert row["max_stable_learning_rate"] == 100.0
    assert np.isnan(row["degrades_from"])


def test_useless_rates_below_the_best_one_are_no_collapse() -> None:
    row = row_of(study({0.01: [0.95], 0.1: [0.7], 1.0: [0.0]}))
    assert np.isnan([row["collapse_low"], row["collapse_high"]]).all()


def test_a_rate_at_which_most_seeds_fail_is_useless_whatever_the_others_reach() -> None:
    row = row_of(study({0.1: [0.3, 0.3, 0.3], 1.0: [0.0, NAN, NAN]}))
    assert (row["collapse_low"], row["collapse_high"]) == (0.1, 1.0)


def test_a_line_may_degrade_instead_of_collapsing() -> None:
    # From ¼ to ¾ the gap takes three steps of the grid.
    slow = row_of(study({0.1: [0.0], 1.0: [0.2], 10.0: [0.4], 100.0: [0.6], 1000.0: [0.8]}))
    assert (slow["collapse_low"], slow["collapse_high"], slow["degrades_from"]) == (10.0, 100.0, 10.0)
    quick = row_of(study({0.1: [0.0], 1.0: [0.2], 10.0: [0.4], 100.0: [0.9], 1000.0: [0.9]}))
    assert (quick["collapse_low"], quick["collapse_high"]) == (10.0, 100.0)
    assert np.isnan(quick["degrades_from"])


# --- runs that a race stopped ---------------------------------------------------------------------


def test_a_rate_with_a_stopped_seed_is_no_candidate_and_has_no_mean() -> None:
    runs = study({0.01: [0.5, 0.5], 0.1: [0.2, 0.2], 1.0: [0.1, 0.1], 10.0: [0.9, 1.5]})
    runs["status"] = ["ok"] * 5 + ["stopped"] + ["ok", "stopped"]
    runs.loc[6, "status"] = "ok"
    row = row_of(runs)
    # 1 has a run that fell and was stopped: it is not known. 10 has one that did not fall: it is useless.
    assert (row["best_learning_rate"], row["best_loss"]) == (0.1, pytest.approx(0.2))
    assert (row["collapse_low"], row["collapse_high"]) == (0.1, 10.0)
    assert row["use_learning_rate"] in (0.01, 0.1)
    assert set(confirm_rates(judge(runs))["learning_rate"]) == {0.01, 0.1}


# --- confirmed rates ------------------------------------------------------------------------------


def test_confirmed_rates_have_the_means_of_their_fresh_seeds() -> None:
    grid = study({0.01: [0.3, 0.3], 0.1: [0.0, 0.0], 1.0: [0.2, 0.2], 10.0: [0.9, 0.9]})
    fresh = study({0.1: [0.4, 0.4, 0.4], 1.0: [0.1, 0.1, 0.4]}, "confirm")
    row = row_of(grid, fresh)
    assert (row["best_learning_rate"], row["best_loss"]) == (1.0, pytest.approx(0.2))  # 0.01 is no candidate
    assert row["use_learning_rate"] in (0.1, 1.0)
    assert (row["confirmed_seeds"], row["seeds"]) == (3, 2)
    assert (row["rates"], row["rate_low"], row["rate_high"]) == (4, 0.01, 10.0)
    # The grid alone: its means, of its seeds.
    assert row["learning_rate_sensitivity"] == pytest.approx((0.3 + 0.0 + 0.2 + 0.9) / 4 - 0.2)


def test_refined_rates_are_in_the_bands_and_not_in_what_is_of_the_grid() -> None:
    grid = study({0.01: [0.3], 0.1: [0.0], 1.0: [0.9]})
    more = study({0.3: [0.02], 0.03: [0.5]}, "refine")
    row, alone = row_of(grid, more), row_of(grid)
    assert (row["own_high"], alone["own_high"]) == (0.3, 0.1)
    assert (row["collapse_low"], alone["collapse_low"]) == (0.3, 0.1)
    assert row["learning_rate_sensitivity"] == alone["learning_rate_sensitivity"]
    assert (row["rates"], row["seeds"]) == (3, 1)


# --- against plain Python -------------------------------------------------------------------------

LOSSES = np.array([0.0, 0.25, 0.5, 0.97, 1.0, NAN, 3.0])


def drawn(rng: np.random.Generator, size: int) -> list[float]:
    """Losses, every other one a round number, a failure or ℓ₀ itself."""
    return np.where(rng.random(size) < 0.5, rng.choice(LOSSES, size), rng.uniform(0, 1.5, size)).tolist()


def random_study(rng: np.random.Generator) -> pd.DataFrame:
    """One to three lines of one problem; a race may have stopped a run of each."""
    shared = {
        "constant_loss": rng.choice([NAN, 0.8]),
        "optimum": rng.choice([NAN, NAN, 0.0, -0.1]),
        "pace_loss": rng.choice([NAN, 0.3]),
    }
    lift = rng.choice([0.0, 0.0, -0.3])
    parts = []
    for name in ("a", "b", "c")[: rng.integers(1, 4)]:
        seeds = int(rng.integers(1, 4))
        rates = [float(f"{10 ** (k / 3 - 2):.9g}") for k in range(rng.integers(1, 8))]
        final = {rate: [loss + lift for loss in drawn(rng, seeds)] for rate in rates}
        runs = study(final, optimizer=name, **shared)
        at = int(rng.integers(len(runs)))
        if rng.random() < 0.5 and np.isfinite(runs.loc[at, "final_train_loss"]):
            runs.loc[at, "status"] = "stopped"
        parts.append(runs)
    return pd.concat(parts, ignore_index=True)


def further(rng: np.random.Generator, runs: pd.DataFrame, chosen: pd.DataFrame, stage: str) -> pd.DataFrame:
    """The runs, and those of a stage at the chosen rates."""
    parts = [runs]
    confirmed = int(rng.integers(1, 4))
    for row, rate in zip(chosen["row"], chosen["learning_rate"], strict=True):
        first = runs.iloc[row]
        same = {name: first[name] for name in ("optimizer", "constant_loss", "optimum", "pace_loss")}
        own = (runs["optimizer"] == first["optimizer"]) & (runs["stage"] == "grid")
        seeds = runs.loc[own, "seed"].nunique() if stage == "refine" else confirmed
        parts.append(study({rate: drawn(rng, seeds)}, stage, **same))
    return pd.concat(parts, ignore_index=True)


@pytest.mark.slow
@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_the_table_is_what_plain_python_makes_of_the_definitions(seed: int) -> None:
    rng = np.random.default_rng(seed)
    runs = random_study(rng)
    for stage, choose in (("refine", refined_rates), ("confirm", confirm_rates)):
        if rng.random() < 0.5:
            runs = further(rng, runs, choose(judge(runs)), stage)
    table = table_of(runs)
    expected = plain_answers.answers(runs)
    assert table["trains"].tolist() == [each["trains"] for each in expected]
    for name in ANSWERS:
        found = table[name].to_numpy(dtype=np.float64)
        np.testing.assert_allclose(found, [each[name] for each in expected], rtol=1e-9, err_msg=name)


@pytest.mark.slow
@settings(max_examples=25, deadline=None)
@given(
    st.lists(st.floats(1e-3, 1.0), min_size=1, max_size=9),
    st.floats(1e-3, 1e3),
    st.floats(-3, 3),
)
def test_the_rate_to_use_does_not_depend_on_units(final: list[float], unit: float, decades: float) -> None:
    """Another unit of the loss, as long as its floor is 0, changes nothing; another one of the rate moves everything with it."""
    rates = [10 ** (k / 4) for k in range(len(final))]
    runs = study({rate: [loss] for rate, loss in zip(rates, final, strict=True)})
    base = row_of(runs)
    scaled = runs.assign(initial_train_loss=unit, final_train_loss=runs["final_train_loss"] * unit)
    moved = runs.assign(learning_rate=runs["learning_rate"] * 10**decades)
    for name in ("use_learning_rate", "best_learning_rate", "own_low", "own_high", "collapse_high"):
        if near_a_tie(runs):
            continue
        np.testing.assert_allclose(row_of(scaled)[name], base[name], rtol=1e-9, err_msg=name)
        np.testing.assert_allclose(row_of(moved)[name], base[name] * 10**decades, rtol=1e-9, err_msg=name)
    if base["trains"]:
        assert base["use_learning_rate"] in rates


def near_a_tie(runs: pd.DataFrame) -> bool:
    """Whether rounding may decide: two scores or gaps that differ by nothing, or by a limit."""
    line = plain_answers.lines_of(runs)[0]
    if line.best is None or not line.least < line.start:
        return True
    found = sorted(plain_answers.scores(line, 0.0, NAN).values())
    above = [score - found[0] - 0.01 for score in found]
    each = [line.gap(rate) for rate in line.rates]
    gaps = [gap - limit for gap in each for limit in (0.05, 0.5)]
    gaps += [abs(gap - other) - 0.01 for gap in each for other in each] + above
    losses = sorted(rate.loss(line.start) for rate in line.rates)
    close = [abs(np.diff(values)).min(initial=1.0) < 1e-9 for values in (found, losses)]
    return any(close) or min(map(abs, gaps)) < 1e-9


# --- what later stages train ----------------------------------------------------------------------


def test_candidates_are_the_best_rate_and_two_neighbours_on_each_side() -> None:
    losses = [0.9, 0.5, 0.3, 0.1, 0.2, 0.4, 0.9]
    rates = [round(0.01 * THIRD**k, 9) for k in range(7)]
    runs = judge(study({rate: [loss] for rate, loss in zip(rates, losses, strict=True)}))
    chosen = confirm_rates(runs)
    assert chosen["learning_rate"].tolist() == rates[1:6]
    assert chosen["row"].tolist() == [0] * 5


def test_of_the_candidates_the_farthest_makes_way_for_the_rate_to_use() -> None:
    # Best is the last rate, a lucky one beside a bad neighbour; the one to use is five steps below it.
    losses = [0.5, 0.01, 0.01, 0.01, 0.9, 0.9, 0.009, 0.9]
    rates = [round(1e-3 * THIRD**k, 9) for k in range(8)]
    runs = judge(study({rate: [loss] for rate, loss in zip(rates, losses, strict=True)}))
    row = row_of(runs.drop(columns=["verdict", "oscillation"]).assign(rise=0.0, late_pace=0.0))
    assert (row["best_learning_rate"], row["use_learning_rate"]) == (rates[6], rates[2])
    assert confirm_rates(runs)["learning_rate"].tolist() == [rates[k] for k in (2, 5, 6, 7)]


def test_unstable_rates_and_lines_that_do_not_train_have_no_candidates() -> None:
    runs = pd.concat(
        [study({0.1: [1.0]}), study({0.1: [0.2], 1.0: [NAN]}, optimizer="adam")], ignore_index=True
    )
    chosen = confirm_rates(judge(runs))
    assert chosen.values.tolist() == [[1, 0.1]]
    assert refined_rates(judge(study({0.1: [1.0], 1.0: [1.0]}))).empty


def test_refining_halves_the_step_around_the_best_rate_and_around_the_collapse() -> None:
    runs = judge(study({0.01: [0.5], 0.1: [0.0], 1.0: [0.2], 10.0: [0.9]}))
    assert refined_rates(runs)["learning_rate"].tolist() == [0.0316227766, 0.316227766, 3.16227766]
    edge = judge(
        study({0.1: [0.0], 1.0: [0.9]})
    )  # the best rate is beside the collapse, and the first: one rate for both
    assert refined_rates(edge)["learning_rate"].tolist() == [0.316227766]


def test_a_range_goes_from_a_decade_below_the_first_useful_rate_to_a_decade_above_the_collapse() -> None:
    passed = {1e-3: [0.98], 1e-2: [0.4], 0.1: [0.0], 1.0: [0.9], 10.0: [NAN]}
    chosen = ranged_rates(judge(study(passed, "range")), 3)
    expected = [float(f"{10 ** (k / 3):.9g}") for k in range(-9, 4)]
    assert chosen["learning_rate"].tolist() == expected
    assert ranged_rates(judge(study({0.1: [1.0], 1.0: [NAN]}, "range")), 3).empty


@pytest.mark.parametrize("final", [[0.9, 0.1, 0.0], [0.0, 0.1, 0.9]], ids=["the top", "the bottom"])
def test_a_range_ends_where_rates_do(final: list[float]) -> None:
    """No collapse up to the largest rate, or useful from the smallest on: then the range ends there."""
    ends = [1e1, 1e2, 1e3] if final[0] > 0.5 else [1e-7, 1e-6, 1e-5]
    runs = judge(study({rate: [loss] for rate, loss in zip(ends, final, strict=True)}, "range"))
    rates = ranged_rates(runs, 1)["learning_rate"].tolist()
    assert rates == ([10.0, 100.0, 1000.0] if final[0] > 0.5 else [1e-7, 1e-6, 1e-5, 1e-4])


# --- tables over the grid alone -------------------------------------------------------------------


def test_a_tuning_budget_is_that_of_the_grid() -> None:
    """Means over its seeds; ℓ* is the confirmed one; outside its own range a line has ℓ₀."""
    grid = study({0.1: [0.0, 0.4], 1.0: [0.2, NAN]})
    later = [study({0.3: [0.0, 0.0]}, "refine"), study({0.1: [0.3, 0.3]}, "confirm")]
    other = study({10.0: [0.7, 0.7]}, optimizer="adam")
    table = tuning_budget(pd.concat([*later, grid, other], ignore_index=True))
    mine = table[table["optimizer"] == "sgd"]
    # Means 0.2 and 0.6, and 1 at the rate that only the other line has: of 1, 2 and 3 draws.
    expected = [(0.2 + 0.6 + 1) / 3, (0.2 + 0.2 + 0.6) / 3, 0.2]
    assert mine["expected_loss"].tolist() == pytest.approx(expected)
    assert mine["expected_gap"].tolist() == pytest.approx([(loss - 0.3) / 0.7 for loss in expected])
    adam = table[table["optimizer"] == "adam"]
    assert adam["expected_loss"].tolist() == pytest.approx([0.9, 0.8, 0.7])


def test_a_line_of_many_rates_takes_little_memory() -> None:
    """It grows with the number of rates, not with its square: comparing every rate with every other one took 400 MB."""
    x = np.linspace(0.0, 1.0, 20_000)[None]
    tracemalloc.start()
    try:
        found = interpolated(x, x**2, x + 0.1)
        most = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert most < 10e6
    assert np.allclose(found, np.minimum(x + 0.1, 1.0) ** 2, atol=1e-8)
