"""The table of landscapes."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

from lrbench.study.grid import Grid


def surfaces(grid: Grid, landscapes: Mapping[int, tuple[np.ndarray, np.ndarray, np.ndarray]]) -> pd.DataFrame:
    """A row per point of the landscape of each problem with two coordinates; there is no such table if the study has no such problem.

    It is the only table that is made before training, and not from the parts. It is written as Parquet only.

    Args:
        grid: whose problems they are.
        landscapes: problem number -> the values of both coordinates, and the losses [second coordinate, first coordinate].

    Columns:
        problem: its name; `problem_<parameter>` are its parameters
        first_coordinate, second_coordinate: the point
        loss: the loss there
    """
    runs_per_problem = grid.stride("problem")
    pieces = []
    for number, (first, second, loss) in landscapes.items():
        identity = grid.columns(np.array([number * runs_per_problem]))
        named = {key: [value[0]] * loss.size for key, value in identity.items() if _of_problem(key)}
        across, along = np.meshgrid(first, second)
        points = {"first_coordinate": across.ravel(), "second_coordinate": along.ravel()}
        pieces.append(pd.DataFrame({**named, **points, "loss": loss.ravel()}))
    return pd.concat(pieces, ignore_index=True)


def _of_problem(column: str) -> bool:
    return column == "problem" or column.startswith("problem_")
