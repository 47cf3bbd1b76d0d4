"""Files of the user's data as columns and arrays. They are not trusted, and not read if they do not fit into memory."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from lrbench import machine
from lrbench.datasets import numerals
from lrbench.datasets.columns import is_text
from lrbench.datasets.numerals import Decimal
from lrbench.errors import DataError, counted
from lrbench.study.signature import FILE_SUFFIXES

FEWEST_ROWS = 10
_PART = re.compile(r"(.+)_(train|valid|val|test)|(train|valid|val|test)_(.+)", re.IGNORECASE)
"""The names of arrays that contain one part of the rows."""


class Table(NamedTuple):
    """The columns of a file by name, and those of its validation rows: empty, unless an NPZ keeps them in arrays of their own."""

    columns: dict[str, pa.Array]
    valid: dict[str, pa.Array]


def columns(path: str, decimal: Decimal = "auto", unread: Collection[str] = ()) -> Table:
    """Return the columns of a CSV, Parquet or NPZ file by name; the suffix determines the format.

    Texts that are numbers, with thousands separators or decimal commas, become numbers, and signs such as `?` missing values.

    Args:
        path: of the file.
        decimal: the decimal sign of texts.
        unread: columns whose texts are left as they are.

    Raises:
        DataError: if the file cannot be read, has another format or too few rows, or does not fit into memory; or if a text among numbers
            is not one, or may be two.
    """
    file = Path(path)
    suffix = file.suffix.lower()
    if suffix not in FILE_SUFFIXES:
        raise DataError(
            f"{file.name}: unknown format; the suffix must be one of {', '.join(FILE_SUFFIXES)}; save a spreadsheet as CSV"
        )
    valid: dict[str, pa.Array] = {}
    with _as_data_error(file):
        if suffix == ".npz":
            found, valid = _npz(file, unread)
        elif suffix == ".parquet":
            found, categories = _parquet(file)
            unread = {*unread, *categories}
        else:
            found, decimal = _csv(file, decimal, unread)
        found, valid = (_numbers(part, decimal, unread, file.name) for part in (found, valid))
    for part in (found, valid) if valid else (found,):
        _check_rows(part, file.name)
    return Table(found, valid)


def _check_rows(columns: Mapping[str, pa.Array], where: str) -> None:
    rows = {len(column) for column in columns.values()}
    if len(rows) != 1 or rows.pop() < FEWEST_ROWS:
        count = len(next(iter(columns.values()), ()))
        raise DataError(f"{where}: has {counted(count, 'row')}; at least {FEWEST_ROWS} are required")


def _numbers(
    columns: Mapping[str, pa.Array], decimal: Decimal, unread: Collection[str], where: str
) -> dict[str, pa.Array]:
    """Return columns with the texts that are numbers as numbers."""
    texts = _texts(columns, unread)
    sign = numerals.decimal_sign(texts, where) if decimal == "auto" else decimal
    read = {name: numerals.numbers(column, sign, f"{where}: column {name!r}") for name, column in texts}
    return {name: read.get(name, column) for name, column in columns.items()}


def _texts(columns: Mapping[str, pa.Array], unread: Collection[str]) -> list[tuple[str, pa.Array]]:
    return [(name, column) for name, column in columns.items() if name not in unread and is_text(column.type)]


@contextlib.contextmanager
def _as_data_error(file: Path) -> Iterator[None]:
    """Turn any exception of a reader into one line that names the file; which ones damaged files raise is not documented."""
    try:
        if file.exists() and not file.is_file():
            raise DataError(f"{file.name}: is a folder or a device; give a file")
        yield
    except DataError:
        raise
    except MemoryError as error:
        raise DataError(f"{file.name}: does not fit into memory; use a part of it") from error
    except Exception as error:
        if isinstance(error, OSError) and error.strerror:
            raise DataError(f"{file.name}: cannot be read: {error.strerror}") from error
        kind = "NPZ" if file.suffix.lower() == ".npz" else file.suffix[1:]
        raise DataError(f"{file.name}: is not a valid {kind} file: {error}") from error


@contextlib.contextmanager
def _opened(file: Path) -> Iterator[Any]:
    """Open an NPZ, and close it in any case; arrays of Python objects, which could run code, are refused."""
    with file.open("rb") as opened:
        if opened.read(2) != b"PK":
            raise ValueError("it is not an archive of arrays, as numpy.savez writes")
        opened.seek(0)
        with np.load(opened, allow_pickle=False) as stored:
            # No more is read of an array than the size in the archive's directory, whatever the header of the array says.
            fits(file.name, sum(each.file_size for each in stored.zip.infolist()))
            yield stored


def _csv(file: Path, decimal: Decimal, unread: Collection[str]) -> tuple[dict[str, pa.Array], Decimal]:
    """Read a CSV, and return its decimal sign too; the separator is the most frequent of , ; tab and | in its first line."""
    fits(file.name, 4 * file.stat().st_size)  # a digit and a comma become a number of 8 bytes
    with file.open("rb") as opened:
        start = opened.read(65536)
    if b"\0" in start:
        raise ValueError("it contains binary data")
    header = start.split(b"\n", 1)[0].decode("utf-8", "replace")
    separator = max(",;\t|", key=header.count)
    found = _parsed_csv(file, separator, "." if decimal == "auto" else decimal)
    if decimal != "auto":
        return found, decimal
    texts = _texts(found, unread)
    if not any(numerals.has_commas(column) for _, column in texts):
        return found, "."
    # Numbers with a decimal point are texts to a reader of decimal commas, and tell which of the two the file has.
    other = _parsed_csv(file, separator, ",")
    sign = numerals.decimal_sign([*texts, *_texts(other, unread)], file.name)
    return (found, ".") if sign == "." else (other, ",")


def _parsed_csv(file: Path, separator: str, decimal: str) -> dict[str, pa.Array]:
    from pyarrow import csv

    parsing = csv.ParseOptions(delimiter=separator, newlines_in_values=True)
    converting = csv.ConvertOptions(
        strings_can_be_null=True, null_values=numerals.MISSING, decimal_point=decimal
    )
    try:
        table = csv.read_csv(file, parse_options=parsing, convert_options=converting)
    except pa.ArrowInvalid as error:
        if "columns, got" not in str(error):
            raise
        raise ValueError(
            f"{error}; columns are separated by {separator!r}, and a value that contains it must be in quotes"
        ) from error
    if any(pa.types.is_binary(kind) for kind in table.schema.types):
        raise ValueError("its text is not UTF-8; save it as UTF-8")
    return _columns(table, file.name)


def _parquet(file: Path) -> tuple[dict[str, pa.Array], list[str]]:
    """Read a Parquet file, and return the names of pandas' categories too; texts stay encoded until it is known that they fit into memory.

    A column of lists or records, which cannot be used, is not read: only its type is known.
    """
    from pyarrow import parquet

    with parquet.ParquetFile(file) as opened:
        schema, rows = opened.schema_arrow, opened.metadata.num_rows
        groups = (opened.metadata.row_group(n) for n in range(opened.num_row_groups))
        fits(file.name, sum(group.total_byte_size for group in groups) + 9 * rows * len(schema))
        texts = [field.name for field in schema if is_text(field.type)]
        flat = [field.name for field in schema if not pa.types.is_nested(field.type)]
    with parquet.ParquetFile(file, read_dictionary=texts) as opened:
        table = opened.read(columns=flat)
    for field in schema:
        if field.name not in flat:
            table = table.append_column(field.name, pa.nulls(rows, field.type))
    return _columns(table, file.name), _categories(schema)


def of_frame(frame: Any, decimal: Decimal = "auto", unread: Collection[str] = ()) -> dict[str, pa.Array]:
    """Return the columns of a data frame of pandas, polars or another library that Arrow can read, as those of a file.

    Raises:
        DataError: as `columns`, or if it is no data frame.
    """
    try:
        table = pa.table(frame)
        found = _columns(table, "frame")
    except (TypeError, ValueError, pa.ArrowException) as error:
        raise DataError(f"frame: is no data frame that Arrow can read: {error}") from error
    _check_rows(found, "frame")
    return _numbers(found, decimal, {*unread, *_categories(table.schema)}, "frame")


def _categories(schema: pa.Schema) -> list[str]:
    """Return the columns with a dictionary, such as pandas' categories."""
    return [field.name.strip() for field in schema if pa.types.is_dictionary(field.type)]


