"""A study with a sample, from training to the answer."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import lrbench as lb
from lrbench.analysis import response_surface
from lrbench.errors import StudyError
from lrbench.execution.find import range_tests_of
from lrbench.execution.plan import _axes, _shape
from lrbench.execution.rebuild import rebuild
from lrbench.results.answer_schema import as_json
from lrbench.results.folder import ResultsFolder
from lrbench.results.results import compare
from lrbench.study.grid import of_study
from lrbench.study.spec import check
from lrbench.tables import base
from tests.helpers.heard import Heard

STUDY: dict[str, Any] = {
    "name": "few",
    "steps": 30,
    "seeds": 2,
    "sample": 16,
    "confirm": 2,
    "problem": {"name": "quadratic", "mu": 0.001},
    "optimizer": [{"name": "sgd", "momentum": {"min": 0.0, "max": 0.99}}, "adam"],
    "schedule": ["constant", "cosine"],
    "learning_rate": {"min": 1e-2, "max": 1.9},
}


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> lb.Results:
    return lb.run(STUDY, tmp_path_factory.mktemp("sample") / "few", report=True)


def test_each_point_is_trained_with_its_own_values(results: lb.Results, tmp_path: Path) -> None:
    sgd = results.runs.query("optimizer == 'sgd' and schedule == 'constant' and stage == 'grid'")
    row = sgd.iloc[7]
    optimizer = {"name": "sgd", "momentum": row["sampled_optimizer_momentum"]}
    listed = {name: value for name, value in STUDY.items() if name not in ("sample", "confirm")}
    listed |= {
        "optimizer": optimizer,
        "schedule": "constant",
        "learning_rate": {"values": [row["learning_rate"]]},
    }
    alone = lb.run(listed, tmp_path / "listed", report=False).runs.set_index("run_id")
    assert alone.loc[row["run_id"], "final_train_loss"] == pytest.approx(row["final_train_loss"], rel=1e-5)


def test_sampled_parameters_do_not_separate_lines(results: lb.Results) -> None:
    table = results.sensitivity
    assert table[["optimizer", "schedule"]].to_numpy().tolist() == [
        ["sgd", "constant"],
        ["sgd", "cosine"],
        ["adam", "constant"],
        ["adam", "cosine"],
    ]
    assert len(results.summary) == 4 * 16
    assert results.summary["sampled_optimizer_momentum"].nunique() == 16


def test_a_sampled_line_has_its_best_point_and_neither_band_nor_collapse(results: lb.Results) -> None:
    missing = [
        *(f"{name}_{end}" for name in ("good", "own", "pace", "collapse") for end in ("low", "high")),
        *("degrades_from", "tolerance_decades", "max_stable_learning_rate", "learning_rate_sensitivity"),
        *("best_learning_rate_low", "best_learning_rate_high"),
    ]
    for row in results.sensitivity.to_dict("records"):
        sampled = row["optimizer"] == "sgd"
        assert pd.isna(row["sampled_optimizer_momentum"]) == (not sampled)
        if sampled:
            assert all(pd.isna(row[name]) for name in missing)
            assert row["use_learning_rate"] == row["best_learning_rate"]
        else:
            assert pd.notna(row["learning_rate_sensitivity"])
    sgd = results.sensitivity.iloc[0]
    runs = results.runs.query("optimizer == 'sgd' and schedule == 'constant' and stage == 'confirm'")
    means = runs.groupby("learning_rate")["final_train_loss"].mean()
    assert len(means) == 5
    assert sgd["use_learning_rate"] == means.idxmin()
    at_best = runs[runs["learning_rate"] == sgd["use_learning_rate"]]
    assert at_best["sampled_optimizer_momentum"].unique().tolist() == [sgd["sampled_optimizer_momentum"]]
    assert sgd["confirmed_seeds"] == 2


def test_the_points_of_least_mean_are_confirmed(results: lb.Results) -> None:
    runs = results.runs.query("optimizer == 'sgd' and schedule == 'constant'")
    grid = runs[runs["stage"] == "grid"]
    least = grid.groupby("learning_rate")["final_train_loss"].mean().nsmallest(5).index
    assert set(runs[runs["stage"] == "confirm"]["learning_rate"]) == set(least)


def test_the_answer_says_which_point_and_that_it_has_no_band(results: lb.Results) -> None:
    answer = results.best()
    row = answer[answer["sampled"]].iloc[0]
    momentum = results.sensitivity["sampled_optimizer_momentum"][row["line"]]
    assert row["optimizer"] == f"sgd(momentum={momentum:.3g})"
    assert "the best of 16 sampled points, which have no band and no collapse" in row["answer"]
    assert not row["no_collapse"]
    text = as_json(answer, results.sensitivity, results.interactions, "few", results.thresholds)
    lines = json.loads(text)["problems"][0]["lines"]
    assert {"sampled_optimizer_momentum"} <= lines[answer["sampled"].tolist().index(True)]["identity"].keys()


def test_the_response_has_a_row_for_each_parameter_of_each_sampled_line(results: lb.Results) -> None:
    table = results.response
    assert table["parameter"].tolist() == ["learning_rate", "optimizer_momentum"] * 2
    assert table["scale"].tolist() == ["log", "linear"] * 2
    assert (table["best_low"] <= table["best"]).all()
    assert (table["best"] <= table["best_high"]).all()
    explained = {each for line in base.columns("response") for each in line.split(", ")}
    assert set(table.columns) - {"problem_mu"} <= explained
    assert table["answer"][1].startswith("momentum: lowest predicted loss at ")


def test_pictures_and_the_report_are_drawn(results: lb.Results) -> None:
    assert (results.folder / "report.html").is_file()
    assert (results.folder / "plots" / "loss_vs_learning_rate.png").is_file()


@pytest.mark.slow
def test_a_larger_sample_trains_only_what_is_new(tmp_path: Path) -> None:
    few = STUDY | {"confirm": 0, "schedule": "constant"}
    lb.run(few, tmp_path / "grown", report=False)
    before = {path.name for path in (tmp_path / "grown" / "parts").rglob("*.parquet")}
    grown = lb.run(few | {"sample": 32}, tmp_path / "grown", report=False)
    assert before < {path.name for path in (tmp_path / "grown" / "parts").rglob("*.parquet")}
    assert len(grown.runs) == 2 * 32 * 2
    new = sum(len(pd.read_parquet(path)) for path in (tmp_path / "grown" / "parts").rglob("*.parquet"))
    assert new == len(grown.runs)


def test_two_samples_are_compared(results: lb.Results, tmp_path: Path) -> None:
    other = lb.run(STUDY | {"sample": 8, "confirm": 0}, tmp_path / "other", report=False)
    table = compare(results.folder, other.folder)
    assert len(table) == 4
    assert table["answer"].notna().all()


def test_without_scikit_learn_there_is_no_response_and_a_line_says_why(
    results: lb.Results, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(response_surface, "installed", lambda: False)
    heard = Heard()
    found = rebuild(ResultsFolder(results.folder), report=False, listener=heard)
    assert found.response.empty
    assert any("pip install 'lrbench[surface]'" in line for line in heard.lines)
    monkeypatch.undo()
    assert len(rebuild(ResultsFolder(results.folder), report=False).response) == 4


def test_a_sample_has_no_range_test() -> None:
    with pytest.raises(
        StudyError, match="sample = 16: a range test has one value of every parameter; remove sample"
    ):
        range_tests_of(check(STUDY, "few.toml", trust=True))


def test_many_numbers_at_once(tmp_path: Path) -> None:
    """Options and named rates are sampled beside the optimizer's own numbers, in one program."""
    optimizer = {
        "name": "adam",
        "b1": {"min": 0.5, "max": 0.95},
        "weight_decay": {"min": 1e-6, "max": 1e-1, "log": True},
    }
    study = STUDY | {"optimizer": optimizer, "schedule": "constant", "confirm": 0, "seeds": 1}
    found = lb.run(study, tmp_path / "many", report=False)
    assert len(found.manifest["packs"]) == 1
    assert found.response["parameter"].tolist() == ["learning_rate", "optimizer_b1", "optimizer_weight_decay"]
    assert np.isfinite(found.runs["final_train_loss"]).all()


