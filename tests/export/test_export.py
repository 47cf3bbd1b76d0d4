"""Exporters and SQL: what other tools read of a results folder, and what a name or a statement cannot do."""

from __future__ import annotations

import builtins
import json
import os
import struct
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow.csv
import pytest

import lrbench as lb
from lrbench.cli import commands
from lrbench.errors import DataError, StoreError, StudyError
from lrbench.export import _runs
from lrbench.results.folder import ResultsFolder
from lrbench.study import catalog
from tests.helpers import frames

HOSTILE = "=1+1|a/../b"


def folder_of(study: frames.Results, folder: Path) -> lb.Results:
    """Write synthetic results as a run would."""
    store = ResultsFolder(folder)
    for name in ("runs", "curves", "summary", "sensitivity"):
        store.write_table(name, getattr(study, name))
    store.write_manifest(study.manifest)
    return lb.load(folder)


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> lb.Results:
    """Three runs of a problem with a hostile name, one of them diverged, and one of another optimizer."""
    study = frames.study(
        rates=[0.1, 100.0],
        seeds=1,
        optimizers=(("sgd", 0.9, 0.1), ("@adam", float("nan"), 0.01)),
        problems=(HOSTILE,),
    )
    return folder_of(study, tmp_path_factory.mktemp("results") / "study")


def lrbench(*words: object, monkeypatch: pytest.MonkeyPatch) -> int:
    monkeypatch.setattr("sys.argv", ["lrbench", *map(str, words)])
    with pytest.raises(SystemExit) as caught:
        commands.main()
    return int(caught.value.code or 0)


