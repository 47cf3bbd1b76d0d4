"""Which runs solve a problem, how lines are judged, and what theory is compared with, on tables made by hand."""

from __future__ import annotations

import io
import itertools
from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from lrbench.errors import StudyError
from lrbench.experiments._diagnostics import drawing, judge, studies, theory
from lrbench.experiments._diagnostics.judge import Judged
from lrbench.experiments.bench import perform
from lrbench.experiments.findings import Finding
from lrbench.study import catalog, spec

RATES = (0.01, 0.1, 1.0)


def runs_of(gaps: Mapping[tuple[str, str], list[list[float]]]) -> pd.DataFrame:
    """Return runs with these gaps, [rate, seed] of each problem and optimizer."""
    rows = [
        {"problem": problem, "optimizer": optimizer, "learning_rate": rate, "seed": seed, "gap": gap}
        for (problem, optimizer), table in gaps.items()
        for rate, line in zip(RATES, table, strict=True)
        for seed, gap in enumerate(line)
    ]
    return pd.DataFrame(rows)


def shares(**solved: float) -> Judged:
    """Return lines of the problem `saddle`, by optimizer."""
    lines = pd.DataFrame(
        [
            {"problem": "saddle", "optimizer": name, "solved_share": share, "success": share}
            for name, share in solved.items()
        ]
    )
    return Judged(lines, np.zeros((len(lines), 1)))


def results_of(losses: Mapping[str, list[float]], problem: str = "p") -> Any:
    """Return results whose runs have these losses at steps 0, 10, …, 100."""
    curves = pd.DataFrame(
        [
            {"run_id": run, "step": 10 * number, "train_loss": loss}
            for run, line in losses.items()
            for number, loss in enumerate(line)
        ]
    )
    runs = pd.DataFrame({"run_id": list(losses), "problem": problem, "optimizer": "adam"})
    return SimpleNamespace(runs=runs, some_curves=lambda *names: curves[["run_id", *names]])


def test_a_run_has_to_hold_what_it_reached() -> None:
    """The greatest loss of the last tenth counts, above the minimum; what is not finite is infinite."""
    losses = {
        "held": [9.0] * 9 + [1.25, 1.5],
        "left": [1.0] * 9 + [5.0, 1.0],
        "early": [9.0] * 8 + [9.0, 1.0, 1.0],
        "broke": [1.0] * 10 + [np.nan],
        "fell": [1.0] * 10 + [-np.inf],
    }
    found = judge.gaps(results_of(losses), {"p": 1.0}).set_index("run_id")["gap"]
    assert found.to_dict() == {"held": 0.5, "left": 4.0, "early": 0.0, "broke": np.inf, "fell": np.inf}


def test_rates_are_chosen_on_some_seeds_and_judged_on_others() -> None:
    """The middle rate is best on the first two seeds; the last would be on those held out."""
    table = [[9, 9, 9, 9, 9], [0.001, 0.002, 9, 0.001, 9], [0.003, 9, 0, 0, 0]]
    judged = judge.judge(runs_of({("p", "adam"): table}), 0.01, tuning=2)
    (row,) = judged.lines.to_dict("records")
    assert row["learning_rate"] == 0.1
    assert row["solved_share"] == pytest.approx(1 / 3)
    assert not row["solved"]
    assert row["gap"] == 9
    assert row["success"] == pytest.approx(7 / 15)
    assert row["attempts"] == pytest.approx(15 / 7)
    assert judged.kept.tolist() == [[False, True, False]]


def test_of_rates_that_solve_as_much_the_one_with_the_least_loss_is_chosen() -> None:
    ties = [[0.009, 0.009, 1], [0.001, 0.001, 0], [9, 9, 0]]
    (row,) = judge.judge(runs_of({("p", "adam"): ties}), 0.01, tuning=2).lines.to_dict("records")
    assert (row["learning_rate"], row["solved"]) == (0.1, True)
    never = [[9, 9, 9], [np.inf, np.inf, np.inf], [3, 9, 9]]
    (row,) = judge.judge(runs_of({("p", "adam"): never}), 0.01, tuning=2).lines.to_dict("records")
    assert (row["learning_rate"], row["success"], row["attempts"]) == (1.0, 0, np.inf)


def test_who_solves_most_comes_first() -> None:
    good, bad, half = [[0.0] * 6] * 3, [[9.0] * 6] * 3, [[9.0] * 6, [9.0] * 6, [0, 0, 0, 0, 9, 9]]
    judged = judge.judge(
        runs_of({("p", "sgd"): bad, ("q", "sgd"): good, ("p", "adam"): half, ("q", "adam"): good}),
        0.01,
        tuning=2,
    )
    optimizers = judge.by_optimizer(judged)
    assert optimizers["optimizer"].tolist() == ["adam", "sgd"]
    assert optimizers["solved"].tolist() == [1, 1]
    assert optimizers["problems"].tolist() == [2, 2]
    # Two of four held-out seeds are not more than half; of a resample they may be.
    assert optimizers[["solved_low", "solved_high"]].to_numpy().tolist() == [[1, 2], [1, 1]]
    adam = 1 + (1 - (1 - 4 / 18) ** 10)
    assert optimizers["solved_in_10_draws"].tolist() == pytest.approx([adam, 1.0])
    problems = judge.by_problem(judged)
    assert problems["problem"].tolist() == ["q", "p"]
    assert problems["solved_by"].tolist() == [2, 0]
    assert problems["easiest_for"].tolist() == ["sgd", "adam"]
    assert problems["attempts"].tolist() == pytest.approx([1, 18 / 4])
    for figure in (drawing.matrix(judged, optimizers, problems), drawing.draws(judged, optimizers)):
        figure.savefig(io.BytesIO(), dpi=40)


