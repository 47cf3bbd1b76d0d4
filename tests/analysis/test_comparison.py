"""Differences, ranks, profiles and budgets against cases computed by hand, and against scipy and scikit-posthocs."""

from __future__ import annotations

import itertools
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import stats

import lrbench as lb
from lrbench import analysis
from lrbench.analysis import multiple_comparisons, paired_differences, rank_tests
from lrbench.analysis.labels import pair_names
from lrbench.analysis.paired_differences import answer
from lrbench.analysis.step_equivalents import SeedCurves
from lrbench.cli import commands
from lrbench.errors import StoreError
from lrbench.results.compare import as_text
from lrbench.results.results import compare
from lrbench.tables.ranking import ranking
from lrbench.tables.sensitivity import sensitivity
from lrbench.tables.tuning_budget import least_of, tuning_budget
from tests.helpers.frames import NAN, comparison, runs_of, undecided


def two(a: list[list[float]], b: list[list[float]], **columns: Any) -> pd.DataFrame:
    """Runs of the optimizers a and b, losses [rate][seed] each, at the rates 1, 2, …"""
    frames = []
    for name, loss in (("a", a), ("b", b)):
        size = len(loss), len(loss[0])
        rate, seed = (index.ravel() for index in np.indices(size))
        flat = [value for row in loss for value in row]
        frames.append(runs_of(flat, optimizer=name, learning_rate=rate + 1.0, seed=seed))
    return pd.concat(frames, ignore_index=True).assign(**columns)


# --- comparison -----------------------------------------------------------------------------------


def test_a_difference_is_paired_by_seed() -> None:
    # Seeds differ by more than the optimizers do: unpaired nothing would be seen.
    row = comparison(two([[0.1, 0.5, 0.8]], [[0.12, 0.53, 0.81]])).iloc[0]
    assert (row["optimizer"], row["other_optimizer"], row["seeds"]) == ("a", "b", 3)
    assert row["difference"] == pytest.approx(-0.02)
    half = 4.302653 * 0.01 / 3**0.5  # t(2), s = 0.01
    assert (row["difference_low"], row["difference_high"]) == pytest.approx((-0.02 - half, -0.02 + half))
    assert row["p"] == pytest.approx(stats.ttest_1samp([0.02, 0.03, 0.01], 0).pvalue)
    assert not row["decided"]
    assert row["headline"]
    # ℓ₀ = 1, ℓ* = 1.4 / 3, the mean of a's seeds
    assert row["difference_normalised"] == pytest.approx(row["difference"] / (1 - 1.4 / 3))
    assert (row["loss"], row["other_loss"]) == pytest.approx((1.4 / 3, 1.46 / 3))


def test_each_line_is_at_its_rate_to_use() -> None:
    runs = two([[0.0, 0.6], [0.5, 0.0]], [[0.5, 0.5], [0.9, 0.9]])
    row = comparison(runs).iloc[0]
    assert (row["learning_rate"], row["other_learning_rate"]) == (2, 1)
    assert (row["loss"], row["other_loss"]) == (0.25, 0.5)
    assert row["difference"] == pytest.approx(-0.25)  # the mean of 0 and −0.5
    row = comparison(runs, use=[1.0, 2.0]).iloc[0]
    assert (row["learning_rate"], row["other_learning_rate"]) == (1, 2)
    assert row["difference"] == pytest.approx(0.3 - 0.9)


