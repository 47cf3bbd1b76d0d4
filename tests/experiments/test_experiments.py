"""Experiments: what is required of every one of them, and what a user may get wrong."""

from __future__ import annotations

import csv
import re
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
from matplotlib.figure import Figure
from typer.testing import CliRunner

import lrbench as lb
from lrbench.cli import commands
from lrbench.errors import StoreError, StudyError
from lrbench.experiments import bench as _bench
from lrbench.experiments.bench import Answer, Bench, Unfinished, perform
from lrbench.results import lock
from lrbench.study import catalog, spec
from tests.helpers import examples

STUDY = {
    "name": "bowl",
    "steps": 4,
    "seeds": 1,
    "problem": "quadratic",
    "optimizer": "sgd",
    "learning_rate": {"values": [0.1, 0.2]},
}


def bowl(bench: Bench, *, steps: int = 4, rates: tuple[float, ...] = (0.1, 0.2)) -> Answer:
    """Find the best of some rates on a bowl."""
    results = bench.train(STUDY | {"steps": steps, "learning_rate": {"values": list(rates)}})
    table = bench.write_table("bowl", results.runs[["learning_rate", "final_train_loss"]])
    figure = Figure()
    figure.add_subplot()
    return Answer((f"{len(results.runs)} runs",), (*table, *bench.write_picture("bowl", figure)))


@pytest.fixture
def only_bowl(monkeypatch: pytest.MonkeyPatch) -> None:
    """The catalogue with `bowl` as its one experiment."""
    entry, entries = catalog.of_function("experiment", bowl), catalog._entries
    monkeypatch.setattr(
        catalog, "_entries", lambda kind: {"bowl": entry} if kind == "experiment" else entries(kind)
    )


@pytest.mark.parametrize(
    "name",
    [
        # Studies and pictures, twice; one of them is enough for the quick tests.
        pytest.param(name, marks=() if name == "batch_size" else pytest.mark.slow)
        for name in catalog.names("experiment")
    ],
)
def test_experiment(name: str, tmp_path: Path) -> None:
    """It answers, and writes pictures and tables that agree; run again, it trains nothing and answers the same."""
    assert name in examples.EXPERIMENTS, "give it a tiny size"
    entry = catalog.get("experiment", name)
    assert "Source:" in entry.doc
    tiny = examples.EXPERIMENTS[name]
    answer = perform(name, tmp_path, overrides=tiny)
    assert answer.lines
    assert all("\n" not in line for line in answer.lines)
    files = [file for path in answer.paths for file in (path.iterdir() if path.is_dir() else [path])]
    assert {".csv", ".parquet", ".png", ".svg"} == {path.suffix for path in files} - {".html", ".md"}
    assert all(path.stat().st_size for path in files)
    for path in files:
        if path.suffix == ".csv":
            with path.open(encoding="utf-8") as file:
                header, *rows = csv.reader(file)
            frame = pd.read_parquet(path.with_suffix(".parquet"))
            assert header == list(frame.columns)
            assert len(rows) == len(frame) > 0
    parts = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("parts/*/*.parquet")}
    assert parts
    assert perform(name, tmp_path, overrides=tiny) == answer
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("parts/*/*.parquet")} == parts


@pytest.mark.usefixtures("only_bowl")
def test_the_command_prints_the_answer_and_what_was_written() -> None:
    done = CliRunner().invoke(commands.app, ["experiment", "bowl", "--set", "rates=[0.1, 0.2, 0.3]"])
    assert done.exit_code == 0, done.output
    files = [f"results/bowl/bowl.{kind}" for kind in ("csv", "parquet", "png", "svg")]
    assert done.stdout.splitlines() == ["3 runs", *files]
    quiet = CliRunner().invoke(commands.app, ["experiment", "bowl", "--set", "rates=[0.1, 0.2, 0.3]", "-q"])
    assert quiet.output.splitlines() == ["3 runs"]
    more = perform("bowl", overrides=["rates=[0.1, 0.2, 0.3, 0.4]"])
    assert more.lines == ("4 runs",)
    assert lb.load("results/bowl/bowl").manifest["runs"]["done"] == 4