def without(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def closed(module: str, *given: Any, **more: Any) -> Any:
        if module == name:
            raise ImportError(module)
        return real(module, *given, **more)

    monkeypatch.setattr(builtins, "__import__", closed)


def test_csv_holds_every_table_and_no_formula(results: lb.Results, tmp_path: Path) -> None:
    assert results.export("csv", tmp_path) == "4 tables: curves, runs, sensitivity, summary"
    runs = pd.read_csv(tmp_path / "runs.csv")
    assert set(runs["problem"]) == {f"'{HOSTILE}"}
    assert set(runs["optimizer"]) == {"sgd", "'@adam"}
    pd.testing.assert_series_equal(runs["final_train_loss"], results.runs["final_train_loss"])
    curves = pd.read_csv(tmp_path / "curves.csv")
    assert len(curves) == len(results.curves)
    for path in tmp_path.iterdir():
        table = pyarrow.csv.read_csv(path).to_pandas().select_dtypes(["object", "str"])
        assert not any(str(text)[:1] in set("=+-@\t\r") for text in table.to_numpy().ravel())


def test_tensorboard_reads_what_is_written(results: lb.Results, tmp_path: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
    from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData

    said = results.export("tensorboard", tmp_path)
    assert said == f"4 runs; open with: tensorboard --logdir {tmp_path}"
    run_ids = set()
    for folder in tmp_path.iterdir():
        assert len(list(folder.iterdir())) == 1
        read = EventAccumulator(str(folder)).Reload()
        contents = read.SummaryMetadata("_hparams_/session_start_info").plugin_data.content
        given = HParamsPluginData.FromString(contents).session_start_info.hparams
        run_id, rate = given["run_id"].string_value, given["learning_rate"].number_value
        assert folder.name == f"{given['optimizer'].string_value.replace('@', '_')}_lr={rate:g}_seed=0"
        run_ids.add(run_id)
        rows = results.curves[results.curves["run_id"] == run_id].dropna(subset="valid_loss")
        shown = read.Scalars("valid_loss")
        assert [event.step for event in shown] == rows["step"].tolist()
        assert [event.value for event in shown] == pytest.approx(rows["valid_loss"].tolist())
    assert run_ids == set(results.runs["run_id"])


def _records(path: Path) -> Iterator[Any]:
    """Read a .wandb file: a log of LevelDB's form after a header of 7 bytes, whose records are protocol buffers."""
    from wandb.proto import wandb_internal_pb2

    data, place, whole = path.read_bytes(), 7, b""
    while place + 7 <= len(data):
        if 32768 - place % 32768 < 7:
            place += 32768 - place % 32768
            continue
        length, kind = struct.unpack_from("<HB", data, place + 4)
        whole += data[place + 7 : place + 7 + length]
        place += 7 + length
        if kind in (1, 4):  # full, or the last piece
            record = wandb_internal_pb2.Record()
            record.ParseFromString(whole)
            yield record
            whole = b""


@pytest.mark.slow
def test_wandb_writes_offline_runs(results: lb.Results, tmp_path: Path) -> None:
    """In a process of its own: wandb starts a service, and keeps it."""
    pytest.importorskip("wandb", reason="wandb is not installed: its export is NOT tested")
    code = f"import lrbench as lb; print(lb.load({str(results.folder)!r}).export('wandb', {str(tmp_path)!r}))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"4 runs; upload with: wandb sync {tmp_path}/wandb/offline-run-*\n"
    files = list(tmp_path.glob("wandb/offline-run-*/run-*.wandb"))
    assert {path.stem.removeprefix("run-") for path in files} == set(results.runs["run_id"])
    path = files[0]
    records = list(_records(path))
    run = next(record.run for record in records if record.WhichOneof("record_type") == "run")
    assert run.project == "synthetic"
    assert run.display_name in {
        f"{name} lr={rate} seed=0" for name in ("sgd", "@adam") for rate in (0.1, 100)
    }
    assert run.display_name == f"{run.run_group} seed=0"
    assert {item.key: item.value_json for item in run.config.update}["problem"] == f'"{HOSTILE}"'
    logged = [
        {item.key or item.nested_key[0]: item.value_json for item in record.history.item}
        for record in records
        if record.WhichOneof("record_type") == "history"
    ]
    rows = results.curves[results.curves["run_id"] == run.run_id].dropna(subset="valid_loss")
    assert [float(row["valid_loss"]) for row in logged if "valid_loss" in row] == pytest.approx(
        rows["valid_loss"].tolist()
    )
    assert run.host == ""
    assert not any(record.WhichOneof("record_type") in ("environment", "files") for record in records)


READ_BY_MLFLOW = """
import json, sys
import lrbench as lb
said = lb.load(sys.argv[1]).export("mlflow", sys.argv[2])
from mlflow import MlflowClient
from mlflow.telemetry import get_telemetry_client
from mlflow.telemetry.utils import is_telemetry_disabled
assert is_telemetry_disabled() and get_telemetry_client() is None
client = MlflowClient(said.partition("--backend-store-uri ")[2])
experiment = client.get_experiment_by_name("synthetic")
found = [
    {
        "name": run.info.run_name,
        "status": run.info.status,
        "tags": run.data.tags,
        "params": run.data.params,
        "metrics": run.data.metrics,
        "history": [(m.step, m.value) for m in client.get_metric_history(run.info.run_id, "valid_loss")],
    }
    for run in client.search_runs([experiment.experiment_id])
]
print(json.dumps({"said": said, "runs": found}))
"""


@pytest.mark.slow
def test_mlflow_reads_what_is_written(results: lb.Results, tmp_path: Path) -> None:
    """In a process of its own, which says what it printed: MLflow reports its use over the network unless it is told not to."""
    out = tmp_path / "100% #1"
    command = [sys.executable, "-c", READ_BY_MLFLOW, str(results.folder), str(out)]
    plain = {name: text for name, text in os.environ.items() if name not in ("CI", "PYTEST_CURRENT_TEST")}
    done = subprocess.run(command, env=plain, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    read = json.loads(done.stdout)
    assert read["said"] == f"4 runs; open with: mlflow ui --backend-store-uri sqlite:///{out}/mlflow.db"
    assert [path.name for path in out.iterdir()] == ["mlflow.db"]
    assert {run["tags"]["run_id"] for run in read["runs"]} == set(results.runs["run_id"])
    for run in read["runs"]:
        (row,) = results.runs[results.runs["run_id"] == run["tags"]["run_id"]].to_dict("records")
        assert run["name"] == f"{row['optimizer']} lr={row['learning_rate']:g} seed=0"
        assert run["status"] == "FINISHED"
        assert run["params"]["problem"] == HOSTILE
        assert float(run["params"]["learning_rate"]) == row["learning_rate"]
        rows = results.curves[results.curves["run_id"] == row["run_id"]].dropna(subset="valid_loss")
        assert run["history"] == rows[["step", "valid_loss"]].to_numpy().tolist()
        if row["status"] == "ok":
            assert run["metrics"]["final_valid_loss"] == row["final_valid_loss"]


@pytest.mark.parametrize(
    ("name", "module", "library"),
    [
        ("tensorboard", "tensorboardX", "tensorboardX"),
        ("wandb", "wandb", "wandb"),
        ("mlflow", "mlflow", "MLflow's client"),
    ],
)
def test_a_missing_extra_says_how_to_get_it(
    results: lb.Results,
    tmp_path: Path,
    name: str,
    module: str,
    library: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    catalog.get("exporter", name).load()
    without(module, monkeypatch)
    with pytest.raises(DataError, match=rf"--to {name} requires {library}: pip install 'lrbench\[{name}\]'"):
        results.export(name, tmp_path)


def test_what_export_refuses(results: lb.Results, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(StudyError, match=r"unknown exporter 'tensorbord'; .* did you mean 'tensorboard'"):
        results.export("tensorbord")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine.txt").touch()
    with pytest.raises(StoreError, match="full: already exists; remove it, or choose another --out"):
        results.export("csv", tmp_path / "full")
    with pytest.raises(
        StoreError, match=r"a\?b: MLflow opens no path with a question mark; choose another --o"
    ):
        results.export("mlflow", tmp_path / "a?b")
    assert [path.name for path in tmp_path.iterdir()] == ["full"]
    monkeypatch.setattr(_runs, "MOST_RUNS", 3)
    with pytest.raises(StoreError) as caught:
        results.export("tensorboard", tmp_path / "many")
    assert str(caught.value) == (
        f"{results.folder}: has 4 runs; the export to TensorBoard takes 1 to 3; `--to csv` takes any number"
    )


def named(**columns: list[Any]) -> list[tuple[str, str, str]]:
    """The name, file and group of runs with these columns, and otherwise alike."""
    rows = len(next(iter(columns.values())))
    alike = {
        "problem": "digits",
        "optimizer": "adam",
        "schedule": "constant",
        "learning_rate": 0.01,
        "seed": 1,
    }
    shared = {name: [value] * rows for name, value in {**alike, "steps": 100}.items()}
    run_id = [f"id{row}" for row in range(rows)]
    return list(_runs._names(pd.DataFrame({"run_id": run_id, **shared, **columns})))


def test_names_of_runs_hold_what_differs() -> None:
    assert named(seed=[1]) == [("adam lr=0.01 seed=1", "adam_lr=0.01_seed=1", "adam lr=0.01")]
    assert named(
        optimizer=["adam", "sgd", "sgd"],
        optimizer_momentum=[None, 0.0, 0.9],
        learning_rate=[1e-4, 0.1, 3.16227766],
    ) == [
        ("adam lr=0.0001 seed=1", "adam_lr=0.0001_seed=1", "adam lr=0.0001"),
        ("sgd(momentum=0) lr=0.1 seed=1", "sgd_momentum=0_lr=0.1_seed=1", "sgd(momentum=0) lr=0.1"),
        ("sgd(momentum=0.9) lr=3.16 seed=1", "sgd_momentum=0.9_lr=3.16_seed=1", "sgd(momentum=0.9) lr=3.16"),
    ]
    problems = named(problem=["a", "b"], schedule=["constant", "cosine"], steps=[10, 20])
    assert [name for name, _, _ in problems] == [
        "a adam constant lr=0.01 steps=10 seed=1",
        "b adam cosine lr=0.01 steps=20 seed=1",
    ]


def test_names_of_runs_are_unique_and_fit_for_files() -> None:
    names, files, groups = zip(*named(learning_rate=[0.01, 0.010001], optimizer=["a/b", "a b"]), strict=True)
    assert names == ("a/b lr=0.01 seed=1 id0", "a b lr=0.01 seed=1 id1")
    assert files == ("a_b_lr=0.01_seed=1-id0", "a_b_lr=0.01_seed=1-id1")
    assert groups == ("a/b lr=0.01", "a b lr=0.01")
    (hostile, _), (file, _), _ = zip(*named(optimizer=["../x\x1b[2J", "Y"]), strict=True)
    assert (hostile, file) == ("../x\\x1b[2J lr=0.01 seed=1", "_x_2J_lr=0.01_seed=1")
    (first, second), files, _ = zip(*named(optimizer=["x" * 150] * 2, seed=[1, 2]), strict=True)
    assert (first, second) == (f"{'x' * 100} id0", f"{'x' * 100} id1")
    assert max(map(len, files)) < 128
    assert _runs.slug("../../etc/pass wd") == "_.._etc_pass_wd"


def test_query_selects_from_every_table(results: lb.Results) -> None:
    pytest.importorskip("duckdb")
    found = results.query(
        "SELECT optimizer, count(*) AS n FROM runs JOIN curves USING (run_id) GROUP BY ALL ORDER BY ALL"
    )
    assert found["optimizer"].tolist() == ["@adam", "sgd"]
    assert found["n"].tolist() == [22, 22]
    assert len(results.query("FROM summary")) == len(results.summary)
    for query in (
        "DESCRIBE runs",
        "SUMMARIZE runs",
        "SHOW TABLES",
        "EXPLAIN FROM runs",
        "PIVOT runs ON seed",
    ):
        assert len(results.query(query))


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT * FROM read_csv('/etc/hostname')",
        "SELECT * FROM '{folder}/curves.parquet'",
        "COPY runs TO '{folder}/runs.parquet' (USE_TMP_FILE false)",
        "COPY runs TO '{folder}/new.csv'",
        "ATTACH '{folder}/new.db'",
        "SET enable_external_access = true",
        "INSTALL httpfs",
        "SELECT * FROM glob('/*')",
        "SELECT * FROM names",  # a variable of Python
    ],
)
def test_sql_reaches_nothing_else(results: lb.Results, sql: str) -> None:
    before = {path: path.stat().st_mtime_ns for path in results.folder.iterdir()}
    with pytest.raises(DataError, match=r"^query: "):
        results.query(sql.format(folder=results.folder))
    assert {path: path.stat().st_mtime_ns for path in results.folder.iterdir()} == before


def test_the_commands(
    results: lb.Results, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def prints(*words: object) -> tuple[int, str, str]:
        return lrbench(*words, monkeypatch=monkeypatch), *capsys.readouterr()

    sql = "SELECT optimizer, seed, learning_rate FROM runs WHERE learning_rate < 1"
    table = "optimizer  seed  learning_rate\nsgd           0            0.1\n@adam         0            0.1\n"
    assert prints("query", results.folder, sql) == (0, table, "")
    code, long, _ = prints("query", results.folder, "SELECT * FROM range(1000)")
    assert code == 0
    assert long.splitlines()[-1] == "... and more rows; LIMIT and OFFSET choose which 100 are shown"
    assert prints("query", results.folder, "FROM runs LIMIT 0") == (0, "no rows\n", "")
    for wrong, message in {
        "FROM runz": 'Table with name runz does not exist! Did you mean "runs"?; tables: curves, runs, ',
        "SELCT": 'Parser Error: syntax error at or near "SELCT"',
        "": "must be one statement, such as SELECT * FROM runs LIMIT 5",
        "SELECT 1; SELECT 2": "must be one statement",
        **dict.fromkeys(
            ("CREATE TABLE t AS SELECT 1", "INSERT INTO runs SELECT * FROM runs", "SET threads = 1", "BEGIN"),
            "returns no rows; give a query, such as SELECT * FROM runs LIMIT 5",
        ),
    }.items():
        code, out, error = prints("query", results.folder, wrong)
        assert (code, out, error.count("\n")) == (2, "", 1)
        assert message in error
    assert prints("query", tmp_path, "SELECT 1")[0] == 2
    out = tmp_path / "tables"
    said = "4 tables: curves, runs, sensitivity, summary\n"
    assert prints("export", results.folder, "--to", "csv", "--out", out) == (0, f"{said}{out}\n", "")
    code, _, error = prints("export", results.folder, "--to", "xls")
    assert (code, error) == (
        2,
        "lrbench: unknown exporter 'xls'; allowed: csv, ioh, mlflow, tensorboard, wandb\n",
    )
    without("duckdb", monkeypatch)
    code, _, error = prints("query", results.folder, "SELECT 1")
    assert (code, error) == (2, "lrbench: query needs DuckDB; get it with: pip install 'lrbench[query]'\n")
