"""A study that is judged by a metric, at the end or at the best evaluation, from its file to its tables."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np
import pandas as pd
import pytest

import lrbench as lb
from lrbench.analysis.objective import Objective, objectives_of
from lrbench.errors import StoreError, StudyError
from lrbench.execution.execute import execute
from lrbench.execution.plan import plan_text
from lrbench.results import inventory
from lrbench.results.part_file import PartSummary
from lrbench.study.spec import read

AUC = Objective("valid_auc", larger=True, bound=1.0)


def _study(**more: Any) -> dict[str, Any]:
    return {
        "name": "judged",
        "steps": 30,
        "evaluate_every": 10,
        "seeds": 2,
        "problem": ["breast_cancer_logistic"],
        "optimizer": ["sgd"],
        "learning_rate": {"values": [1e-3, 0.1, 30.0]},
        **more,
    }


@pytest.mark.slow
def test_the_tables_are_those_of_the_metric(tmp_path: Path) -> None:
    """The runs are the same; what is best among them, the target and the manifest are the metric's."""
    by_loss = lb.run(_study(), tmp_path, report=False)
    runs = by_loss.runs.set_index("run_id")
    assert runs["constant_loss"].tolist() == [pytest.approx(0.6598472)] * len(runs)
    assert (runs["headline"] == "valid_accuracy").all()
    done = execute(_study(objective="valid_auc", at="best", target=0.9), tmp_path, report=False)
    assert done.trained == 0
    manifest, found = done.results.manifest, done.results.runs.set_index("run_id")
    assert (manifest["objective"], manifest["at"]) == ("valid_auc", "best")
    assert objectives_of(manifest) == {"breast_cancer_logistic": Objective("valid_auc", True, 1.0, "best")}
    assert found["constant_loss"].isna().all()  # it is no area
    assert (found["final_valid_auc"] == runs["final_valid_auc"]).all()
    curves = done.results.curves
    best = curves.loc[curves.groupby("run_id")["valid_auc"].idxmax()].set_index("run_id")
    assert (found["best_step"] == best["step"].loc[found.index]).all()
    assert (found["best_valid_auc"] == best["valid_auc"].loc[found.index]).all()
    met = curves[curves["valid_auc"] >= 0.9].groupby("run_id")["step"].min().reindex(found.index)
    pd.testing.assert_series_equal(
        found["steps_to_target"].astype(float), met, check_names=False, check_dtype=False
    )
    # A run that ends above its start was not good on the way either: it counts as if it had stayed there.
    loss = 1 - found["best_valid_auc"].where(found["status"] == "ok", found["initial_valid_auc"])
    least = loss.min()
    good = (found["status"] == "ok") & (loss <= least + 0.05 * (1 - found["initial_valid_auc"] - least))
    assert ((found["verdict"] == "good") == good).all()
    assert (found["verdict"] != runs["verdict"].loc[found.index]).any()
    line = done.results.sensitivity.iloc[0]
    by_rate = loss.groupby(found["learning_rate"]).mean()
    assert line["best_loss"] == pytest.approx(by_rate[line["best_learning_rate"]])


def test_every_plot_and_the_report_are_drawn(tmp_path: Path) -> None:
    results = lb.run(_study(objective="valid_auc"), tmp_path)
    text = (results.folder / "report.html").read_text()
    assert "validation auc" in text
    figure = results.plot("loss_vs_learning_rate")
    assert figure.axes[0].get_ylabel() == "1 − validation auc"


@pytest.mark.slow
@pytest.mark.parametrize("at", ["fresh", "cached", "plan"])
def test_an_objective_that_a_problem_lacks_is_refused_before_training(tmp_path: Path, at: str) -> None:
    message = "judged: objective: unknown loss or metric of quadratic 'valid_auc'; allowed: train_loss"
    study = _study(
        problem=["breast_cancer_logistic", "quadratic"], objective="valid_auc", steps=4, evaluate_every=2
    )
    if at == "cached":
        execute({**study, "objective": "auto"}, tmp_path, report=False)
    with pytest.raises(StudyError) as caught:
        plan_text(read(study)) if at == "plan" else execute(study, tmp_path, report=False)
    assert str(caught.value) == message


