"""How the pictures of the experiment are drawn."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from lrbench.experiments._fractal.conditions import Condition
from lrbench.experiments._fractal.views import Window
from lrbench.plots import base, theme

_PALE = 0.25
"""The ranks of converged runs are spread from −1 to −0.25 and those of the others from 0.25 to 1, so that the boundary is a step of colour."""


class Drawn(NamedTuple):
    """A picture: what it shows, and its scores."""

    condition: Condition
    view: Window
    scores: Float[np.ndarray, "row column"]


def colours(scores: Float[np.ndarray, "row column"]) -> Float[np.ndarray, "row column"]:
    """Return numbers from −1 to 1: the ranks of the scores among converged runs (0.25 to 1), and among the others (−1 to −0.25).

    >>> colours(np.array([[-9.0, -4.0, 2.0, 5.0]]))
    array([[ 1.  ,  0.25, -0.25, -1.  ]])
    """
    found = np.full(scores.shape, np.nan)
    for inside, ends in ((scores < 0, (1.0, _PALE)), (scores > 0, (-_PALE, -1.0))):
        order = scores[inside].argsort(kind="stable").argsort(kind="stable")
        found[inside] = np.interp(order, (0, max(1, len(order) - 1)), ends)
    return found


def one(drawn: Drawn, title: str) -> Figure:
    """One picture at full size: a pixel of the file for each run, or more."""
    inches = max(7.0, drawn.view.resolution / 110)
    figure, (axes,) = base.panels(1, title, width=inches, height=inches)
    _show(axes, drawn)
    _name_axes(axes, drawn.condition)
    base.note(figure, _NOTE)
    return figure


def openings(pictures: Mapping[str, Drawn], title: str) -> Figure:
    """The opening view of each condition, with a frame around what the first zoom shows."""
    figure, grid = base.panels(len(pictures), title, columns=5, width=2.3, height=2.3)
    for axes, drawn in zip(grid, pictures.values(), strict=True):
        _show(axes, drawn)
        _name_axes(axes, drawn.condition)
        base.name_panel(axes, drawn.condition.title)
    base.note(figure, _NOTE)
    return figure


def zooms(sequences: Mapping[str, Sequence[Drawn]], title: str) -> Figure:
    """A row for each condition: each picture shows the framed part of the one before."""
    longest = max(len(each) for each in sequences.values())
    figure, grid = base.panels(len(sequences) * longest, title, columns=longest, width=2.2, height=2.2)
    for row, drawn in enumerate(sequences.values()):
        for column in range(longest):
            axes = grid[row * longest + column]
            if column >= len(drawn):
                axes.set_axis_off()
                continue
            _show(axes, drawn[column])
            if column + 1 < len(drawn):
                _frame(axes, drawn[column + 1].view)
            decades = drawn[column].view.decades
            name = drawn[0].condition.title
            base.name_panel(axes, name if column == 0 else f"{decades:.2g} decades")
    base.note(figure, "log₁₀ of the axes; black frame: what the next picture of the row shows")
    return figure


def counted(boxes: pd.DataFrame, dimensions: pd.DataFrame, title: str) -> Figure:
    """Boxes with boundary in them against their size, a panel for each condition and a line for each picture."""
    names = list(boxes["condition"].unique())
    figure, grid = base.panels(len(names), title, columns=5, width=2.2, height=2.0)
    for axes, name in zip(grid, names, strict=True):
        for zoom, rows in boxes[(boxes["condition"] == name) & (boxes["boxes"] > 0)].groupby("zoom"):
            shade = base.COLOURS[int(str(zoom)) % len(base.COLOURS)]
            axes.plot(rows["size"], rows["boxes"], "o-", color=shade, ms=4, lw=1.4, label=f"zoom {zoom}")
        axes.set_xscale("log", base=2)
        axes.set_yscale("log", base=2)
        axes.set_xlabel("side of a box, pixels")
        found = dimensions.loc[dimensions["condition"] == name, "dimension"]
        base.name_panel(axes, f"{name}: D = {float(found.iloc[0]):.2f}")
    grid[0].set_ylabel("boxes with boundary")
    grid[0].legend(fontsize=theme.SMALL, frameon=False)
    base.note(figure, "a straight line has slope −D; D is the median of the slopes of the zooms of a panel")
    return figure


_NOTE = "a pixel is a run: green to blue if it converged, yellow to red if not; the darker, the longer it took to show"


def _show(axes: Axes, drawn: Drawn) -> None:
    view = drawn.view
    axes.imshow(
        colours(drawn.scores),
        cmap=theme.TWO_SIDES,
        vmin=-1,
        vmax=1,
        origin="lower",
        interpolation="nearest",
        aspect="auto",
        extent=(*view.x, *view.y),
    )
    axes.grid(visible=False)
    axes.locator_params(nbins=4)
    axes.ticklabel_format(useOffset=False)
    axes.tick_params(labelsize=theme.TINY)


def _frame(axes: Axes, view: Window) -> None:
    (left, right), (low, high) = view.x, view.y
    axes.plot([left, right, right, left, left], [low, low, high, high, low], color=base.INK, lw=1.2)


def _name_axes(axes: Axes, condition: Condition) -> None:
    across, up = condition.axes
    axes.set_xlabel(f"log₁₀ {across}", fontsize=theme.SMALL)
    axes.set_ylabel(f"log₁₀ {up}", fontsize=theme.SMALL)
