"""Data sets that are shipped with lrbench, in `arrays/`; README.md says where each comes from and under which licence."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np

from lrbench.datasets.data import Arrays

FOLDER = Path(__file__).parent / "arrays"


@cache
def digits() -> Arrays:
    """Return the 1,797 handwritten digits of 8×8 pixels, scaled to [0, 1], and their labels (UCI)."""
    images, labels = _read("digits")
    return (images / 16).astype(np.float32), labels.astype(np.int32)


@cache
def breast_cancer() -> Arrays:
    """Return 30 measurements of each of 569 tumours, and 1 for a benign one (Wisconsin 1995)."""
    measurements, benign = _read("breast_cancer")
    return measurements, benign.astype(np.int32)


@cache
def diabetes() -> Arrays:
    """Return 10 measurements of each of 442 patients, and how far their diabetes had gone a year later (Efron 2004)."""
    return _read("diabetes")


@cache
def mnist() -> Arrays:
    """Return 5,000 MNIST digits of 28×28 pixels, 500 of each, scaled to [0, 1], and their labels."""
    images, labels = _read("mnist")
    return (images / 255).astype(np.float32), labels.astype(np.int32)


@cache
def houses() -> Arrays:
    """Return floor area (square feet) and price (dollars) of 321 sales (Kiel & McClain, `hprice3`)."""
    areas, prices = _read("houses")
    return areas.astype(np.float64), prices.astype(np.float64)


def _read(name: str) -> Arrays:
    with np.load(FOLDER / f"{name}.npz", allow_pickle=False) as stored:
        return stored["inputs"], stored["targets"]