def _columns(table: pa.Table, where: str) -> dict[str, pa.Array]:
    """Return the columns of a table by name, those with a dictionary (such as pandas' categories) decoded."""
    if len({name.strip() for name in table.column_names}) < table.num_columns:
        raise ValueError("two columns have the same name")
    return {name.strip(): _plain(table.column(name), where) for name in table.column_names}


def _plain(column: pa.ChunkedArray, where: str) -> pa.Array:
    if pa.types.is_string_view(column.type):  # of polars
        column = column.cast(pa.large_string())
    if not pa.types.is_dictionary(column.type):
        return column.combine_chunks()
    whole = column.unify_dictionaries().combine_chunks()
    if is_text(column.type):
        lengths = pc.binary_length(whole.dictionary)
        fits(where, pc.sum(lengths.take(whole.indices)).as_py() or 0)
    return whole.dictionary_decode()


def _npz(file: Path, unread: Collection[str]) -> tuple[dict[str, pa.Array], dict[str, pa.Array]]:
    """Read an NPZ, and return its columns, and those of its validation rows.

    An array of one axis is a column; one of two axes is one column for each of its columns, named `name_0`, `name_1`, ..., or `name` where
    there is just one.
    """
    with _opened(file) as stored:
        names, others = parts_of(stored.files)
        found, valid = ({name: stored[array] for name, array in part.items()} for part in (names, others))
    return _npz_columns(found, unread), _npz_columns(valid, unread)


