"""The user's own tables as arrays of numbers: CSV, Parquet and NPZ."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from lrbench.errors import DataError
from lrbench.problems import _data
from lrbench.problems._data import Split

FEWEST_ROWS = 10
MOST_CATEGORIES = 50
"""A column with more different texts than that is a name or a note, and would be as many inputs."""
MOST_CLASSES = 1000
LARGEST = 1e30
"""The largest number of a table; the square of a larger one would not be finite, and so no mean nor deviation."""


class Prepared(NamedTuple):
    """A table that is ready: its parts, the classes of its target (none: regression), the target's deviation."""

    parts: Split
    classes: int
    deviation: float


def prepare(path: str, target: str, task: str, ignore: tuple[str, ...] = (), split_seed: int = 0) -> Prepared:
    """Read a table and turn it into standardised inputs and targets.

    Numbers and booleans are one input, texts one input for each that the training part has. A missing number becomes the
    mean of the training part, a missing text none of the texts; each column that lacks values gets one input more, which is
    1 where a value is missing. Inputs get mean 0 and deviation 1 on the training part; so does the target of a regression.

    Raises:
        DataError: in one line that names file and column.
    """
    table = read(path)
    where = Path(path).name
    for name in (target, *ignore):
        if name not in table:
            raise DataError(f"{where}: has no column {name!r}; it has: {_listed(list(table))}")
    targets, classes = _targets(table[target], task, f"{where}: target {target!r}")
    kept = {name: column for name, column in table.items() if name != target and name not in ignore}
    if not kept:
        raise DataError(f"{where}: has no column beside the target {target!r} to predict it from")
    for name, column in kept.items():
        _check(column, f"{where}: column {name!r}")
    places = _data.split(np.arange(len(targets)), targets, seed=split_seed)
    train = places.train[0]
    inputs = np.concatenate([encoded for c in kept.values() for encoded in _encoded(c, train)], axis=1)
    parts = _data.standardise(Split(*((inputs[rows], found) for rows, found in places)))
    deviation = 1.0
    if not classes:
        deviation = float(parts.train[1].std()) or 1.0
        parts = _data.standardise_targets(parts)
    return Prepared(parts, classes, deviation)


def read(path: str) -> dict[str, pa.Array]:
    """Return the columns of a CSV, Parquet or NPZ file by name; the name's ending says which it is.

    Raises:
        DataError: if the file cannot be read, is something else, or has too few rows.
    """
    file = Path(path)
    readers = {".csv": _csv, ".tsv": _csv, ".txt": _csv, ".parquet": _parquet, ".npz": _npz}
    if file.suffix.lower() not in readers:
        raise DataError(
            f"{file.name}: must end in one of {', '.join(readers)}, which says what kind of file it is"
        )
    with _told(file):
        columns = readers[file.suffix.lower()](file)
    rows = {len(column) for column in columns.values()}
    if len(rows) != 1 or rows.pop() < FEWEST_ROWS:
        counts = ", ".join(str(len(column)) for column in list(columns.values())[:1]) or "no"
        raise DataError(f"{file.name}: has {counts} rows; at least {FEWEST_ROWS} are needed")
    return columns


@contextlib.contextmanager
def _told(file: Path) -> Iterator[None]:
    """Turn what a reader says of a file into one line that names it; what damage makes three readers raise, none of them lists."""
    try:
        yield
    except DataError:
        raise
    except Exception as error:
        if isinstance(error, OSError) and error.strerror:
            raise DataError(f"{file.name}: cannot be read: {error.strerror}") from error
        kind = "NPZ" if file.suffix.lower() == ".npz" else file.suffix[1:]
        raise DataError(f"{file.name}: is no {kind} file that can be read: {error}") from error


@contextlib.contextmanager
def _opened(file: Path) -> Iterator[Any]:
    """Open an NPZ, and close it whatever is in it; arrays of Python objects, which could run code, are refused."""
    with file.open("rb") as opened:
        stored = np.load(opened, allow_pickle=False)
        if not isinstance(stored, np.lib.npyio.NpzFile):
            raise ValueError("it holds one array alone")
        with stored:
            yield stored


