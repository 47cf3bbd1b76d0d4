"""The tables as a catalogue: each says what a row is and what its columns mean, and a new one is one file."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq
import pytest

import lrbench as lb
from lrbench.execution.rebuild import rebuild
from lrbench.results.folder import ResultsFolder
from lrbench.results.manifest_schema import FailureSchema
from lrbench.study import catalog
from lrbench.tables import base
from lrbench.tables.failures import failures
from tests.helpers.paths import ROOT

NAMES = catalog.names("table")


@pytest.mark.parametrize("name", NAMES)
def test_a_table_says_what_a_row_is_and_what_it_is_made_from(name: str) -> None:
    entry = catalog.get("table", name)
    assert entry.doc.startswith("A row per ")
    assert {*entry.takes} <= {*base.GIVEN, *NAMES} - {"curves"}, "curves do not fit into memory"
    assert base.columns(name)
    assert all(re.search(rf"^    {each}: ", entry.doc, re.MULTILINE) for each in entry.takes)


def _explained(name: str) -> set[str]:
    """The names of columns that a table's docstring explains, patterns included."""
    return {each for line in base.columns(name) for each in line.split(", ")}


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> lb.Results:
    folder = tmp_path_factory.mktemp("tables") / "study"
    study = {"name": "few", "steps": 4, "evaluate_every": 2, "seeds": 2, "problem": "rosenbrock"}
    study |= {"optimizer": ["sgd", "adam"], "learning_rate": {"values": [1e-3, 1e-2]}, "first_hits": True}
    return lb.run(study, folder, report=False)


@pytest.mark.parametrize(
    "name", [name for name in NAMES if name not in ("failures", "finders", "response", "shorter_runs")]
)
def test_every_column_is_explained_where_its_table_is_made(name: str, results: lb.Results) -> None:
    explained = _explained(name)
    found = set(pq.read_schema(results.folder / f"{name}.parquet").names)
    ends = re.compile("_(mean|median|iqm|low|high)$")
    patterned = {
        each for each in found if ends.search(each) and f"<metric>{ends.search(each)[0]}" in explained
    }  # type: ignore[index]
    patterned |= {each for each in found if each.endswith(("_low", "_high")) and "<column>_low" in explained}
    identity = {"study", "steps"} if name == "summary" else set()
    assert found - patterned - identity <= explained
    assert {each for each in explained if "<" not in each} <= found


def test_failures_have_the_columns_of_the_manifest() -> None:
    assert list(failures([]).columns) == list(FailureSchema.model_fields)
    assert _explained("failures") == set(FailureSchema.model_fields)


def test_tables_that_a_study_does_not_have_are_empty_and_older_ones_are_removed(results: lb.Results) -> None:
    assert {name for name in NAMES if base.may_be_absent(name)} == {
        "failures",
        "finders",
        "first_hits",
        "response",
        "shorter_runs",
        "surfaces",
    }
    older = [results.folder / f"finders.{kind}" for kind in ("csv", "parquet")]
    assert results.finders.empty
    for path in older:
        path.write_text("of range tests that are not in the grid any more")
    rebuild(ResultsFolder(results.folder), report=False)
    assert not any(path.exists() for path in older)
    assert {*NAMES} <= {*dir(results)}
    with pytest.raises(
        AttributeError, match=r"unknown attribute or table 'tests'; .*`lrbench list tables` lists all"
    ):
        _ = results.tests


NEW = '''
"""A table that somebody adds."""

import pandas as pd


def {name}(runs: pd.DataFrame{more}) -> pd.DataFrame:
    """A row per {row}: how many runs have it.

    Args:
        runs: judged runs.
        {doc}

    Columns:
        verdict: the verdict
        count: how many runs, a whole number
    """
    return runs.groupby("verdict").size().rename("count").reset_index(){rest}
'''
STUDY = """
name = "tiny"
steps = 4
seeds = 2
problem = "quadratic"
optimizer = "sgd"
[learning_rate]
values = [0.1, 1.0]
"""
READ = """
import sys, lrbench as lb
results = lb.load(sys.argv[1])
print(results.verdict_counts["count"].sum(), len(results.from_others))
"""


@pytest.mark.slow
def test_adding_a_table_is_adding_a_file(tmp_path: Path) -> None:
    """It is written as CSV and Parquet, printed by the run, listed, read by `Results` and by SQL; a table may be made from it."""
    shutil.copytree(ROOT / "lrbench", tmp_path / "lrbench", ignore=shutil.ignore_patterns("__pycache__"))
    added = tmp_path / "lrbench" / "tables"
    first = NEW.format(name="verdict_counts", row="verdict and block", more="", doc="", rest="")
    (added / "verdict_counts.py").write_text(first)
    more, rest = ", verdict_counts: pd.DataFrame, summary: pd.DataFrame", ".assign(points=len(summary))"
    other = NEW.format(name="from_others", row="verdict", more=more, doc="", rest=rest)
    (added / "from_others.py").write_text(other)
    (tmp_path / "tiny.toml").write_text(STUDY)
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}

    def python(*words: str) -> str:
        done = subprocess.run(
            [sys.executable, *words],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    printed = python("-m", "lrbench", "run", "tiny.toml", "--no-report").splitlines()
    folder = Path("results", "tiny")
    for name in ("verdict_counts", "from_others"):
        assert str(folder / f"{name}.csv") in printed
        csv, parquet = (tmp_path / folder / f"{name}.{kind}" for kind in ("csv", "parquet"))
        pd.testing.assert_frame_equal(pd.read_csv(csv), pd.read_parquet(parquet), check_dtype=False)
    read = python("-c", READ, str(folder)).split()
    assert read == ["4", str(len(pd.read_csv(tmp_path / folder / "from_others.csv")))]
    assert "4" in python("-m", "lrbench", "query", str(folder), "SELECT sum(count) FROM verdict_counts")
    listed = python("-m", "lrbench", "list", "tables")
    assert "  verdict_counts  A row per verdict and block: how many runs have it." in listed
    assert "count: how many runs, a whole number" in python(
        "-m", "lrbench", "list", "table", "verdict_counts"
    )
