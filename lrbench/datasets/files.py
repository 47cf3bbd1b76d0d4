"""Files of the user's data as columns and arrays. They are not trusted, and not read if they do not fit into memory."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from lrbench import machine
from lrbench.errors import DataError, counted

FEWEST_ROWS = 10


def columns(path: str) -> dict[str, pa.Array]:
    """Return the columns of a CSV, Parquet or NPZ file by name; the suffix determines the format.

    Raises:
        DataError: if the file cannot be read, has another format or too few rows, or does not fit into memory.
    """
    file = Path(path)
    readers = {".csv": _csv, ".tsv": _csv, ".txt": _csv, ".parquet": _parquet, ".npz": _npz}
    if file.suffix.lower() not in readers:
        raise DataError(f"{file.name}: unknown format; the suffix must be one of {', '.join(readers)}")
    with _as_data_error(file):
        found = readers[file.suffix.lower()](file)
    rows = {len(column) for column in found.values()}
    if len(rows) != 1 or rows.pop() < FEWEST_ROWS:
        count = len(next(iter(found.values()), ()))
        raise DataError(f"{file.name}: has {counted(count, 'row')}; at least {FEWEST_ROWS} are required")
    return found


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


def _csv(file: Path) -> dict[str, pa.Array]:
    """Read a CSV; the separator is the most frequent of , ; tab and | in its first line."""
    from pyarrow import csv

    fits(file.name, 4 * file.stat().st_size)  # a digit and a comma become a number of 8 bytes
    with file.open("rb") as opened:
        start = opened.read(65536)
    if b"\0" in start:
        raise ValueError("it contains binary data")
    header = start.split(b"\n", 1)[0].decode("utf-8", "replace")
    separator = max(",;\t|", key=header.count)
    table = csv.read_csv(
        file,
        parse_options=csv.ParseOptions(delimiter=separator, newlines_in_values=True),
        convert_options=csv.ConvertOptions(strings_can_be_null=True),
    )
    if any(pa.types.is_binary(kind) for kind in table.schema.types):
        raise ValueError("its text is not UTF-8")
    return _columns(table, file.name)


def _parquet(file: Path) -> dict[str, pa.Array]:
    """Read a Parquet file; texts stay dictionary-encoded until it is known that they fit into memory.

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
    return _columns(table, file.name)


def _columns(table: pa.Table, where: str) -> dict[str, pa.Array]:
    """Return the columns of a table by name, those with a dictionary (such as pandas' categories) decoded."""
    if len({name.strip() for name in table.column_names}) < table.num_columns:
        raise ValueError("two columns have the same name")
    return {name.strip(): _plain(table.column(name), where) for name in table.column_names}


def _plain(column: pa.ChunkedArray, where: str) -> pa.Array:
    if not pa.types.is_dictionary(column.type):
        return column.combine_chunks()
    whole = column.unify_dictionaries().combine_chunks()
    if is_text(column.type):
        lengths = pc.binary_length(whole.dictionary)
        fits(where, pc.sum(lengths.take(whole.indices)).as_py() or 0)
    return whole.dictionary_decode()


def _npz(file: Path) -> dict[str, pa.Array]:
    """Read an NPZ: an array of one axis is a column, an array of two axes is one column for each of its columns, named `name_0`, `name_1`, ..."""
    with _opened(file) as stored:
        found = {name: stored[name] for name in stored.files}
    columns: dict[str, pa.Array] = {}
    for name, array in found.items():
        if array.dtype.kind not in "biufSUM":
            raise ValueError(
                f"the array {name!r} is of type {array.dtype}; real numbers, booleans and texts are allowed"
            )
        if array.ndim not in (1, 2) or len(array) != len(next(iter(found.values()))):
            raise ValueError(
                f"the array {name!r} has the shape {array.shape}; all need one or two axes and the same number of rows"
            )
        each = {name: array} if array.ndim == 1 else {f"{name}_{i}": c for i, c in enumerate(array.T)}
        if each.keys() & columns.keys():
            raise ValueError("two columns have the same name")
        columns |= {key: pa.array(np.ascontiguousarray(column)) for key, column in each.items()}
    return columns


def arrays(path: str, names: Sequence[str]) -> list[np.ndarray]:
    """Return arrays of an NPZ by name.

    Raises:
        DataError: if the file cannot be read, does not contain one of them, or does not fit into memory.
    """
    file = Path(path)
    with _as_data_error(file), _opened(file) as stored:
        missing = [name for name in names if name not in stored.files]
        if missing:
            required, present = " and ".join(f"`{name}`" for name in names), listed(stored.files) or "none"
            raise DataError(
                f"{file.name}: has no array {missing[0]!r}; it requires {required}, and has: {present}"
            )
        return [stored[name] for name in names]


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


def is_text(kind: pa.DataType) -> bool:
    """Return whether a column contains texts, plain or dictionary-encoded."""
    dictionary = pa.types.is_dictionary(kind)
    kind = kind.value_type if dictionary else kind
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))


def listed(names: list[Any], most: int = 12) -> str:
    """Return names for a message: the first of them, and how many more there are."""
    shown = ", ".join(str(name)[:40] for name in names[:most])
    return shown + (f", and {len(names) - most} more" if len(names) > most else "")
