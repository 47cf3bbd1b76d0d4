"""The user's tables (CSV, Parquet, NPZ, data frames) as arrays of numbers."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from lrbench.datasets import files, numerals, validation
from lrbench.datasets.columns import LARGEST, distinct, is_number, is_text, missing, numbers, texts
from lrbench.datasets.data import Split, standardise, standardise_targets
from lrbench.datasets.files import listed
from lrbench.datasets.numerals import Decimal
from lrbench.datasets.targets import Targets, Task, of_column, require_values
from lrbench.datasets.validation import Rows, Valid
from lrbench.errors import DataError, counted

MOST_CATEGORIES = 50
"""A column with more distinct texts is probably names or notes, and would become as many inputs."""
TARGETS = ("y", "target", "targets", "label", "labels")
"""The names of a column that is the target unless the user names another one."""
_DATE = r"^\d{1,4}[./-]\d{1,2}[./-]\d{1,4}(?:[ T].*)?$"
_IDENTIFIER = re.compile(
    r"(?i:(?:.*[\W_])?(?:id|uuid|guid|key|index)|unnamed: \d+|row ?(?:names?|num(?:ber)?)?|)|.*[a-z](?:Id|ID)"
)
"""The names of columns that number or name the rows; that of pandas' index in a CSV is empty, or `Unnamed: 0`."""


class Reading(NamedTuple):
    """How a table is read: the parameters of `tabular_linear` of these names."""

    target: str = ""
    task: Task = "auto"
    inputs: tuple[str, ...] = ()
    ignore: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()
    decimal: Decimal = "auto"
    valid: Valid = "auto"
    split_seed: int = 0

    @property
    def unread(self) -> set[str]:
        """The columns whose texts are no numbers, even if they look like some."""
        return {*self.ignore, *self.categories, *([self.target] if self.task == "classification" else [])}


class Prepared(NamedTuple):
    """A prepared table.

    Args:
        parts: inputs and targets, for training and for validation.
        classes: the number of classes; 0 for a regression.
        deviation: the standard deviation of the target of a regression.
        notes: what was decided of the data and a person should know, a line each.
    """

    parts: Split
    classes: int
    deviation: float
    notes: tuple[str, ...] = ()


def prepare(path: str, reading: Reading) -> Prepared:
    """Read a table and turn it into standardised inputs and targets.

    Numbers and booleans are one input, texts one input for each distinct text of the training part. A missing number is
    replaced by the mean of the training part, a missing text by none of the texts; each column with missing values has an
    additional input, which is 1 where a value is missing. Inputs, and the target of a regression, are scaled to mean 0 and
    standard deviation 1 on the training part.

    Args:
        path: a CSV, Parquet or NPZ file.
        reading: how it is read.

    Raises:
        DataError: in one line that names the file and the column.
    """
    table = files.columns(path, reading.decimal, reading.unread)
    valid = table.valid if reading.valid == "auto" else {}
    if validation.is_file(reading.valid):
        valid = files.columns(str(reading.valid), reading.decimal, reading.unread).columns
    return of_columns(table.columns, valid, reading, Path(path).name)


def of_columns(
    columns: Mapping[str, pa.Array], valid: Mapping[str, pa.Array], reading: Reading, where: str
) -> Prepared:
    """Turn columns into standardised inputs and targets, as `prepare` does.

    Args:
        columns: by name.
        valid: the same columns of further rows, for validation; none if they are among the rows of `columns`.
        reading: how they are read.
        where: the name of the table, for messages.

    Raises:
        DataError: in one line that names the table and the column.
    """
    target = reading.target or _target(columns, where)
    marker = str(reading.valid) if validation.is_column(reading.valid) else None
    names, notes = _inputs(columns, target, marker, reading, where)
    used = {name: columns[name] for name in (target, *names)}
    kept, marked = np.arange(len(columns[target])), None
    if marker is not None:
        kept, marked = _marked(columns[marker], marker, where)
        used = {name: column.take(kept) for name, column in used.items()}
        if left := len(columns[marker]) - len(kept):
            notes.append(f"{where}: the {left:,} rows that {marker!r} marks as test are not used")
    require_values(columns[target], kept, f"{where}: target {target!r}")
    if valid:
        used = {name: _joined(name, column, valid, where) for name, column in used.items()}
        further = np.arange(len(valid[target]))
        require_values(valid[target], further, f"{where}: target {target!r} of the validation rows")
    for name in (each for given in reading.categories for each in _named(given, columns)):
        if name in used and not is_text(used[name].type):
            used[name] = pc.cast(used[name], pa.string())
    targets = of_column(used.pop(target), reading.task, f"{where}: target {target!r}")
    for name, column in used.items():
        _check(column, f"{where}: column {name!r}")
    if valid:
        rows = validation.appended(len(kept), len(valid[target]))
    else:
        rows = marked or validation.drawn(reading.valid, targets.values, reading.split_seed, where)
    # An input for each text or number, and one for missing values; in float64, and standardised in a copy.
    width = sum(2 + _texts_of(column) for column in used.values())
    files.fits(where, len(targets.values) * width * 16)
    inputs = np.concatenate([each for c in used.values() for each in _encoded(c, rows.train)], axis=1)
    notes += [targets.note] if targets.note else []
    return _standardised(inputs, targets, rows, notes, f"{where}: target {target!r}")


