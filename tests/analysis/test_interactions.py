"""How the best rate moves with another number: curves whose lowest points are known, and hostile ones."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from lrbench.analysis.fitted_rates import EVERY, fitted_rates, half_width, lowest_points
from lrbench.analysis.groups import line_columns
from lrbench.analysis.interactions import sentence, slices
from lrbench.tables.base import columns
from lrbench.tables.interactions import interactions
from lrbench.tables.sensitivity import sensitivity
from tests.helpers import frames

RATES = np.logspace(-4, 1, 21)


def runs_at(
    lowest: dict[float, float],
    parameter: str,
    *,
    seeds: int = 4,
    noise: float = 0.0,
    rates: np.ndarray = RATES,
    generator: np.random.Generator | None = None,
    **more: Any,
) -> pd.DataFrame:
    """Runs whose log loss is a parabola in log rate; `lowest`: value of the parameter -> log₁₀ of its best rate."""
    generator = generator or np.random.default_rng(0)
    together = noise * generator.normal(size=(len(rates), seeds))
    tables = []
    for value, at in lowest.items():
        own = noise * generator.normal(size=(len(rates), seeds))
        final = np.exp(np.square(np.log10(rates) - at)[:, None] - 3 + together + own)
        grid = {"learning_rate": np.repeat(rates, seeds), "seed": np.tile(np.arange(seeds), len(rates))}
        tables.append(
            frames.runs_of(list(final.reshape(-1)), **grid, verdict="good", **{parameter: value}, **more)
        )
    runs = pd.concat(tables, ignore_index=True)
    return runs.assign(initial_train_loss=1e4, status="ok")


def table_of(runs: pd.DataFrame) -> pd.DataFrame:
    return interactions(sensitivity(runs), frames.line_runs(runs))


def row_of(runs: pd.DataFrame) -> dict[str, Any]:
    (row,) = table_of(runs).to_dict("records")
    return {str(name): value for name, value in row.items()}


@given(
    at=st.floats(-0.5, 0.5),
    bend=st.floats(0.5, 5),
    points=st.integers(5, 12),
    gaps=st.lists(st.floats(0.1, 0.5), min_size=12, max_size=12),
)
def test_the_lowest_point_of_a_parabola_is_found_whatever_the_rates(
    at: float, bend: float, points: int, gaps: list[float]
) -> None:
    position = np.cumsum(gaps[:points])
    position -= position[points // 2]
    height = bend * (position - at) ** 2 + 7
    best, found = lowest_points(position, height)
    assert best == np.argmin(height)
    inside = np.abs(position - position[best]) <= 0.5
    inside[max(0, best - 2) : best + 3] = True
    assert found == pytest.approx(np.clip(at, position[inside][0], position[inside][-1]), abs=1e-6)


@given(st.integers(0, 2**32 - 1))
def test_the_fit_is_numpy_s_least_squares(seed: int) -> None:
    generator = np.random.default_rng(seed)
    position = np.arange(-2.0, 2.01, 0.25)
    height = np.abs(position) ** 1.5 + generator.normal(scale=0.3, size=len(position))
    best, found = lowest_points(position, height)
    near = np.abs(np.arange(len(position)) - best) <= 2
    bend, slope, _ = np.polyfit(position[near], height[near], 2)
    lowest = -slope / (2 * bend) if bend > 0 else position[best]
    assert found == pytest.approx(np.clip(lowest, position[near][0], position[near][-1]), abs=1e-6)


@pytest.mark.slow
@given(st.floats(1e-6, 1e6), st.floats(-2, -1))
def test_the_fitted_rate_does_not_depend_on_the_unit_of_the_loss(unit: float, at: float) -> None:
    runs = runs_at({8.0: at}, "problem_batch_size", noise=0.1)
    scaled = runs.assign(
        final_train_loss=unit * runs["final_train_loss"], initial_train_loss=unit * runs["initial_train_loss"]
    )
    np.testing.assert_allclose(
        fitted_rates(scaled)["learning_rate"], fitted_rates(runs)["learning_rate"], rtol=1e-6
    )


def test_losses_below_zero_are_fitted_by_their_gap() -> None:
    """ℓ = −1 + (x + 1.3)² on a grid around −1.3: log(gap + 0.01) is symmetric around it."""
    rates = 10.0 ** np.arange(-3.3, 0.71, 0.5)
    final = -1 + np.square(np.log10(rates) + 1.3)
    runs = frames.runs_of(list(final), learning_rate=rates, initial_train_loss=9.0, status="ok")
    (found,) = fitted_rates(runs)["learning_rate"]
    assert np.log10(found) == pytest.approx(-1.3)
    floor = frames.runs_of(
        list(final), learning_rate=rates, initial_train_loss=9.0, status="ok", optimum=-1.5
    )
    (known,) = fitted_rates(floor)["learning_rate"]
    assert np.log10(known) == pytest.approx(-1.3)


def test_no_runs_have_no_fitted_rates() -> None:
    some = runs_at({8.0: -1.1}, "problem_batch_size")
    none = fitted_rates(some.iloc[:0])
    assert len(none) == 0
    assert list(none) == list(fitted_rates(some))


def test_a_row_per_line_and_seed_that_is_left_out() -> None:
    fits = fitted_rates(runs_at({8.0: -1.1, 16.0: -1.4}, "problem_batch_size", seeds=3))
    assert fits["line"].tolist() == [0] * 4 + [1] * 4
    assert fits["seed"].tolist() == [EVERY, 0, 1, 2] * 2
    np.testing.assert_allclose(np.log10(fits["learning_rate"]), [-1.1] * 4 + [-1.4] * 4, atol=1e-9)
    assert fits["step"].to_numpy() == pytest.approx(0.25)


@pytest.mark.parametrize(
    ("parameter", "lowest", "scale", "exponent"),
    [
        ("problem_batch_size", {16.0: -1.0, 64.0: -1.3, 256.0: -1.6}, "log", -0.3 / np.log10(4)),
        ("optimizer_momentum", {0.0: -0.5, 0.9: -1.5, 0.99: -2.5}, "log of 1 - value", 1.0),
        ("optimizer_weight_decay", {0.0: -1.0, 1e-3: -1.3}, "linear", np.nan),
        ("schedule_warmup", {0.01: -1.4, 0.1: -1.1, 1.0: -0.8}, "log", 0.3),
        ("learning_rate_output", {0.1: -1.4, 1.0: -1.1}, "log", 0.3),
    ],
)
def test_a_known_shift_is_found(
    parameter: str, lowest: dict[float, float], scale: str, exponent: float
) -> None:
    row = row_of(runs_at(lowest, parameter))
    shift = list(lowest.values())[-1] - next(iter(lowest.values()))
    assert row["shift_decades"] == pytest.approx(shift, abs=1e-6)
    assert row["shift_decades_low"] <= shift <= row["shift_decades_high"]
    assert row["shift_decades_high"] - row["shift_decades_low"] < 0.3
    assert row["spread_decades"] == pytest.approx(abs(shift), abs=1e-6)
    assert row["parameter"] == parameter
    assert row["scale"] == scale
    assert row["exponent"] == pytest.approx(exponent, abs=1e-6, nan_ok=True)
    assert [row["from_value"], row["to_value"]] == [min(lowest), max(lowest)]
    assert np.log10(row["from_learning_rate"]) == pytest.approx(next(iter(lowest.values())), abs=1e-6)
    assert [row["values"], row["values_fitted"], row["seeds"]] == [len(lowest), len(lowest), 4]
    assert pd.isna(row[parameter])


def test_the_interval_by_hand() -> None:
    """Two lines, all seeds alike: only the grid's error is left, 1.96·√(2·0.25²/48)."""
    row = row_of(runs_at({8.0: -1.5, 80.0: -1.0}, "problem_batch_size"))
    half = 1.959964 * (2 * 0.25**2 / 48) ** 0.5
    assert row["shift_decades"] == pytest.approx(0.5)
    assert row["shift_decades_high"] == pytest.approx(0.5 + half)
    assert row["shift_decades_low"] == pytest.approx(0.5 - half)