@pytest.mark.slow
def test_named_rates_are_trained_as_a_study_that_lists_them(tmp_path: Path) -> None:
    study = STUDY | {
        "problem": "fractal",
        "optimizer": "sgd",
        "schedule": "constant",
        "confirm": 0,
        "seeds": 1,
    }
    rates = {"min": 1e-2, "max": 1.0, "output": {"min": 1e-3, "max": 1.0}}
    found = lb.run(study | {"learning_rate": rates}, tmp_path / "named", report=False)
    assert len(found.sensitivity) == 1
    row = found.runs.iloc[4]
    listed = {"values": [row["learning_rate"]], "output": {"values": [row["sampled_learning_rate_output"]]}}
    alone = {name: value for name, value in study.items() if name != "sample"} | {"learning_rate": listed}
    same = lb.run(alone, tmp_path / "listed", report=False).runs.iloc[0]
    assert same["run_id"] == row["run_id"]
    assert same["final_train_loss"] == pytest.approx(row["final_train_loss"], rel=1e-5)


def test_a_plan_counts_points() -> None:
    rates = {"min": 1e-2, "max": 1.0, "output": {"min": 1e-3, "max": 1.0}}
    study = STUDY | {"problem": "fractal", "optimizer": "sgd", "learning_rate": rates, "confirm": 0}
    found = _shape(_axes(of_study(check(study, "few.toml", trust=True))))
    assert found == "1 problem × 1 optimizer × 2 schedules × 16 sampled points × 2 seeds"


def test_a_point_is_trained_for_other_steps_with_its_own_values(results: lb.Results) -> None:
    trained = results.train_best(steps=9)
    run = results.runs.set_index("run_id").loc[results.train_best().run_id]
    assert trained.about["steps"] == "9"
    assert trained.learning_rate == run["learning_rate"]
    sampled = [
        name for name in results.runs if str(name).startswith("sampled_optimizer_") and pd.notna(run[name])
    ]
    assert sampled
    for name in sampled:
        assert f"{name.removeprefix('sampled_optimizer_')}={run[name]:g}" in trained.about["optimizer"]
