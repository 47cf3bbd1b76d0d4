"""Running times by hand and by brute force."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lrbench.analysis import ecdf
from lrbench.analysis.ecdf import ANY, BEST, VIRTUAL, Pool
from lrbench.study.ladder import ladder
from tests.helpers.frames import hits_at

INF = np.inf


ROWS = [
    # a at 0.1 meets the 100th rung at 10 and 20 steps; at 1 it never does, and one of these runs breaks at step 5.
    {"hits": {100: 10}, "seed": 0},
    {"hits": {100: 20}, "seed": 1},
    {"hits": {}, "seed": 0, "learning_rate": 1.0},
    {"hits": {}, "seed": 1, "learning_rate": 1.0, "diverged_step": 5},
    # b meets it at 40 in one seed alone.
    {"hits": {100: 40}, "seed": 0, "optimizer": "b"},
    {"hits": {}, "seed": 1, "optimizer": "b"},
]


def _row(table: pd.DataFrame, optimizer: str, draws: str, rung: int = 99) -> pd.Series:
    mine = table[(table["optimizer"] == optimizer) & (table["draws"] == draws)]
    return mine.iloc[(np.log10(mine["target"]) - np.log10(ladder()[rung])).abs().argmin()]


def test_expected_running_times_by_hand() -> None:
    table = ecdf.expected_running_times(*hits_at(ROWS))
    assert len(table) == 2 * 2 * 51
    found = _row(table, "a", ANY)
    # 10 + 20 steps of the successes, 100 and 5 of the others, for two successes.
    assert (found["ert"], found["runs"], found["successes"]) == (135 / 2, 4, 2)
    assert np.isnan(found["learning_rate"])
    # Of seed 0: 10 + 100 for one success, of seed 1: 20 + 5; both seeds twice are the ends.
    assert (found["low"], found["high"]) == (25, 110)
    assert found["ratio"] == 1
    best = _row(table, "a", BEST)
    assert (best["ert"], best["runs"], best["learning_rate"], best["low"], best["high"]) == (
        15,
        2,
        0.1,
        10,
        20,
    )
    other = _row(table, "b", BEST)
    assert (other["ert"], other["successes"], other["low"]) == (140, 1, 40)
    assert np.isnan(other["high"])  # without seed 0 there is no success
    assert other["ratio"] == 140 / 15
    assert _row(table, "b", ANY)["ratio"] == 140 / 67.5
    # No run meets the lowest rung.
    assert table.groupby("target")["ert"].count().sort_index().iloc[0] == 0
    assert table["p"].dropna().min() >= 0.5  # two seeds prove nothing


def test_the_rate_of_a_run_that_breaks_at_once_is_not_the_best() -> None:
    """Its steps are few, but it has met nothing."""
    rows = [
        {"hits": {150: 90}, "learning_rate": 0.1},
        {"hits": {}, "learning_rate": 1e9, "diverged_step": 1},
    ]
    table = ecdf.expected_running_times(*hits_at(rows))
    assert set(table.loc[table["draws"] == BEST, "learning_rate"]) == {0.1}


def test_targets_are_fixed_where_the_optimum_is_known_and_else_end_at_what_was_met() -> None:
    known = ecdf.lines(*hits_at(ROWS)).targets[0]
    assert len(known) == 51
    np.testing.assert_allclose(known[[0, -1]], [10**-0.04, 1e-8])
    unknown = ecdf.lines(*hits_at(ROWS, optimum=np.nan)).targets[0]
    assert len(unknown) == 51
    np.testing.assert_allclose(unknown[[0, -1]], ladder()[[0, 100]])
    few = ecdf.lines(*hits_at([{"hits": {10: 3}}], optimum=np.nan)).targets[0]
    np.testing.assert_allclose(few, ladder()[:11])


def test_runs_without_first_hits_and_of_other_stages_are_left_out() -> None:
    runs, hits = hits_at(ROWS)
    runs.loc[1, "stage"] = "confirm"
    table = ecdf.expected_running_times(runs, hits[hits["run_id"] != runs["run_id"][0]])
    assert _row(table, "a", ANY)["runs"] == 2
    shuffled = hits.sample(frac=1, random_state=0)
    pd.testing.assert_frame_equal(
        ecdf.expected_running_times(runs, shuffled), ecdf.expected_running_times(runs, hits)
    )


def test_p_is_that_of_signed_ranks_and_small_where_every_seed_agrees() -> None:
    rows = [
        {"hits": {100: factor * (10 + seed)}, "seed": seed, "optimizer": name}
        for name, factor in (("a", 1), ("b", 2), ("c", 1))
        for seed in range(10)
    ]
    for row in rows[20:]:
        row["hits"] = {100: 10 + int(str(row["seed"])) + (-1) ** int(str(row["seed"]))}
    table = ecdf.expected_running_times(*hits_at(rows))
    # All ten signs agree: of 2⁹ flips only that which flips nothing reaches as much.
    assert _row(table, "b", BEST)["p"] == pytest.approx(1 / 512)
    assert _row(table, "c", BEST)["p"] > 0.5 or _row(table, "a", BEST)["p"] > 0.5


def test_signed_ranks_take_infinite_times_as_slower_than_any() -> None:
    some, others = np.array([[5.0, INF, 1.0, 2.0]]), np.array([[4.0, 9.0, 10.0, 2.0]])
    # |log| are log 1.25, ∞, log 10, 0: ranks 1, 3, 2 and none.
    assert ecdf.signed_ranks(some, others).tolist() == [[1.0, 3.0, -2.0, 0.0]]


def _pool(hit: list[list[float]], cost: list[float]) -> Pool:
    return Pool(np.array(cost), np.array(hit), np.ones(len(cost)), np.arange(len(cost)))


def _brutally(
    pool: Pool, target: int, horizon: float, trials: int, chance: np.random.Generator
) -> np.ndarray:
    """Restart until a run meets a target, one run at a time."""
    found = np.full(trials, INF)
    for trial in range(trials):
        spent = 0.0
        while spent < horizon:
            run = chance.integers(len(pool.cost))
            if np.isfinite(pool.hit[run, target]):
                found[trial] = spent + pool.hit[run, target]
                break
            spent += pool.cost[run]
    return np.where(found <= horizon, found, INF)


def test_simulated_running_times_are_those_of_brute_force() -> None:
    chance = np.random.default_rng(1)
    hit = chance.integers(1, 100, (12, 3)).astype(float)
    hit[chance.random((12, 3)) < 0.7] = INF
    hit[:, 2] = INF
    pool = _pool(hit.tolist(), chance.integers(1, 100, 12).tolist())
    found = ecdf.simulated(pool, 4000, 2000.0)
    assert np.isinf(found[:, 2]).all()
    for target in range(2):
        expected = _brutally(pool, target, 2000.0, 4000, chance)
        for budget in (10, 50, 100, 300, 1000, 2000):
            # Four standard errors of a difference of two shares.
            assert abs((found[:, target] <= budget).mean() - (expected <= budget).mean()) < 4 * np.sqrt(
                0.5 / 4000
            )


def test_the_mean_simulated_time_is_the_expected_running_time() -> None:
    pool = _pool([[10.0], [20.0], [INF], [INF]], [100, 100, 100, 5])
    found = ecdf.simulated(pool, 40_000, 1e6)
    assert found.mean() == pytest.approx(135 / 2, rel=0.02)
    spent = np.unique(found)
    assert {10.0, 20.0, 15.0, 25.0, 110.0, 120.0} <= set(spent)


@settings(max_examples=25, deadline=None)
@given(st.lists(st.tuples(st.integers(1, 50), st.booleans()), min_size=1, max_size=6))
def test_one_success_in_n_is_geometric(runs: list[tuple[int, bool]]) -> None:
    """With equal costs the share within k restarts is 1 − (1 − p)ᵏ."""
    hit = [[1.0 if met else INF] for _, met in runs]
    found = ecdf.simulated(_pool(hit, [10.0] * len(runs)), 2000, 1e4)[:, 0]
    p = np.mean([met for _, met in runs])
    for restarts in (1, 2, 5):
        share = (found <= 10 * (restarts - 1) + 1).mean()
        assert abs(share - (1 - (1 - p) ** restarts)) < 0.06


def test_the_distribution_has_every_line_and_the_virtual_best() -> None:
    runs, hits = hits_at(ROWS)
    table = ecdf.runtime_distribution(runs, hits, trials=200, points=31)
    assert set(table["line"]) == {"a + constant", "b + constant", VIRTUAL}
    assert table["steps"].min() == 1
    assert table["steps"].max() == 100 * 100
    for _, mine in table.groupby(["line", "draws"]):
        assert mine["share"].is_monotonic_increasing
    end = table[table["steps"] == 10_000].set_index(["line", "draws"])["share"]
    # The 101st rung is the last one met: 26 of the 51 targets are above it.
    met = (ecdf.lines(runs, hits).targets[0] >= ladder()[100] * (1 - 1e-9)).mean()
    assert end["a + constant", ANY] == pytest.approx(met)
    assert end[VIRTUAL, BEST] == pytest.approx(met)
    wide = table.pivot_table(index=["draws", "steps"], columns="line", values="share")
    # With the same draws, the line that is the fastest to all targets is the virtual best.
    np.testing.assert_allclose(wide[VIRTUAL], wide["a + constant"])


def test_a_line_that_lacks_a_problem_has_met_none_of_its_targets() -> None:
    rows = [{"hits": {199: 10}}, {"hits": {199: 10}, "optimizer": "b"}, {"hits": {199: 10}, "problem": "q"}]
    table = ecdf.runtime_distribution(*hits_at(rows), trials=10, points=11)
    end = table[table["steps"] == table["steps"].max()].set_index(["line", "draws"])["share"]
    assert end["a + constant", ANY] == pytest.approx(1.0)
    assert end["b + constant", ANY] == pytest.approx(0.5)