def test_the_interval_is_not_narrower_than_that_of_the_straight_line() -> None:
    lowest = {1.0: -2.0, 10.0: -1.6, 100.0: -1.8, 1000.0: -1.4}
    row = row_of(runs_at(lowest, "problem_batch_size"))
    line = stats.linregress(np.log10(list(lowest)), list(lowest.values()))
    assert row["exponent"] == pytest.approx(line.slope) == pytest.approx(0.16)
    half = stats.t.ppf(0.975, 2) * line.stderr
    assert row["exponent_high"] == pytest.approx(line.slope + half)
    assert row["exponent_low"] == pytest.approx(line.slope - half)


@pytest.mark.slow
def test_the_interval_covers_the_shift_of_noisy_runs() -> None:
    generator = np.random.default_rng(1)
    inside, width = [], []
    for _ in range(150):
        start, shift = generator.uniform(-1.75, -1.5), generator.uniform(-0.7, 0.7)
        lowest = {8.0: start, 64.0: start + shift / 2, 512.0: start + shift}
        row = row_of(runs_at(lowest, "problem_batch_size", noise=0.1, generator=generator))
        inside.append(row["shift_decades_low"] <= shift <= row["shift_decades_high"])
        width.append(row["shift_decades_high"] - row["shift_decades_low"])
    assert np.mean(inside) >= 0.93
    assert np.median(width) < 0.6


