"""Truths that any correct benchmark of learning rates reproduces.

That optimizers and schedules equal PyTorch's step by step is in test_optimizers.py and test_schedules.py, that a lane equals
a plain loop and does not hang on chunks and devices in test_engine.py.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest

from lrbench.datasets import deepobs

STEP = 1.05
"""From one rate of the grid to the next."""


@pytest.mark.parametrize(("mu", "lam"), [(0.5, 1.0), (0.1, 40.0)])
@pytest.mark.parametrize("nesterov", [False, True])
def test_cliffs_of_the_quadratic(train: Callable[..., Any], mu: float, lam: float, nesterov: bool) -> None:
    """Gradient descent breaks at 2/λ, heavy ball at 2(1+β)/λ, Nesterov at 2(1+β)/(λ(1+2β)): within one grid step."""
    momenta = [0.0, 0.5, 0.9]
    cliffs = [2 * (1 + b) / (lam * (1 + 2 * b if nesterov else 1)) for b in momenta]
    rates = [cliff * STEP**place for cliff in cliffs for place in (-2.5, -1.5, -0.5, 0.5, 1.5, 2.5)]
    engine, (curves,) = train(
        {
            "name": "cliff",
            "steps": 1000,
            "evaluate_every": 1000,
            "seeds": 1,
            "problem": [{"name": "quadratic", "mu": mu, "lam": lam}],
            "optimizer": [{"name": "sgd", "momentum": momenta, "nesterov": nesterov}],
            "learning_rate": {"values": rates},
            "probes": [],
        }
    )
    loss = curves.curves["train_loss"]
    stable = (loss[:, -1] < loss[:, 0]).reshape(len(momenta), -1)
    tried = np.array(engine.grid.learning_rates)
    for cliff, row in zip(cliffs, stable, strict=True):
        np.testing.assert_array_equal(row, tried < cliff)


def test_batched_equals_solo_and_a_diverged_neighbour_changes_nothing(train: Callable[..., Any]) -> None:
    """Alone, among others, and beside a run that explodes: bit for bit in chunks of one size, else to rounding."""
    study = {
        "name": "lanes",
        "steps": 12,
        "evaluate_every": 6,
        "seeds": 1,
        "problem": ["breast_cancer_logistic"],
        "optimizer": [{"name": "adam", "b1": [0.8, 0.9]}],
        "lanes_per_chunk": 4,
    }
    _, (quiet,) = train({**study, "learning_rate": {"values": [1e-3, 1e-2]}})
    _, (loud,) = train({**study, "learning_rate": {"values": [1e-3, 1e25]}})
    _, (solo,) = train({**study, "learning_rate": {"values": [1e-3]}, "lanes_per_chunk": 1})
    assert not np.isfinite(loud.curves["valid_loss"][1, -1])
    for name, values in quiet.curves.items():
        np.testing.assert_array_equal(values[[0, 2]], loud.curves[name][[0, 2]])
        np.testing.assert_allclose(values[[0, 2]], solo.curves[name], rtol=1e-4)


@pytest.mark.slow
def test_deepobs_published_what_its_runs_end_at(train: Callable[..., Any]) -> None:
    """A row of each kind of DeepOBS's table of `quadratic_deep`, trained in the order of its batches, to the rounding of float32."""
    rates = [1e-5, 1e-3, 0.0158489319, 0.0251188643, 0.0630957344, 0.1]
    engine, (*curves,) = train(
        {
            "name": "published",
            "steps": 700,
            "evaluate_every": 700,
            "seeds": 1,
            "problem": {"name": "quadratic_deep", "draw": "deepobs", "order": "given"},
            "optimizer": ["adam", {"name": "sgd", "momentum": [0.0, 0.99]}],
            "learning_rate": {"values": rates},
            "probes": [],
        }
    )
    published = pd.read_csv(deepobs.PUBLISHED).set_index(["optimizer", "learning_rate"])["final_test_loss"]
    found = {
        run: loss[-1]
        for each in curves
        for run, loss in zip(each.run_ids, each.curves["valid_loss"], strict=True)
    }
    names = ("AdamOptimizer", "GradientDescentOptimizer", "MomentumOptimizer")
    of_each = np.array([found[run] for run in engine.grid.run_ids]).reshape(len(names), len(rates))
    for name, losses in zip(names, of_each, strict=True):
        theirs = np.array([published[name, float(f"{rate:.7g}")] for rate in rates])
        theirs[~np.isfinite(theirs)] = np.nan
        np.testing.assert_allclose(np.where(np.isfinite(losses), losses, np.nan), theirs, rtol=1e-6)
