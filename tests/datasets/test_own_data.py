"""The user's own tables and images: what they become, what is refused, and that a change is noticed."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest

import lrbench as lb
from lrbench.datasets import user_images, user_tables
from lrbench.datasets.user_tables import Reading
from lrbench.errors import DataError, StoreError, StudyError
from lrbench.execution.execute import run
from lrbench.problems import own_data
from lrbench.study.grid import of_study
from lrbench.study.spec import read
from tests.helpers.command import lrbench

HOUSES = "area,city,garden,price\n" + "".join(
    f"{'' if i == 3 else 10 * i},{['Ulm', 'Bonn', ''][i % 3]},{['true', 'false'][i % 2]},{i + 0.5}\n"
    for i in range(20)
)


def write(name: str, text: str | bytes) -> str:
    Path(name).write_bytes(text.encode() if isinstance(text, str) else text)
    return name


def test_columns_become_inputs() -> None:
    """A number with one missing: itself and an indicator; a text: an input each, and an indicator; a boolean: one."""
    prepared = user_tables.prepare(write("houses.csv", HOUSES), Reading("price"))
    assert prepared.classes == 0
    train, valid = prepared.parts
    assert train[0].shape == (16, 2 + 3 + 1)
    assert valid[0].shape == (4, 6)
    np.testing.assert_allclose(train[0].mean(axis=0), 0, atol=1e-9)
    np.testing.assert_allclose(train[0].std(axis=0)[[0, 2, 3, 4, 5]], 1)
    assert (train[1].mean(), train[1].std()) == pytest.approx((0, 1))
    raw = np.sort(np.concatenate([part[1] for part in prepared.parts]) * prepared.deviation)
    np.testing.assert_allclose(np.diff(raw), 1)


def test_a_missing_number_becomes_the_mean_of_the_training_part() -> None:
    column = pa.array([1.0, None, 3.0, 100.0])
    number, missing = user_tables._encoded(column, np.array([0, 1, 2]))
    assert number[:, 0].tolist() == [1, 2, 3, 100]
    assert missing[:, 0].tolist() == [0, 1, 0, 0]


def test_a_text_that_only_validation_has_is_none_of_the_texts() -> None:
    (encoded,) = user_tables._encoded(pa.array(["b", "a", "c"]), np.array([0, 1]))
    assert encoded.tolist() == [[False, True], [True, False], [False, False]]


@pytest.mark.parametrize("kind", ["csv", "semicolon", "parquet", "npz"])
def test_every_kind_of_file_gives_the_same(kind: str) -> None:
    x, y = np.arange(20.0), np.arange(20) % 3 + 0.25
    expected = own_data.tabular_linear(data=_as(kind, x, y), target="y")
    plain = own_data.tabular_linear(data=_as("csv", x, y), target="y")
    np.testing.assert_allclose(expected.data.train[0], plain.data.train[0])
    np.testing.assert_allclose(expected.data.valid[1], plain.data.valid[1])


def _as(kind: str, x: np.ndarray, y: np.ndarray) -> str:
    if kind == "parquet":
        pq.write_table(pa.table({"x": x, "y": y}), "t.parquet")
        return "t.parquet"
    if kind == "npz":
        np.savez("t.npz", x=x, y=y)
        return "t.npz"
    mark = {"csv": ",", "semicolon": ";"}[kind]
    return write(f"{kind}.csv", f"x{mark}y\n" + "".join(f"{a}{mark}{b}\n" for a, b in zip(x, y, strict=True)))


@pytest.mark.parametrize(
    ("values", "task", "classes"),
    [
        (["yes", "no"], "auto", 2),
        (["true", "false"], "auto", 2),
        (["0", "1"], "auto", 2),
        (["1", "2", "3"], "auto", 0),
        (["1", "2", "3"], "classification", 3),
        (["0", "1"], "regression", 0),
        (["0.5", "1.5"], "auto", 0),
    ],
)
def test_the_target_decides_what_the_task_is(values: list[str], task: Any, classes: int) -> None:
    rows = "".join(f"{i},{values[i % len(values)]}\n" for i in range(20))
    problem = own_data.tabular_linear(data=write("t.csv", "x,y\n" + rows), target="y", task=task)
    expected = {0: ["absolute_error", "r2"], 2: ["accuracy", "f1", "auc"], 3: ["accuracy"]}
    assert list(problem.measures) == expected[classes]
    if classes:
        assert problem.data.train[1].max() == classes - 1


def test_another_split_seed_is_another_split() -> None:
    data = write("houses.csv", HOUSES)
    first, second = (own_data.tabular_mlp(data=data, target="price", split_seed=s) for s in (0, 1))
    assert not np.array_equal(first.data.valid[1], second.data.valid[1])


def rows(values: str) -> str:
    return "".join(f"{i},{values}\n" for i in range(20))


REFUSED = {
    "unknown target": (HOUSES, "prce", "has no column 'prce'; it has: area, city, garden, price"),
    "empty": ("", "y", "is not a valid csv file: Empty CSV file"),
    "header alone": ("x,y\n", "y", "has 0 rows; at least 10 are required"),
    "binary": (b"\x89PNG\0\0", "y", "is not a valid csv file: it contains binary data"),
    "not UTF-8": (
        b"x,y\n" + b"gr\xfcn,1\n" * 20,
        "y",
        "is not a valid csv file: its text is not UTF-8; save it as UTF-8",
    ),
    "ragged": (
        "x,y\n1,2,3\n",
        "y",
        "is not a valid csv file: CSV parse error: Expected 2 columns, got 3: 1,2,3; columns are separated by ',', and a value that "
        "contains it must be in quotes",
    ),
    "one class": (
        "x,y\n" + rows("same"),
        "y",
        "target 'y' is 'same' in every row; there is nothing to learn",
    ),
    "a missing target": (
        "x,y\n0,\n" + rows("1"),
        "y",
        "target 'y' is missing in 1 of 21 rows, such as row 1; remove that row",
    ),
    "nothing else": ("y\n" + "1\n2\n" * 10, "y", "has no column besides the target 'y' to predict it from"),
    "a date": (
        "x,y\n" + "2024-01-01,1\n2024-01-02,2\n" * 10,
        "y",
        "column 'x' contains dates or times; convert them to numbers",
    ),
    "names": (
        "x,y\n" + "".join(f"name {i % 55},{i}\n" for i in range(60)),
        "y",
        "column 'x' contains 55 distinct texts, such as 'name 0'; at most 50 are allowed: exclude it with `ignore`",
    ),
    "no value": (
        "x,z,y\n" + "1,,1\n2,,2\n" * 10,
        "y",
        "column 'z' contains no values; exclude it with `ignore`",
    ),
    "infinite": ("x,y\n" + "inf,1\n2,2\n" * 10, "y", "column 'x' contains an infinite number"),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_a_table_that_is_refused(kind: str) -> None:
    content, target, message = REFUSED[kind]
    with pytest.raises(DataError) as caught:
        own_data.tabular_mlp(data=write("t.csv", content), target=target)
    assert str(caught.value).startswith("t.csv: ")
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_texts_are_no_numbers_to_regress() -> None:
    data = write("t.csv", "x,y\n" + "1,a\n2,b\n" * 10)
    with pytest.raises(DataError, match="contains texts, such as 'a'; a regression requires numbers"):
        own_data.tabular_linear(data=data, target="y", task="regression")


def test_what_can_be_left_out_is() -> None:
    data = write("t.csv", "x,when,y\n" + "1,2024-01-01,1\n2,2024-01-02,2\n" * 10)
    problem = own_data.tabular_linear(data=data, target="y", ignore=("when",))
    assert problem.data.train[0].shape[1] == 1


def test_images() -> None:
    pixels = np.random.default_rng(0).integers(0, 255, (20, 6, 4, 3), dtype=np.uint8)
    np.savez("im.npz", images=pixels, labels=np.array(["cat", "dog"] * 10))
    parts, shape, labels = user_images.images("im.npz")
    assert (shape, labels) == ((3, 6, 4), 2)
    assert (parts.train[0].mean(), parts.train[0].std()) == pytest.approx((0, 1), abs=1e-5)
    scaled = parts.train[0][0].reshape(shape)
    assert any(np.corrcoef(scaled.ravel(), np.moveaxis(p, 2, 0).ravel())[0, 1] > 0.999 for p in pixels)


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        (
            {"images": np.zeros((20, 4, 4))},
            "set `target`, the name of the array of labels; it has: images",
        ),
        (
            {"images": np.zeros((20, 4)), "labels": np.arange(20)},
            r"of the shape \(20, 4\); it must contain real numbers",
        ),
        ({"images": np.zeros((20, 4, 4)), "labels": np.arange(19)}, "it requires one label per image"),
        (
            {"images": np.zeros((20, 4, 4)), "labels": np.zeros(20)},
            "the labels have 1 class; 2 to 1,000 are allowed",
        ),
        ({"images": np.full((20, 4, 4), np.nan), "labels": np.arange(20)}, "numbers that are not finite"),
    ],
)
def test_images_that_are_refused(arrays: dict[str, np.ndarray], message: str) -> None:
    np.savez("im.npz", **arrays)
    with pytest.raises(DataError, match=message):
        own_data.image_cnn(data="im.npz")


# ---- what is said of a table that could be meant otherwise ----


def table(**columns: Any) -> str:
    pd.DataFrame(columns).to_csv("t.csv", index=False)
    return "t.csv"


X = np.random.default_rng(0).normal(size=60)
WORDS = [f"word {i}" for i in range(60)]


@pytest.mark.parametrize(
    ("columns", "notes", "inputs"),
    [
        (
            {"PassengerId": range(7, 67), "x": X},
            "not used, as identifiers, with another value in every row: 'PassengerId'; to use one, list the columns to use in `inputs`",
            1,
        ),
        (
            {"x": X, "Unnamed: 0": range(60), "name": WORDS},
            "not used, as identifiers, with another value in every row: 'Unnamed: 0', 'name'; to use one, list the columns to use in "
            "`inputs`",
            1,
        ),
        (
            {"x": X, "day": range(60)},
            "used, but counts the rows: 'day'; if it is an identifier, exclude it with `ignore`",
            2,
        ),
        ({"x": X, "user_id": [*range(30), *range(30)]}, "", 2),
        ({"x": X, "id": X}, "", 2),
        ({"x": X, "paid": np.random.default_rng(1).permutation(60)}, "", 2),
    ],
)
def test_a_column_that_looks_like_an_identifier_is_named(
    columns: dict[str, Any], notes: str, inputs: int
) -> None:
    found = user_tables.prepare(table(**columns, y=X), Reading("y"))
    assert found.notes == ((f"t.csv: {notes}",) if notes else ())
    assert found.parts.train[0].shape[1] == inputs


def test_an_identifier_that_is_asked_for_is_used() -> None:
    found = user_tables.prepare(table(id=range(60), x=X, y=X), Reading("y", inputs=("id",)))
    assert found.parts.train[0].shape[1] == 1
    assert found.notes == ()


@pytest.mark.parametrize(
    ("values", "classes", "note"),
    [
        (
            [0, 1, 2],
            3,
            'has the whole numbers 0 to 2, as classes have: for a regression, set task = "regression"',
        ),
        (
            [1, 2, 5],
            0,
            'has 3 different whole numbers: if they are names of classes, set task = "classification"',
        ),
        ([0.0, 1.0], 2, ""),
        ([0.5, 1.5], 0, ""),
        (list(range(30)), 0, ""),
        (["a", "b", "c"], 3, ""),
    ],
)
def test_whole_numbers_may_be_classes(values: list[Any], classes: int, note: str) -> None:
    found = user_tables.prepare(table(x=X, y=values * (60 // len(values))), Reading("y"))
    assert found.classes == classes
    assert found.notes == ((f"t.csv: target 'y' {note}",) if note else ())


@pytest.mark.parametrize("name", ["y", "Target", "labels"])
def test_a_target_may_go_by_its_name(name: str) -> None:
    assert user_tables.prepare(table(**{"x": X, name: X}), Reading()).classes == 0


def test_numbers_that_are_names_become_an_input_each() -> None:
    name = table(code=[10, 20, 30] * 20, x=X, y=X)
    assert user_tables.prepare(name, Reading("y")).parts.train[0].shape[1] == 2
    assert user_tables.prepare(name, Reading("y", categories=("code",))).parts.train[0].shape[1] == 4


SPELT = {
    "no target": ({}, Reading(), "set `target`, the column to predict; it has: x, word, day"),
    "an unknown name": (
        {},
        Reading("x", categories=("wrd",)),
        "has no column 'wrd'; it has: x, word, day",
    ),
    "many texts": (
        {},
        Reading("x", ignore=("day",)),
        "column 'word' contains 59 distinct texts, such as 'word 0'; at most 50 are allowed: exclude it with `ignore`",
    ),
    "dates of another spelling": (
        {},
        Reading("x", ignore=("word",)),
        "column 'day' contains dates or times; convert them to numbers (such as years, or days since a date), or exclude it with "
        "`ignore`",
    ),
    "identifiers alone": (
        {"word": WORDS},
        Reading("x", ignore=("day",)),
        "has no column besides the target 'x' and identifiers to predict it from",
    ),
}


@pytest.mark.parametrize("kind", SPELT)
def test_a_line_that_says_what_to_do(kind: str) -> None:
    columns, reading, message = SPELT[kind]
    name = table(
        **{"x": X, "word": [*WORDS[:59], "word 0"], "day": ["31.12.2024", "1.1.2025"] * 30} | columns
    )
    with pytest.raises(DataError) as caught:
        user_tables.prepare(name, reading)
    assert str(caught.value) == f"t.csv: {message}"


# ---- classes with weights ----


def test_balanced_classes_have_the_same_share_of_the_loss() -> None:
    """The loss is the mean of n / (k · n_c) · −log p, and its best constant prediction has all classes alike."""
    name = table(x=X, y=["rare"] * 10 + ["common"] * 50)
    plain, weighted = (
        own_data.tabular_linear(data=name, target="y", class_weights=each) for each in ("none", "balanced")
    )
    params = jax.tree.map(jnp.zeros_like, weighted.init(jax.random.key(0)))
    params[-1]["bias"] = jnp.array([[1.0], [0.0]])
    labels = weighted.data.train[1]
    log_share = np.array([1.0, 0.0]) - np.log(np.e + 1)
    weight = len(labels) / (2 * np.bincount(labels))
    expected = -np.mean(weight[labels] * log_share[labels])
    assert float(weighted.loss(params, weighted.data.train, jax.random.key(0))) == pytest.approx(
        expected, rel=1e-5
    )
    assert float(plain.loss(params, plain.data.train, jax.random.key(0))) == pytest.approx(
        -np.mean(log_share[labels]), rel=1e-5
    )
    assert weighted.constant_loss == pytest.approx(np.mean(weight[weighted.data.valid[1]]) * np.log(2))
    assert plain.constant_loss != weighted.constant_loss


def test_images_have_weights_too() -> None:
    np.savez("im.npz", images=np.random.default_rng(0).normal(size=(40, 4, 4)), labels=[0] * 30 + [1] * 10)
    plain, weighted = (
        own_data.image_cnn(data="im.npz", channels=(2,), class_weights=each) for each in ("none", "balanced")
    )
    for form in (plain.forms, weighted.forms):
        assert list(form) == list(plain.forms)
    params = weighted.init(jax.random.key(0))
    losses = [
        float(p.in_form(form).loss(params, p.data.train, jax.random.key(0)))
        for p in (plain, weighted)
        for form in p.forms
    ]
    assert losses[0] == pytest.approx(losses[1], rel=1e-5)
    assert losses[2] == pytest.approx(losses[3], rel=1e-5)
    assert losses[0] != pytest.approx(losses[2], rel=1e-5)


def test_a_number_has_no_class_to_weight() -> None:
    with pytest.raises(DataError) as caught:
        own_data.tabular_linear(data=table(x=X, y=X), target="y", class_weights="balanced")
    assert (
        str(caught.value) == "class_weights = 'balanced': the target is a number; only classes have weights"
    )


# ---- data frames ----


@pytest.mark.parametrize("library", ["pandas", "polars", "pyarrow"])
def test_a_data_frame_is_as_its_file(library: str) -> None:
    write("houses.csv", HOUSES)
    expected = own_data.tabular_mlp(data="houses.csv", target="price", hidden=(4,))
    frame = pd.read_csv("houses.csv")
    if library == "polars":
        frame = pytest.importorskip("polars").read_csv("houses.csv")
    if library == "pyarrow":
        frame = pa.csv.read_csv("houses.csv")
    found = lb.problems.tabular(frame, target="price", hidden=(4,))
    for part, other in zip(jax.tree.leaves(found.data), jax.tree.leaves(expected.data), strict=True):
        np.testing.assert_allclose(part, other)
    if library == "pandas":
        results = lb.sweep(found, optimizers="sgd", learning_rates=[0.01], seeds=1, steps=2)
        assert results.runs["problem"].tolist() == ["frame"]


def test_what_is_said_of_a_frame_is_no_part_of_the_identity_of_its_runs() -> None:
    frame = pd.DataFrame({"id": range(60), "x": X, "y": X})
    problem = lb.problems.tabular(frame, target="y", hidden=())
    assert problem.notes
    silent, other = (
        replace(problem, notes=()),
        lb.problems.tabular(frame.assign(x=-X), target="y", hidden=()),
    )
    found = [of_study(read(study("") | {"problem": each})).run_ids[0] for each in (problem, silent, other)]
    assert found[0] == found[1] != found[2]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"frame": 3}, "frame: is no data frame that Arrow can read: "),
        ({"frame": pd.DataFrame({"x": X[:5], "y": X[:5]})}, "frame: has 5 rows; at least 10 are required"),
        (
            {"valid": "other.csv"},
            "frame: valid = 'other.csv': must be a fraction or the name of a column, or append those rows",
        ),
        ({"target": "z"}, "frame: has no column 'z'; it has: x, y"),
    ],
)
def test_a_frame_that_is_refused(given: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError) as caught:
        lb.problems.tabular(**{"frame": pd.DataFrame({"x": X, "y": X}), "target": "y"} | given)
    assert str(caught.value).startswith(message)


# ---- files in a study ----


def study(data: str) -> dict[str, Any]:
    return {
        "name": "own",
        "steps": 2,
        "seeds": 1,
        "problem": {"name": "tabular_linear", "data": data, "target": "price"},
        "optimizer": "sgd",
        "learning_rate": {"values": [0.01]},
    }


def test_a_run_is_known_by_what_is_in_its_file_not_by_where_it_is() -> None:
    Path("there").mkdir()
    write("here.csv", HOUSES)
    write("there/moved.csv", HOUSES)
    write("other.csv", HOUSES + "1,Ulm,true,7\n")
    here, moved, other = (
        of_study(read(study(d))).run_ids[0] for d in ("here.csv", "there/moved.csv", "other.csv")
    )
    assert here == moved
    assert here != other


def test_a_changed_file_is_noticed_and_the_folder_remembers_where_it_is() -> None:
    write("houses.csv", HOUSES)
    results = run(study("houses.csv"), "out", report=False)
    assert results.runs["problem_data"].tolist() == ["houses.csv"]
    assert read("out/study.toml").problem[0].axes["data"] == ("../houses.csv",)
    assert of_study(read("out/study.toml")).run_ids[0] == of_study(read(study("houses.csv"))).run_ids[0]
    write("houses.csv", HOUSES + "1,Ulm,true,7\n")
    with pytest.raises(StoreError, match=r"the file houses\.csv of problem tabular_linear has changed since"):
        run(study("houses.csv"), "out", report=False)


@pytest.mark.parametrize(("path", "what"), [("nope.csv", "no such file"), (".", "is a folder")])
def test_a_file_that_is_not_there(path: str, what: str) -> None:
    with pytest.raises(
        StudyError, match=f"study: problem.data = '{path}': {what}; paths are relative to the folder"
    ):
        read(study(path))


@pytest.mark.slow
def test_a_table_is_tuned_by_one_command() -> None:
    write("houses.csv", HOUSES)
    given = ["--set", "problem.data=houses.csv", "--set", "problem.target=price"]
    keys = [
        "steps=5",
        "evaluate_every=5",
        "seeds=1",
        "learning_rate.values=[0.01, 0.1]",
        "problem.hidden=[4]",
    ]
    small = [each for key in keys for each in ("--set", key)]
    code, printed = lrbench(["run", "tabular", *given, *small, "--quiet", "--no-report"])
    assert code == 0, printed
    assert printed.startswith("tabular_mlp")
    write("numbered.csv", "id,x,y\n" + "".join(f"{i},{i % 7},{i % 5 + 0.5}\n" for i in range(20)))
    numbered = ["--set", "problem.data=numbered.csv", "--out", "numbered", "--no-report", "--set", "refine=0"]
    numbered += ["--set", "confirm=0", "--set", "schedule=constant"]
    code, printed = lrbench(["run", "tabular", *numbered, *small])
    assert code == 0, printed
    said = "numbered.csv: not used, as identifiers, with another value in every row: 'id'; to use one, list the columns"
    assert printed.count(said) == 1
    code, printed = lrbench(["plan", "tabular", *numbered[:2], *small])
    assert code == 0, printed
    assert printed.count(said) == 1
    code, printed = lrbench(["run", "tabular"])
    assert code == 2
    assert printed.startswith(
        "lrbench: tabular: problem.data: missing; tabular_mlp requires it: a CSV, Parquet or NPZ"
    )
    code, printed = lrbench(["run", "tabular", *given[:3], "problem.target=prize", "--out", "another"])
    assert (code, printed.count("\n")) == (2, 1)
    assert "houses.csv: has no column 'prize'; it has: area, city, garden, price" in printed