def test_seeds_of_two_kinds_have_the_interval_of_welch() -> None:
    generator = np.random.default_rng(3)
    grid, fresh = generator.normal(size=4), generator.normal(scale=3, size=9)
    every = grid.mean() - fresh.mean()
    left = [
        np.delete(grid, at).mean() - fresh.mean() if at < 4 else grid.mean() - np.delete(fresh, at - 4).mean()
        for at in range(13)
    ]
    half = half_width(every, np.array(left), np.arange(13) >= 4)
    known = stats.ttest_ind(grid, fresh, equal_var=False).confidence_interval()
    assert [every - half, every + half] == pytest.approx([known.low, known.high])
    one = half_width(
        every, np.array(left)[3:], np.arange(10) > 0
    )  # one seed of the grid says nothing of its spread
    assert one == pytest.approx(stats.t.ppf(0.975, 8) * stats.sem(fresh))
    assert np.isnan(half_width(every, np.array(left)[3:5], np.array([False, True])))


def _grid(**axes: list[Any]) -> pd.DataFrame:
    names = {"problem": ["p"], "optimizer": ["sgd"], "schedule": ["constant"]}
    return pd.MultiIndex.from_product((names | axes).values(), names=list(names | axes)).to_frame(index=False)


def _found(table: pd.DataFrame) -> list[tuple[str, list[int]]]:
    return [(cut.parameter, cut.lines.tolist()) for cut in slices(table)]


def test_slices_go_through_the_best_line() -> None:
    table = _grid(problem_batch_size=[8, 16], optimizer_momentum=[0.0, 0.5, 0.9])
    loss = [9, 8, 7, 6, 5, 1]
    assert _found(table.assign(best_loss=loss)) == [
        ("problem_batch_size", [2, 5]),
        ("optimizer_momentum", [3, 4, 5]),
    ]
    assert _found(table.assign(best_loss=loss[::-1])) == [
        ("problem_batch_size", [0, 3]),
        ("optimizer_momentum", [0, 1, 2]),
    ]
    nothing = table.assign(best_loss=np.nan)
    assert [name for name, _ in _found(nothing)] == ["problem_batch_size", "optimizer_momentum"]
    # The rate to use decides where there is one.
    assert _found(table.assign(best_loss=loss, use_loss=loss[::-1])) == _found(
        table.assign(best_loss=loss[::-1])
    )


def test_values_are_in_their_order_and_what_is_no_number_is_not_one() -> None:
    table = _grid(
        problem_batch_size=[64, 8, 16], optimizer_nesterov=[True, False], problem_hidden=["[64]", "[8]"]
    )
    found = _found(table.assign(best_loss=1.0))
    assert [name for name, _ in found] == ["problem_batch_size"] * 2
    assert found[0][1] == [4, 8, 0]


def test_other_problems_optimizers_and_schedules_have_slices_of_their_own() -> None:
    table = _grid(problem_tilt=[1, 2], optimizer_momentum=[0.0, 0.9])
    found = _found(table.assign(best_loss=[1, 2, 3, 4]))
    assert found == [("problem_tilt", [0, 2]), ("optimizer_momentum", [0, 1]), ("optimizer_momentum", [2, 3])]
    adam = table.assign(optimizer="adam", optimizer_momentum=np.nan).drop_duplicates()
    both = pd.concat([table, adam], ignore_index=True).assign(best_loss=1.0)
    assert _found(both) == [("problem_tilt", [0, 2]), ("problem_tilt", [4, 5]), *found[1:]]


def test_a_hole_in_the_grid_is_a_shorter_slice() -> None:
    table = (
        _grid(problem_batch_size=[8, 16], optimizer_momentum=[0.0, 0.9])
        .iloc[[0, 1, 3]]
        .reset_index(drop=True)
    )
    assert _found(table.assign(best_loss=[1, 2, 3])) == [("optimizer_momentum", [0, 1])]