def test_runs_that_lack_a_newer_metric_are_not_judged_by_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As of a folder that was trained before the problem had the metric; its other tables stay as they are."""
    execute(_study(), tmp_path, report=False)
    known = inventory.Inventory.parts

    def older(self: inventory.Inventory) -> list[PartSummary]:
        parts = known(self)
        for part in parts:
            object.__setattr__(part, "curves", tuple(name for name in part.curves if name != "valid_auc"))
        return parts

    monkeypatch.setattr(inventory.Inventory, "parts", older)
    with pytest.raises(StoreError) as caught:
        execute(_study(objective="valid_auc"), tmp_path, report=False)
    assert str(caught.value) == (
        f"{tmp_path}: has runs of breast_cancer_logistic that were trained when it had no valid_auc; choose another objective, "
        "or train them again with --fresh"
    )


@pytest.mark.slow
def test_a_manifest_without_metrics_is_described_again(tmp_path: Path) -> None:
    """A folder of an older lrbench: nothing is trained, and its problems get what is said of them today."""
    results = lb.run(_study(), tmp_path, report=False)
    path = tmp_path / "manifest.json"
    manifest = json.loads(path.read_text())
    told = manifest["problems"][0]
    manifest["problems"] = [{"name": told["name"], "validated": True, "optimum": None}]
    manifest["objectives"] = {told["name"]: "valid_loss"}
    path.write_text(json.dumps(manifest))
    assert lb.load(tmp_path).plot("loss_vs_learning_rate").axes[0].get_ylabel() == "validation loss"
    done = execute(_study(), tmp_path, report=False)
    assert done.trained == 0
    assert done.results.manifest["problems"][0] == told
    assert told["metrics"]["auc"] == {"larger": True, "bound": 1.0}
    pd.testing.assert_frame_equal(done.results.runs, results.runs)


def _bowl(**more: Any) -> lb.Problem:
    x = np.zeros((4, 1), np.float32)
    return lb.problem(
        name="bowl",
        init=lambda key: jnp.ones(2),
        loss=lambda w, batch, key: jnp.sum(w**2) + 0 * jnp.sum(batch),
        predict=lambda w, batch: w,
        train=x,
        valid=x,
        version="1",
        **more,
    )


def test_a_metric_of_your_own_is_raised_as_it_says(tmp_path: Path) -> None:
    """In the runs, in the best evaluation, in the summary and as an objective without a bound."""
    score = lb.Metric(lambda w, batch: -10 * jnp.sum(w**2), larger=True)
    problem = _bowl(metrics={"nearness": score, "error": lambda w, batch: jnp.sum(w**2)}, constant_loss=3.0)
    asked = _study(
        problem=[problem], objective="valid_nearness", seeds=1, learning_rate={"values": [0.1, 3.0]}
    )
    results = lb.run(asked, tmp_path, report=False)
    good, broken = (row for _, row in results.runs.iterrows())
    assert good["best_valid_nearness"] == good["final_valid_nearness"] > good["initial_valid_nearness"] == -20
    assert broken["best_valid_nearness"] == -20
    assert broken["best_valid_error"] == 2
    (line,) = results.sensitivity.to_dict("records")
    assert line["best_learning_rate"] == 0.1
    assert line["best_loss"] == -good["final_valid_nearness"]
    assert objectives_of(results.manifest) == {"bowl": Objective("valid_nearness", larger=True)}
    assert results.manifest["problems"][0]["headline"] == "nearness"


def test_what_is_known_of_a_problem_does_not_change_its_runs() -> None:
    """A headline or a constant loss that is not given leaves the identity of earlier runs as it was."""
    plain = read(_study(problem=[_bowl()])).problem[0].source
    assert plain == read(_study(problem=[_bowl(headline=None, constant_loss=None)])).problem[0].source


@pytest.mark.slow
def test_a_race_stops_runs_by_the_loss_that_they_are_judged_by(tmp_path: Path) -> None:
    """By the validation loss, which is the same at every rate, no run is behind another; by the training loss some are."""
    x = np.zeros((4, 1), np.float32)
    flat = lb.problem(
        name="flat",
        init=lambda key: jnp.ones(2),
        loss=lambda w, batch, key: jnp.sum(w**2) + 0 * jnp.sum(batch),
        evaluate=lambda w, batch, key: jnp.where(batch[0, 0] > 0, 1.0 + 0 * jnp.sum(w), jnp.sum(w**2)),
        train=x,
        valid=x + 1,
        version="1",
    )
    asked = _study(problem=[flat], race=True, steps=100, evaluate_every=2)
    asked |= {"learning_rate": {"min": 1e-5, "max": 0.1, "num": 9}, "seeds": 1}
    stopped = [
        (lb.run({**asked, "objective": by}, tmp_path / by, report=False).runs["status"] == "stopped").any()
        for by in ("auto", "train_loss")
    ]
    assert stopped == [False, True]


@pytest.mark.slow
def test_folders_are_compared_by_their_common_objective(tmp_path: Path) -> None:
    """By the metric where both are judged by it; by the training loss where they disagree."""
    both = [lb.run(_study(objective="valid_auc"), tmp_path / name, report=False) for name in "ab"]
    by_auc = lb.compare(*both)
    assert by_auc["loss"].iloc[0] == pytest.approx(both[0].sensitivity["best_loss"].iloc[0])
    other = lb.run(_study(), tmp_path / "c", report=False)
    by_loss = lb.compare(both[0], other)
    training = lb.run(_study(objective="train_loss"), tmp_path / "c", report=False)
    assert by_loss["loss"].iloc[0] == pytest.approx(training.sensitivity["best_loss"].iloc[0])
