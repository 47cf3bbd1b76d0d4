"""What a reader of IOHprofiler's files finds in an export: the runs, when they met targets, and the same expected running times."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import lrbench as lb
from lrbench.analysis.ecdf import ert
from lrbench.errors import StoreError
from lrbench.execution.execute import execute
from lrbench.study.ladder import ladder
from lrbench.study.spec import read

STUDY = {
    "name": "exported",
    "steps": 30,
    "evaluate_every": 10,
    "seeds": [3, 7],
    "problem": [{"name": "quadratic", "dimension": [2, 3]}, "branin"],
    "optimizer": "sgd",
    "learning_rate": {"values": [0.001, 0.5, 1e30]},
    "probes": [],
    "first_hits": True,
    "precision": "float64",
}
READER = """
import json, sys
import iohinspector
from iohinspector.metrics import aggregate_running_time
manager = iohinspector.DataManager()
manager.add_folder(sys.argv[1])
data = manager.load(False, True)
some = data.filter(data["function_name"] == "branin", data["algorithm_name"] == "sgd lr=0.001")
times = aggregate_running_time(some, f_min=float(some["raw_y"].min()), f_max=float(some["raw_y"].max()))
names = ["algorithm_name", "function_name", "function_id", "dimension", "instance", "evals", "best_y", "learning_rate"]
print(json.dumps({
    "overview": manager.overview.select(names).to_dicts(),
    "data": data.select([*names, "evaluations", "raw_y"]).to_dict(as_series=False),
    "times": times[["raw_y", "ERT", "success_count"]].to_dict("list"),
}))
"""


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> lb.Results:
    return execute(read(STUDY), tmp_path_factory.mktemp("results") / "study", report=False).results


@pytest.fixture(scope="module")
def exported(results: lb.Results, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("exported")
    said = results.export("ioh", folder)
    assert said == "3 algorithms on 3 problems; open the folder with IOHanalyzer or iohinspector"
    return folder


def _read(folder: Path) -> Any:
    if importlib.util.find_spec("iohinspector") is None:
        pytest.skip("iohinspector is not installed: its export is NOT tested")
    done = subprocess.run(
        [sys.executable, "-c", READER, folder], env=os.environ, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def _blocks(path: Path) -> list[pd.DataFrame]:
    """The blocks of a data file, read by hand."""
    texts = path.read_text().split("evaluations raw_y\n")[1:]
    rows = [[line.split() for line in text.splitlines()] for text in texts]
    return [pd.DataFrame(each, columns=["evaluations", "raw_y"]).astype(float) for each in rows]


def test_a_folder_per_algorithm_has_a_description_and_data_of_each_problem(exported: Path) -> None:
    assert sorted(path.name for path in exported.iterdir()) == ["sgd_lr=0.001", "sgd_lr=0.5", "sgd_lr=1e+30"]
    folder = exported / "sgd_lr=0.5"
    assert sorted(path.name for path in folder.glob("*.json")) == [
        "IOHprofiler_f1_quadratic_dimension=2_.json",
        "IOHprofiler_f2_quadratic_dimension=3_.json",
        "IOHprofiler_f3_branin.json",
    ]
    about = json.loads((folder / "IOHprofiler_f2_quadratic_dimension=3_.json").read_text())
    (scenario,) = about.pop("scenarios")
    assert about == {
        "version": "0.4.2",
        "suite": "lrbench",
        "function_id": 2,
        "function_name": "quadratic(dimension=3)",
        "maximization": False,
        "algorithm": {"name": "sgd lr=0.5", "info": "lrbench study exported"},
        "experiment_attributes": [{"learning_rate": 0.5}],
        "attributes": ["evaluations", "raw_y"],
    }
    assert (scenario["dimension"], scenario["path"]) == (
        3,
        "data_f2_quadratic_dimension=3_/IOHprofiler_f2_DIM3.dat",
    )
    blocks = _blocks(folder / scenario["path"])
    assert [run["instance"] for run in scenario["runs"]] == [1, 2]
    for run, block in zip(scenario["runs"], blocks, strict=True):
        assert block["evaluations"].iloc[0] == 1
        assert block["evaluations"].is_monotonic_increasing
        assert block["raw_y"].is_monotonic_decreasing
        assert run["evals"] == block["evaluations"].iloc[-1] == 31
        assert run["best"]["y"] == block["raw_y"].min()
        assert run["best"]["evals"] == block.loc[block["raw_y"].idxmin(), "evaluations"]


def test_blocks_hold_evaluations_and_first_hits(results: lb.Results, exported: Path) -> None:
    run = results.runs.query("problem == 'branin' and learning_rate == 0.001 and seed == 7").iloc[0]
    block = _blocks(exported / "sgd_lr=0.001" / "data_f3_branin" / "IOHprofiler_f3_DIM2.dat")[1]
    curve = results.curves.query(f"run_id == '{run['run_id']}'").set_index("step")["train_loss"]
    best = block.set_index(block["evaluations"] - 1)["raw_y"]
    # What an evaluation found is there to the last digit, unless a rung had been met that was lower.
    for step, loss in curve.cummin().items():
        known = best[best.index <= step].iloc[-1]
        assert known >= loss or np.isclose(known, loss, rtol=1e-12)
    assert best[30] == curve.min()
    hits = results.first_hits.query(f"run_id == '{run['run_id']}'").dropna()
    optimum = run["optimum"]
    for target, step in zip(hits["target"], hits["step"], strict=True):
        met = best[best <= optimum + target * (curve[0] - optimum) * (1 + 1e-12)]
        assert met.index[0] == step


def test_a_run_that_diverged_ends_where_it_did(results: lb.Results, exported: Path) -> None:
    run = results.runs.query("problem == 'branin' and learning_rate == 1e30 and seed == 3").iloc[0]
    block = _blocks(exported / "sgd_lr=1e+30" / "data_f3_branin" / "IOHprofiler_f3_DIM2.dat")[0]
    assert block["evaluations"].iloc[-1] == run["diverged_step"] + 1
    assert np.isfinite(block["raw_y"]).all()


@pytest.mark.slow
def test_a_real_reader_finds_the_runs_and_when_they_met_targets(results: lb.Results, exported: Path) -> None:
    found = _read(exported)
    overview = pd.DataFrame(found["overview"])
    runs = results.runs
    assert len(overview) == len(runs)
    assert set(overview["function_name"]) == {"quadratic(dimension=2)", "quadratic(dimension=3)", "branin"}
    assert overview.groupby("function_name")["dimension"].first().to_dict() == {
        "branin": 2,
        "quadratic(dimension=2)": 2,
        "quadratic(dimension=3)": 3,
    }
    data = pd.DataFrame(found["data"])
    hits = results.first_hits
    for row in runs[runs["problem"] == "branin"].to_dict("records"):
        instance = {3: 1, 7: 2}[row["seed"]]
        mine = data[
            (data["function_name"] == "branin")
            & (data["instance"] == instance)
            & (data["learning_rate"] == row["learning_rate"])
        ]
        assert len(mine)
        step = hits.loc[hits["run_id"] == row["run_id"], "step"].to_numpy(dtype=float, na_value=np.nan)
        for rung in range(0, 200, 7):
            low = row["optimum"] + ladder()[rung] * (row["initial_train_loss"] - row["optimum"])
            met = mine.loc[mine["raw_y"] <= low * (1 + 1e-12), "evaluations"]
            assert (met.min() - 1 == step[rung]) or (met.empty and np.isnan(step[rung]))


@pytest.mark.slow
def test_a_real_reader_computes_the_same_expected_running_times(exported: Path) -> None:
    """That of iohinspector's fixed targets, from the blocks."""
    times = _read(exported)["times"]
    blocks = _blocks(exported / "sgd_lr=0.001" / "data_f3_branin" / "IOHprofiler_f3_DIM2.dat")
    assert set(times["success_count"]) == {1, 2}
    for value, expected, count in zip(times["raw_y"], times["ERT"], times["success_count"], strict=True):
        hit = np.array([block.loc[block["raw_y"] <= value, "evaluations"].min() for block in blocks])
        spent = np.where(np.isnan(hit), 31, hit)
        assert np.isfinite(hit).sum() == count
        np.testing.assert_allclose(ert(spent.sum(), np.isfinite(hit).sum()), expected)