def test_nothing_is_told_where_nothing_varies() -> None:
    table = table_of(runs_at({8.0: -1.0}, "problem_batch_size"))
    assert len(table) == 0
    assert {*columns("interactions")} <= {name for both in columns("interactions") for name in [both]}
    explained = {each for line in columns("interactions") for each in line.split(", ")}
    assert {*table.columns} - {"problem_batch_size"} == explained


def test_a_best_rate_at_the_edge_is_left_out_and_said_to_be() -> None:
    rates = np.logspace(-4, -1, 13)
    row = row_of(runs_at({8.0: -2.5, 16.0: -2.1, 32.0: -0.5}, "problem_batch_size", rates=rates))
    assert [row["values"], row["values_fitted"], row["to_value"]] == [3, 2, 16.0]
    assert row["shift_decades"] == pytest.approx(0.4)
    assert row["answer"] == (
        "the best rate moves by +0.4 decades from batch_size 8 to 16 at equal steps (0.3 to 0.5); known at 2 of 3 "
        "values, at the others it is the first or the last rate tried; the loss is lowest at 8"
    )
    row = row_of(runs_at({8.0: -2.5, 16.0: -0.1}, "problem_batch_size", rates=rates))
    assert np.isnan(row["shift_decades"])
    assert (
        row["answer"]
        == "the best rate is known at 1 of 2 values of batch_size: try smaller and larger rates; the loss is lowest at 8"
    )


def test_a_line_that_does_not_train_has_no_best_rate() -> None:
    runs = runs_at({0.0: -1.0, 0.5: -1.0}, "optimizer_momentum")
    dead = runs["optimizer_momentum"] == 0.5
    runs.loc[dead, "status"] = "nonfinite"
    runs.loc[dead, "final_train_loss"] = np.nan
    row = row_of(runs)
    assert [row["values"], row["values_fitted"]] == [2, 1]
    assert (
        row["answer"]
        == "the best rate is known at 1 of 2 values of momentum: try smaller and larger rates; the loss is lowest at 0"
    )
    runs["final_train_loss"], runs["status"] = np.nan, "nonfinite"
    assert row_of(runs)["values_fitted"] == 0


@pytest.mark.parametrize("count", [1, 2])
def test_one_or_two_rates_have_no_lowest_point_between_them(count: int) -> None:
    row = row_of(runs_at({8.0: -1.0, 16.0: -1.0}, "problem_batch_size", rates=np.array([0.1, 1.0])[:count]))
    assert row["values_fitted"] == 0
    assert np.isnan(row["shift_decades"])


def test_one_seed_has_no_interval() -> None:
    row = row_of(runs_at({8.0: -2.0, 16.0: -1.5}, "problem_batch_size", seeds=1))
    assert np.isnan(row["shift_decades_low"])
    assert (
        row["answer"]
        == "the best rate moves by +0.5 decades from batch_size 8 to 16 at equal steps, from one seed; the loss is lowest at 8"
    )


def test_only_seeds_that_all_lines_have_count() -> None:
    runs = runs_at({8.0: -2.0, 16.0: -1.5}, "problem_batch_size", seeds=5, noise=0.1)
    lacking = (runs["problem_batch_size"] == 16) & (runs["seed"] == 4)
    assert row_of(runs[~lacking])["seeds"] == 4


def test_confirmed_runs_are_fitted_in_place_of_the_grid_s_at_their_rates() -> None:
    grid = runs_at({8.0: -2.0, 16.0: -2.0}, "problem_batch_size", stage="grid")
    fresh = runs_at(
        {8.0: -2.1, 16.0: -1.8}, "problem_batch_size", stage="confirm", rates=np.logspace(-2.75, -1.25, 7)
    )
    fresh["seed"] += 2**30
    wrong = grid.assign(stage="range", final_train_loss=1e-9, seed=77)
    runs = pd.concat([wrong, grid, fresh], ignore_index=True)
    fits = fitted_rates(runs)
    every = fits[fits["seed"] == EVERY]
    np.testing.assert_allclose(np.log10(every["learning_rate"]), [-2.1, -1.8], atol=1e-9)
    assert fits["fresh"].tolist() == (fits["seed"] >= 2**30).tolist()
    assert len(fits) == 2 * (1 + 4 + 4)
    alone = fitted_rates(pd.concat([wrong, grid], ignore_index=True))
    np.testing.assert_allclose(np.log10(alone["learning_rate"]), -2.0, atol=1e-9)


