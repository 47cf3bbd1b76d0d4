"""Which runs of the two studies reach the optimum as closely as optax's tests require, and after how many steps."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from lrbench.analysis.groups import Floats
from lrbench.experiments._optax_convergence.pairs import PAIRS, WARMED_UP, label
from lrbench.results.results import Results

TOLERANCE = 0.06
"""How far a coordinate may be from its optimum p*: 0.03 + 0.03·|p*|, and |p*| is 1 for every coordinate of both problems."""
PROBES = ("first_coordinate", "second_coordinate")
_OPTIMA = {"parabola": (1.0, -1.0), "rosenbrock": (1.0, 1.0)}


def distance(problem: str, loss: Floats, first: Floats, second: Floats, *, averaged: bool = False) -> Floats:
    """Return the largest distance of a coordinate from its optimum, over the tolerance.

    The third coordinate of the parabola is what the two others leave of its loss.

    Args:
        problem: parabola or rosenbrock.
        loss: where runs are evaluated.
        first: the first coordinate, where the gradient is taken.
        second: the second coordinate, likewise.
        averaged: whether runs are evaluated at an average, elsewhere than where the gradient is taken. The distance is then
            the largest one that the loss allows.

    >>> distance("rosenbrock", np.array([9e-4]), np.array([0.97]), np.array([0.9409])).round(3).tolist()
    [0.985]
    >>> distance("parabola", np.array([0.0144]), np.array([1.0]), np.array([-1.0])).round(3).tolist()
    [2.0]
    """
    root = np.sqrt(loss)
    if averaged:
        # (1 − x)² ≤ ℓ and 100 (y − x²)² ≤ ℓ, so that |y − 1| ≤ |y − x²| + |x² − 1| ≤ √ℓ/10 + 2√ℓ + ℓ.
        return root / TOLERANCE if problem == "parabola" else (2.1 * root + loss) / TOLERANCE
    apart = np.abs(np.stack([first, second]) - np.array(_OPTIMA[problem]).reshape(2, *[1] * np.ndim(first)))
    if problem == "parabola":
        third = np.sqrt(np.maximum(0.0, loss - np.square(apart).sum(axis=0)))
        apart = np.concatenate([apart, third[None]])
    farthest: Floats = apart.max(axis=0) / TOLERANCE
    return farthest


def settled(step: npt.ArrayLike, within: npt.NDArray[np.bool_]) -> Floats:
    """Return the first evaluated step from which on a run stays within the tolerance; NaN if it is not within it at the end.

    >>> settled([0, 10, 20], np.array([[False, True, True], [True, False, True], [True, True, False]])).tolist()
    [10.0, 20.0, nan]
    """
    steps = np.append(np.asarray(step, dtype=np.float64), np.nan)
    count = within.shape[1]
    last_outside = np.where(within, -1, np.arange(count)).max(axis=1)
    out: Floats = steps[last_outside + 1]
    return out


def judge(results: Sequence[Results]) -> pd.DataFrame:
    """Return a row per optimizer, problem and rate: how close the run ends, and after how many steps it stays close."""
    table = pd.concat([_judge_study(each) for each in results], ignore_index=True)
    order = {pair.label: number for number, pair in enumerate(PAIRS)}
    keys = ["optimizer", "problem", "learning_rate"]
    return table.sort_values(
        keys, key=lambda column: column.map(order) if column.name == "optimizer" else column
    ).reset_index(drop=True)


def _judge_study(results: Results) -> pd.DataFrame:
    runs = results.runs.sort_values("run_id", ignore_index=True)
    curves = results.curves.sort_values(["run_id", "step"])
    step = np.unique(curves["step"])
    columns = ("train_loss", *PROBES)
    loss, first, second = (curves[name].to_numpy(np.float64).reshape(len(runs), -1) for name in columns)
    far = np.full(loss.shape, np.inf)
    for (problem, optimizer), rows in runs.groupby(["problem", "optimizer"], sort=False):
        at = rows.index.to_numpy()
        averaged = str(optimizer) in WARMED_UP
        found = distance(str(problem), loss[at], first[at], second[at], averaged=averaged)
        far[at] = np.where(np.isfinite(found), found, np.inf)
    ends = far[:, -1]
    return pd.DataFrame(
        {
            "optimizer": [_label(row) for row in runs.to_dict("records")],
            "problem": runs["problem"],
            "learning_rate": runs["learning_rate"],
            "distance": np.where(np.isfinite(ends), ends, np.nan),
            "steps": settled(step, far <= 1),
        }
    )


def _label(run: Mapping[Hashable, Any]) -> str:
    """Return the optimizer of a run with the parameters that its pairs set; a table has all that any optimizer's pair sets."""
    (names,) = {tuple(pair.parameters) for pair in PAIRS if pair.optimizer == run["optimizer"]}
    return label(run["optimizer"], {name: run[f"optimizer_{name}"] for name in names})