def test_variants_have_short_names() -> None:
    runs = pd.DataFrame(
        {
            "problem": ["ill_conditioned", "ill_conditioned", "saddle", "saddle"],
            "optimizer": ["sgd", "sgd", "sgd", "adam"],
            "problem_condition": [1e6, 1e4, None, None],
            "problem_rotated": [False, True, None, None],
            "optimizer_momentum": [0.0, 0.9, 0.9, None],
            "optimizer_nesterov": [False, False, True, None],
        }
    )
    found = studies.names(runs)
    assert found["problem"].tolist() == [
        "ill_conditioned 1e6",
        "ill_conditioned 1e4 rotated",
        "saddle",
        "saddle",
    ]
    assert found["optimizer"].tolist() == ["sgd", "sgd, momentum", "sgd, nesterov", "adam"]


def test_expectations_are_of_what_is_trained() -> None:
    """Names of problems and optimizers in the expectations are those that the default study has."""
    defaults = {
        name: each.default for name, each in catalog.get("experiment", "diagnostics").parameters.items()
    }
    study = spec.check(
        studies.matrix(defaults["problems"], defaults["optimizers"], 2, 2, 100), "study", trust=True
    )
    problems = {choice.entry.name for choice in study.problem}
    optimizers = {choice.entry.name for choice in study.optimizer}
    for one in theory.EXPECTATIONS:
        assert one.problem.split(" ")[0] in problems
        assert one.optimizer.split(",")[0] in optimizers
    assert all(value == 0.0 for value in studies.optima(problems).values())


def test_an_expectation_is_met_by_the_share_of_held_out_seeds() -> None:
    both = [one for one in theory.EXPECTATIONS if one.problem == "plateau"]
    assert {one.optimizer: one.solves for one in both} == {"sgd": False, "adam": True}
    judged = shares(sgd=0.6, adam=0.6)
    judged.lines["problem"] = "plateau"
    assert [(found.value, found.met) for found in theory.expected(judged)] == [(60.0, False), (60.0, True)]
    assert theory.expected(shares(adam=1.0)) == []


def test_the_counterexample_has_a_finding_for_each_memory() -> None:
    judged = shares(**{"adam, b2 0.9": 0.0, "adam, b2 0.99": 0.2, "amsgrad, b2 0.9": 0.4})
    found = theory.memory(judged)
    assert [each.met for each in found] == [True, None, False]
    assert [each.value for each in found] == [0, 20, 40]


def test_the_largest_stable_rate_is_the_last_below_the_limit() -> None:
    def limit(ends: Mapping[float, float]) -> Finding:
        rows = [
            {"problem": "rotated_gradient", "optimizer": "sgd", "learning_rate": rate, "gap": gap}
            for rate, gap in ends.items()
        ]
        (found,) = theory.limits(pd.DataFrame(rows).assign(initial_train_loss=1.0))
        return found

    assert limit({0.05: 0.5, 0.1: 0.5, 0.2: 2.0}).met
    assert limit({0.05: 0.5, 0.1: 2.0, 0.2: 2.0}) == limit({0.05: 0.5, 0.1: np.inf, 0.2: np.inf})
    assert not limit({0.05: 0.5, 0.1: 2.0, 0.2: 2.0}).met
    assert not limit({0.05: 0.5, 0.1: 0.5, 0.2: 0.5}).met
    assert list(theory.limits(pd.DataFrame({"problem": [], "optimizer": []}))) == []


def test_the_floor_under_noise_is_that_of_a_simulation() -> None:
    """A plain simulation of gradient descent with noise ends at the stationary loss; twice that is noticed."""
    random, curvature, eta = np.random.default_rng(0), np.geomspace(0.1, 1, 10), 0.2
    at, late = np.ones((64, 10)), []
    for step in range(1500):
        at = at - eta * (curvature * at + 0.3 * random.normal(size=at.shape))
        if step >= 500:
            late.append(0.5 * (curvature * at**2).sum(axis=1))
    ends = np.mean(late, axis=0)
    runs = pd.DataFrame(
        {
            "problem": "additive_noise",
            "optimizer": "sgd",
            "learning_rate": eta,
            "seed": range(64),
            "steps": 1500,
        }
    )
    (found,) = theory.floor(runs.assign(final_train_loss=ends))
    assert found.value == pytest.approx(1, abs=0.03)
    (found,) = theory.floor(runs.assign(final_train_loss=2 * ends))
    assert found.met is False
    assert list(theory.floor(runs.assign(learning_rate=1e-4, final_train_loss=ends))) == []


def test_matrix_has_a_program_for_each_pair_and_lanes_for_the_rest() -> None:
    study = spec.check(studies.matrix(["ill_conditioned"], ["sgd"], 4, 3, 100), "study", trust=True)
    assert study.lines == 3 * 3
    assert study.runs == 3 * 3 * 4 * 3
    assert [step for step, _ in itertools.groupby([study.steps, study.evaluate_every])] == [100, 2]


def test_there_are_seeds_to_choose_on_and_seeds_to_judge_on(tmp_path: Any) -> None:
    message = "diagnostics: tuning = 0, held_out = 5: both must be 1 or more"
    with pytest.raises(StudyError, match=f"^{message}$"):
        perform("diagnostics", tmp_path / "out", overrides=["tuning=0"])
