"""The user's own tables and images: what they become, what is refused, and that a change is noticed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

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
        "is not a valid csv file: its text is not UTF-8",
    ),
    "ragged": ("x,y\n1,2,3\n", "y", "Expected 2 columns, got 3"),
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
        "x,y\n" + "".join(f"name {i},{i}\n" for i in range(60)),
        "y",
        "column 'x' contains 60 distinct texts; at most 50 are allowed: exclude it with `ignore`",
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


def test_a_table_is_tuned_by_one_command() -> None:
    write("houses.csv", HOUSES)
    given = ["--set", "problem.data=houses.csv", "--set", "problem.target=price"]
    small = [
        "--set",
        "steps=5",
        "--set",
        "evaluate_every=5",
        "--set",
        "seeds=1",
        "--set",
        "learning_rate.num=2",
        "--set",
        "problem.hidden=[4]",
    ]
    code, printed = lrbench(["run", "tabular", *given, *small, "--quiet", "--no-report"])
    assert code == 0, printed
    assert printed.startswith("tabular_mlp")
    code, printed = lrbench(["run", "tabular"])
    assert code == 2
    assert printed.startswith(
        "lrbench: tabular: problem.data: missing; tabular_mlp requires it: a CSV, Parquet or NPZ"
    )
    code, printed = lrbench(["run", "tabular", *given[:3], "problem.target=prize", "--out", "another"])
    assert (code, printed.count("\n")) == (2, 1)
    assert "houses.csv: has no column 'prize'; it has: area, city, garden, price" in printed