@pytest.mark.usefixtures("only_bowl")
@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["stepz=3"], "unknown parameter of bowl 'stepz'; allowed: steps, rates; did you mean 'steps'?"),
        (["steps=many"], "bowl: steps = 'many': must be a whole number"),
        (["rates=0.1"], "bowl: rates = 0.1: must be a list of numbers"),
        (["rates=[0.1, nan]"], "must be finite"),
        (["rates=[]"], "bowl: rates = []: must have at least one value"),
        (["steps"], "--set 'steps': must be KEY=VALUE"),
        (["steps=0"], "steps = 0: must be greater than or equal to 1"),
    ],
)
def test_what_an_experiment_refuses(overrides: list[str], message: str) -> None:
    with pytest.raises(StudyError) as caught:
        perform("bowl", overrides=overrides)
    assert message in str(caught.value)


@pytest.mark.usefixtures("only_bowl")
def test_an_unknown_experiment_names_the_nearest() -> None:
    with pytest.raises(StudyError) as caught:
        perform("bawl")
    assert str(caught.value) == "unknown experiment 'bawl'; allowed: bowl; did you mean 'bowl'?"


@pytest.mark.usefixtures("only_bowl")
def test_the_folder_of_a_study_is_not_that_of_an_experiment() -> None:
    lb.run(STUDY, "here", report=False)
    with pytest.raises(StoreError) as caught:
        perform("bowl", "here")
    assert str(caught.value) == "here: is the results folder of the study 'bowl'; choose another --out"


@pytest.mark.usefixtures("only_bowl")
@pytest.mark.parametrize(
    "words", [["run", "bowl"], ["plan", "bowl"], ["find", "bowl"], ["list", "study", "bowl"]]
)
def test_the_name_of_an_experiment_in_place_of_a_study(words: list[str]) -> None:
    with pytest.raises(StudyError) as caught:
        CliRunner().invoke(commands.app, words, catch_exceptions=False)
    assert str(caught.value) == "bowl: is an experiment, not a study; run it with `lrbench experiment bowl`"


@pytest.mark.usefixtures("only_bowl")
def test_runs_that_fail_are_exit_code_3(monkeypatch: pytest.MonkeyPatch) -> None:
    execute = _bench.execute

    def broken(study: object, *given: object, **more: object) -> object:
        vector = lb.problem(name="vector", init=lambda key: 0.0, loss=lambda w, b, k: [w, w])
        study = spec.check({**STUDY, "problem": vector}, "study", trust=True)
        return execute(study, *given, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(_bench, "execute", broken)
    with pytest.raises(Unfinished):
        perform("bowl")
    done = CliRunner().invoke(commands.app, ["experiment", "bowl", "-q"])
    assert done.exit_code == commands.FAILED
    assert "2 runs are missing; the same command tries them again" in done.output


@pytest.mark.parametrize(
    ("name", "override", "message"),
    [
        ("claims", "steps=0", "claims: study wells: steps = 0: must be greater than or equal to 1"),
        (
            "claims",
            "family_problems=['nope']",
            "claims: study families: problem.0.name: unknown problem 'nope'",
        ),
        (
            "transfer",
            "steps=0",
            "transfer: study width_adam: steps = 0: must be greater than or equal to 1",
        ),
        (
            "batch_size",
            "optimizers=['adm']",
            "batch_size: optimizers: unknown optimizer 'adm'; allowed: sgd, momentum, adam; did you mean 'adam'?",
        ),
    ],
)
def test_nothing_is_trained_where_a_study_is_wrong(
    name: str, override: str, message: str, tmp_path: Path
) -> None:
    with pytest.raises(StudyError, match=f"^{re.escape(message)}"):
        perform(name, tmp_path / "out", overrides=[override])
    assert not (tmp_path / "out").exists()


def test_one_process_at_a_time_works_on_an_experiment(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    child = "import sys; from lrbench.experiments.bench import perform; perform('transfer', sys.argv[1])"
    with lock.locked(tmp_path / "out"):
        done = subprocess.run(
            [sys.executable, "-c", child, str(tmp_path / "out")], capture_output=True, text=True, check=False
        )
    assert "has been working on it since" in done.stderr


def test_the_folder_of_an_experiment_names_the_results_in_it(tmp_path: Path) -> None:
    for name in ("step", "wells"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "manifest.json").write_text("{}")
    with pytest.raises(
        StoreError, match=r"has no manifest.json\); give one that is in it: \S+/step, \S+/wells$"
    ):
        lb.load(tmp_path)
