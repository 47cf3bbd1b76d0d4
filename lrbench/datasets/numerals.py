"""Texts that are meant as numbers: with thousands separators, decimal commas, and signs for a missing value."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal, TypeAlias

import pyarrow as pa
import pyarrow.compute as pc

from lrbench.errors import DataError

Decimal: TypeAlias = Literal["auto", ".", ","]
"""The sign between the whole part of a number and its fraction; "auto" finds it."""
MISSING = (
    *(
        "",
        "?",
        "-",
        "--",
        ".",
        "NA",
        "N/A",
        "n/a",
        "NaN",
        "nan",
        "-NaN",
        "-nan",
        "NULL",
        "null",
        "None",
        "<NA>",
    ),
    *("#N/A", "#N/A N/A", "#NA", "#DIV/0!", "#REF!", "#VALUE!", "1.#IND", "1.#QNAN", "-1.#IND", "-1.#QNAN"),
)
"""What stands for a missing value in a table of texts."""
MOSTLY = 0.9
"""If this share of the texts of a column are numbers, the others are mistakes, and not names of categories."""
_UNIT = r"^[$€£¥]\s*|\s*[$€£¥%]$"


def _pattern(decimal: str, group: str) -> str:
    """Return the pattern of numbers with that decimal sign; thousands are separated by `group`, a space or an apostrophe."""
    grouped = "|".join(rf"[1-9]\d{{0,2}}(?:{sign}\d{{3}})+" for sign in (group, " ", "'"))
    return rf"^[+-]?(?:(?:\d+|{grouped})(?:{decimal}\d*)?|{decimal}\d+)(?:[eE][+-]?\d+)?$"


_PATTERNS = {".": _pattern(r"\.", ","), ",": _pattern(",", r"\.")}


def cleaned(column: pa.Array) -> pa.Array:
    """Return texts without spaces around them; those that stand for a missing value become null."""
    texts = pc.utf8_trim_whitespace(column)
    missing = pc.is_in(texts, value_set=pa.array(MISSING, texts.type))
    return pc.if_else(missing, pa.scalar(None, texts.type), texts)


def share(texts: pa.Array, pattern: str) -> float:
    """Return the share of the texts that match a pattern; 0 if all are missing.

    >>> share(pa.array(["1", "b", None]), r"^[0-9]$")
    0.5
    """
    return float(pc.mean(pc.match_substring_regex(texts, pattern)).as_py() or 0)


def is_numeral(text: str) -> bool:
    """Return whether a text is a number, with either decimal sign.

    >>> is_numeral("1.234,5"), is_numeral("1-2")
    (True, False)
    """
    return any(share(_plain(pa.array([text])), pattern) for pattern in _PATTERNS.values())


def has_commas(column: pa.Array) -> bool:
    """Return whether a column of texts has numbers, and a comma in one of them."""
    texts = _plain(cleaned(column))
    number = pc.or_(*(pc.match_substring_regex(texts, pattern) for pattern in _PATTERNS.values()))
    with_comma = pc.and_(number, pc.match_substring(texts, ","))
    return bool(pc.any(with_comma).as_py()) and float(pc.mean(number).as_py()) >= MOSTLY


def decimal_sign(columns: Iterable[tuple[str, pa.Array]], where: str) -> str:
    """Return the decimal sign of a table from those of its texts that are numbers.

    `2.75` and `1,234.5` and `1,234,567` have a decimal point, or none; `2,75` and `1.234,5` and `1.234.567` a decimal comma, or none. `1,234`
    and `1.234` may be either, and are read as the others are. Where no other decides, `1.234` has a decimal point, and `1,234` is refused.

    Args:
        columns: names and texts; columns that are not numbers are passed over.
        where: the name of the file, for messages.

    Raises:
        DataError: if there are both signs, or it cannot be told which one there is.

    >>> decimal_sign([("a", pa.array(["1,234", "5"])), ("b", pa.array(["2,75"]))], "t.csv")
    ','
    """
    found: dict[str, str] = {}
    doubtful = ""
    for name, column in columns:
        texts = _plain(cleaned(column))
        point, comma = (pc.match_substring_regex(texts, pattern) for pattern in _PATTERNS.values())
        if float(pc.mean(pc.or_(point, comma)).as_py() or 0) < MOSTLY:
            continue
        for sign, one, other in ((".", point, comma), (",", comma, point)):
            row = _first(pc.and_(one, pc.invert(other)))
            if row is not None:
                found.setdefault(sign, f"column {name!r} has {column[row].as_py()!r} in row {row + 1}")
        row = _first(pc.and_(pc.and_(point, comma), pc.match_substring(texts, ",")))
        if row is not None and not doubtful:
            text = texts[row].as_py()
            doubtful = (
                f"column {name!r} has {text!r} in row {row + 1}, which may mean {text.replace(',', '')} or "
                f"{text.replace(',', '.')}"
            )
    if len(found) == 2:
        raise DataError(
            f"{where}: {found['.']}, a decimal point, and {found[',']}, a decimal comma; write all numbers alike, or exclude "
            "a column with `ignore`"
        )
    if doubtful and not found:
        raise DataError(f'{where}: {doubtful}; set decimal = "." or decimal = ","')
    return next(iter(found), ".")


def numbers(column: pa.Array, decimal: str, where: str) -> pa.Array:
    """Return a column of texts as numbers, if that is what they are, else the texts.

    Args:
        column: texts.
        decimal: the decimal sign.
        where: the names of file and column, for messages.

    Raises:
        DataError: if most of them are numbers and one is not, with its row and what to do.

    >>> numbers(pa.array(["1,234.5", "?", "7"]), ".", "t.csv: column 'x'").to_pylist()
    [1234.5, None, 7.0]
    """
    texts = cleaned(column)
    if texts.null_count == len(texts):
        return pa.nulls(len(texts))
    plain = _plain(texts)
    valid = pc.match_substring_regex(plain, _PATTERNS[decimal])
    if pc.all(valid).as_py():
        return _parsed(plain, decimal)
    alike = pc.replace_substring_regex(plain, _UNIT, "")
    number = pc.or_(*(pc.match_substring_regex(alike, pattern) for pattern in _PATTERNS.values()))
    if float(pc.mean(number).as_py()) < MOSTLY:
        return texts
    row = _first(pc.invert(valid))
    assert row is not None
    if not number[row].as_py():
        what = "which is no number, as others are: leave the cell empty if its value is missing"
    elif alike[row] != plain[row]:
        what = "a number with a unit: remove the unit from the column"
    else:
        what = f"but the decimal sign is {decimal!r}: write all numbers alike"
    raise DataError(
        f"{where} has {texts[row].as_py()[:40]!r} in row {row + 1}, {what}; or name the column in `categories`, or in `ignore`"
    )


def _plain(texts: pa.Array) -> pa.Array:
    """Return texts with the signs of a keyboard: typographic spaces, minus and apostrophe are replaced."""
    for typographic, plain in (("[\u00a0\u2009\u202f]", " "), ("\u2212", "-"), ("\u2019", "'")):
        texts = pc.replace_substring_regex(texts, typographic, plain)
    return texts


def _parsed(texts: pa.Array, decimal: str) -> pa.Array:
    """Return numbers without their thousands separators: integers, if all are and none has more than 18 digits."""
    groups = "[, '+]" if decimal == "." else "[. '+]"
    plain = pc.replace_substring(pc.replace_substring_regex(texts, groups, ""), ",", ".")
    whole = share(plain, r"^-?\d{1,18}$") == 1
    return pc.cast(plain, pa.int64() if whole else pa.float64())


def _first(mask: pa.Array) -> int | None:
    """Return the first index at which a mask is true."""
    found = pc.index(mask, True).as_py()
    return None if found < 0 else found
