"""A picture per problem: a small panel for each optimizer, with its path over the heights of the loss."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure

from lrbench.analysis.labels import rate_text
from lrbench.experiments._gallery import paths
from lrbench.plots import base, theme

_COLUMNS, _SIDE, _GAP, _NAME = 8, 1.2, 0.12, 0.36
"""Panels in a row, and in inches: their side, the space between them, and that for their names."""
_LEVELS = 4
_SHADES = LinearSegmentedColormap.from_list("heights", ("white", *theme.HEIGHTS[:2]))(
    np.linspace(0, 1, _LEVELS + 1)
)
"""Of the heights between levels; darker is higher."""
REACHED, MISSED = base.COLOURS[0], base.COLOURS[1]
"""The colours of a path that ends at the minimum, and of one that does not."""


def picture(problem: str, table: pd.DataFrame, points: pd.DataFrame, surfaces: pd.DataFrame) -> Figure:
    """Return the paths of all optimizers on a problem, those that need the fewest steps first.

    Args:
        problem: its name.
        table: a row per optimizer, of that problem.
        points: the points of their paths.
        surfaces: the table of surfaces.
    """
    rows = -(-len(table) // _COLUMNS)
    wide = 0.3 + _COLUMNS * (_SIDE + _GAP)
    high = 0.65 + rows * (_SIDE + _NAME + _GAP) + 0.35
    figure = base.Picture(figsize=(wide, high), dpi=110, facecolor="white")
    reached = int((table["reached_share"] > 0.5).sum())
    title = f"{problem}: {reached} of {len(table)} optimizers reach the minimum at their best rate"
    figure.text(
        0.15 / wide, 1 - 0.15 / high, title, va="top", fontsize=theme.TITLE, fontweight="bold", color=base.INK
    )
    height = paths.heights(surfaces, problem)
    for place, row in enumerate(table.to_dict("records")):
        left = 0.15 + place % _COLUMNS * (_SIDE + _GAP)
        top = 0.65 + place // _COLUMNS * (_SIDE + _NAME + _GAP) + _NAME
        axes = figure.add_axes((left / wide, 1 - (top + _SIDE) / high, _SIDE / wide, _SIDE / high))
        _panel(axes, row, points[points["optimizer"] == row["optimizer"]], height)
    base.note(
        figure,
        "blue: most seeds reach the minimum and stay, in so many steps; orange: they do not; ring: start; star: minimum; "
        "path of the first seed",
    )
    return figure


def said(row: Mapping[Any, Any]) -> str:
    """Return what is written of a line: its rate, and the steps that it needs.

    >>> said({"learning_rate": 0.1, "steps_needed": 12.0, "reached_share": 1.0})
    '0.1 · 12 steps'
    """
    steps = f" · {row['steps_needed']:.0f} steps" if row["reached_share"] > 0.5 else ""
    return rate_text(row["learning_rate"]) + steps


def _panel(axes: Axes, row: Mapping[Any, Any], way: pd.DataFrame, height: pd.DataFrame) -> None:
    along, across = height.columns.to_numpy(float), height.index.to_numpy(float)
    ends = [height.to_numpy().min(), *paths.levels(height, _LEVELS), height.to_numpy().max()]
    # Flat shades as pixels: with lines, or as vectors, the files of fifty panels would be several times as large.
    drawn = axes.contourf(
        along, across, height.to_numpy(), sorted(set(ends)), colors=_SHADES, antialiased=False
    )
    drawn.set_rasterized(True)
    axes.plot(*paths.lowest(height).T, "*", color=base.INK, ms=7, mec="white", mew=0.6, zorder=4)
    colour = REACHED if row["reached_share"] > 0.5 else MISSED
    axes.plot(way["w1"], way["w2"], color=colour, lw=1.0, alpha=0.9, marker="o", ms=1.3, zorder=3)
    if len(way):
        axes.plot(*way[["w1", "w2"]].iloc[0], "o", color="white", ms=4, mec=base.INK, mew=0.9, zorder=5)
    axes.set_xlim(along[0], along[-1])
    axes.set_ylim(across[0], across[-1])
    axes.set_xticks([])
    axes.set_yticks([])
    for spine in axes.spines.values():
        spine.set_color(base.GRID)
    axes.set_title(
        f"{base.fit(row['optimizer'], _SIDE + _GAP / 2, theme.TINY)}\n{said(row)}",
        loc="left",
        fontsize=theme.TINY,
        color=base.INK,
        pad=3,
    )


def contour_lines(height: pd.DataFrame) -> list[np.ndarray]:
    """Return the contours of a surface, each a line of points in the surface's coordinates."""
    axes = Figure().add_subplot()
    drawn = axes.contour(
        height.columns.to_numpy(float),
        height.index.to_numpy(float),
        height.to_numpy(),
        levels=paths.levels(height, _LEVELS),
    )
    return [np.asarray(line) for level in drawn.allsegs for line in level if len(line) > 1]
