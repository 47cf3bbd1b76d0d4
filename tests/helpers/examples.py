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
    # The contract's test of training has the same noise at every step: faults that it would not average out are small.
    "flipped_gradients": {"probability": 0.01},
    "image_cnn": {"channels": (2,)},
    "mnist1d_cnn": {"channels": (2, 2), "samples": 100, "batch_size": 16},
    "mnist1d_gru": {"width": 4, "samples": 100, "batch_size": 16},
    "mnist1d_mlp": {"hidden": (8, 8), "samples": 100, "batch_size": 16},
    "mnist1d_softmax": {"samples": 100, "batch_size": 16},
    "mnist_cnn": {"channels": (2, 2)},
    "mnist_mlp": {"hidden": (8,)},
    "modular_addition_transformer": {"modulus": 7, "width": 8, "heads": 2, "batch_size": 16},
    "multiplicative_noise": {"scale": 0.3},
    "plateau": {"distance": 3.0},
    "quadratic_deep": {"dimension": 10},
    "rare_gradients": {"period": 5, "size": 20.0},
    "rotated_gradient": {"degrees": 45.0},
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
        "lengths=[20]",
        "family_problems=['house_prices']",
        "schedule_problems=['house_prices']",
    ],
    "deepobs": ["epochs=1", "seeds=2", "thin=7"],
    "ecdf": [
        "problems=['house_prices']",
        "curvatures=[0.1]",
        "optimizers=['momentum', 'adam']",
        "rates=3",
        "steps=20",
        "seeds=2",
    ],
    "diagnostics": [
        "problems=['rare_gradients']",
        "optimizers=['adam']",
        "rates=2",
        "steps=20",
        "tuning=1",
        "held_out=1",
    ],
    "schedule_bands": ["optimizers=['adam']", "rates=3", "steps=6", "seeds=2", "confirm=3"],
    "gallery": ["problems=['saddle']", "optimizers=['adam']", "rates=2", "steps=20", "seeds=1"],
    "optax_convergence": [
        "lowest=0.01",
        "highest=0.1",
        "steps=20",
        "optimizers=['adam', 'schedule_free_sgd']",
    ],
    "fractal": [
        "conditions=['single']",
        "resolution=8",
        "main_resolution=8",
        "zooms=1",
        "zoom_resolution=8",
        "checked=0",
        "steps=6",
    ],
    "mnist1d": [
        "models=['mnist1d_softmax']",
        "rates=[0.03]",
        "steps=2",
        "seeds=2",
        "optimum_seeds=2",
        "per_decade=4",
    ],
    "edge_of_stability": ["num=2", "steps=4", "hidden=[4]", "seeds=2", "optimizers=['adam']"],
    "transfer": [
        "widths=[8]",
        "depths=[2]",
        "depth_width=4",
        "rates=3",
        "steps=2",
        "seeds=2",
        "optimizers=['adam']",
    ],
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