@pytest.mark.slow
def test_an_accuracy_is_turned_round(tmp_path: Path) -> None:
    study = {
        **STUDY,
        "problem": [{"name": "breast_cancer_logistic"}],
        "steps": 3,
        "evaluate_every": 1,
        "objective": "valid_accuracy",
        "learning_rate": {"values": [0.1]},
    }
    found = execute(read(study), tmp_path / "study", report=False).results
    found.export("ioh", tmp_path / "exported")
    (path,) = (tmp_path / "exported").rglob("*.dat")
    curve = found.curves.pivot(index="run_id", columns="step", values="valid_accuracy").loc[
        found.runs["run_id"]
    ]
    for block, accuracy in zip(_blocks(path), curve.to_numpy(), strict=True):
        np.testing.assert_allclose(block["raw_y"].iloc[[0, -1]], [1 - accuracy[0], 1 - accuracy.max()])


def test_nothing_finite_cannot_be_exported(results: lb.Results, tmp_path: Path) -> None:
    nothing = results.save(tmp_path / "copy")
    curves = results.curves
    nothing.__dict__["first_hits"] = pd.DataFrame()
    object.__setattr__(nothing, "some_curves", lambda *names: curves.assign(train_loss=np.nan))
    with pytest.raises(StoreError) as caught:
        nothing.export("ioh", tmp_path / "exported")
    assert str(caught.value) == f"{nothing.folder}: has no run with a finite loss; nothing can be exported"
