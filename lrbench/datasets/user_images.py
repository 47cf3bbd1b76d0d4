"""The user's images (NPZ) as arrays of numbers."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pyarrow as pa

from lrbench.datasets import files, validation
from lrbench.datasets.columns import LARGEST
from lrbench.datasets.data import Split
from lrbench.datasets.files import FEWEST_ROWS, listed
from lrbench.datasets.targets import MOST_CLASSES
from lrbench.datasets.user_tables import TARGETS
from lrbench.datasets.validation import Rows, Valid
from lrbench.errors import DataError, counted

INPUTS = ("images", "x", "data", "inputs", "features")
"""The names of an array that holds the images unless the user names another one."""


def images(
    path: str, inputs: str = "", target: str = "", valid: Valid = "auto", split_seed: int = 0
) -> tuple[Split, tuple[int, int, int], int]:
    """Read images and labels from an NPZ; return the flat images in two parts, their shape, and the number of labels.

    The shape is (channels, rows, columns). Pixels are scaled to mean 0 and standard deviation 1 over the whole training part.

    Args:
        path: of the NPZ.
        inputs: the name of the array of images; empty for one of `INPUTS`.
        target: the name of the array of labels; empty for one of `TARGETS`.
        valid: which images are for validation, as of a table; "auto" are those of arrays such as `x_test`, or a fraction.
        split_seed: determines which images a fraction draws.

    Raises:
        DataError: in one line that names the file and the array.
    """
    train, others = files.parts_of(files.array_names(path))
    pixels, labels = _pair(path, train, inputs, target)
    further = None
    if validation.is_file(valid):
        other = str(valid)
        further = _pair(other, files.parts_of(files.array_names(other))[0], inputs, target)
    elif valid == "auto" and others:
        further = _pair(path, others, inputs, target)
    where = Path(path).name
    if further:
        if further[0].shape[1:] != pixels.shape[1:]:
            raise DataError(
                f"{where}: images for training have the shape {pixels.shape[1:]}, and those for validation {further[0].shape[1:]}; "
                "they must be alike"
            )
        if (further[1].dtype.kind in "SU") != (labels.dtype.kind in "SU"):
            raise DataError(
                f"{where}: labels are {labels.dtype} for training and {further[1].dtype} for validation; they must be alike"
            )
    every_label = np.concatenate([labels, further[1]]) if further else labels
    different, numbered = np.unique(every_label, return_inverse=True)
    if not 2 <= len(different) <= MOST_CLASSES:
        raise DataError(
            f"{where}: the labels have {counted(len(different), 'class')}; 2 to {MOST_CLASSES:,} are allowed"
        )
    numbered = numbered.astype(np.int32)
    if further:
        parts = (pixels, numbered[: len(labels)]), (further[0], numbered[len(labels) :])
    else:
        rows = _rows(path, numbered, valid, split_seed)
        parts = (pixels[rows.train], numbered[rows.train]), (pixels[rows.valid], numbered[rows.valid])
    shape = pixels.shape[3], pixels.shape[1], pixels.shape[2]
    return _standardised(Split(*((_flat(x), y) for x, y in parts))), shape, len(different)


def _pair(path: str, names: Mapping[str, str], inputs: str, target: str) -> tuple[np.ndarray, np.ndarray]:
    """Return images [image, row, column, channel] and their labels, of arrays by the name that their parts have in common."""
    where = Path(path).name
    found = []
    for given, key, usual in ((inputs, "inputs", INPUTS), (target, "target", TARGETS)):
        matching = [name for name in names if name == given or (not given and name.lower() in usual)]
        if len(matching) != 1:
            what = (
                f"has no array {given!r}"
                if given
                else f"set `{key}`, the name of the array of {'images' if key == 'inputs' else 'labels'}"
            )
            raise DataError(f"{where}: {what}; it has: {listed(list(names)) or 'none'}")
        found.append(names[matching[0]])
    stored = files.arrays(path, found)
    pixels, labels = (stored[name] for name in found)
    if labels.ndim == 2 and labels.shape[1] == 1:
        labels = labels[:, 0]
    _check(pixels, labels, found, where)
    return (pixels[..., None] if pixels.ndim == 3 else pixels), labels


def _check(pixels: np.ndarray, labels: np.ndarray, names: list[str], where: str) -> None:
    """Refuse arrays that are no images, or no labels of them."""
    images, labelled = (f"{where}: `{name}`" for name in names)
    if pixels.ndim not in (3, 4) or pixels.dtype.kind not in "iuf" or 0 in pixels.shape:
        raise DataError(
            f"{images} is {pixels.dtype} of the shape {pixels.shape}; it must contain real numbers "
            "[image, row, column] or [image, row, column, channel]"
        )
    if labels.shape != pixels.shape[:1] or len(labels) < FEWEST_ROWS:
        raise DataError(
            f"{labelled} has the shape {labels.shape} for {len(pixels):,} images; it requires one label per image, "
            f"and at least {FEWEST_ROWS} images"
        )
    if labels.dtype.kind not in "biufSU" or (labels.dtype.kind == "f" and not np.isfinite(labels).all()):
        what = "missing or infinite numbers" if labels.dtype.kind == "f" else f"values of type {labels.dtype}"
        raise DataError(
            f"{labelled} contains {what}; it requires a number or a text for each image; remove images without one"
        )
    files.fits(where, pixels.size * 20)  # as float32: reordered, split, and standardised
    if not np.isfinite(pixels).all():
        raise DataError(f"{images} contains numbers that are not finite")
    if max(abs(float(pixels.min())), abs(float(pixels.max()))) > LARGEST:
        raise DataError(f"{images} contains a number beyond ±{LARGEST:g}; use another unit")


def _rows(path: str, labels: np.ndarray, valid: Valid, seed: int) -> Rows:
    """Return the rows of images that are for training and for validation."""
    where = Path(path).name
    if not validation.is_column(valid):
        return validation.drawn(valid, labels, seed, where)
    marks = files.arrays(path, [str(valid)])[str(valid)]
    if marks.shape != labels.shape or marks.dtype.kind not in "biufSU":
        raise DataError(
            f"{where}: valid = {valid!r}: the array has the shape {marks.shape}; it requires a mark for each image"
        )
    return validation.marked(pa.array(marks), str(valid), where)


def _flat(pixels: np.ndarray) -> np.ndarray:
    """Return images [image, row, column, channel] as [image, channel · row · column]."""
    return np.moveaxis(pixels, 3, 1).reshape(len(pixels), -1).astype(np.float32)


def _standardised(parts: Split) -> Split:
    mean, deviation = float(parts.train[0].mean()), float(parts.train[0].std()) or 1.0
    return Split(*(((x - mean) / deviation, y) for x, y in parts))
