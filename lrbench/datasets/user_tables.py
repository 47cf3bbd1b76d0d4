"""The user's tables (CSV, Parquet, NPZ) and images (NPZ) as arrays of numbers."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from lrbench.datasets import files
from lrbench.datasets.data import Split, split, standardise, standardise_targets
from lrbench.datasets.files import FEWEST_ROWS, is_text, listed
from lrbench.errors import DataError

MOST_CATEGORIES = 50
"""A column with more distinct texts is probably names or notes, and would become as many inputs."""
MOST_CLASSES = 1000
LARGEST = 1e30
"""The largest number of a table; the square of a larger one would overflow, and with it the standard deviation."""


class Prepared(NamedTuple):
    """A prepared table: its parts, the number of classes (0 for a regression) and the standard deviation of the target."""

    parts: Split
    classes: int
    deviation: float


def prepare(path: str, target: str, task: str, ignore: tuple[str, ...] = (), split_seed: int = 0) -> Prepared:
    """Read a table and turn it into standardised inputs and targets.

    Numbers and booleans are one input, texts one input for each distinct text of the training part. A missing number is
    replaced by the mean of the training part, a missing text by none of the texts; each column with missing values has an
    additional input, which is 1 where a value is missing. Inputs, and the target of a regression, are scaled to mean 0 and
    standard deviation 1 on the training part.

    Raises:
        DataError: in one line that names the file and the column.
    """
    table = files.columns(path)
    where = Path(path).name
    for name in (target, *ignore):
        if name not in table:
            raise DataError(f"{where}: has no column {name!r}; it has: {listed(list(table))}")
    targets, classes = _targets(table[target], task, f"{where}: target {target!r}")
    columns = {name: column for name, column in table.items() if name != target and name not in ignore}
    if not columns:
        raise DataError(f"{where}: has no column besides the target {target!r} to predict it from")
    for name, column in columns.items():
        _check(column, f"{where}: column {name!r}")
    rows_of_parts = split(np.arange(len(targets)), targets, seed=split_seed)
    train = rows_of_parts.train[0]
    # An input for each text or number, and one for missing values; in float64, and standardised in a copy.
    files.fits(where, len(targets) * sum(2 + _distinct_texts(column) for column in columns.values()) * 16)
    inputs = np.concatenate([encoded for c in columns.values() for encoded in _encoded(c, train)], axis=1)
    parts = standardise(Split(*((inputs[rows], found) for rows, found in rows_of_parts)))
    deviation = 1.0
    if not classes:
        deviation = float(parts.train[1].std()) or 1.0
        parts = standardise_targets(parts)
    return Prepared(parts, classes, deviation)


def _check(column: pa.Array, where: str) -> None:
    """Refuse a column that cannot be used as an input."""
    kind = column.type
    advice = "exclude it with `ignore`"
    if pa.types.is_temporal(kind):
        raise DataError(
            f"{where} contains dates or times; convert them to numbers (such as years, or days since a date), or {advice}"
        )
    if is_text(kind):
        distinct = _distinct_texts(column)
        if distinct > MOST_CATEGORIES:
            raise DataError(
                f"{where} contains {distinct:,} distinct texts; at most {MOST_CATEGORIES} are allowed: {advice}"
            )
    elif not _is_number(kind) and not pa.types.is_null(kind):
        raise DataError(f"{where} is of type {kind}; numbers, booleans and texts are allowed: {advice}")
    elif _is_number(kind) and np.isinf(_numbers(column)).any():
        raise DataError(f"{where} contains an infinite number")
    elif _is_number(kind) and (np.abs(_numbers(column)) > LARGEST).any():
        raise DataError(f"{where} contains a number beyond ±{LARGEST:g}; use another unit, or {advice}")
    if len(column) == _missing(column).sum():
        raise DataError(f"{where} contains no values; {advice}")


def _distinct_texts(column: pa.Array) -> int:
    """Return how many distinct texts a column contains, without missing values; 0 for numbers."""
    return int(pc.count_distinct(column, mode="only_valid").as_py()) if is_text(column.type) else 0


def _encoded(column: pa.Array, train: np.ndarray) -> Iterator[np.ndarray]:
    """Yield the inputs [row, input] of a column."""
    missing = _missing(column)
    if is_text(column.type):
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
    """Return the target as numbers or class indices, and the number of classes: 0 for a regression."""
    kind = column.type
    if not is_text(kind) and not _is_number(kind) and not pa.types.is_null(kind):
        raise DataError(f"{where} is of type {kind}; it must contain numbers, booleans or texts")
    missing = int(_missing(column).sum())
    if missing:
        raise DataError(f"{where} is missing in {missing:,} of {len(column):,} rows; remove those rows")
    values = _texts(column) if is_text(kind) else _numbers(column)
    if not is_text(kind) and np.isinf(values).any():
        raise DataError(f"{where} contains an infinite number")
    if not is_text(kind) and (np.abs(values) > LARGEST).any():
        raise DataError(f"{where} contains a number beyond ±{LARGEST:g}; use another unit")
    different, numbered = np.unique(values, return_inverse=True)
    if len(different) < 2:
        raise DataError(f"{where} is {str(values[0])!r} in every row; there is nothing to learn")
    if task == "auto":
        two = pa.types.is_integer(kind) and len(different) == 2
        task = "classification" if is_text(kind) or pa.types.is_boolean(kind) or two else "regression"
    if task == "classification":
        if len(different) > MOST_CLASSES:
            raise DataError(
                f"{where} has {len(different):,} classes; at most {MOST_CLASSES:,} are allowed; for numbers, set "
                'task = "regression"'
            )
        return numbered.astype(np.int32), len(different)
    if is_text(kind):
        raise DataError(
            f'{where} contains texts, such as {str(values[0])!r}; a regression requires numbers: set task = "classification"'
        )
    return values, 0


def _is_number(kind: pa.DataType) -> bool:
    plain = pa.types.is_integer(kind) or pa.types.is_floating(kind)
    return bool(plain or pa.types.is_boolean(kind) or pa.types.is_decimal(kind))


def _missing(column: pa.Array) -> np.ndarray:
    nan = pa.types.is_floating(column.type)
    found: np.ndarray = column.is_null(nan_is_null=nan).to_numpy(zero_copy_only=False)
    return found


def _texts(column: pa.Array) -> np.ndarray:
    # Python strings, because NumPy's would all be as long as the longest.
    return np.array(["" if text is None else text for text in column.to_pylist()], dtype=object)


def _numbers(column: pa.Array) -> np.ndarray:
    """Return a column as float64, NaN where a value is missing."""
    return np.array(
        pc.cast(column, pa.float64(), safe=False).to_numpy(zero_copy_only=False), dtype=np.float64
    )


def images(path: str) -> tuple[Split, tuple[int, int, int], int]:
    """Read images and labels from an NPZ; return the flat images in two parts, their shape, and the number of labels.

    The shape is (channels, rows, columns). Pixels are scaled to mean 0 and standard deviation 1 over the whole training part.

    Raises:
        DataError: in one line that names the file and the array.
    """
    file = Path(path)
    pixels, labels = files.arrays(path, ("images", "labels"))
    if pixels.ndim not in (3, 4) or pixels.dtype.kind not in "iuf" or 0 in pixels.shape:
        raise DataError(
            f"{file.name}: `images` is {pixels.dtype} of the shape {pixels.shape}; it must contain real numbers "
            "[image, row, column] or [image, row, column, channel]"
        )
    if labels.shape != pixels.shape[:1] or len(labels) < FEWEST_ROWS:
        raise DataError(
            f"{file.name}: `labels` has the shape {labels.shape} for {len(pixels):,} images; it requires one label per image, "
            f"and at least {FEWEST_ROWS} images"
        )
    if labels.dtype.kind not in "biufSU" or (labels.dtype.kind == "f" and not np.isfinite(labels).all()):
        what = "missing or infinite numbers" if labels.dtype.kind == "f" else f"values of type {labels.dtype}"
        raise DataError(
            f"{file.name}: `labels` contains {what}; it requires a number or a text for each image; remove images without one"
        )
    files.fits(file.name, pixels.size * 20)  # as float32: reordered, split, and standardised
    if not np.isfinite(pixels).all():
        raise DataError(f"{file.name}: `images` contains numbers that are not finite")
    if max(abs(float(pixels.min())), abs(float(pixels.max()))) > LARGEST:
        raise DataError(f"{file.name}: `images` contains a number beyond ±{LARGEST:g}; use another unit")
    different, numbered = np.unique(labels, return_inverse=True)
    if not 2 <= len(different) <= MOST_CLASSES:
        raise DataError(
            f"{file.name}: `labels` has {len(different):,} classes; 2 to {MOST_CLASSES:,} are allowed"
        )
    pixels = pixels[..., None] if pixels.ndim == 3 else pixels
    shape = pixels.shape[3], pixels.shape[1], pixels.shape[2]
    flat = np.moveaxis(pixels, 3, 1).reshape(len(pixels), -1).astype(np.float32)
    parts = split(flat, numbered.astype(np.int32))
    mean, deviation = float(parts.train[0].mean()), float(parts.train[0].std()) or 1.0
    return Split(*(((x - mean) / deviation, y) for x, y in parts)), shape, len(different)