def _csv(file: Path) -> dict[str, pa.Array]:
    """Read a CSV; the commonest of , ; tab and | in its first line separates the values."""
    from pyarrow import csv

    with file.open("rb") as opened:
        start = opened.read(65536)
    if b"\0" in start:
        raise ValueError("it holds bytes that are no text")
    header = start.split(b"\n", 1)[0].decode("utf-8", "replace")
    separator = max(",;\t|", key=header.count)
    table = csv.read_csv(
        file,
        parse_options=csv.ParseOptions(delimiter=separator, newlines_in_values=True),
        convert_options=csv.ConvertOptions(strings_can_be_null=True),
    )
    if any(pa.types.is_binary(kind) for kind in table.schema.types):
        raise ValueError("its text is not UTF-8")
    return _columns(table)


def _parquet(file: Path) -> dict[str, pa.Array]:
    from pyarrow import parquet

    return _columns(parquet.read_table(file))


def _columns(table: pa.Table) -> dict[str, pa.Array]:
    if len({name.strip() for name in table.column_names}) < table.num_columns:
        raise ValueError("two columns have the same name")
    return {name.strip(): table.column(name).combine_chunks() for name in table.column_names}


def _npz(file: Path) -> dict[str, pa.Array]:
    """Read an NPZ: an array of one axis is a column, one of two axes is several, named `name_0`, `name_1`, ..."""
    with _opened(file) as stored:
        arrays = {name: stored[name] for name in stored.files}
    columns: dict[str, pa.Array] = {}
    for name, array in arrays.items():
        if array.ndim not in (1, 2) or len(array) != len(next(iter(arrays.values()))):
            raise ValueError(
                f"the array {name!r} has the shape {array.shape}; all need one or two axes and the same number of rows"
            )
        each = {name: array} if array.ndim == 1 else {f"{name}_{i}": c for i, c in enumerate(array.T)}
        if each.keys() & columns.keys():
            raise ValueError("two columns have the same name")
        columns |= {key: pa.array(np.ascontiguousarray(column)) for key, column in each.items()}
    return columns


def _check(column: pa.Array, where: str) -> None:
    """Refuse a column that is nothing to compute with."""
    kind = column.type
    advice = "leave it out with `ignore`"
    if pa.types.is_temporal(kind):
        raise DataError(
            f"{where} holds dates or times; make numbers of them (such as a year, or days since a day), or {advice}"
        )
    if _is_text(kind):
        different = pc.count_distinct(column).as_py()
        if different > MOST_CATEGORIES:
            raise DataError(
                f"{where} holds {different:,} different texts; at most {MOST_CATEGORIES} are allowed: {advice}"
            )
    elif not _is_number(kind) and not pa.types.is_null(kind):
        raise DataError(f"{where} is of type {kind}; numbers, booleans and texts are allowed: {advice}")
    elif _is_number(kind) and np.isinf(_numbers(column)).any():
        raise DataError(f"{where} holds an infinite number")
    elif _is_number(kind) and (np.abs(_numbers(column)) > LARGEST).any():
        raise DataError(f"{where} holds a number beyond ±{LARGEST:g}; give it in another unit, or {advice}")
    if len(column) == _missing(column).sum():
        raise DataError(f"{where} holds no value; {advice}")


def _encoded(column: pa.Array, train: np.ndarray) -> Iterator[np.ndarray]:
    """Yield the inputs [row, input] that a column becomes."""
    missing = _missing(column)
    if _is_text(column.type):
        texts = _texts(column)
        known = np.unique(texts[train][~missing[train]])
        yield (texts[:, None] == known) & ~missing[:, None]
    else:
        numbers = _numbers(column)
        seen = numbers[train][~missing[train]]
        yield np.where(missing, seen.mean() if len(seen) else 0.0, numbers)[:, None]
    if missing.any():
        yield missing[:, None].astype(np.float64)


def _targets(column: pa.Array, task: str, where: str) -> tuple[np.ndarray, int]:
    """Return the target as numbers or as class numbers, and how many classes there are: 0 for a regression."""
    missing = int(_missing(column).sum())
    if missing:
        raise DataError(f"{where} is missing in {missing:,} of {len(column):,} rows; take those rows out")
    kind = column.type
    if not _is_text(kind) and not _is_number(kind):
        raise DataError(f"{where} is of type {kind}; it must hold numbers, booleans or texts")
    values = _texts(column) if _is_text(kind) else _numbers(column)
    if not _is_text(kind) and np.isinf(values).any():
        raise DataError(f"{where} holds an infinite number")
    if not _is_text(kind) and (np.abs(values) > LARGEST).any():
        raise DataError(f"{where} holds a number beyond ±{LARGEST:g}; give it in another unit")
    different, numbered = np.unique(values, return_inverse=True)
    if len(different) < 2:
        raise DataError(f"{where} is {str(values[0])!r} in every row; there is nothing to learn")
    if task == "auto":
        two = pa.types.is_integer(kind) and len(different) == 2
        task = "classification" if _is_text(kind) or pa.types.is_boolean(kind) or two else "regression"
    if task == "classification":
        if len(different) > MOST_CLASSES:
            raise DataError(
                f"{where} has {len(different):,} classes; at most {MOST_CLASSES:,} are allowed; for numbers, set "
                'task = "regression"'
            )
        return numbered.astype(np.int32), len(different)
    if _is_text(kind):
        raise DataError(
            f'{where} holds texts, such as {str(values[0])!r}; a regression needs numbers: set task = "classification"'
        )
    return values, 0