@pytest.mark.parametrize("times", [1, 3])
def test_good_neighbours_have_a_part_in_the_variance(times: int) -> None:
    # Differences at the rates to use: −0.1, −0.2, −0.3. The second rate of a is good, and gives −0.1, −0.1, −0.4; its third is not good.
    a = [[0.1, 0.1, 0.1], [0.1, 0.2, 0.0], [0.9, 0.8, 0.7]]
    b = [[0.2, 0.3, 0.4]]
    row = comparison(two([mine * times for mine in a], [b[0] * times]), use=[1.0, 1.0]).iloc[0]
    both = np.array([[-0.1, -0.2, -0.3] * times, [-0.1, -0.1, -0.4] * times])
    cov = np.cov(both) * np.sqrt(np.outer([0.9, 0.1], [0.9, 0.1]))
    variance, freedom = np.trace(cov), (3 * times - 1) * np.trace(cov) ** 2 / (cov**2).sum()
    half = stats.t.ppf(0.975, freedom) * (variance / 3 / times) ** 0.5
    assert (row["difference_low"], row["difference_high"]) == pytest.approx((-0.2 - half, -0.2 + half))


def test_only_seeds_of_both_count() -> None:
    runs = two([[0.1, 0.2, 0.3]], [[0.2, 0.3, 0.9]])
    row = comparison(runs.drop(index=5)).iloc[0]
    assert (row["seeds"], row["difference"]) == (2, pytest.approx(-0.1))
    apart = two([[0.1]], [[0.2]]).assign(seed=[0, 1])
    assert comparison(apart).iloc[0]["answer"] == "no seed in common"


def test_fresh_seeds_alone_count_where_both_have_them() -> None:
    grid = two([[0.1, 0.1]], [[0.5, 0.5]]).assign(stage="grid")
    fresh = two([[0.3, 0.31, 0.29]], [[0.2, 0.21, 0.19]]).assign(stage="confirm")
    fresh["seed"] += 2**30
    elsewhere = two([[0.0]], [[0.0]]).assign(stage="range", seed=0, learning_rate=9.0)
    row = comparison(pd.concat([grid, fresh, elsewhere], ignore_index=True), use=[1.0, 1.0]).iloc[0]
    assert (row["seeds"], abs(row["difference"])) == (3, pytest.approx(0.1))
    alone = pd.concat([grid, fresh[fresh["optimizer"] == "a"]], ignore_index=True)
    row = comparison(alone, use=[1.0, 1.0]).iloc[0]
    assert (row["seeds"], abs(row["difference"])) == (2, pytest.approx(0.4))


def test_lines_fetched_apart_stand_together_over_the_seeds_of_all() -> None:
    one = paired_differences.AtRate(
        np.array([0.1, 0.2]), np.array([0, 2]), np.array([False, True]),
        np.array([[1.0, 2.0], [3.0, 4.0]]), np.full((2, 2 * paired_differences.REACH, 2), 5.0),
    )  # fmt: skip
    two = paired_differences.AtRate(
        np.array([0.3]), np.array([1, 2]), np.array([False, True]),
        np.array([[6.0, 7.0]]), np.full((1, 2 * paired_differences.REACH, 2), 8.0),
    )  # fmt: skip
    found = paired_differences.together([one, two])
    assert (found.rate.tolist(), found.seed.tolist()) == ([0.1, 0.2, 0.3], [0, 1, 2])
    assert found.fresh.tolist() == [False, False, True]
    np.testing.assert_array_equal(found.loss, [[1, NAN, 2], [3, NAN, 4], [NAN, 6, 7]])
    assert found.near.dtype == np.float64
    for near in range(2 * paired_differences.REACH):
        np.testing.assert_array_equal(found.near[:, near], [[5, NAN, 5], [5, NAN, 5], [NAN, 8, 8]])