def _target(columns: Mapping[str, pa.Array], where: str) -> str:
    found = [name for name in columns if name.lower() in TARGETS]
    if len(found) != 1:
        raise DataError(f"{where}: set `target`, the column to predict; it has: {listed(list(columns))}")
    return found[0]


def _inputs(
    columns: Mapping[str, pa.Array], target: str, marker: str | None, reading: Reading, where: str
) -> tuple[list[str], list[str]]:
    """Return the names of the columns that are inputs, and notes on those that may not be meant to be."""
    single = [target] if marker is None else [target, marker]
    for name in single:
        if name not in columns and f"{name}_0" in columns:
            count = counted(len(_named(name, columns)), "column")
            raise DataError(f"{where}: {name!r} has {count}; it must have one value for each row")
    for name in (*single, *reading.inputs, *reading.ignore, *reading.categories):
        if not _named(name, columns):
            key = f"valid = {name!r}: " if name == marker else ""
            raise DataError(f"{where}: {key}has no column {name!r}; it has: {listed(list(columns))}")
    ignored = {*single, *(each for name in reading.ignore for each in _named(name, columns))}
    names = [each for name in reading.inputs or columns for each in _named(name, columns)]
    names = list(dict.fromkeys(name for name in names if name not in ignored))
    notes: list[str] = []
    if not reading.inputs:
        names, notes = _without_identifiers({name: columns[name] for name in names}, where)
    if not names:
        besides = f"the target {target!r}" + (" and identifiers" if notes else "")
        raise DataError(f"{where}: has no column besides {besides} to predict it from")
    return names, notes


def _without_identifiers(columns: Mapping[str, pa.Array], where: str) -> tuple[list[str], list[str]]:
    """Return the names of the columns that are no identifiers, and a note on those that are, and on those that may be."""
    identifiers = [name for name, column in columns.items() if _identifies(name, column)]
    names = [name for name in columns if name not in identifiers]
    counting = [name for name in names if _counts(columns[name])]
    notes = []
    if identifiers:
        notes.append(
            f"{where}: not used, as identifiers, with another value in every row: {_quoted(identifiers)}; to use one, list the columns "
            "to use in `inputs`"
        )
    if counting:
        notes.append(
            f"{where}: used, but counts the rows: {_quoted(counting)}; if it is an identifier, exclude it with `ignore`"
        )
    return names, notes


def _quoted(names: Sequence[str]) -> str:
    return listed([repr(name) for name in names])


def _named(name: str, columns: Mapping[str, pa.Array]) -> list[str]:
    """Return the columns that a name stands for: the column itself, or those of an array of two axes."""
    if name in columns:
        return [name]
    found: list[str] = []
    while f"{name}_{len(found)}" in columns:
        found.append(f"{name}_{len(found)}")
    return found


def _identifies(name: str, column: pa.Array) -> bool:
    """Return whether a column has another text in every row, or another whole number and the name of an identifier."""
    whole = pa.types.is_integer(column.type) and _IDENTIFIER.fullmatch(name)
    return bool(whole or is_text(column.type)) and distinct(column) == len(column)


