"""Which rows of a table or images are for validation, and that those rows have no influence on what is trained."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from lrbench.datasets import data, files, user_images, user_tables, validation
from lrbench.datasets.user_tables import Reading
from lrbench.errors import DataError, StoreError
from lrbench.execution.execute import run
from lrbench.problems import own_data
from lrbench.study.grid import of_study
from lrbench.study.signature import FILE_SUFFIXES
from lrbench.study.spec import read

FRAME = pd.DataFrame(
    {
        "x": np.random.default_rng(0).normal(size=40),
        "city": ["Ulm", "Bonn", None, "Kiel"] * 10,
        "part": (["train"] * 2 + ["valid", "test"]) * 10,
        "held": [False, False, False, True] * 10,
        "price": np.random.default_rng(1).normal(size=40),
    }
)


@pytest.fixture(autouse=True)
def table() -> None:
    """Write a table as a CSV, and its halves."""
    FRAME.to_csv("t.csv", index=False)
    FRAME[:25].to_csv("train.csv", index=False)
    FRAME[25:].to_csv("valid.csv", index=False)


def prepared(name: str = "t.csv", **given: Any) -> user_tables.Prepared:
    return user_tables.prepare(name, Reading(**{"target": "price", "ignore": ("part", "held")} | given))


@pytest.mark.parametrize(
    ("valid", "train", "held_out"),
    [("auto", 32, 8), (0.2, 32, 8), (0.5, 20, 20), (0.3, 28, 12), (0.75, 10, 30), (0.025, 39, 1)],
)
def test_a_fraction(valid: Any, train: int, held_out: int) -> None:
    parts = prepared(valid=valid).parts
    assert (len(parts.train[1]), len(parts.valid[1])) == (train, held_out)


def test_a_fraction_keeps_the_distribution_of_targets() -> None:
    targets = np.arange(1000.0)
    for every in (10 / 3, 1.25):
        parts = data.split(targets, targets, every)
        assert np.intersect1d(parts.train[1], parts.valid[1]).size == 0
        assert len(parts.train[1]) + len(parts.valid[1]) == 1000
        assert len(parts.valid[1]) == int(1000 / every)
        assert np.diff(np.sort(parts.valid[1])).max() <= 2 * np.ceil(every) - 1


def test_another_file() -> None:
    parts = prepared("train.csv", valid="valid.csv").parts
    scaled = (FRAME["price"] - FRAME["price"][:25].mean()) / FRAME["price"][:25].std(ddof=0)
    np.testing.assert_allclose(parts.train[1], scaled[:25])
    np.testing.assert_allclose(parts.valid[1], scaled[25:])


@pytest.mark.parametrize(("valid", "train", "held_out"), [("part", 20, 10), ("held", 30, 10)])
def test_a_column(valid: str, train: int, held_out: int) -> None:
    found = prepared(valid=valid, ignore=("part",) if valid == "held" else ("held",))
    assert (len(found.parts.train[1]), len(found.parts.valid[1])) == (train, held_out)
    assert found.parts.train[0].shape[1] == 1 + 2 + 1
    unused = ("t.csv: the 10 rows that 'part' marks as test are not used",)
    assert found.notes == (unused if valid == "part" else ())


@pytest.mark.parametrize(
    "marks",
    [["train", "test"], ["Training", "val"], [0, 1], [0.0, 1.0], [False, True], ["0", "1"], ["train", "dev"]],
)
def test_marks_of_a_column(marks: list[Any]) -> None:
    FRAME.assign(part=marks * 20).to_csv("m.csv", index=False)
    parts = prepared("m.csv", valid="part").parts
    expected = np.sort(FRAME["price"][1::2])
    raw = np.sort(parts.valid[1]) * FRAME["price"][::2].std(ddof=0) + FRAME["price"][::2].mean()
    np.testing.assert_allclose(raw, expected)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (
            {"valid": 1.0},
            "t.csv: valid = 1: must be a fraction between 0 and 1, a file, or the name of a column",
        ),
        (
            {"valid": -0.2},
            "t.csv: valid = -0.2: must be a fraction between 0 and 1, a file, or the name of a column",
        ),
        ({"valid": 0.01}, "t.csv: valid = 0.01: leaves none of 40 rows for validation"),
        ({"valid": "prt"}, "t.csv: valid = 'prt': has no column 'prt'; it has: x, city, part, held, price"),
        (
            {"valid": "city"},
            "t.csv: valid = 'city': the column has 'Ulm' in row 1; it must contain true and false, 1 and 0, or train, valid and test",
        ),
        (
            {"valid": "gaps"},
            "t.csv: valid = 'gaps': the column has no value in row 2; it must contain true and false, 1 and 0, or train, valid and test",
        ),
        ({"valid": "all"}, "t.csv: valid = 'all': the column marks no row for validation"),
    ],
)
def test_what_marks_no_rows_is_refused(given: dict[str, Any], message: str) -> None:
    if given["valid"] in ("gaps", "all"):
        marks = ["train", None] if given["valid"] == "gaps" else ["train", "train"]
        FRAME.assign(**{given["valid"]: marks * 20}).to_csv("t.csv", index=False)
    with pytest.raises(DataError) as caught:
        prepared(**given)
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        (
            {"x": None},
            "train.csv: the validation rows have no column 'x'; they have: city, part, held, price",
        ),
        (
            {"x": "much"},
            "train.csv: column 'x' is of type double for training, and of type string for validation; write both alike, or exclude it "
            "with `ignore`",
        ),
    ],
)
def test_a_file_with_other_columns_is_refused(changed: dict[str, Any], message: str) -> None:
    other = FRAME[25:].assign(**changed)
    other.drop(columns=[name for name, value in changed.items() if value is None]).to_csv(
        "valid.csv", index=False
    )
    with pytest.raises(DataError) as caught:
        prepared("train.csv", valid="valid.csv")
    assert str(caught.value) == message


@pytest.mark.parametrize("target", ["price", "city"])
def test_validation_rows_have_no_influence_on_training(target: str) -> None:
    """Other numbers, missing values and texts among them change no input and no target of a training row."""
    frame = FRAME.assign(city=FRAME["city"].fillna("Bonn"))
    frame[:25].to_csv("train.csv", index=False)
    frame[25:].to_csv("valid.csv", index=False)
    before = prepared("train.csv", valid="valid.csv", target=target)
    other = frame[25:].assign(x=1e6, price=-1e6)
    if target == "price":
        other["city"] = "Rome"
    other.to_csv("valid.csv", index=False)
    after = prepared("train.csv", valid="valid.csv", target=target)
    np.testing.assert_array_equal(before.parts.train[0], after.parts.train[0])
    np.testing.assert_array_equal(before.parts.train[1], after.parts.train[1])
    assert before.deviation == after.deviation
    assert not np.array_equal(before.parts.valid[0], after.parts.valid[0])


def test_a_class_without_training_rows_is_said() -> None:
    frame = FRAME.assign(city="Ulm")
    frame.loc[[0, 1], "city"] = "Bonn"
    frame.loc[30, "city"] = "Rome"
    frame[:25].to_csv("train.csv", index=False)
    frame[25:].to_csv("valid.csv", index=False)
    found = prepared("train.csv", valid="valid.csv", target="city")
    assert found.classes == 3
    assert found.notes == (
        "train.csv: target 'city': of these classes there are only validation rows: 'Rome'",
    )


def test_a_target_that_is_missing_is_named_by_its_row_in_the_file() -> None:
    gaps = FRAME.assign(price=[None if i in (3, 34) else i * 0.5 for i in range(40)])
    gaps.to_csv("t.csv", index=False)
    said = "t.csv: target 'price' is missing in 1 of 30 rows, such as row 35; remove that row"
    with pytest.raises(DataError) as caught:
        prepared(valid="part")  # row 4 is marked as test
    assert str(caught.value) == said
    gaps[25:].to_csv("valid.csv", index=False)
    with pytest.raises(DataError) as caught:
        prepared("train.csv", valid="valid.csv")
    assert str(caught.value) == (
        "train.csv: target 'price' of the validation rows is missing in 1 of 15 rows, such as row 10; remove that row"
    )


# ---- arrays ----

PIXELS = np.random.default_rng(0).integers(0, 255, (30, 4, 4), dtype=np.uint8)
LABELS = np.arange(30) % 3


@pytest.mark.parametrize(
    ("train", "valid"),
    [
        (("X", "y"), ()),
        (("images", "labels"), ()),
        (("data", "target"), ()),
        (("x_train", "y_train"), ("x_test", "y_test")),
        (("X_train", "y_train"), ("X_val", "y_val")),
        (("train_images", "train_labels"), ("test_images", "test_labels")),
        (("x", "y"), ("x_valid", "y_valid")),
    ],
)
def test_arrays_go_by_the_names_that_people_give_them(train: tuple[str, str], valid: tuple[str, ...]) -> None:
    arrays = dict(zip(train, (PIXELS[:20], LABELS[:20, None]), strict=True))
    arrays |= dict(zip(valid, (PIXELS[20:], LABELS[20:, None]), strict=False))
    np.savez("i.npz", **arrays)
    parts, shape, labels = user_images.images("i.npz")
    assert (shape, labels) == ((1, 4, 4), 3)
    assert len(parts.train[1]) == (20 if valid else 16)
    assert len(parts.valid[1]) == (10 if valid else 4)
    np.savez("t.npz", **{name: a.reshape(len(a), -1) for name, a in arrays.items()})
    table = user_tables.prepare("t.npz", Reading(task="classification"))
    assert table.classes == 3
    assert table.parts.train[0].shape == (len(parts.train[1]), 16)
    if valid:
        np.testing.assert_array_equal(parts.valid[1], LABELS[20:])
        np.testing.assert_array_equal(table.parts.valid[1], LABELS[20:])
        part = user_images.images("i.npz", valid=0.5)[0]
        assert (len(part.train[1]), len(part.valid[1])) == (10, 10)


def test_names_of_arrays_and_marks_can_be_given() -> None:
    np.savez("i.npz", pictures=PIXELS, kind=LABELS, held=LABELS == 2)
    parts, _, _ = user_images.images("i.npz", "pictures", "kind", "held")
    np.testing.assert_array_equal(parts.valid[1], [2] * 10)
    np.savez("other.npz", pictures=PIXELS[:10], kind=LABELS[:10])
    parts, _, _ = user_images.images("i.npz", "pictures", "kind", "other.npz")
    np.testing.assert_array_equal(parts.valid[1], LABELS[:10])
    np.savez("t.npz", a=PIXELS.reshape(30, -1), b=LABELS * 1.0, names=np.array(["p"] * 16), kind=LABELS)
    table = user_tables.prepare("t.npz", Reading("kind", "classification", inputs=("a",), ignore=("names",)))
    assert table.parts.train[0].shape[1] == 16


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        (
            {"a": PIXELS, "labels": LABELS},
            "i.npz: set `inputs`, the name of the array of images; it has: a, labels",
        ),
        (
            {"x": PIXELS, "y": LABELS, "target": LABELS},
            "i.npz: set `target`, the name of the array of labels; it has: x, y, target",
        ),
        (
            {"x_train": PIXELS, "y_train": LABELS, "x_test": PIXELS[:, :3], "y_test": LABELS},
            "i.npz: images for training have the shape (4, 4, 1), and those for validation (3, 4, 1); they must be alike",
        ),
        (
            {"x_train": PIXELS, "y_train": LABELS, "x_test": PIXELS, "y_test": LABELS.astype(str)},
            "i.npz: labels are int64 for training and <U21 for validation; they must be alike",
        ),
    ],
)
def test_arrays_that_are_refused(arrays: dict[str, np.ndarray], message: str) -> None:
    np.savez("i.npz", **arrays)
    with pytest.raises(DataError) as caught:
        user_images.images("i.npz")
    assert str(caught.value) == message


def test_an_array_with_other_rows_is_refused_with_what_to_do() -> None:
    np.savez("t.npz", X=np.zeros((20, 2)), y=np.arange(20), names=np.array(["a", "b"]))
    with pytest.raises(DataError) as caught:
        user_tables.prepare("t.npz", Reading())
    assert str(caught.value) == (
        "t.npz: is not a valid NPZ file: the array 'names' has the shape (2,); all need one or two axes and the same number of rows: "
        "exclude others with `ignore`"
    )


def test_a_target_of_several_columns_is_refused() -> None:
    np.savez("t.npz", X=np.zeros((20, 2)), y=np.eye(4)[np.arange(20) % 4])
    with pytest.raises(DataError) as caught:
        user_tables.prepare("t.npz", Reading("y"))
    assert str(caught.value) == "t.npz: 'y' has 4 columns; it must have one value for each row"


# ---- in a study ----


def study(**given: Any) -> dict[str, Any]:
    problem = {
        "name": "tabular_linear",
        "data": "train.csv",
        "target": "price",
        "ignore": ["part", "held"],
        **given,
    }
    return {
        "name": "own",
        "steps": 2,
        "seeds": 1,
        "problem": problem,
        "optimizer": "sgd",
        "learning_rate": {"values": [0.01]},
    }


def test_the_suffixes_of_files_are_those_that_are_read() -> None:
    with pytest.raises(
        DataError, match=f"must be one of {', '.join(FILE_SUFFIXES)}; save a spreadsheet as CSV"
    ):
        files.columns("t.xlsx")
    assert all(validation.is_file(f"t{suffix}") for suffix in FILE_SUFFIXES)


def test_a_validation_file_is_part_of_the_identity_of_a_run() -> None:
    alone, both = (of_study(read(study(**given))).run_ids[0] for given in ({}, {"valid": "valid.csv"}))
    assert alone != both
    Path("there").mkdir()
    Path("valid.csv").rename("there/v.csv")
    assert of_study(read(study(valid="there/v.csv"))).run_ids[0] == both
    run(study(valid="there/v.csv"), "out", report=False)
    assert read("out/study.toml").problem[0].axes["valid"] == ("../there/v.csv",)
    FRAME[20:].to_csv("there/v.csv", index=False)
    with pytest.raises(StoreError, match=r"the file v\.csv of problem tabular_linear has changed since"):
        run(study(valid="there/v.csv"), "out", report=False)


def test_columns_and_fractions_are_no_files() -> None:
    found = read(study(valid=["auto", "part", 0.3])).problem[0]
    assert found.axes["valid"] == ("auto", "part", 0.3)
    assert found.table(Path("elsewhere"))["valid"] == ["auto", "part", 0.3]
    assert set(found.hashes(found.variants()[1])) == {"data"}


def test_the_fraction_of_the_problem_is_that_of_the_parameter() -> None:
    problem = own_data.tabular_mlp(data="t.csv", target="price", valid=0.5)
    assert (problem.data.examples, problem.data.valid_examples) == (20, 20)