@pytest.mark.parametrize(
    ("a", "b", "said"),
    [
        ([0.1, 0.4], [0.2, 0.3], "cannot be told apart at this confidence: −1.27 to 1.27"),
        (
            [0.1, 0.2, 0.3, 0.5] * 2,
            [0.2, 0.15, 0.4, 0.48] * 2,
            "−0.0936 to 0.0286; about 34 more seeds would tell",
        ),
        (
            [0.1, 0.2, 0.3, 0.4] * 2,
            [0.2, 0.35, 0.42, 0.6] * 2,
            "a + constant is better: 0.109 to 0.176 lower",
        ),
        ([0.1], [0.3], "one seed: no interval; the difference is −0.2"),
        ([0.1, 0.1], [NAN, NAN], "only a + constant trains"),
        ([NAN], [NAN], "neither trains"),
    ],
)
def test_the_answer_in_words(a: list[float], b: list[float], said: str) -> None:
    row = comparison(two([a], [b])).iloc[0]
    assert row["answer"].endswith(said)
    assert row["decided"] == ("better" in said or "only" in said)
    assert pd.isna(row["more_seeds"]) == ("more seeds" not in said)


def test_the_other_may_be_better() -> None:
    row = {"seeds": 6, "learning_rate": 1.0, "other_learning_rate": 1.1, "difference": 0.2, "decided": True}
    assert answer("a", "b", row | {"difference_low": 0.012, "difference_high": 0.0314}) == (
        "b is better: 0.012 to 0.0314 lower"
    )


@pytest.mark.parametrize(("ratio", "comparisons"), [(0.3, 1), (0.5, 6), (1.0, 1), (1.5, 3)])
def test_more_seeds_have_the_power_that_they_promise(ratio: float, comparisons: int) -> None:
    """With as many in all, a paired t test at the adjusted level finds the difference in 80 % of cases: by the non-central t."""
    found = paired_differences.Differences(
        np.zeros((1, 4)), *(np.array([v]) for v in (ratio, 0, 1, 0.5, 1.0))
    )
    more = paired_differences.more_seeds(found, np.array([comparisons]), analysis.Thresholds())[0]
    power = []
    for n in (more + 4, 0.9 * (more + 4) - 2):
        level = stats.t.isf(0.05 / comparisons / 2, n - 1)
        power.append(stats.nct.sf(level, n - 1, ratio * n**0.5))
    assert power[0] > 0.78
    assert power[1] < 0.8


def test_without_a_difference_no_number_of_seeds_is_named() -> None:
    same = comparison(two([[0.1, 0.2]], [[0.1, 0.2]])).iloc[0]
    assert (same["p"], same["difference"], same["decided"]) == (1, 0, False)
    assert pd.isna(same["more_seeds"])
    tiny = comparison(two([[0.1, 0.9, 0.5]], [[0.9, 0.1, 0.5001]])).iloc[0]
    assert pd.isna(tiny["more_seeds"])
    always = comparison(two([[0.1, 0.2]], [[0.3, 0.4]])).iloc[0]  # the same difference on both seeds
    assert always["difference_low"] == pytest.approx(always["difference_high"])


def many(losses: np.ndarray) -> pd.DataFrame:
    """Runs of lines at one rate, from losses [line, seed]."""
    line, seed = (index.ravel() for index in np.indices(losses.shape))
    names = [f"o{number:02}" for number in line]
    return runs_of(losses.ravel().tolist(), optimizer=names, learning_rate=0.1, seed=seed)


@pytest.mark.parametrize("seeds", [5, 10])
def test_p_of_the_headline_is_adjusted_for_lines_and_that_of_others_for_pairs(seeds: int) -> None:
    losses = 0.5 + 0.01 * np.random.default_rng(2).standard_normal((4, seeds)) + 0.004 * np.arange(4)[:, None]
    table = comparison(many(losses)).set_index(["optimizer", "other_optimizer"])
    order = [f"o{number:02}" for number in np.argsort(losses.mean(axis=1))]
    assert table["headline"].tolist() == [first == order[0] for first, _ in table.index]
    number = {name: int(name[1:]) for name in order}
    each = {pair: losses[number[pair[0]]] - losses[number[pair[1]]] for pair in table.index}
    if seeds < 8:
        raw = np.array([stats.ttest_1samp(each[pair], 0).pvalue for pair in table.index])
        wanted = multiple_comparisons.holm(raw)
        wanted[:3] = multiple_comparisons.holm_from(np.append(NAN, raw[:3]))[1:]
        assert not table["decided"].all()
    else:
        wanted = multiple_comparisons.step_down(np.stack([each[pair] for pair in table.index]))
        place = np.array([number[name] for name in order])
        wanted[:3] = multiple_comparisons.step_down_from(
            int(place[0]), place[1:], lambda first, other: losses[first] - losses[other]
        )
        wanted = np.maximum(wanted, [stats.ttest_1samp(each[pair], 0).pvalue for pair in table.index])
    assert table["p"].to_numpy() == pytest.approx(wanted)
    assert (table["decided"] <= (table["difference_high"] < 0)).all()


