"""Which rows of the user's data are for validation: a fraction of them, those of another file, or those that a column marks."""

from __future__ import annotations

from typing import NamedTuple, TypeAlias

import numpy as np
import pyarrow as pa

from lrbench.datasets.data import split
from lrbench.errors import DataError, counted
from lrbench.study.signature import FILE_SUFFIXES

Valid: TypeAlias = str | float
"""What a user gives: "auto", a fraction, the path of a file, or the name of a column."""
FRACTION = 0.2
"""The share of the rows that is for validation, unless the user says otherwise."""
_TRAIN, _VALID, _TEST = {"train", "training"}, {"valid", "validation", "val", "dev"}, {"test"}


class Rows(NamedTuple):
    """The indices of the rows for training and for validation."""

    train: np.ndarray
    valid: np.ndarray


def is_file(valid: Valid) -> bool:
    """Return whether the rows are those of another file.

    >>> is_file("other.csv"), is_file("fold"), is_file(0.2)
    (True, False, False)
    """
    return isinstance(valid, str) and valid.lower().endswith(FILE_SUFFIXES)


def is_column(valid: Valid) -> bool:
    """Return whether a column marks the rows."""
    return isinstance(valid, str) and valid != "auto" and not is_file(valid)


def drawn(valid: Valid, targets: np.ndarray, seed: int, where: str) -> Rows:
    """Return rows of which a fraction is for validation, with the same distribution of targets in both parts.

    Raises:
        DataError: if the fraction is not between 0 and 1, or leaves a part without rows.
    """
    fraction = FRACTION if isinstance(valid, str) else valid
    if not 0 < fraction < 1:
        raise DataError(
            f"{where}: valid = {fraction:g}: must be a fraction between 0 and 1, a file, or the name of a column"
        )
    parts = split(np.arange(len(targets)), targets, 1 / fraction, seed)
    rows = Rows(parts.train[0], parts.valid[0])
    if not (len(rows.train) and len(rows.valid)):
        part = "training" if len(rows.valid) else "validation"
        raise DataError(
            f"{where}: valid = {fraction:g}: leaves none of {counted(len(targets), 'row')} for {part}"
        )
    return rows


def appended(train: int, valid: int) -> Rows:
    """Return the rows of two parts of which the second is appended to the first."""
    return Rows(np.arange(train), np.arange(train, train + valid))


def marked(column: pa.Array, name: str, where: str) -> Rows:
    """Return the rows that a column marks: true, 1 or `valid` are for validation; `test` too, or else for neither.

    Raises:
        DataError: if the column contains anything else, or leaves a part without rows.

    >>> marked(pa.array(["train", "valid", "test", "train"]), "part", "t.csv")
    Rows(train=array([0, 3]), valid=array([1]))
    """
    words = [str(each).strip().lower() for each in column.to_pylist()]
    if pa.types.is_boolean(column.type) or set(words) <= {"0", "1", "0.0", "1.0"}:
        valid = {"true", "1", "1.0"}
        train = {"false", "0", "0.0"}
    else:
        train, valid = _TRAIN, (_VALID if _VALID & set(words) else _TEST)
    known = train | valid | (_TEST if train is _TRAIN else set())
    strange = next((row for row, word in enumerate(words) if word not in known), None)
    if strange is not None:
        given = column[strange].as_py()
        raise DataError(
            f"{where}: valid = {name!r}: the column has {'no value' if given is None else repr(given)} in row {strange + 1}; it must "
            "contain true and false, 1 and 0, or train, valid and test"
        )
    rows = Rows(
        *(np.array([row for row, word in enumerate(words) if word in part], int) for part in (train, valid))
    )
    for part, found in zip(("training", "validation"), rows, strict=True):
        if not len(found):
            raise DataError(f"{where}: valid = {name!r}: the column marks no row for {part}")
    return rows
