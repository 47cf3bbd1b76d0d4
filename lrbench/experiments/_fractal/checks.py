"""The same picture in double precision, in single precision, and by NumPy: on how many pixels do they agree?"""

from __future__ import annotations

from typing import Any

import jax
import numpy as np
import pandas as pd
from jaxtyping import Float

from lrbench.engine.seeds import Initial
from lrbench.experiments._fractal import boxes, in_numpy, views
from lrbench.experiments._fractal.conditions import Condition
from lrbench.experiments._fractal.views import Window
from lrbench.experiments.bench import Bench
from lrbench.problems.fractal import fractal


def agreement(bench: Bench, condition: Condition, resolution: int, steps: int) -> pd.DataFrame:
    """Return a row per comparison with the opening view of a condition in double precision.

    The condition has gradient descent on all of its samples, with a rate for each layer.
    """
    view = Window(condition.x, condition.y, resolution)
    double, single = (
        views.picture(
            bench.train(views.study(f"check_{precision}", condition, view, steps, precision)), condition, view
        )
        for precision in ("float64", "float32")
    )
    bench.listener.notify(f"{double.size:,} runs in NumPy")
    others = {"numpy": _by_numpy(condition.problem, view, steps), "float32": single}
    near = _near(double)
    rows = []
    for name, other in others.items():
        same = (other < 0) == (double < 0)
        rows.append(
            {
                "compared": name,
                "runs": same.size,
                "agree": float(same.mean()),
                "at_boundary": int(near.sum()),
                "agree_at_boundary": float(same[near].mean()) if near.any() else np.nan,
                "score_difference": float(np.median(np.abs(other / double - 1)[same])),
                "dimension": _dimension(other),
                "dimension_float64": _dimension(double),
            }
        )
    return pd.DataFrame(rows)


def network(parameters: dict[str, Any]) -> in_numpy.Perceptron:
    """Return the data and the initial weights of `fractal`, those of seed 0, as NumPy has them."""
    problem = fractal(**parameters)
    weights = Initial(problem).of([0])
    hidden, output = (np.asarray(weights[name][0], np.float64) for name in ("hidden", "output"))
    inputs, targets = jax.device_get(problem.data.train)
    return in_numpy.Perceptron(hidden, output, inputs, targets, parameters.get("activation", "tanh"))


def _by_numpy(parameters: dict[str, Any], view: Window, steps: int) -> Float[np.ndarray, "row column"]:
    across, up = np.meshgrid(view.columns, view.rows)
    found = in_numpy.scores(network(parameters), across.ravel(), up.ravel(), steps)
    return found.reshape(across.shape)


def _dimension(scores: Float[np.ndarray, "row column"]) -> float:
    return boxes.dimension([boxes.counts(boxes.boundary(scores))])[0]


def _near(scores: Float[np.ndarray, "row column"]) -> Any:
    """Return which pixels are a corner of a block of the boundary."""
    marked = np.pad(boxes.boundary(scores), 1)
    return marked[1:, 1:] | marked[1:, :-1] | marked[:-1, 1:] | marked[:-1, :-1]