def test_lines_not_told_apart_from_their_winner() -> None:
    rng = np.random.default_rng(0)
    noise = 0.01 * rng.standard_normal((4, 10))
    runs = many(0.5 + noise + np.array([[0.1], [0.0], [0.001], [0.2]]))
    assert undecided(runs).tolist() == [1, 2]
    assert undecided(runs, alpha=1e-4).tolist() == [0, 1, 2, 3]
    assert undecided(runs, alpha=1.0).tolist() == []
    assert undecided(many(np.array([[0.1], [0.2]]))).tolist() == [0, 1]  # one seed tells nothing
    assert undecided(many(np.array([[0.1, 0.2], [NAN, NAN]]))).tolist() == []  # only one trains
    both = pd.concat([runs, runs.assign(problem="q")], ignore_index=True)
    assert undecided(both).tolist() == [1, 2, 5, 6]


def test_differences_in_steps_are_between_the_curves_at_use() -> None:
    step = np.array([0, 10, 20, 30])
    ends = {0: 0.2, 1: 0.4}
    shapes = {0: [1.0, 0.5, 0.3, 0.2], 1: [1.0, 0.8, 0.6, 0.4]}

    def curves(some: np.ndarray) -> dict[int, SeedCurves]:
        return {
            int(line): SeedCurves(np.array([1, 0]), step, np.array([shapes[int(line)]] * 2)) for line in some
        }

    losses = np.array([[end, end] for end in ends.values()])
    row = comparison(many(losses), curves=curves).iloc[0]
    assert row["step_equivalent"] == pytest.approx(15)  # between 0.5 at 10 and 0.3 at 20
    assert row["steps_factor"] == pytest.approx(2)
    assert np.isnan(row["steps_factor_low"])  # two seeds
    assert comparison(many(losses)).iloc[0][["step_equivalent", "steps_factor"]].isna().all()