def _is_text(kind: pa.DataType) -> bool:
    dictionary = pa.types.is_dictionary(kind)
    kind = kind.value_type if dictionary else kind
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))


def _is_number(kind: pa.DataType) -> bool:
    plain = pa.types.is_integer(kind) or pa.types.is_floating(kind)
    return bool(plain or pa.types.is_boolean(kind) or pa.types.is_decimal(kind))


def _missing(column: pa.Array) -> np.ndarray:
    nan = pa.types.is_floating(column.type)
    found: np.ndarray = column.is_null(nan_is_null=nan).to_numpy(zero_copy_only=False)
    return found


def _texts(column: pa.Array) -> np.ndarray:
    return np.array(["" if text is None else text for text in column.to_pylist()], dtype=np.str_)


def _numbers(column: pa.Array) -> np.ndarray:
    """Return a column as float64, NaN where a value is missing."""
    return np.array(
        pc.cast(column, pa.float64(), safe=False).to_numpy(zero_copy_only=False), dtype=np.float64
    )


def _listed(names: list[Any], most: int = 12) -> str:
    shown = ", ".join(str(name)[:40] for name in names[:most])
    return shown + (f", and {len(names) - most} more" if len(names) > most else "")


def images(path: str) -> tuple[Split, tuple[int, int, int], int]:
    """Read images and labels from an NPZ; return flat images in two parts, their shape, and how many labels there are.

    The shape is (channels, rows, columns). Pixels get mean 0 and deviation 1 over all of the training part.

    Raises:
        DataError: in one line that names file and array.
    """
    file = Path(path)
    arrays = _image_arrays(file)
    pixels, labels = arrays["images"], arrays["labels"]
    if pixels.ndim not in (3, 4) or not np.issubdtype(pixels.dtype, np.number) or 0 in pixels.shape:
        raise DataError(
            f"{file.name}: `images` is {pixels.dtype} of the shape {pixels.shape}; it must hold numbers "
            "[image, row, column] or [image, row, column, channel]"
        )
    if labels.shape != pixels.shape[:1] or len(labels) < FEWEST_ROWS:
        raise DataError(
            f"{file.name}: `labels` has the shape {labels.shape} for {len(pixels):,} images; it needs one label an image, "
            f"and at least {FEWEST_ROWS} images"
        )
    if not np.isfinite(pixels).all():
        raise DataError(f"{file.name}: `images` holds numbers that are not finite")
    if np.abs(pixels.astype(np.float64)).max() > LARGEST:
        raise DataError(
            f"{file.name}: `images` holds a number beyond ±{LARGEST:g}; give them in another unit"
        )
    different, numbered = np.unique(labels, return_inverse=True)
    if not 2 <= len(different) <= MOST_CLASSES:
        raise DataError(
            f"{file.name}: `labels` has {len(different):,} classes; 2 to {MOST_CLASSES:,} are allowed"
        )
    pixels = pixels[..., None] if pixels.ndim == 3 else pixels
    shape = pixels.shape[3], pixels.shape[1], pixels.shape[2]
    flat = np.moveaxis(pixels, 3, 1).reshape(len(pixels), -1).astype(np.float32)
    parts = _data.split(flat, numbered.astype(np.int32))
    mean, deviation = float(parts.train[0].mean()), float(parts.train[0].std()) or 1.0
    return Split(*(((x - mean) / deviation, y) for x, y in parts)), shape, len(different)


def _image_arrays(file: Path) -> Mapping[str, np.ndarray]:
    with _told(file), _opened(file) as stored:
        lacking = [name for name in ("images", "labels") if name not in stored.files]
        if lacking:
            held = _listed(stored.files) or "none"
            raise DataError(
                f"{file.name}: has no array {lacking[0]!r}; it needs `images` and `labels`, and has: {held}"
            )
        return {name: stored[name] for name in ("images", "labels")}
