"""Folders that people have: one of every schema is kept, is read, and goes on."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import lrbench as lb
from lrbench.errors import StoreError
from lrbench.execution.execute import execute
from lrbench.execution.rebuild import rebuild
from lrbench.results.folder import MANIFEST, ResultsFolder
from lrbench.results.manifest_schema import SCHEMA_VERSION
from lrbench.study.grid import of_study
from lrbench.study.spec import read
from tests.helpers.command import lrbench
from tests.helpers.paths import GOLDEN


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A copy of what schema 1 wrote."""
    return Path(shutil.copytree(GOLDEN / "results_v1", tmp_path / "golden"))


def test_every_schema_has_a_folder_here() -> None:
    kept = {path.name for path in GOLDEN.glob("results_v*")}
    assert kept == {f"results_v{version}" for version in range(1, SCHEMA_VERSION + 1)}


def test_a_folder_of_schema_1_is_read(folder: Path) -> None:
    study = read(folder / "study.toml")
    assert ResultsFolder(folder).inventory(of_study(study).run_ids, stopped=False).completed().all()
    results = rebuild(ResultsFolder(folder), report=False)
    assert results.manifest["runs"] == {"total": 24, "done": 24, "left": 0}
    assert lb.load(folder).runs["run_id"].is_unique
    quadratic = results.runs[results.runs["problem"] == "quadratic"]
    # Gradient descent of 10 steps on curvatures of 0.1 to 1: a rate of 0.1 is the best of three, and 1000 is far beyond 2/λ.
    assert set(quadratic["verdict"][quadratic["learning_rate"] == 1000]) == {"diverged"}
    best = results.best().set_index(["problem", "optimizer"])["use"]
    assert set(best["quadratic"]) == {0.1}
    assert np.isfinite(results.curves["train_loss"]).sum() >= 2 * len(results.curves) / 3
    assert "house_prices" in results.report()


@pytest.mark.slow
def test_a_folder_of_schema_2_is_read_and_goes_on(tmp_path: Path) -> None:
    """With its stages, which are read and not chosen again."""
    folder = Path(shutil.copytree(GOLDEN / "results_v2", tmp_path / "golden"))
    held = {path: path.read_bytes() for name in ("parts", "stages") for path in (folder / name).rglob("*.*")}
    results = rebuild(ResultsFolder(folder), report=False)
    assert set(results.runs["stage"]) == {"grid", "refine", "confirm"}
    assert set(results.shorter_runs["schedule"]) == {"cosine"}
    before = results.sensitivity
    assert set(before["confirmed_seeds"]) == {2}
    done = execute(folder / "study.toml", folder, report=False)
    assert done.trained == 0
    assert {path: path.read_bytes() for path in held} == held
    pd.testing.assert_frame_equal(lb.load(folder).sensitivity, before)


@pytest.mark.slow
def test_a_folder_of_schema_1_goes_on(folder: Path) -> None:
    """Nothing is trained anew: identities, and the parts, are those of then."""
    held = {path.name: path.read_bytes() for path in (folder / "parts").rglob("*.parquet")}
    done = execute(folder / "study.toml", folder, report=False)
    assert done.trained == 0
    more = ["seeds=3", "problem=quadratic"]
    done = execute(folder / "study.toml", folder, overrides=more, report=False)
    assert (done.trained, len(done.results.runs)) == (6, 18)
    now = {path.name: path.read_bytes() for path in (folder / "parts").rglob("*.parquet")}
    assert held.items() < now.items()
    assert done.results.manifest["schema_version"] == SCHEMA_VERSION


@pytest.mark.parametrize(
    ("version", "message"),
    [
        (
            SCHEMA_VERSION + 1,
            f"was written by a newer lrbench (schema {SCHEMA_VERSION + 1}, this one reads up to",
        ),
        *(
            (wrong, f"schema_version = {wrong!r}: must be a whole number from 1")
            for wrong in ("1", None, 0, -3, [1], 1.5)
        ),
        ("missing", "schema_version = None: must be a whole number from 1"),
    ],
)
def test_a_schema_that_is_not_known_is_one_line(folder: Path, version: Any, message: str) -> None:
    manifest = json.loads((folder / MANIFEST).read_text())
    manifest["schema_version"] = version
    if version == "missing":
        del manifest["schema_version"]
    (folder / MANIFEST).write_text(json.dumps(manifest))
    for command in (
        ["best", str(folder)],
        ["report", str(folder)],
        ["run", str(folder / "study.toml"), "--out", str(folder)],
    ):
        code, printed = lrbench(command)
        assert (code, printed.count("\n")) == (2, 1), printed
        assert printed.startswith(f"lrbench: {folder / MANIFEST}: {message}")


@pytest.mark.parametrize(
    "text", ["[1]", "{", "", '{"schema_version": 1, "study": "golden", "grid": {"name": 3}}', '"\\ud800"']
)
def test_a_manifest_that_is_damaged_is_one_line(folder: Path, text: str) -> None:
    (folder / MANIFEST).write_text(text)
    for act in (
        lambda: rebuild(ResultsFolder(folder)),
        lambda: execute(folder / "study.toml", folder),
    ):
        with pytest.raises(StoreError, match=r"manifest\.json.* start again with --fresh"):
            act()