def test_of_many_lines_the_best_meet_each_other_and_all_meet_the_best(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("lrbench.tables.comparison.EACH_OTHER", 3)
    table = comparison(runs_of([0.5, 0.1, 0.3, 0.2, 0.4], optimizer=list("abcde"), learning_rate=0.1))
    pairs = list(zip(table["optimizer"], table["other_optimizer"], strict=True))
    assert pairs == [("b", "d"), ("b", "c"), ("d", "c"), ("b", "e"), ("b", "a")]


def test_problems_and_parameters_are_told_apart() -> None:
    runs = pd.concat(
        [two([[0.1, 0.1]], [[0.2, 0.2]], problem=name).assign(optimizer="sgd") for name in "pq"]
    ).assign(optimizer_momentum=[0.0, 0.0, 0.9, 0.9] * 2)
    table = comparison(runs)
    assert table["problem"].tolist() == ["p", "q"]
    assert table["other_optimizer_momentum"].tolist() == [0.9, 0.9]
    assert pair_names(table) == (["sgd(momentum=0) + constant"] * 2, ["sgd(momentum=0.9) + constant"] * 2)
    assert comparison(runs_of([0.1])).empty
    assert list(comparison(runs_of([0.1])).columns) == [
        name for name in table.columns if "momentum" not in name
    ]


# --- ranks ----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def score() -> np.ndarray:
    """[line, problem] with ties and one that never trains."""
    random = np.random.default_rng(3)
    table = random.random((5, 9)).round(1) + np.arange(5)[:, None] * 0.2
    table[4, 2] = np.inf
    return table


@pytest.mark.slow
def test_ranks_are_those_of_scipy_and_posthocs(score: np.ndarray) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the libraries that we compare with
        posthocs = pytest.importorskip("scikit_posthocs")
        nemenyi = posthocs.posthoc_nemenyi_friedman(score.T).to_numpy()
        finite = np.where(np.isfinite(score), score, 9.0)
        holm = posthocs.posthoc_wilcoxon(list(finite), p_adjust="holm").to_numpy()
    assert rank_tests.average_ranks(score) == pytest.approx(stats.rankdata(score, axis=0).mean(axis=1))
    wanted = stats.friedmanchisquare(*stats.rankdata(score, axis=0))
    assert rank_tests.friedman(score) == pytest.approx((wanted.statistic, wanted.pvalue))
    rank = rank_tests.average_ranks(score)
    apart = np.abs(rank[:, None] - rank) > rank_tests.critical_difference(*score.shape)
    assert np.array_equal(apart, nemenyi < 0.05)
    assert apart.any()
    ours = rank_tests.wilcoxon_holm(finite)
    off = ~np.eye(5, dtype=bool)
    np.testing.assert_allclose(ours[off], holm[off])


@pytest.mark.parametrize(("lines", "q"), [(2, 1.960), (3, 2.343), (5, 2.728), (10, 3.164)])
def test_critical_differences_are_those_of_the_published_table(lines: int, q: float) -> None:
    """Demšar (2006), table 5(a)."""
    problems = 12
    found = rank_tests.critical_difference(lines, problems) / np.sqrt(lines * (lines + 1) / (6 * problems))
    assert found == pytest.approx(q, abs=1e-3)


def test_the_studentized_range_is_that_of_scipy() -> None:
    for lines, confidence in ((2, 0.9), (6, 0.95), (200, 0.99)):
        found = rank_tests._studentized_range(lines, confidence)
        assert found == pytest.approx(stats.studentized_range.isf(1 - confidence, lines, np.inf), rel=1e-9)


@pytest.mark.parametrize(
    "difference", [[0.5, -0.25, 1.0, 2.0], [1.0, 1.0, -1.0, 2.0, 0.0], [-3.0, -3.0, -3.0]], ids=str
)
def test_wilcoxon_counts_all_choices_of_signs(difference: list[float]) -> None:
    given = np.array([value for value in difference if value])
    ranks = stats.rankdata(np.abs(given))
    sums = np.array([ranks @ signs for signs in itertools.product([0, 1], repeat=len(given))])
    seen = ranks[given > 0].sum()
    wanted = min(1.0, 2 * min((sums <= seen).mean(), (sums >= seen).mean()))
    assert rank_tests._wilcoxon(np.array(difference)) == pytest.approx(wanted)


def test_too_few_to_test_is_missing_and_ties_are_no_difference() -> None:
    assert np.isnan(rank_tests.friedman(np.ones((2, 5)))).all()
    assert np.isnan(rank_tests.friedman(np.ones((3, 1)))).all()
    assert rank_tests.friedman(np.ones((3, 5))) == (0.0, 1.0)
    assert np.isnan(rank_tests.critical_difference(1, 5))
    assert np.isnan(rank_tests.wilcoxon_holm(np.ones((2, 1)))).all()
    assert (rank_tests.wilcoxon_holm(np.ones((3, 4))) == 1).all()


def test_groups_are_the_longest_stretches() -> None:
    same = np.abs(np.subtract.outer([1.0, 1.4, 1.9, 4.0], [1.0, 1.4, 1.9, 4.0])) <= 0.5
    assert rank_tests.groups(same) == [range(2), range(1, 3), range(3, 4)]
    assert rank_tests.group_texts(same) == ["1", "1 2", "2", "3"]
    assert rank_tests.groups(np.ones((3, 3), dtype=bool)) == [range(3)]


def test_the_profile_score_is_the_integral() -> None:
    steps = np.array([[10.0, 30.0, np.inf, 0.0], [25.0, 10.0, np.inf, 50.0]])
    ratio = rank_tests.ratios(steps)
    assert ratio.tolist() == [[1.0, 3.0, np.inf, 1.0], [2.5, 1.0, np.inf, np.inf]]
    tau = np.linspace(1, 4, 300_001)
    area = np.trapezoid(rank_tests.share_within(ratio, tau), tau, axis=1) / 3
    assert rank_tests.profile_score(ratio, 4.0) == pytest.approx(area, abs=1e-4)


def gaps_table(gap: list[list[float]], steps: list[list[float]] | None = None) -> pd.DataFrame:
    """A sensitivity table of lines × problems."""
    lines, problems = len(gap), len(gap[0])
    names = itertools.product("abcdefgh"[:lines], "pqrstuvw"[:problems])
    table = pd.DataFrame(names, columns=pd.Index(["optimizer", "problem"])).assign(schedule="constant")
    flat = np.array(gap).ravel()
    reached = np.full(len(flat), 10.0) if steps is None else np.array(steps).ravel()
    return table.assign(best_gap=flat, best_loss=flat, steps_to_target=reached)


def test_ranking_by_hand() -> None:
    table = gaps_table(
        [[0.3, 0.2, 0.1], [0.0, 0.0, 0.0], [0.1, 0.2, NAN]], [[40, 40, 10], [10, 20, 20], [NAN, 80, NAN]]
    )
    found = ranking(table).set_index("optimizer")
    assert found.index.tolist() == ["b", "a", "c"]
    assert found["average_rank"].tolist() == pytest.approx([1, (3 + 2.5 + 2) / 3, (2 + 2.5 + 3) / 3])
    assert found["mean_best_gap"].tolist() == pytest.approx([0, 0.2, (0.1 + 0.2 + 1) / 3])
    assert found["targets_reached"].tolist() == [3, 3, 1]
    # r: b 1, 1, 2; a 4, 2, 1; c ∞, 4, ∞
    assert found["profile_score"].tolist() == pytest.approx([(3 + 3 + 2) / 9, (0 + 2 + 3) / 9, 0])
    assert found["speedup"].tolist() == pytest.approx([(4 * 2 * 0.5) ** (1 / 3), 1, 0.5])
    assert found["speedup_problems"].tolist() == [3, 3, 1]
    assert set(found["reference"]) == {"a + constant"}
    assert set(found["nemenyi_group"]) == {"1"}
    assert set(found["wilcoxon_group"]) == {"1"}
    assert found["problems"].tolist() == [3] * 3


def test_ranking_tells_lines_apart_where_there_are_problems_enough() -> None:
    random = np.random.default_rng(0)
    gap = random.random((3, 8)) * 0.1 + np.array([[0.0], [0.2], [0.4]])
    found = ranking(gaps_table(gap.tolist()))
    assert found["friedman_p"].iloc[0] < 0.001
    assert found["nemenyi_group"].tolist() == ["1", "1 2", "2"]
    assert found["wilcoxon_group"].tolist() == ["1", "2", "3"]


def test_one_problem_two_lines_and_a_line_that_is_missing() -> None:
    one = ranking(gaps_table([[0.1], [0.2]]))
    assert one["average_rank"].tolist() == [1, 2]
    assert one[["friedman_p", "critical_difference", "nemenyi_group", "wilcoxon_group"]].isna().all(axis=None)
    lacking = gaps_table([[0.1, 0.3], [0.2, 0.2]]).drop(index=3)
    assert rank_tests.across_problems(lacking).problems == ["p"]
    assert ranking(lacking)["problems"].tolist() == [1, 1]
    nothing = ranking(gaps_table([[0.1, 0.3], [0.2, 0.2]]).drop(index=[1, 2]))
    assert nothing["problems"].tolist() == [0, 0]
    assert list(nothing.columns) == list(one.columns)
    assert len(ranking(gaps_table([[0.1, 0.2]]))) == 1


def test_steps_to_target_at_the_best_rate() -> None:
    best, other = [0.0, 0.1, 0.1, 0.0, 0.1, 0.1], [0.5] * 6
    runs = runs_of(best + other, learning_rate=[1] * 6 + [2] * 6, seed=[*range(6)] * 2, verdict="good")
    runs["steps_to_target"] = pd.array([30, 10, None, 20, 40, 50] + [1] * 6, dtype="Int64")
    row = sensitivity(runs).iloc[0]
    assert (row["steps_to_target"], row["steps_to_target_low"]) == (35, 10)
    assert np.isnan(row["steps_to_target_high"])  # the slowest of six never meets it
    few = sensitivity(runs[runs["seed"] < 5]).iloc[0]
    assert few["steps_to_target"] == 30
    assert np.isnan(few["steps_to_target_low"])
    runs["steps_to_target"] = pd.array([30, None, None, 20, None, None] + [1] * 6, dtype="Int64")
    assert np.isnan(sensitivity(runs).iloc[0]["steps_to_target"])


# --- tuning budget --------------------------------------------------------------------------------


@pytest.mark.parametrize("rates", [1, 4, 6])
def test_expected_least_of_k_is_that_of_all_draws(rates: int) -> None:
    loss = np.sort(np.random.default_rng(rates).random(rates))
    found = least_of(rates) @ loss
    for trials in range(1, rates + 1):
        drawn = [min(some) for some in itertools.combinations(loss, trials)]
        assert found[trials - 1] == pytest.approx(np.mean(drawn))


def test_many_rates_end_at_a_hundred_trials() -> None:
    chance = least_of(1000)
    assert chance.shape == (100, 1000)
    assert chance.sum(axis=1) == pytest.approx(1.0)


def test_a_tuning_budget_starts_at_the_mean_and_ends_at_the_best() -> None:
    runs = two([[0.2, 0.4], [0.6, 0.6], [NAN, NAN]], [[0.5, 0.5]])
    table = tuning_budget(runs)
    mine = table[table["optimizer"] == "a"]
    assert mine["trials"].tolist() == [1, 2, 3]
    assert mine["expected_loss"].tolist() == pytest.approx([(0.3 + 0.6 + 1.0) / 3, (0.3 * 2 + 0.6) / 3, 0.3])
    assert mine["expected_gap"].tolist()[-1] == pytest.approx(0)
    assert table["expected_gap"].iloc[-1] == pytest.approx((0.5 - 0.3) / 0.7)
    assert tuning_budget(runs_of([NAN, NAN]))["expected_gap"].isna().all()


# --- results, side by side ------------------------------------------------------------------------


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """The same optimizers: with momentum set or left at its default; more rates and steps; another schedule."""
    place = tmp_path_factory.mktemp("compare")
    asked: list[dict[str, Any]] = [
        {"optimizers": lb.Optimizer("sgd", momentum=[0.0, 0.9]), "learning_rates": [0.01, 0.1]},
        {"optimizers": "sgd", "learning_rates": [0.01, 0.1, 0.3], "steps": 40},
        {"optimizers": "sgd", "learning_rates": [0.01, 0.1], "schedules": "cosine"},
    ]
    for number, more in enumerate(asked):
        lb.sweep("house_prices", **{"seeds": 2, "steps": 20, "out": place / str(number), **more})
    return [place / str(number) for number in range(3)]


def test_results_are_compared_by_what_a_line_is_not_by_what_was_set(folders: list[Path]) -> None:
    table = compare(*folders[:2])
    assert table[["optimizer", "optimizer_momentum"]].to_numpy().tolist() == [["sgd", 0.0]]
    row = table.iloc[0]
    runs = [lb.load(folder).runs for folder in folders[:2]]
    best = [
        some[(some["learning_rate"] == rate) & (some.get("optimizer_momentum", 0.0) == 0.0)]
        for some, rate in zip(runs, row[["learning_rate", "other_learning_rate"]], strict=True)
    ]
    mine, others = (some.sort_values("seed")["final_valid_loss"].to_numpy() for some in best)
    assert row["difference"] == pytest.approx((mine - others).mean())
    assert (row["seeds"], row["same_runs"]) == (2, 0)
    assert str(folders[1]) in row["answer"] or "cannot be told apart" in row["answer"]
    pd.testing.assert_frame_equal(table, lb.load(folders[0]).compare(folders[1]))


def test_the_same_runs_are_found_by_identity_and_changed_ones_are_counted(
    folders: list[Path], tmp_path: Path
) -> None:
    same = lb.load(folders[0])
    copy = same.save(tmp_path / "copy")
    table = lb.compare(same, copy)
    assert table["same_runs"].tolist() == [4, 4]
    assert set(table["answer"]) == {"the same runs, with the same losses"}
    runs = copy.runs
    runs.loc[0, "final_valid_loss"] *= 1.1
    changed = compare(same, copy)
    assert changed["changed_runs"].tolist() == [1, 0]
    text = as_text(compare(same, copy, folders[1]))
    assert text.startswith(f"A: {folders[0]}\nB: {tmp_path / 'copy'}\nC: {folders[1]}\n\nhouse_prices\n")
    assert text.count("\n") == 8


@pytest.mark.parametrize(
    ("which", "said"),
    [
        ([0], "compare: needs two results folders or more, not 1"),
        ([0, 2], "no problem, optimizer and schedule in common; nothing to compare"),
        ([0, 9], "is not a results folder (it has no manifest.json); `lrbench run STUDY` creates one"),
    ],
)
def test_what_cannot_be_compared_is_one_line(
    folders: list[Path], which: list[int], said: str, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    given = [str(folders[0].parent / str(number)) for number in which]
    with pytest.raises(StoreError) as raised:
        compare(*given)
    assert str(raised.value).endswith(said)
    monkeypatch.setattr("sys.argv", ["lrbench", "compare", *given])
    with pytest.raises(SystemExit) as ended:
        commands.main()
    assert ended.value.code == commands.MISTAKE
    assert capsys.readouterr().err == f"lrbench: {raised.value}\n"


def test_compare_on_the_command_line(
    folders: list[Path], monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    monkeypatch.setattr("sys.argv", ["lrbench", "compare", *map(str, folders[:2])])
    with pytest.raises(SystemExit) as ended:
        commands.main()
    assert ended.value.code == 0
    heading, row = capsys.readouterr().out.splitlines()[-2:]
    assert heading.split() == "optimizer schedule A B seeds same runs changed answer".split()
    assert row.split()[:2] == ["sgd", "constant"]


def test_tables_are_made_anew_and_old_folders_say_how(folders: list[Path], tmp_path: Path) -> None:
    results = lb.load(folders[0]).save(tmp_path / "old")
    names = ("comparison", "ranking", "tuning_budget")
    before = {name: getattr(results, name) for name in names}
    for name in names:
        (results.folder / f"{name}.parquet").unlink()
    with pytest.raises(
        StoreError, match=r"ranking\.parquet: is missing; `lrbench report .*` makes it from the parts"
    ):
        lb.load(results.folder).ranking.head()
    from lrbench.execution.rebuild import rebuild
    from lrbench.results.folder import ResultsFolder

    again = rebuild(ResultsFolder(results.folder), report=False)
    for name in names:
        pd.testing.assert_frame_equal(getattr(again, name), before[name])
        assert (again.folder / f"{name}.csv").exists()