def test_a_best_candidate_at_the_end_of_the_candidates_is_not_at_the_edge_of_the_rates() -> None:
    """Fresh seeds prefer the largest candidate; the rate above it is known from the grid."""
    grid = runs_at({8.0: -1.6}, "problem_batch_size", stage="grid")
    fresh = runs_at({8.0: -1.6}, "problem_batch_size", stage="confirm", rates=np.logspace(-2.75, -1.75, 5))
    fresh["seed"] += 2**30
    fits = fitted_rates(pd.concat([grid, fresh], ignore_index=True))
    assert not fits["at_edge"].any()
    np.testing.assert_allclose(np.log10(fits["learning_rate"]), -1.6, atol=1e-9)


def test_a_rate_with_a_stopped_run_counts_as_not_tried() -> None:
    runs = runs_at({8.0: -1.1}, "problem_batch_size")
    at = np.isclose(runs["learning_rate"], 10**-2.0)
    assert at.sum() == 4
    stopped = runs.copy()
    stopped.loc[at & (runs["seed"] == 0), ["status", "final_train_loss"]] = ["stopped", 1e12]
    np.testing.assert_allclose(
        fitted_rates(stopped)["learning_rate"], fitted_rates(runs[~at])["learning_rate"]
    )


def test_batch_sizes_at_equal_epochs_are_said_to_be() -> None:
    runs = runs_at({8.0: -1.0, 16.0: -1.1}, "problem_batch_size")
    assert row_of(runs.assign(steps=100))["budget"] == "steps"
    row = row_of(runs.assign(steps=np.where(runs["problem_batch_size"] == 8, 100, 50)))
    assert row["budget"] == "epochs"
    assert (
        row["answer"]
        == "the best rate stays within one grid step from batch_size 8 to 16 at equal epochs; the loss is lowest at 8"
    )


def test_the_other_parameters_of_a_row_are_those_of_the_best_line() -> None:
    good = runs_at({8.0: -1.0, 16.0: -1.5}, "problem_batch_size", optimizer_momentum=0.9)
    bad = runs_at({8.0: -1.0, 16.0: -1.0}, "problem_batch_size", optimizer_momentum=0.0)
    bad["final_train_loss"] *= 1.1
    good.loc[good["problem_batch_size"] == 16, "final_train_loss"] *= 0.8
    runs = pd.concat([bad, good], ignore_index=True)
    table = table_of(runs)
    assert table["parameter"].tolist() == ["problem_batch_size", "optimizer_momentum"]
    row = table.set_index("parameter").loc["problem_batch_size"]
    assert row["optimizer_momentum"] == 0.9
    assert row["shift_decades"] == pytest.approx(-0.5)
    assert table["best_value"].tolist() == [16.0, 0.9]


ROW = {
    "parameter": "optimizer_weight_decay",
    "from_value": 0.0,
    "to_value": 1e-3,
    "values": 4,
    "values_fitted": 4,
    "shift_decades": -0.5,
    "shift_decades_low": -0.6,
    "shift_decades_high": -0.4,
    "spread_decades": 0.55,
    "grid_step_decades": 0.25,
    "budget": "steps",
    "best_value": 1e-4,
}


@pytest.mark.parametrize(
    ("change", "answer"),
    [
        (
            {},
            "the best rate moves by −0.5 decades from weight_decay 0 to 0.001 (−0.6 to −0.4); the loss is lowest at 0.0001",
        ),
        (
            {"shift_decades_high": 0.01},
            "the best rate varies by 0.55 decades, in no clear direction, from weight_decay 0 to 0.001; the loss is lowest at 0.0001",
        ),
        (
            {"spread_decades": 0.25},
            "the best rate stays within one grid step from weight_decay 0 to 0.001; the loss is lowest at 0.0001",
        ),
        (
            {"values_fitted": 3},
            "the best rate moves by −0.5 decades from weight_decay 0 to 0.001 (−0.6 to −0.4); known at 3 of 4 values, at the "
            "others it is the first or the last rate tried; the loss is lowest at 0.0001",
        ),
    ],
)
def test_what_is_said(change: dict[str, float], answer: str) -> None:
    assert sentence(ROW | change) == answer


def test_no_number_varies_in_names_of_odd_characters() -> None:
    for kind in frames.STUDIES:
        results = frames.STUDIES[kind]()
        assert line_columns(results.interactions) == line_columns(results.sensitivity)
        varies = kind == "a named rate" or "all diverge" in kind
        assert (len(results.interactions) > 0) == varies, kind