def _npz_columns(arrays: Mapping[str, np.ndarray], unread: Collection[str]) -> dict[str, pa.Array]:
    """Return the columns of arrays; one that has other rows is no error where it is not used."""
    rows = max((len(a) for name, a in arrays.items() if a.ndim and name not in unread), default=0)
    columns: dict[str, pa.Array] = {}
    for name, array in arrays.items():
        fits_in = array.ndim in (1, 2) and len(array) == rows
        if name in unread and not fits_in:
            columns[name] = pa.nulls(rows)
            continue
        if array.dtype.kind not in "biufSUM":
            raise ValueError(
                f"the array {name!r} is of type {array.dtype}; real numbers, booleans and texts are allowed"
            )
        if not fits_in:
            raise ValueError(
                f"the array {name!r} has the shape {array.shape}; all need one or two axes and the same number of rows: exclude "
                "others with `ignore`"
            )
        single = array.ndim == 1 or array.shape[1] == 1
        each = {name: array.reshape(-1)} if single else {f"{name}_{i}": c for i, c in enumerate(array.T)}
        if each.keys() & columns.keys():
            raise ValueError("two columns have the same name")
        columns |= {key: pa.array(np.ascontiguousarray(column)) for key, column in each.items()}
    return columns


def parts_of(names: Sequence[str]) -> tuple[dict[str, str], dict[str, str]]:
    """Return the arrays of the training rows and those of the validation rows, by the name that both have in common.

    `y_train` or `train_y` are training rows of `y`, `y_valid`, `y_val` and `y_test` validation rows; without a training part, `y` are all.
    Where there is a validation and a test part, the test part is not used.

    >>> parts_of(["x_train", "x_test"]), parts_of(["X", "y"])
    (({'x': 'x_train'}, {'x': 'x_test'}), ({'X': 'X', 'y': 'y'}, {}))
    """
    parts: dict[str, dict[str, str]] = {}
    for name in names:
        matched = _PART.fullmatch(name)
        part = (matched[2] or matched[3]).lower() if matched else ""
        stem = (matched[1] or matched[4]) if matched else name
        parts.setdefault(part, {})[stem] = name
    train = parts.get("train") or parts.get("", {})
    valid: dict[str, str] = next((parts[each] for each in ("valid", "val", "test") if each in parts), {})
    valid = {stem: name for stem, name in valid.items() if stem in train}
    if valid:
        return train, valid
    # Names such as `blood_test` are no parts, unless there are others to complete them.
    return (train, {}) if "train" in parts else ({name: name for name in names}, {})


def arrays(path: str, names: Sequence[str] = ()) -> dict[str, np.ndarray]:
    """Return arrays of an NPZ by name.

    Raises:
        DataError: if the file cannot be read, does not contain one of them, or does not fit into memory.
    """
    file = Path(path)
    with _as_data_error(file), _opened(file) as stored:
        missing = [name for name in names if name not in stored.files]
        if missing:
            raise DataError(
                f"{file.name}: has no array {missing[0]!r}; it has: {listed(stored.files) or 'none'}"
            )
        return {name: stored[name] for name in names}


def array_names(path: str) -> list[str]:
    """Return the names of the arrays of an NPZ.

    Raises:
        DataError: if the file cannot be read.
    """
    file = Path(path)
    with _as_data_error(file), _opened(file) as stored:
        return list(stored.files)


def fits(where: str, needed: int) -> None:
    """Check that enough memory is free.

    Raises:
        DataError: if not; the message starts with `where`.
    """
    free = machine.memory().free
    if needed > free:
        raise DataError(
            f"{where}: requires {needed / 2**30:,.1f} GiB of memory, and {free / 2**30:,.1f} GiB are free; use a part of it"
        )


def listed(names: list[Any], most: int = 12) -> str:
    """Return names for a message: the first of them, and how many more there are."""
    shown = ", ".join(str(name)[:40] for name in names[:most])
    return shown + (f", and {len(names) - most} more" if len(names) > most else "")
