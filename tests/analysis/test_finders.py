"""Learning-rate finders: the rules by hand-computed sweeps, hostile ones, and the way from a study to suggestions."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

import lrbench as lb
from lrbench.analysis import fastai_finders, regret, regret_summary, suggestions
from lrbench.analysis.range_tests import (
    RULES,
    fastai_sweep,
    minimum,
    slide,
    smooth,
    steep,
    suggest,
    sweep,
    valley,
)
from lrbench.cli import commands
from lrbench.engine.engine import Engine
from lrbench.errors import StudyError
from lrbench.execution.find import range_tests_of, suggestion_tables
from lrbench.execution.rebuild import rebuild
from lrbench.results.folder import ResultsFolder
from lrbench.study.grid import of_study
from lrbench.study.spec import check
from lrbench.tables.finders import finders
from tests.helpers import frames

RATES = np.logspace(-4, 1, 101)  # 20 to a decade
STUDY: dict[str, Any] = {
    "name": "bowls",
    "steps": 60,
    "seeds": 2,
    "problem": "quadratic",
    "optimizer": ["sgd", {"name": "sgd", "momentum": 0.9, "nesterov": False}],
    "learning_rate": {"min": 1e-3, "max": 100.0, "num": 4},
}


def test_smoothing_is_the_mean_that_its_weights_give() -> None:
    loss = np.array([3.0, 1.0, 2.0])
    weights = 0.05 * 0.95 ** np.array([2, 1, 0])
    assert np.isclose(smooth(loss)[2], (weights * loss).sum() / weights.sum())
    assert smooth(np.full(50, 7.0)) == pytest.approx(np.full(50, 7.0))
    assert np.isnan(smooth(np.array([1.0, np.nan, 1.0]))).tolist() == [False, True, True]


def test_a_sweep_ends_at_four_times_its_best() -> None:
    rising = np.r_[np.full(50, 1.0), np.full(51, 81.0)]  # smoothed: 1 + 80 (1 - 0.95^k) / (1 - 0.95^n)
    found = sweep(RATES, rising)
    assert found.smoothed[found.end - 1] <= 4 < found.smoothed[found.end]
    assert found.begin == 10
    below = sweep(RATES, rising - 39)  # −38, then up to 42: never above −38 + 3 · 38 = 76
    assert below.end == 101
    assert sweep(RATES, np.r_[np.ones(30), np.inf, np.ones(70)]).end == 30


def test_steep_is_where_the_loss_falls_fastest_over_the_logarithm_of_the_rate() -> None:
    logistic = 1 / (1 + RATES / RATES[60])  # steepest in log η at its middle
    assert steep(RATES, logistic).rate == pytest.approx(RATES[60])


def test_minimum_is_a_tenth_of_the_rate_of_the_least_loss() -> None:
    bowl = (np.log10(RATES) + 1) ** 2
    assert minimum(RATES, bowl).rate == pytest.approx(0.01)
    none = minimum(RATES, -RATES)
    assert np.isnan(none.rate)
    assert none.reason == "the loss falls up to the last rate; try larger ones"


def test_valley_is_half_a_third_after_the_first_third_of_the_longest_fall() -> None:
    rate = np.logspace(-9, 0, 10)
    #                     1e-9              1e-6          1e-4                1e0
    loss = np.array([5.0, 9.0, 10.0, 8.0, 7.0, 7.5, 6.0, 4.0, 9.0, 9.5])
    # 10, 8, 7, 6, 4 (step 7); the 7.5 between is stepped over. So L = 5, and 7 − 5 + ⌊5/3⌋ + ⌊5/6⌋ = 3.
    assert valley(rate, loss).rate == pytest.approx(1e-6)
    assert valley(rate, -np.arange(10.0)).rate == pytest.approx(1e-6)  # 9 − 10 + 3 + 1
    assert valley(rate, np.arange(10.0)).rate == pytest.approx(1e-9)  # no fall: 0 − 1 + 0 + 0
    # Of two equally long falls the first to end counts: 3, 2, 1 and not 2.5, 1.5, 0.5.
    assert valley(rate, np.array([3.0, 9, 2, 9, 1, 9, 2.5, 9, 1.5, 9.0])).rate == pytest.approx(1e-7)


def _published_cut(loss: np.ndarray) -> np.ndarray:
    """The losses that fastai's rules see, from the description of its finder, one step at a time.

    Each step's loss goes into an average that keeps 0.98 of what it was and is corrected for its start at 0. A step at
    which that is over 4 times the least so far is the last. Of the steps taken, the first tenth of those planned and the
    last five are left out, then all from the first NaN on.
    """
    average, seen = 0.0, []
    for number, each in enumerate(loss, 1):
        average = 0.98 * average + 0.02 * each
        seen.append(average / (1 - 0.98**number))
        if seen[-1] > 4 * np.nanmin(seen):
            break
    kept = np.array(seen)[len(loss) // 10 : -5]
    bad = np.flatnonzero(np.isnan(kept))
    return kept[: bad[0]] if len(bad) else kept


def _published_valley(rate: np.ndarray, loss: np.ndarray) -> float:
    """fastai's rule, from its description; NaN where its cuts leave nothing.

    Each step has the length of the longest falling series that ends at it; the stretch is as many steps as the greatest
    length, up to the first step that has it, and a third and half a third of it are passed.
    """
    kept = _published_cut(loss)
    if not len(kept):
        return np.nan
    lengths: list[int] = []
    for at, value in enumerate(kept):
        lengths.append(1 + max((lengths[j] for j in range(at) if kept[j] > value), default=0))
    longest = max(lengths)
    start = lengths.index(longest) - longest
    return float(rate[len(loss) // 10 :][max(0, start + int(longest / 3) + int(longest / 3 / 2))])


def _like_a_range_test(random: np.random.Generator, steps: int) -> np.ndarray:
    """Losses that stay, fall and rise over log η, with noise; some explode, some break off."""
    place = np.linspace(0, 1, steps)
    fall, width, rise = random.uniform(0.2, 0.8), random.uniform(0.01, 0.2), random.uniform(0.3, 1.5)
    loss = 1 + 2 / (1 + np.exp((place - fall) / width)) + np.exp(np.minimum((place - rise) / 0.03, 50))
    loss = loss * np.exp(random.normal(0, random.choice([0.0, 0.02, 0.3]), steps))
    if random.random() < 0.3:
        loss[random.integers(steps // 2, steps) :] = np.nan
    return loss


def _published_others(rate: np.ndarray, loss: np.ndarray) -> dict[str, float]:
    """The other rules of fastai, from their descriptions, a step at a time; left out where fastai raises an error."""
    kept = _published_cut(loss)
    at = rate[len(loss) // 10 :][: len(kept)]
    said = {"fastai_minimum": min(zip(kept, at, strict=True))[1] / 10} if len(kept) else {}
    fall = [(kept[i + 1] - kept[i]) / np.log(at[i + 1] / at[i]) for i in range(len(kept) - 1)]
    if fall:
        said["fastai_steep"] = at[fall.index(min(fall))]
    if len(kept) < 16:
        return said
    last = len(kept) - 1

    def slope(i: int) -> float:
        before, after = max(i - 1, 0), min(i + 1, last)
        return float((kept[after] - kept[before]) / (after - before))

    mark, upper = at[last - 15], last
    while upper >= 15 and abs(slope(upper) - slope(upper - 15)) > 0.005:
        mark, upper = at[upper - 15], upper - 1
    return said | {"fastai_slide": mark}


@pytest.mark.parametrize("steps", [20, 30, 100])
def test_rules_of_fastai_equal_their_descriptions(steps: int) -> None:
    random, slid = np.random.default_rng(steps), set()
    rate = fastai_finders.LOW * 10 ** (8 * np.arange(steps) / steps)
    for _ in range(60):
        loss = _like_a_range_test(random, steps)
        said = fastai_finders.suggest(sweep(rate, loss))
        expected = _published_others(rate, loss) | {"fastai_valley": _published_valley(rate, loss)}
        for rule, found in said.items():
            assert found.rate == pytest.approx(expected.get(rule, np.nan), rel=1e-9, nan_ok=True), rule
            assert bool(found.reason) == np.isnan(found.rate)
        slid.add(said["fastai_slide"].rate)
    assert len(slid) > (5 if steps == 100 else 0)


def test_the_range_test_of_fastai_ends_one_step_before_its_highest_rate() -> None:
    made = np.geomspace(fastai_finders.LOW, fastai_finders.last_rate(), fastai_finders.STEPS)
    np.testing.assert_allclose(made, [1e-7 * 1e8 ** (k / 100) for k in range(100)])


def test_a_rule_of_fastai_always_answers_unless_nothing_is_left() -> None:
    rate = np.geomspace(fastai_finders.LOW, fastai_finders.last_rate(), 100)
    rising = fastai_finders.suggest(sweep(rate, np.linspace(1, 2, 100)))
    assert rising["fastai_minimum"].rate == pytest.approx(rate[10] / 10)
    nothing = fastai_finders.suggest(sweep(rate, np.full(100, np.nan)))
    assert {each.reason for each in nothing.values()} == {"no step is left"}
    few = fastai_finders.suggest(sweep(rate, np.r_[np.linspace(2, 1, 25), np.full(75, np.nan)]))
    assert few["fastai_slide"].reason == "fewer than 16 steps are left"
    assert few["fastai_steep"].rate > 0


@pytest.mark.parametrize("steps", [30, 100, 137, 200])
def test_valley_equals_the_published_rule(steps: int) -> None:
    random, spoke = np.random.default_rng(steps), 0
    rate = np.logspace(-7, 1, steps)
    for _ in range(60):
        loss = _like_a_range_test(random, steps)
        said = suggest(sweep(rate, loss))["valley"]
        if not said.reason:
            spoke += 1
            assert said.rate == _published_valley(rate, loss)
    assert spoke > 40


@pytest.mark.parametrize(
    ("loss", "end"),
    [
        (np.r_[np.linspace(9, 1, 60), np.full(40, 1e6)], 56),  # step 60 is the last of 61, of which 5 go
        (np.linspace(9, 1, 100), 95),
        (np.r_[np.linspace(9, 1, 60), np.full(40, np.nan)], 60),  # the five that go are NaN
        (np.r_[np.linspace(9, 1, 98), np.full(2, np.nan)], 95),
    ],
)
def test_valley_looks_at_what_fastai_cuts_a_sweep_to(loss: np.ndarray, end: int) -> None:
    rate = np.logspace(-7, 1, 100)
    found = fastai_sweep(rate, loss)
    assert (found.begin, found.end) == (10, end)
    said = suggest(sweep(rate, loss))["valley"].rate
    assert said == _published_valley(rate, loss) == rate[9 + (end - 10) // 3 + (end - 10) // 6]


def test_slide_stops_where_the_slopes_at_both_ends_agree() -> None:
    loss = np.r_[np.zeros(91), np.log(RATES[91:] / RATES[90])]
    # The slope is 0 up to 89, ½ at 90 (a central difference), then 1; the interval is 24 steps long. So the last interval
    # whose ends differ is [66, 90].
    assert slide(RATES, loss).rate == pytest.approx(RATES[66])
    assert slide(RATES, np.zeros(101)).rate == pytest.approx(RATES[76])  # fastai's: where it starts
    assert "too few" in slide(RATES[:20], loss[:20]).reason


def test_slide_equals_the_rule_in_the_sweep_that_its_numbers_are_of() -> None:
    rate = 1e-7 * 10 ** (8 * np.arange(100) / 100)
    loss = 2 - 1 / (1 + np.exp(-2 * np.log10(rate / 1e-3))) + 10 * rate**2
    slope, at = np.gradient(loss), 99
    while at >= 15 and abs(slope[at] - slope[at - 15]) > 0.005:
        at -= 1
    assert slide(rate, loss).rate == pytest.approx(rate[at + 1 - 15])


@pytest.mark.parametrize(
    ("loss", "reason"),
    [
        (np.full(101, np.nan), "the loss explodes after 0 of 101 steps; try smaller rates"),
        (np.r_[1.0, np.full(100, 1e30)], "the loss explodes after 1 of 101 steps; try smaller rates"),
        (np.full(101, 2.0), "the loss never falls"),
        (np.linspace(1, 2, 101), "the loss never falls"),
    ],
)
def test_no_rule_speaks_of_a_sweep_that_says_nothing(loss: np.ndarray, reason: str) -> None:
    said = suggest(sweep(RATES, loss))
    assert {each.reason for each in said.values()} == {reason}
    assert all(np.isnan(each.rate) for each in said.values())


def test_too_few_steps_and_rates_that_do_not_rise() -> None:
    assert suggest(sweep(RATES[:5], np.arange(5.0, 0, -1)))["valley"].reason == "5 steps are too few"
    assert suggest(sweep(np.ones(50), np.arange(50.0, 0, -1)))["slide"].reason == "the rate does not rise"


@settings(max_examples=60, deadline=None)
@given(arrays(np.float64, st.integers(1, 80), elements=st.floats(width=32)))
def test_any_losses_give_a_rate_of_the_sweep_or_a_reason(loss: np.ndarray) -> None:
    """Spikes, NaN, infinities, constants, one step: nothing raises or warns."""
    for rule, said in suggest(sweep(np.logspace(-3, 0, len(loss)), loss)).items():
        assert bool(said.reason) == np.isnan(said.rate)
        assert said.reason or 1e-3 / (10 if rule == "minimum" else 1) <= said.rate * 1.001
        assert said.reason or said.rate <= 1.001


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> lb.Results:
    return lb.find(STUDY, tmp_path_factory.mktemp("find") / "bowls")


def test_a_study_becomes_range_tests(found: lb.Results) -> None:
    runs, curves = found.runs, found.curves
    assert len(runs) == 4
    assert set(runs["schedule"]) == {"range_test"}
    mine = curves[curves["run_id"] == runs["run_id"].iloc[0]]
    assert mine["learning_rate"].iloc[[0, 59]].tolist() == pytest.approx([1e-3, 100.0])
    assert np.isclose(mine["minibatch_loss"].iloc[0], mine["train_loss"].iloc[0])  # it has no data
    assert sorted(path.name for path in (found.folder / "plots").iterdir()) == [
        "range_test.png",
        "range_test.svg",
    ]


def test_the_pace_of_single_steps_is_not_kept_as_that_of_training(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))  # where other tests keep paces, too
    study = STUDY | {"problem": {"name": "quadratic", "dimension": 3}, "steps": 12}
    wanted = range_tests_of(check(study, "study", trust=False))
    engine = Engine(wanted, of_study(wanted), None)
    program = engine.grid.programs[0]
    engine.run(next(engine.grid.packs([4])), 4)
    assert np.isnan(engine.tuner.tuning(program).seconds_per_step)
    engine.close()


def test_the_table_has_a_row_per_run_and_rule(found: lb.Results) -> None:
    table = found.finders
    assert table["rule"].tolist() == list(RULES) * 4
    assert table["run_id"].drop_duplicates().tolist() == found.runs["run_id"].tolist()
    assert (table["suggestion"].isna() == table["reason"].notna()).all()
    pd.testing.assert_frame_equal(table, finders(found.runs, found.curves), check_dtype=False)
    said = suggestions(table)
    assert len(said) == 2 * len(RULES)
    assert (said["seeds"] == 2).all()
    # Nothing a rule suggests is above 2/λ, from where on plain gradient descent diverges.
    plain = said[said["optimizer_momentum"].fillna(0) == 0]
    assert (plain["suggestion"].dropna() < 2.0).all()


@pytest.mark.slow
def test_it_goes_on_and_is_made_anew_from_the_parts(found: lb.Results) -> None:
    parts = ResultsFolder(found.folder).part_paths()
    before = [path.stat().st_mtime_ns for path in parts]
    (found.folder / "finders.csv").unlink()
    again = lb.find(STUDY, found.folder)
    assert [path.stat().st_mtime_ns for path in parts] == before
    assert (again.folder / "finders.csv").exists()
    (found.folder / "finders.parquet").unlink()
    assert len(rebuild(ResultsFolder(found.folder), report=False).finders) == 16


def test_the_plot_marks_each_suggestion(found: lb.Results) -> None:
    figure = found.plot("range_test")
    assert len(figure.axes) == 2
    said = suggestions(found.finders).iloc[:4]
    marked = [line.get_xdata()[0] for line in figure.axes[0].lines if line.get_marker() in "os^D"]
    assert np.allclose(marked, said["suggestion"].dropna())
    assert not frames.study(rates=[0.1]).curves.columns.isin(["minibatch_loss"]).any()


def test_the_command_prints_the_suggestions(found: lb.Results, tmp_path: Path) -> None:
    text = suggestion_tables(found)
    assert text.splitlines()[0] == "quadratic"
    assert text.splitlines()[1].split()[:5] == ["optimizer", "rule", "suggestion", "lowest", "highest"]
    assert len(text.splitlines()) == 2 + 2 * len(RULES)


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (
            {"learning_rate": {"values": [0.5]}},
            "learning_rate has a single rate, 0.5; a range test requires two, its ends",
        ),
        (
            {"learning_rate": {"values": [0.5, 1.0], "output": {"values": [1.0]}}},
            "learning_rate.output: a range test has one rate for all parameters; remove the named rates",
        ),
    ],
)
def test_what_it_refuses(more: dict[str, Any], message: str) -> None:
    with pytest.raises(StudyError) as caught:
        lb.find(STUDY | more)
    assert str(caught.value) == f"bowls: {message}"


def test_a_mistake_is_exit_code_2(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["lrbench", "find", "quickstat"])
    with pytest.raises(SystemExit) as caught:
        commands.main()
    assert caught.value.code == 2
    assert capsys.readouterr().err.startswith("lrbench: unknown study or problem 'quickstat'")


def test_regret_is_read_off_the_grid() -> None:
    rates = [0.01, 0.1, 1.0]
    runs = pd.DataFrame(
        [
            ("a", name, "constant", rate, 0, "ok", 1.0, loss)
            for name, losses in (("sgd", (0.6, 0.2, 0.9)), ("adam", (0.1, 0.4, 1.0)))
            for rate, loss in zip(rates, losses, strict=True)
        ],
        columns=[
            "problem",
            "optimizer",
            "schedule",
            "learning_rate",
            "seed",
            "status",
            "initial_train_loss",
            "final_train_loss",
        ],
    )
    runs["verdict"] = "good"
    found = pd.DataFrame(
        {
            "problem": "a",
            "optimizer": ["sgd", "sgd", "adam"],
            "seed": 0,
            "rule": ["valley", "slide", "valley"],
            "suggestion": [10**-1.5, np.nan, 10.0],
            "reason": [None, "why", None],
        }
    )
    table = regret(found, runs)
    assert table["loss"].tolist() == pytest.approx(
        [0.4, np.nan, 1.0], nan_ok=True
    )  # between; none; above the grid
    assert table["regret"].tolist() == pytest.approx([0.3, np.nan, 0.9], nan_ok=True)  # ℓ* = 0.1
    assert table["regret_normalised"].tolist() == pytest.approx([1 / 3, np.nan, 1.0], nan_ok=True)
    assert table["excess_normalised"].tolist() == pytest.approx([2 / 9, np.nan, 1.0], nan_ok=True)
    assert table["decades"].tolist() == pytest.approx([-0.5, np.nan, 3.0], nan_ok=True)
    assert list(table) == [
        "problem", "optimizer", "seed", "rule", "suggestion", "reason", "loss", "best_learning_rate", "best_loss",
        "regret", "regret_normalised", "excess_normalised", "decades",
    ]  # fmt: skip
    rules = regret_summary(table).set_index("rule")
    assert rules.loc["slide", "none"] == 1
    assert rules.loc["valley", ["none", "good", "decades"]].tolist() == pytest.approx([0, 0, 1.25])