def _counts(column: pa.Array) -> bool:
    """Return whether a column is the number of the row."""
    return pa.types.is_integer(column.type) and not column.null_count and bool((np.diff(column) == 1).all())


def _joined(name: str, column: pa.Array, valid: Mapping[str, pa.Array], where: str) -> pa.Array:
    """Return a column with the further rows of it appended."""
    if name not in valid:
        raise DataError(
            f"{where}: the validation rows have no column {name!r}; they have: {listed(list(valid))}"
        )
    pair = [column, valid[name]]
    kinds = [each.type for each in pair if not pa.types.is_null(each.type)]
    for test, common in ((is_number, pa.float64()), (is_text, pa.large_string())):
        if len(set(kinds)) > 1 and all(map(test, kinds)):
            kinds = [common]
    if len(set(kinds)) > 1:
        raise DataError(
            f"{where}: column {name!r} is of type {kinds[0]} for training, and of type {kinds[1]} for validation; write both alike, "
            "or exclude it with `ignore`"
        )
    return pa.concat_arrays([pc.cast(each, kinds[0], safe=False) if kinds else each for each in pair])


def _marked(column: pa.Array, name: str, where: str) -> tuple[np.ndarray, Rows]:
    """Return the rows that a column marks for training or validation, and which of these are which."""
    rows = validation.marked(column, name, where)
    kept = np.sort(np.concatenate(rows))
    return kept, Rows(*(np.searchsorted(kept, part) for part in rows))


def _check(column: pa.Array, where: str) -> None:
    """Refuse a column that cannot be used as an input."""
    kind = column.type
    advice = "exclude it with `ignore`"
    if pa.types.is_temporal(kind) or (is_text(kind) and numerals.share(column, _DATE) >= numerals.MOSTLY):
        raise DataError(
            f"{where} contains dates or times; convert them to numbers (such as years, or days since a date), or {advice}"
        )
    if _texts_of(column) > MOST_CATEGORIES:
        example = next(text for text in column.to_pylist() if text is not None)
        raise DataError(
            f"{where} contains {_texts_of(column):,} distinct texts, such as {example[:40]!r}; at most {MOST_CATEGORIES} are "
            f"allowed: {advice}"
        )
    if not (is_number(kind) or is_text(kind) or pa.types.is_null(kind)):
        raise DataError(f"{where} is of type {kind}; numbers, booleans and texts are allowed: {advice}")
    if is_number(kind) and np.isinf(numbers(column)).any():
        raise DataError(f"{where} contains an infinite number")
    if is_number(kind) and (np.abs(numbers(column)) > LARGEST).any():
        raise DataError(f"{where} contains a number beyond ±{LARGEST:g}; use another unit, or {advice}")
    if len(column) == missing(column).sum():
        raise DataError(f"{where} contains no values; {advice}")


def _texts_of(column: pa.Array) -> int:
    """Return how many distinct texts a column contains, without missing values; 0 for numbers."""
    return distinct(column) if is_text(column.type) else 0


def _encoded(column: pa.Array, train: np.ndarray) -> Iterator[np.ndarray]:
    """Yield the inputs [row, input] of a column."""
    lacks = missing(column)
    if is_text(column.type):
        found = texts(column)
        known = np.unique(found[train][~lacks[train]])
        yield (found[:, None] == known) & ~lacks[:, None]
    else:
        found = numbers(column)
        seen = found[train][~lacks[train]]
        yield np.where(lacks, seen.mean() if len(seen) else 0.0, found)[:, None]
    if lacks.any():
        yield lacks[:, None].astype(np.float64)


def _standardised(
    inputs: np.ndarray, targets: Targets, rows: Rows, notes: Sequence[str], where: str
) -> Prepared:
    parts = standardise(Split(*((inputs[part], targets.values[part]) for part in rows)))
    if not targets.classes:
        deviation = float(parts.train[1].std()) or 1.0
        return Prepared(standardise_targets(parts), 0, deviation, tuple(notes))
    unseen = np.setdiff1d(parts.valid[1], parts.train[1])
    if len(unseen):
        names = _quoted([targets.classes[each] for each in unseen])
        notes = [*notes, f"{where}: of these classes there are only validation rows: {names}"]
    return Prepared(parts, len(targets.classes), 1.0, tuple(notes))
