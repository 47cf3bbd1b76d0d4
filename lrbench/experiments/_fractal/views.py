"""Pictures: a run for each pixel of a view, and the view that looks closer at its boundary."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from jaxtyping import Float

from lrbench.experiments._fractal import boxes
from lrbench.experiments._fractal.conditions import Condition
from lrbench.results.results import Results

_PROBLEM = "lrbench.experiments._fractal.scored:scored"
_EVALUATIONS = 10
"""Of a run; where runs have ended, their lanes are free after the next one."""


class Window(NamedTuple):
    """What a picture shows: log₁₀ of the first and the last value of both axes, and runs along each side."""

    x: tuple[float, float]
    y: tuple[float, float]
    resolution: int

    @property
    def columns(self) -> Float[np.ndarray, " column"]:
        """Values of the first axis."""
        return np.logspace(*self.x, self.resolution)

    @property
    def rows(self) -> Float[np.ndarray, " row"]:
        """Values of the second axis."""
        return np.logspace(*self.y, self.resolution)

    @property
    def decades(self) -> float:
        """The extent of the second axis."""
        return self.y[1] - self.y[0]


def study(name: str, condition: Condition, view: Window, steps: int, precision: str) -> dict[str, Any]:
    """Return the study whose runs are the pixels of a view."""
    skip = condition.problem.get("skip", 0)
    every = max(1, (steps + skip) // _EVALUATIONS)
    columns, rows = view.columns.tolist(), view.rows.tolist()
    optimizer, rates = condition.optimizer, {"values": columns, "output": {"values": rows}}
    if condition.scales:
        optimizer, rates = optimizer | {"scale": columns}, {"values": rows}
    return {
        "name": name,
        "steps": steps + skip,
        "evaluate_every": every,
        "seeds": 1,
        "precision": precision,
        "objective": "train_loss",
        "probes": [],
        "problem": {"name": _PROBLEM, "steps": steps, "every": every, **condition.problem},
        "optimizer": optimizer,
        "learning_rate": rates,
    }


def picture(results: Results, condition: Condition, view: Window) -> Float[np.ndarray, "row column"]:
    """Return the score of each pixel: the last that a run reported."""
    curves = results.some_curves("step", "valid_score").dropna(subset=["valid_score"])
    last = curves.sort_values("step", kind="stable").drop_duplicates("run_id", keep="last")
    names = (
        ["optimizer_scale", "learning_rate"]
        if condition.scales
        else ["learning_rate", "learning_rate_output"]
    )
    runs = results.runs[["run_id", *names]]
    score = pd.Series(last["valid_score"].to_numpy(), index=last["run_id"].astype(str))
    found = np.full((view.resolution, view.resolution), np.nan)
    column = np.searchsorted(_middles(view.columns), runs[names[0]])
    row = np.searchsorted(_middles(view.rows), runs[names[1]])
    found[row, column] = score.reindex(runs["run_id"].astype(str)).to_numpy()
    return found


def closer(view: Window, scores: Float[np.ndarray, "row column"], factor: float, resolution: int) -> Window:
    """Return the view of 1/`factor` of the extent that has the most boundary in it, the first of them if there are several."""
    marked = boxes.boundary(scores).astype(np.int64)
    side = max(1, round(view.resolution / factor))
    sums = np.pad(marked, ((1, 0), (1, 0))).cumsum(0).cumsum(1)
    inside = sums[side:, side:] - sums[:-side, side:] - sums[side:, :-side] + sums[:-side, :-side]
    row, column = np.unravel_index(inside.argmax(), inside.shape)
    return Window(
        _part(view.x, (column + side / 2) / (view.resolution - 1), factor),
        _part(view.y, (row + side / 2) / (view.resolution - 1), factor),
        resolution,
    )


def _part(axis: tuple[float, float], middle: float, factor: float) -> tuple[float, float]:
    low, high = axis
    at, half = low + middle * (high - low), (high - low) / factor / 2
    return float(at - half), float(at + half)


def _middles(values: Float[np.ndarray, " value"]) -> Float[np.ndarray, " middle"]:
    return np.sqrt(values[:-1] * values[1:])
