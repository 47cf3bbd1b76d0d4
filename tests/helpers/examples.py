"""Small sizes of the built-in problems, and files for those that need one, so that tests take milliseconds."""

from __future__ import annotations

import functools
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from lrbench.problems import Problem
from lrbench.study import catalog

_SMALL: dict[str, dict[str, Any]] = {
    "char_lstm": {"context": 8, "width": 8},
    "char_transformer": {"context": 8, "width": 8, "heads": 2, "layers": 1},
    "chebyshev_mlp": {"hidden": (8,)},
    "digits_autoencoder": {"hidden": (8,), "code": 2},
    "digits_cnn": {"channels": (2, 4)},
    "digits_resnet": {"channels": 4, "blocks": 1},
    "digits_vae": {"hidden": (8,), "code": 2},
    "image_cnn": {"channels": (2,)},
    "mnist1d_cnn": {"channels": (2, 2), "samples": 100, "batch_size": 16},
    "mnist1d_gru": {"width": 4, "samples": 100, "batch_size": 16},
    "mnist1d_mlp": {"hidden": (8,), "samples": 100, "batch_size": 16},
    "mnist_cnn": {"channels": (2, 2)},
    "mnist_mlp": {"hidden": (8,)},
    "modular_addition_transformer": {"modulus": 7, "width": 8, "heads": 2, "batch_size": 16},
    "quadratic_deep": {"dimension": 10},
    "tabular_linear": {"target": "price"},
    "tabular_mlp": {"target": "price", "hidden": (8,)},
}


@functools.cache
def folder() -> Path:
    """Return a folder that holds `table.csv` and `images.npz`."""
    place = Path(tempfile.mkdtemp(prefix="lrbench-tests-"))
    generator = np.random.default_rng(0)
    area = generator.uniform(50, 250, 60)
    rows = [f"{a:.1f},{'Ulm' if i % 3 else 'Bonn'},{2 * a + i % 3:.1f}" for i, a in enumerate(area)]
    (place / "table.csv").write_text("\n".join(["area,city,price", *rows]) + "\n")
    labels = np.arange(40) % 2
    images = generator.integers(0, 40, (40, 6, 6)) + 120 * labels[:, None, None]
    np.savez(place / "images.npz", images=images.astype(np.uint8), labels=labels)
    return place


def parameters(name: str) -> dict[str, Any]:
    """Return small sizes of a problem, and the file it needs."""
    files = {"image_cnn": "images.npz", "tabular_linear": "table.csv", "tabular_mlp": "table.csv"}
    given = {"data": str(folder() / files[name])} if name in files else {}
    return _SMALL.get(name, {}) | given


@functools.cache
def problem(name: str) -> Problem:
    """Return a built-in problem, small."""
    made: Problem = catalog.get("problem", name).load()(**parameters(name))
    return made


EXPERIMENTS: dict[str, list[str]] = {
    "atlas": [
        "problems=['house_prices', 'diabetes_linear']",
        "optimizers=['sgd', 'prodigy']",
        "schedules=['constant', 'cosine']",
        "steps=8",
        "seeds=2",
        "confirm=3",
        "closer_problems=['diabetes_linear']",
        "closer_optimizers=['sgd']",
        "times=2",
        "many=6",
    ],
    "batch_size": ["sizes=[64, 128]", "optimizers=['adam']", "steps=3", "first_steps=4", "seeds=2"],
    "claims": [
        "steps=10",
        "seeds=2",
        "family_problems=['house_prices']",
        "schedule_problems=['house_prices']",
    ],
    "edge_of_stability": ["rates=[0.1, 0.2]", "steps=4", "hidden=[4]"],
    "transfer": ["widths=[8]", "rates=2", "steps=2", "seeds=1", "optimizers=['adam']"],
    "finder_truth": [
        "problems=['house_prices']",
        "optimizers=['sgd']",
        "steps=10",
        "sweep_steps=20",
        "rates=3",
        "seeds=1",
    ],
}
"""For each experiment the overrides that make it tiny."""
