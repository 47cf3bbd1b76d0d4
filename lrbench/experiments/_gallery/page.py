"""The HTML page of the gallery: every path as a line, in one file that loads nothing from the network."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from lrbench.experiments import html_page
from lrbench.experiments._gallery import drawing, paths
from lrbench.study import catalog

_SIDE = 100
"""The side of a picture, in the units of its lines."""


def page(table: pd.DataFrame, points: pd.DataFrame, surfaces: pd.DataFrame, steps: int, target: float) -> str:
    """Return all pictures as one HTML page.

    Args:
        table: a row per problem and optimizer.
        points: of their paths.
        surfaces: the table of surfaces.
        steps: of every run.
        target: how far above the minimum a run may be that has reached it.
    """
    sections = [
        _section(str(problem), lines, points[points["problem"] == problem], surfaces)
        for problem, lines in table.groupby("problem", sort=False)
    ]
    shown = {
        "sections": sections,
        "optimizers": table["optimizer"].nunique(),
        "steps": f"{steps:,}",
        "target": f"{target:g}",
    }
    return html_page.render(__package__, shown)


def _section(
    problem: str, table: pd.DataFrame, points: pd.DataFrame, surfaces: pd.DataFrame
) -> dict[str, Any]:
    """Return what the page shows of a problem, its lines in the units of the picture."""
    height = paths.heights(surfaces, problem)
    low, side = paths.corner(surfaces, problem)
    ways = dict(list(points.groupby("optimizer")))
    cells = []
    for row in table.to_dict("records"):
        way = _placed(ways[row["optimizer"]][["w1", "w2"]].to_numpy(), low, side)
        reached = row["reached_share"] > 0.5
        cells.append(
            {
                "name": row["optimizer"],
                "said": drawing.said(row),
                "reached": reached,
                "path": _line(way),
                "start": [f"{value:.1f}" for value in way[0]] if len(way) else None,
                "alt": f"{row['optimizer']}: {'reaches' if reached else 'does not reach'} the minimum",
            }
        )
    entry = catalog.get("problem", problem)
    return {
        "name": problem,
        "summary": entry.summary,
        "reached": sum(cell["reached"] for cell in cells),
        "contours": " ".join("M" + _line(_placed(line, low, side)) for line in drawing.contour_lines(height)),
        "minima": [[f"{value:.1f}" for value in point] for point in _placed(paths.lowest(height), low, side)],
        "cells": cells,
    }


def _placed(points: np.ndarray, low: np.ndarray, side: np.ndarray) -> np.ndarray:
    """Return points in the units of a picture, whose second coordinate goes down."""
    placed: np.ndarray = (points - low) / side * _SIDE
    placed[:, 1] = _SIDE - placed[:, 1]
    return placed


def _line(points: np.ndarray) -> str:
    """Return points as those of a line of SVG.

    >>> _line(np.array([[0.0, 1.26], [30.0, 4.0]]))
    '0,1.3 30,4'
    """
    rounded = np.round(points, 1) + 0.0  # no −0
    return " ".join(f"{x:g},{y:g}" for x, y in rounded)
