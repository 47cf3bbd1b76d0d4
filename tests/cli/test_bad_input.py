"""What docs/study-file.md decides, row by row."""

from __future__ import annotations

import datetime
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np
import optax
import pytest

import lrbench as lb
from lrbench.datasets import user_tables
from lrbench.datasets.user_tables import Reading
from lrbench.errors import DataError, ProblemError, StudyError
from lrbench.study.spec import read

STUDY = """
name = "x"
steps = 100
evaluate_every = 50
problem = "quadratic"
optimizer = "sgd"
[learning_rate]
values = [0.1]
"""


def prepared(text: str) -> user_tables.Prepared:
    Path("t.csv").write_text(text)
    return user_tables.prepare("t.csv", Reading("y"))


def rows(first: str, count: int = 20) -> str:
    return "".join(f"{first},{i * 1.5},{i}.5\n" for i in range(count))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("x,z,y\n" + rows("inf"), "column 'x' contains an infinite number"),
        ("x,z,y\n" + rows("1e31"), "column 'x' contains a number beyond ±1e+30"),
        ("x,z,y\n1,2,1e300\n" + rows("1"), "target 'y' contains a number beyond ±1e+30"),
        ("x,z,y\n1,2,nan\n" + rows("1"), "target 'y' is missing in 1 of 21 rows"),
        ("x,y\n" + "1,a\n2,a\n" * 10, "target 'y' is 'a' in every row; there is nothing to learn"),
        ("", "is not a valid csv file: Empty CSV file"),
        ("x,y\n", "has 0 rows; at least 10 are required"),
        ("x,y\n1,2\n", "has 1 row; at least 10 are required"),
        ("x,x ,y\n" + rows("1"), "two columns have the same name"),
    ],
)
def test_tables_that_are_refused(text: str, message: str) -> None:
    with pytest.raises(DataError) as caught:
        prepared(text)
    assert str(caught.value).startswith("t.csv: ")
    assert message in str(caught.value)


def test_a_column_of_one_value_is_zeros_and_whole_numbers_may_be_long() -> None:
    found = prepared("x,z,y\n" + rows("0.1"))
    assert np.abs(found.parts.train[0][:, 0]).max() < 1e-12
    assert prepared("x,z,y\n" + rows("9007199254740993")).parts.train[0].shape[1] == 2


def test_steps_and_evaluations(tmp_path: Path) -> None:
    file = tmp_path / "x.toml"
    file.write_text(STUDY)
    assert read(file, ["steps=5"]).evaluate_every == 5
    assert read(file, ["steps=60"]).evaluate_every == 50
    for overrides, message in {
        ("steps=0",): "steps = 0: must be greater than or equal to 1",
        ("evaluate_every=101",): "evaluate_every = 101: must be from 1 to steps = 100",
        ("steps=5", "evaluate_every=50"): "evaluate_every = 50: must be from 1 to steps = 5",
        ("learning_rate.values=[0.1, 0.1]",): "a rate is listed twice",
    }.items():
        with pytest.raises(StudyError) as caught:
            read(file, overrides)
        assert message in str(caught.value)


def test_arrays_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ProblemError, match="all arrays must have the same leading axis"):
        lb.problem(init=lambda key: 0, loss=lambda w, batch, key: 0, train=(np.ones((3, 2)), np.ones(4)))


@pytest.mark.slow
def test_labels_and_numbers_of_your_own_are_the_losss_affair() -> None:
    x, labels = np.eye(4, dtype=np.float32), np.array([0, 1, 2, 9])

    def made(name: str, x: Any, labels: Any) -> lb.Problem:
        def loss(w: Any, batch: Any, key: Any) -> Any:
            return optax.softmax_cross_entropy_with_integer_labels(batch[0] @ w, batch[1]).mean()

        return lb.problem(name=name, init=lambda key: jnp.zeros((4, 3)), loss=loss, train=(x, labels))

    bad = np.where(x > 0, np.nan, x)
    problems = [made("range", x, labels), made("nan", bad, labels % 3), made("<b>🎉", x, np.ones(4, int))]
    runs = lb.sweep(problems, optimizers="sgd", learning_rates=[0.1], seeds=1, steps=2).runs
    assert runs.set_index("problem")["status"].to_dict() == {
        "range": "nonfinite",
        "nan": "nonfinite",
        "<b>🎉": "ok",
    }


@pytest.mark.parametrize("odd", [datetime.date(2000, 1, 1), None])
def test_dates_and_nothing_are_no_parts_of_a_schedule(odd: Any) -> None:
    parts = ["constant", {"name": "cosine", "final": [odd]}]
    table = {
        "name": "x",
        "steps": 5,
        "problem": "quadratic",
        "optimizer": "sgd",
        "learning_rate": {"values": [0.1]},
    }
    with pytest.raises(
        StudyError, match=r"final = .*: must be a number, a string, true or false, a list or a table"
    ):
        read(table | {"schedule": {"name": "join", "parts": parts}})
