"""Texts of a table that are meant as numbers: what they become, and the lines that refuse what may be two numbers or none."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lrbench.datasets import files
from lrbench.errors import DataError


def csv(*lines: str) -> str:
    """Write a header and two rows, which are repeated, and return the name of the file."""
    header, *rows = lines
    Path("t.csv").write_text("\n".join([header, *rows * 10]) + "\n", encoding="utf-8")
    return "t.csv"


@pytest.mark.parametrize(
    ("lines", "a", "b"),
    [
        (["a,b", "?,1", "2.5,NA"], [None, 2.5], [1, None]),
        (["a,b", " ?, 1", "2.5 , N/A"], [None, 2.5], [1, None]),
        (["a,b", "-,1", "3,."], [None, 3], [1, None]),
        (["a,b", '"1,234.5",1', '"2,000",2'], [1234.5, 2000], [1, 2]),
        (["a,b", '"1,234,567",1', '"-2,000",2'], [1234567, -2000], [1, 2]),
        (["a;b", "1,5;1", "-0,25;2"], [1.5, -0.25], [1, 2]),
        (["a;b", "1.234,5;1.234", "7;2.000"], [1234.5, 7], [1234, 2000]),
        (["a;b", "1,234;0,5", "2,000;7"], [1.234, 2], [0.5, 7]),
        (["a,b", '"1,234",0.5', '"2,000",7'], [1234, 2000], [0.5, 7]),
        (["a;b", "1,234;2.75", "2,000;7"], [1234, 2000], [2.75, 7]),
        (["a,b", "1 234,1", "12 000 000.5,2"], [1234, 12000000.5], [1, 2]),
        (["a,b", "1\u202f234,1", "12\u00a0000,2"], [1234, 12000], [1, 2]),
        (["a,b", "1'234.50,1", "\u22122,2"], [1234.5, -2], [1, 2]),
        (["a,b", "1.234,1", "2.000,2"], [1.234, 2], [1, 2]),
        (["a,b", ".5e1,1", " +5.,2"], [5, 5], [1, 2]),
        (["a,b", "yes,1", "no,2"], ["yes", "no"], [1, 2]),
        (["a,b", "2,1", "5more,2"], ["2", "5more"], [1, 2]),
    ],
)
def test_a_csv_becomes(lines: list[str], a: list[Any], b: list[Any]) -> None:
    columns = files.columns(csv(*lines)).columns
    assert columns["a"].to_pylist()[:2] == a
    assert columns["b"].to_pylist()[:2] == b


@pytest.mark.parametrize(("decimal", "expected"), [(".", [1234, 2000]), (",", [1.234, 2.0])])
def test_who_knows_the_decimal_sign_says_it(decimal: Any, expected: list[float]) -> None:
    name = csv("a,b", '"1,234",1', '"2,000",2')
    assert files.columns(name, decimal).columns["a"].to_pylist()[:2] == expected


NAMED = "; or name the column in `categories`, or in `ignore`"


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (
            ["a,b", '"1,234",1', "5,2"],
            "column 'a' has '1,234' in row 1, which may mean 1234 or 1.234; set decimal = \".\" or decimal = \",\"",
        ),
        (
            ["a;b", "1,5;2.75", "2;3"],
            "column 'b' has '2.75' in row 1, a decimal point, and column 'a' has '1,5' in row 1, a decimal comma; write all numbers "
            "alike, or exclude a column with `ignore`",
        ),
        (
            ["a,b", *["5,1"] * 18, "n.v.,2"],
            "column 'a' has 'n.v.' in row 19, which is no number, as others are: leave the cell empty if its value is missing"
            + NAMED,
        ),
        (
            ["a,b", '"$1,200",1', "$7,2"],
            "column 'a' has '$1,200' in row 1, a number with a unit: remove the unit from the column" + NAMED,
        ),
        (
            ["a,b", "1,1", "5 %,2"],
            "column 'a' has '5 %' in row 2, a number with a unit: remove the unit from the column" + NAMED,
        ),
    ],
)
def test_a_csv_is_refused(lines: list[str], message: str) -> None:
    with pytest.raises(DataError) as caught:
        files.columns(csv(*lines))
    assert str(caught.value) == f"t.csv: {message}"


def test_a_number_with_another_decimal_sign_than_the_given_one_is_refused() -> None:
    with pytest.raises(DataError) as caught:
        files.columns(csv("a;b", "1,5;1", "2,5;2"), ".")
    assert (
        str(caught.value)
        == f"t.csv: column 'a' has '1,5' in row 1, but the decimal sign is '.': write all numbers alike{NAMED}"
    )


def test_a_column_that_is_not_read_has_no_say() -> None:
    name = csv("a;b", "1,5;2.75", "2;3")
    columns = files.columns(name, unread=["a"]).columns
    assert columns["b"].to_pylist()[:2] == [2.75, 3]
    assert columns["a"].to_pylist()[:2] == ["1,5", "2"]


def test_texts_of_parquet_are_numbers_too_but_no_categories() -> None:
    texts = pa.array(["1,234.5", "?"] * 10)
    pq.write_table(pa.table({"a": texts, "b": pa.array(["1", "2"] * 10).dictionary_encode()}), "t.parquet")
    columns = files.columns("t.parquet").columns
    assert columns["a"].to_pylist()[:2] == [1234.5, None]
    assert columns["b"].to_pylist()[:2] == ["1", "2"]
