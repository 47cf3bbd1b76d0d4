"""The exercise of CONTRIBUTING.md, done on a copy of the package: what is added in one place is found everywhere."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from tests.helpers.paths import ROOT

ADDED = {
    "lrbench/optimizers/exercise.py": '''
"""An optimizer of the exercise."""

import optax


def exercise_descent(learning_rate: float, *, damping: float = 0.5) -> optax.GradientTransformation:
    """Gradient descent with a damped step.

    Formula: w ← w − η·(1 − d)·g

    Args:
        damping: d, the share of the step that is left out.

    Source: this exercise.
    """
    return optax.sgd(learning_rate * (1 - damping))
''',
    "lrbench/metrics/exercise.py": '''
"""A metric of the exercise."""

import jax.numpy as jnp


def exercise_error(predictions, batch):
    """Return the share of examples whose highest score is not the target's: mean(argmax(ŷ) ≠ y)."""
    return jnp.mean(jnp.argmax(predictions, axis=-1) != batch[1], dtype=predictions.dtype)
''',
    "lrbench/problems/exercise.py": '''
"""A problem of the exercise."""

import dataclasses

from lrbench.datasets import bundled
from lrbench.datasets.data import split
from lrbench.metrics.exercise import exercise_error
from lrbench.problems._models import classifier
from lrbench.problems._problem import Problem


def exercise_digits(*, hidden: tuple[int, ...] = (8,), batch_size: int = 64) -> Problem:
    """Small network on the digits, which is also judged by its errors.

    Formula: ŷ = W₂·relu(W₁·x)

    Args:
        hidden: widths of the hidden layers.
        batch_size: examples of a minibatch; 0 is all of them.

    Source: this exercise.
    """
    made = classifier("exercise_digits", split(*bundled.digits()), hidden, 10, batch_size or None)
    return dataclasses.replace(made, metrics={"exercise_error": exercise_error})
''',
    "lrbench/plots/exercise_plot.py": '''
"""A plot of the exercise."""

from matplotlib.figure import Figure

from lrbench.tables.base import StudyTables


def exercise_plot(results: StudyTables) -> Figure:
    """Draw the final losses of all runs as a histogram."""
    figure = Figure()
    figure.add_subplot().hist(results.runs["final_train_loss"].dropna())
    return figure
''',
}
TABLE = "lrbench/tables/ranking.py"
COLUMN = {
    "    Columns:\n": "    Columns:\n        exercise_rows: how many rows the table has\n",
    "out.iloc[order].reset_index(drop=True)\n": "out.iloc[order].reset_index(drop=True).assign(exercise_rows=len(out))\n",
}
STUDY = """
name = "exercise"
steps = 20
seeds = 1
problem = "exercise_digits"
optimizer = "exercise_descent"
learning_rate = {values = [0.1, 1.0]}
"""


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the checkout with an optimizer, a metric, a problem and a plot more, and a column more in a table."""
    root = tmp_path_factory.mktemp("exercise")
    for folder in ("lrbench", "tests", "docs"):
        shutil.copytree(ROOT / folder, root / folder, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", root)
    for name, text in ADDED.items():
        (root / name).write_text(text.lstrip())
    table = (root / TABLE).read_text()
    for before, after in COLUMN.items():
        assert table.count(before) == 1
        table = table.replace(before, after)
    (root / TABLE).write_text(table)
    return root


def _run(copy: Path, *words: str) -> str:
    environment = {**os.environ, "PYTHONPATH": str(copy), "LRBENCH_WRITE_GOLDEN": "1"}
    done = subprocess.run(
        [sys.executable, *words], cwd=copy, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_the_contract_tests_find_what_was_added(copy: Path) -> None:
    """Each is found by tests of its kind, which pass; the first run writes the golden rows that the second one compares."""
    tests = ["tests/test_contracts.py", "tests/optimizers/test_optimizers.py"]
    for _ in range(2):
        said = _run(copy, "-m", "pytest", "-p", "no:cacheprovider", "-n", "0", "-v", "-k", "exercise", *tests)
    for found in (
        "test_entry_is_documented[optimizer-exercise_descent]",
        "test_entry_is_documented[plot-exercise_plot]",
        "test_problem[exercise_digits]",
        "test_a_problem_trains[exercise_digits]",
        "test_metric[exercise_error]",
        "test_plot[one row-exercise_plot]",
    ):
        assert f"{found} PASSED" in said, found
    assert "exercise_descent" in said.partition("test_optimizers.py")[2]


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_study_uses_what_was_added(copy: Path) -> None:
    (copy / "exercise.toml").write_text(STUDY)
    said = _run(copy, "-m", "lrbench", "run", "exercise.toml", "--out", "out")
    assert "exercise_digits" in said
    runs, ranking = (pd.read_csv(copy / "out" / f"{name}.csv") for name in ("runs", "ranking"))
    assert runs["final_valid_exercise_error"].between(0, 1).all()
    assert "exercise_rows" in ranking
    assert (copy / "out" / "plots" / "exercise_plot.png").stat().st_size > 1000
    assert "exercise_rows" in _run(copy, "-m", "lrbench", "list", "table", "ranking")
    assert "damping" in _run(copy, "-m", "lrbench", "list", "optimizer", "exercise_descent")
