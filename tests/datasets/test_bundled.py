"""The data that are shipped: those of scikit-learn bit for bit, and of the others what was published."""

from __future__ import annotations

import numpy as np
import pytest

from lrbench.datasets import bundled


@pytest.mark.parametrize("name", ["digits", "breast_cancer", "diabetes"])
def test_they_are_those_of_scikit_learn(name: str) -> None:
    sklearn = pytest.importorskip("sklearn.datasets")
    scaled = {"scaled": False} if name == "diabetes" else {}
    inputs, targets = getattr(sklearn, f"load_{name}")(return_X_y=True, **scaled)
    own_inputs, own_targets = getattr(bundled, name)()
    divisor = 16 if name == "digits" else 1
    np.testing.assert_array_equal(own_inputs, (inputs / divisor).astype(own_inputs.dtype))
    np.testing.assert_array_equal(own_targets, targets)


def test_mnist_has_500_images_of_each_digit() -> None:
    images, labels = bundled.mnist()
    assert images.shape == (5000, 784)
    assert images.dtype == np.float32
    assert (np.bincount(labels) == 500).all()
    assert (images.min(), images.max()) == (0.0, 1.0)
    assert (255 * images).sum(dtype=np.float64) == pytest.approx(131_267_102)


def test_houses_are_the_sales_of_hprice3() -> None:
    areas, prices = bundled.houses()
    assert areas.shape == (321, 1)
    assert (areas.mean(), prices.mean()) == (pytest.approx(2106.729), pytest.approx(96_100.66))


def test_every_file_is_below_a_megabyte_and_has_its_licence_stated() -> None:
    said = (bundled.FOLDER.parent / "README.md").read_text()
    files = [
        file
        for file in bundled.FOLDER.parent.rglob("*")
        if file.suffix in {".npz", ".csv"} or file.name == "alice.txt"
    ]
    assert len(files) == 7
    for file in files:
        assert file.stat().st_size < 1_000_000
        assert f"`{file.relative_to(bundled.FOLDER.parent)}`" in said
