"""The target of a table: numbers to regress, or the classes of a classification."""

from __future__ import annotations

from typing import Literal, NamedTuple, TypeAlias

import numpy as np
import pyarrow as pa

from lrbench.datasets import columns, numerals
from lrbench.datasets.columns import LARGEST, is_number, is_text
from lrbench.errors import DataError, counted

Task: TypeAlias = Literal["auto", "regression", "classification"]
MOST_CLASSES = 1000
_FEW, _ROWS = 20, 10
"""So few different whole numbers, each in so many rows on average, are probably classes, or might be."""


class Targets(NamedTuple):
    """The target of every row, as a number or the index of its class.

    Args:
        values: [row].
        classes: the class of each index; empty for a regression.
        note: what was decided where it could have been otherwise; or empty.
    """

    values: np.ndarray
    classes: list[str]
    note: str = ""


def require_values(column: pa.Array, rows: np.ndarray, where: str) -> None:
    """Refuse a target that is missing in one of some rows.

    Raises:
        DataError: in one line that begins with `where`.
    """
    lacking = rows[columns.missing(column)[rows]]
    if len(lacking):
        raise DataError(
            f"{where} is missing in {len(lacking):,} of {counted(len(rows), 'row')}, such as row {lacking[0] + 1}; remove "
            f"{'those rows' if len(lacking) > 1 else 'that row'}"
        )


def of_column(column: pa.Array, task: Task, where: str) -> Targets:
    """Return a column without missing values as the target of a regression or a classification.

    Raises:
        DataError: if it cannot be one, in one line that begins with `where`.
    """
    kind = column.type
    if not is_text(kind) and not is_number(kind) and not pa.types.is_null(kind):
        raise DataError(f"{where} is of type {kind}; it must contain numbers, booleans or texts")
    values = columns.texts(column) if is_text(kind) else columns.numbers(column)
    if not is_text(kind) and np.isinf(values).any():
        raise DataError(f"{where} contains an infinite number")
    if not is_text(kind) and (np.abs(values) > LARGEST).any():
        raise DataError(f"{where} contains a number beyond ±{LARGEST:g}; use another unit")
    different, numbered = np.unique(values, return_inverse=True)
    if len(different) < 2:
        raise DataError(f"{where} is {str(values[0])!r} in every row; there is nothing to learn")
    note = ""
    if task == "auto" and (is_text(kind) or pa.types.is_boolean(kind)):
        task = "classification"
    elif task == "auto":
        task, note = _of_numbers(different, len(values), where)
    if task == "classification":
        if len(different) > MOST_CLASSES:
            raise DataError(
                f"{where} has {len(different):,} classes; at most {MOST_CLASSES:,} are allowed; for numbers, set "
                'task = "regression"'
            )
        names = [str(each) if is_text(kind) else f"{each:g}" for each in different]
        return Targets(numbered.astype(np.int32), names, note)
    if is_text(kind):
        example = next((each for each in different if not numerals.is_numeral(each)), different[0])
        raise DataError(
            f'{where} contains texts, such as {example[:40]!r}; a regression requires numbers: set task = "classification"'
        )
    return Targets(values, [], note)


def _of_numbers(different: np.ndarray, rows: int, where: str) -> tuple[Task, str]:
    """Return the task of numbers, and a note where they could be either: whole numbers of which there are few."""
    whole = bool((different == np.floor(different)).all())
    if not whole or len(different) == 2:
        return ("classification" if whole else "regression"), ""
    if len(different) > _FEW or rows < _ROWS * len(different):
        return "regression", ""
    if (different == np.arange(len(different))).all():
        note = f'the whole numbers 0 to {len(different) - 1}, as classes have: for a regression, set task = "regression"'
        return "classification", f"{where} has {note}"
    note = (
        f'{len(different)} different whole numbers: if they are names of classes, set task = "classification"'
    )
    return "regression", f"{where} has {note}"
