"""The protocol that judges answers, on made-up runs whose truth is known; nothing is trained."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks import answers
from benchmarks.protocol import (
    intervals,
    judging,
    measures,
    methods,
    recorded,
    rules,
    studies,
    targets,
    truth,
)
from benchmarks.protocol.picture import CURVES, PANELS, regret
from benchmarks.protocol.tpe import tpe
from lrbench.analysis.objective import Objective
from lrbench.study import spec

SEEDS = 24
OBJECTIVE = Objective("train_loss")


def _runs(seeds: int = SEEDS, noise: float = 0.02) -> pd.DataFrame:
    """Two lines whose loss is a valley in log η, best at 0.01 and at 0.1, and which break a decade and a half above."""
    rng = np.random.default_rng(1)
    decades = np.linspace(-4, 1, studies.RATES)
    rows = []
    for optimizer, best in (("sgd", -1.0), ("adam", -2.0)):
        for decade in decades:
            broken = decade > best + 1.5
            for seed in range(seeds):
                loss = 0.1 + 0.2 * abs(decade - best) ** 2 + noise * rng.standard_normal()
                rows.append(
                    {
                        "run_id": f"{optimizer}{decade:.2f}{seed}",
                        "problem": "made_up",
                        "optimizer": optimizer,
                        "schedule": "constant",
                        "learning_rate": float(f"{10**decade:.9g}"),
                        "seed": seed,
                        "status": "nonfinite" if broken else "ok",
                        "verdict": "diverged" if broken else "good",
                        "initial_train_loss": 2.0,
                        "final_train_loss": np.nan if broken else min(loss, 1.9),
                        "best_train_loss": min(loss, 1.9),
                        "steps_to_target": 10.0,
                        "optimizer_momentum": 0.9 if optimizer == "sgd" else np.nan,
                    }
                )
    return pd.DataFrame(rows)


@pytest.fixture(scope="module")
def problem() -> recorded.Recorded:
    shuffled = _runs().sample(frac=1, random_state=0)
    first = shuffled.sort_values("optimizer", ascending=False, kind="stable")
    return recorded.arranged("made_up", first, OBJECTIVE)


@pytest.fixture(scope="module")
def drawn() -> recorded.Draw:
    return recorded.draw(SEEDS, 6, 10, np.random.default_rng(0))


def test_runs_are_found_by_arithmetic(problem: recorded.Recorded) -> None:
    row = problem.runs.iloc[problem.at(1, 7, 3)]
    assert (row["optimizer"], row["seed"], row["learning_rate"]) == ("adam", 3, problem.rate[1, 7])
    assert problem.loss[1, 7, 3] == row["final_train_loss"]
    assert problem.lines == ("sgd + constant", "adam + constant")
    assert problem.start == 2.0
    assert (problem.loss[:, -1] == 2.0).all()
    assert not problem.ok[:, -1].any()


def test_a_missing_run_is_noticed() -> None:
    with pytest.raises(RuntimeError, match="1487 runs instead of 1488"):
        recorded.arranged("made_up", _runs().iloc[1:], OBJECTIVE)


def test_what_a_constant_prediction_reaches_is_no_training() -> None:
    found = recorded.arranged("made_up", _runs().assign(constant_loss=1.5), OBJECTIVE)
    assert found.start == found.loss.max() == 1.5


@given(st.integers(6, 40), st.integers(0, 1000))
@settings(max_examples=30, deadline=None)
def test_study_and_truth_share_no_seed(seeds: int, start: int) -> None:
    found = recorded.draw(seeds, 4, seeds // 2, np.random.default_rng(start))
    for study, real in zip(found.study, found.truth, strict=True):
        assert sorted([*study, *real]) == list(range(seeds))
    half = (seeds - seeds // 2) // 2
    for first, second in zip(found.grid(half), found.fresh(half), strict=True):
        assert not set(first) & set(second)


def test_a_study_is_drawn_with_every_second_rate(problem: recorded.Recorded, drawn: recorded.Draw) -> None:
    runs = recorded.grid_runs(problem, drawn.grid(3))
    assert len(runs) == 6 * 2 * 16 * 3
    some = runs[(runs[recorded.REPLICATE] == 4) & (runs["optimizer"] == "adam")]
    assert sorted(set(some["learning_rate"])) == problem.rate[1, ::2].tolist()
    assert set(some["seed"]) == {0, 1, 2}
    ids = set(some["run_id"])
    wanted = problem.runs.iloc[problem.at(1, recorded.GRID[:, None], drawn.study[4, :3]).reshape(-1)]
    assert ids == set(wanted["run_id"])


def test_later_stages_have_seeds_of_their_own(problem: recorded.Recorded, drawn: recorded.Draw) -> None:
    point = (np.array([2]), np.array([1]), np.array([0.01]))
    confirmed = recorded.further_runs(problem, *point, drawn.fresh(4), "confirm")
    assert confirmed["seed"].tolist() == [recorded.FRESH + number for number in range(4)]
    assert set(confirmed["run_id"]) == {f"adam-2.00{seed}" for seed in drawn.study[2, -4:]}
    with pytest.raises(ValueError, match="not trained"):
        recorded.further_runs(problem, *point[:2], np.array([0.012]), drawn.fresh(4), "confirm")


def test_studies_cost_what_their_stages_have(problem: recorded.Recorded, drawn: recorded.Draw) -> None:
    plain = methods.study(problem, drawn, 3)
    confirmed = methods.study(problem, drawn, 3, confirm=4, refine=1)
    assert plain.cost == 48
    assert set(confirmed.runs["stage"]) == {"grid", "refine", "confirm"}
    per_stage = confirmed.runs.groupby("stage").size() / 12
    assert per_stage["confirm"] == 5 * 4
    assert confirmed.cost == per_stage.sum()
    away = np.log10(plain.column("best_learning_rate", 2) / [0.1, 0.01])
    assert np.abs(away).max() < 0.4


def test_what_a_rate_loses_on_unseen_seeds() -> None:
    quiet = recorded.arranged("made_up", _runs(noise=0.0), OBJECTIVE)
    drawn = recorded.draw(SEEDS, 1, 10, np.random.default_rng(0))
    known = truth.truth(quiet, drawn)
    best = 0.1 + 0.2 * (1 / 6 - 1 / 6) ** 2
    # sgd at its best rate, 0.1; adam a decade below its best, 0.01, where its loss is 0.2 higher.
    found = truth.judged(quiet, known, np.array([[0.1, 0.001]]))
    unit = 2.0 - best
    assert found["regret_finest"][0] == pytest.approx([0.0, 0.2 / unit])
    assert found["loses_finest"].tolist() == [[0.0, 1.0]]
    assert found["excess_all"][0] == pytest.approx([0.0, 2.0], abs=0.01)
    third = 0.2 / 9 / unit
    assert found["too_large"][0, 0] == pytest.approx(third, rel=1e-6)
    assert found["too_small"][0, 0] == pytest.approx(third, rel=1e-6)
    assert np.isnan(truth.judged(quiet, known, np.array([[np.nan, 0.01]]))["loses"][0, 0])


def test_losses_between_rates_are_interpolated() -> None:
    quiet = recorded.arranged("made_up", _runs(noise=0.0), OBJECTIVE)
    known = truth.truth(quiet, recorded.draw(SEEDS, 1, 10, np.random.default_rng(0)))
    between = np.sqrt(quiet.rate[:, 4] * quiet.rate[:, 5])[None]
    assert truth.at(quiet, known, between)[0] == pytest.approx(known.loss[0, :, 4:6].mean(axis=1))
    beyond = truth.at(quiet, known, np.array([[1e-9, 1e9]]))[0]
    assert beyond == pytest.approx([known.loss[0, 0, 0], known.loss[0, 1, -1]])


def test_the_collapse_is_found(problem: recorded.Recorded, drawn: recorded.Draw) -> None:
    real = truth.true_collapse(problem, drawn)
    first = [int(np.flatnonzero(np.isnan(_grid_means(problem)[line]))[0]) for line in (0, 1)]
    assert (real.position == first).all()
    found = truth.collapse_found(problem, real, methods.study(problem, drawn, 3))
    assert (found["collapse_exact"] == 1).all()
    moved = real._replace(position=real.position + 1)
    near = truth.collapse_found(problem, moved, methods.study(problem, drawn, 3))
    assert (near["collapse_exact"] == 0).all()
    assert np.nanmin(near["collapse_steep"]) == 1


def _grid_means(problem: recorded.Recorded) -> np.ndarray:
    final = problem.runs["final_train_loss"].to_numpy().reshape(problem.loss.shape)
    return final.mean(axis=-1)[:, recorded.GRID]


def test_a_rate_beyond_the_grid_is_one_past_it(problem: recorded.Recorded) -> None:
    rate = np.array([[np.nan, problem.rate[1, 5]]])
    assert truth.position(problem, rate).tolist() == [[16, 3]]


def test_the_least_median_is_that_of_the_grid(problem: recorded.Recorded, drawn: recorded.Draw) -> None:
    advice = methods.least_median(problem, drawn, 3)
    median = np.median(problem.loss[1][:, drawn.study[0, :3]], axis=-1)[recorded.GRID]
    median[~problem.ok[1, recorded.GRID, 0]] = np.inf
    assert advice.rate[0, 1] == problem.rate[1, recorded.GRID[median.argmin()]]
    assert advice.runs == 48


@pytest.mark.parametrize(("confirm", "refine"), [(0, 0), (4, 0), (4, 1)])
def test_the_rule_in_use_is_that_of_the_package(
    problem: recorded.Recorded, drawn: recorded.Draw, confirm: int, refine: int
) -> None:
    """`rules` writes the rule out in NumPy: two implementations must choose the same rates."""
    known = truth.truth(problem, drawn)
    tables = rules.compared(problem, drawn, known, 3, confirm, refine)
    (mine,) = (table for table in tables if table["rule"].iloc[0].startswith("use: "))
    use = methods.study(problem, drawn, 3, confirm, refine).column("use_learning_rate", 2)
    theirs = truth.frame(truth.judged(problem, known, use), problem)
    assert mine["regret"].tolist() == pytest.approx(theirs["regret"].tolist())
    assert mine["too_large"].tolist() == pytest.approx(theirs["too_large"].tolist())


def test_equal_lines_are_equal(problem: recorded.Recorded) -> None:
    every = np.broadcast_to(np.arange(SEEDS), (2, SEEDS))
    same_mean = intervals.equal_lines(problem, every, None)
    assert same_mean.mean(axis=2) == pytest.approx(0.6)
    shuffled = intervals.equal_lines(problem, every, np.random.default_rng(0))
    assert np.sort(shuffled, axis=1) == pytest.approx(np.sort(same_mean, axis=1))
    assert (shuffled[0] != shuffled[1]).any()


def test_a_seed_that_is_drawn_twice_is_shuffled_twice(problem: recorded.Recorded) -> None:
    """Else its differences would count twice, and equal lines would not be equal."""
    again = np.zeros((1, 40), dtype=np.int64)
    shuffled = intervals.equal_lines(problem, again, np.random.default_rng(0))
    assert len(np.unique(shuffled[0, 0])) == 2


def _two_lines(first: float, other: float, replicates: int) -> np.ndarray:
    spread = 0.01 * np.random.default_rng(1).standard_normal((replicates, 2, 40))
    return np.array([[first], [other]]) + spread


def test_lines_far_apart_are_told_apart_early(problem: recorded.Recorded) -> None:
    found = intervals.enough(problem, _two_lines(0.2, 1.0, 5), np.array([0.2, 1.0]))
    assert (found.told_apart == 1).all()
    assert (found.wrong == 0).all()
    assert found.runs == pytest.approx(5 / 40)
    assert (intervals.enough(problem, _two_lines(0.2, 1.0, 5), np.array([0.2, 0.1])).wrong == 1).all()
    same = intervals.enough(problem, np.full((5, 2, 40), 0.5), np.zeros(2))
    assert (same.told_apart == 0).all()
    assert (same.runs == 1).all()


def test_different_lines_are_called_different(problem: recorded.Recorded) -> None:
    winner, every = intervals.called_different(problem, _two_lines(0.2, 1.0, 4), 10)
    assert (winner == 1).all()
    assert (every == 1).all()
    twice = np.repeat(_two_lines(0.2, 0.2, 4)[:, :1], 2, axis=1)
    assert (intervals.called_different(problem, twice, 10)[0] == 0).all()


@pytest.mark.slow
def test_intervals_cover_a_mean_as_often_as_they_say(problem: recorded.Recorded) -> None:
    drawn = intervals.resampled(problem, 200, 10, np.random.default_rng(0))
    found = intervals.coverage(problem, drawn, 10, 0)
    assert set(found) == {"losses", "rates", "paired differences", "steps"}
    assert np.nanmin(found["steps"]) == 1
    assert 0.85 < np.nanmean(found["losses"]) < 1.0
    assert 0.85 < np.nanmean(found["paired differences"]) <= 1.0


def test_a_mean_over_lines_knows_their_problem() -> None:
    found = measures.clustered(["a", "a", "b"], [1.0, 1.0, 4.0])
    assert found == measures.Estimate(2.0, 1.0, 4.0, 2)
    assert np.isnan(measures.clustered(["a"], [np.nan]).value)


def _lines() -> pd.DataFrame:
    """Made-up means of two lines of each problem, by method and setting: the more seeds, the better."""
    rows = []
    for name in studies.PROBLEMS:
        for line in range(2):
            for method in ("use", "best", "least median", "TPE"):
                for seeds in (1, 2, 3, 5, 10):
                    for confirm in (0, 5, 10):
                        for refine in (0, 1):
                            loss = 0.02 / (seeds + confirm)
                            runs = 16.0 * seeds + 5 * confirm + 6 * refine
                            row = {"problem": name, "line": str(line), "method": method, "seeds": seeds}
                            row |= {"confirm": confirm, "refine": refine, "runs": runs}
                            row |= dict.fromkeys(measures.MEASURES, loss)
                            rows.append(row | {"collapse_steep": 1.0, "collapse_gradual": 0.8})
    return pd.DataFrame(rows)


def _judged() -> judging.Judged:
    problems = list(studies.PROBLEMS)
    coverage = [
        {"problem": name, "interval": kind, "seeds": 3, "confirm": 0, "value": value, "intervals": 8}
        for name in problems
        for kind, value in (("losses", 0.95), ("metrics", 0.99), ("rates", 0.99), ("paired differences", 0.8))
    ]
    comparisons = [
        {"problem": name, "what": what, "seeds": 10, "error": error, "value": 0.04}
        for name in problems
        for what, error in (("equal lines", True), ("share told apart", False))
    ]
    paces = [
        {"problem": name, "seeds": 3, "confirm": 0, "band": band, "within": 0.9}
        for name in problems
        for band in ("pace", "own")
    ]
    one = _lines()[["problem", "line", "regret"]].assign(rule="least mean", seeds=3, confirm=0, refine=0)
    return judging.Judged(_lines(), *map(pd.DataFrame, (coverage, comparisons)), one, pd.DataFrame(paces))


@pytest.mark.slow
def test_targets_are_judged_on_the_reported_half() -> None:
    found = _judged()
    table = measures.summary(found.lines, targets.both_halves())
    rows = {row.what: row for row in targets.target_rows(table, found)}
    assert rows["lines that lose more than 5 % at use: 3 seeds"].met
    assert rows["mean excess loss at best: 3 seeds, 10 confirm"].target == "≤ 0.03 share"
    gradual = rows["collapse found within a step, elsewhere: 3 seeds"]
    assert (gradual.met, gradual.value) == (False, pytest.approx(0.8))
    coverage = [rows[f"coverage, {kind}: 3 seeds"].met for kind in ("losses", "metrics", "rates")]
    assert coverage == [True, False, True]
    assert rows["coverage, metrics: 3 seeds"].note.endswith("more than 98%")
    assert rows["share told apart: 10 seeds"].target is None
    cost = rows["runs for the regret of use and best on a plain grid of 10 seeds"]
    assert cost.note.startswith("1 seed, 10 confirm; use loses 0.18% and 0.20%")
    assert cost.value == pytest.approx(66 / 160)


@pytest.mark.slow
def test_a_setting_that_only_the_tuned_half_likes_has_not_met_the_target() -> None:
    found = _judged()
    reported = found.lines["problem"].isin(targets.both_halves()[targets.REPORTED])
    cheap = (found.lines["seeds"] == 1) & (found.lines["confirm"] == 10)
    lines = found.lines.assign(
        regret_finest=np.where(reported & cheap, 0.5, found.lines["regret_finest"]), runs=found.lines["runs"]
    )
    table = measures.summary(lines, targets.both_halves())
    rows = {row.what: row for row in targets.target_rows(table, found._replace(lines=lines))}
    cost = rows["runs for the regret of best on a plain grid of 10 seeds"]
    assert cost.met is False


def test_the_picture_has_a_curve_for_each_method() -> None:
    figure = regret(measures.summary(_lines(), targets.both_halves()), targets.REPORTED)
    for axes in figure.axes:
        assert len(axes.lines) == len(CURVES)
        assert all(len(line.get_xdata()) == 5 for line in axes.lines)  # type: ignore[arg-type]
    assert len(figure.axes) == len(PANELS)


def test_every_second_problem_is_kept_for_the_report() -> None:
    tuned, reported = studies.halves()
    assert sorted([*tuned, *reported]) == sorted(studies.PROBLEMS)
    assert not set(tuned) & set(reported)
    assert abs(len(tuned) - len(reported)) <= 1


@pytest.mark.parametrize("problem_name", list(studies.PROBLEMS))
def test_studies_are_ones_that_lrbench_takes(problem_name: str) -> None:
    for study in studies.grids(problem_name):
        checked = spec.check(study, "here", trust=False)
        rates = np.array(checked.learning_rate.rates())
        assert len(rates) == studies.RATES
        assert np.diff(np.log10(rates[recorded.GRID])) == pytest.approx(1 / 3, abs=1e-6)
        assert study["steps"] / 1.2 % study["evaluate_every"] == 0
    spec.check(studies.range_tests(problem_name), "here", trust=False)


def test_a_search_is_given_each_trial_s_loss(
    problem: recorded.Recorded, drawn: recorded.Draw, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        patched.setitem(sys.modules, "optuna", None)
        with pytest.raises(RuntimeError, match="Optuna is not installed"):
            tpe(problem, drawn, [4])
    pytest.importorskip("optuna")
    found = tpe(problem, drawn, [4, 24])
    assert found[24].rate.shape == (6, 2)
    assert found[24].runs == 24
    assert np.isin(np.log(found[24].rate).round(6), np.log(problem.rate).round(6)).all()
    assert np.abs(np.log10(found[24].rate / [0.1, 0.01])).mean() < 0.5


def test_every_method_is_judged(
    problem: recorded.Recorded, drawn: recorded.Draw, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    best = np.tile([0.1, 0.01], (8, 1))
    monkeypatch.setattr(judging, "finders", lambda *_: {"valley": methods.Advice(best, 1.0)})
    searched = {16: methods.Advice(best[:2], 16.0), 48: methods.Advice(best[:2], 48.0)}
    monkeypatch.setattr(judging, "tpe", lambda *_: searched)
    sizes = judging.Sizes((1, 3), (0, 4), (0, 1), searches=2)
    lines = pd.concat(list(judging._lines(problem, drawn, tmp_path, sizes)))
    count = lines.groupby("method").size().to_dict()
    assert count == {"TPE": 2 * 2, "best": 2 * 8, "least median": 2 * 2, "use": 2 * 8, "valley": 2}
    assert not lines.duplicated(["line", *measures.KEYS]).any()
    assert lines.loc[lines["method"] == "TPE", "seeds"].tolist() == [16, 16, 48, 48]
    assert lines.loc[lines["method"] == "valley", "regret"].abs().max() < 0.01
    assert judging._trials(sizes) == [16, 36, 48]


@pytest.mark.slow
def test_judging_writes_its_tables(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(answers, "FOLDER", tmp_path)
    monkeypatch.setattr(answers, "judge_all", lambda names, folder, sizes: _judged())
    monkeypatch.setattr(sys, "argv", ["answers", "judge", "--runs", str(tmp_path / "runs")])
    answers.main()
    names = {path.name for path in tmp_path.iterdir()}
    tables = {"measures", "problems", "intervals", "comparisons", "paces", "rules", "targets"}
    assert names == {f"{name}.csv" for name in tables} | {"answers.png"}
    assert "lines that lose more than 5 % at use" in capsys.readouterr().out
    assert pd.read_csv(tmp_path / "targets.csv")["target"].notna().sum() > 40
