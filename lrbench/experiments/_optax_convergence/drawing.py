"""The picture: at which rates each optimizer converges, and how fast."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from lrbench.analysis.groups import Floats
from lrbench.plots import base, theme

_RING: dict[str, Any] = {"marker": "o", "mfc": "none", "ms": 7, "mew": 1.8, "ls": "none"}
_RATE = theme.COLOURS[1]


def picture(judged: pd.DataFrame, pairs: pd.DataFrame) -> Figure:
    """Steps to the optimum by optimizer and rate, a panel per problem; rings: optax's rates."""
    problems = list(dict.fromkeys(judged["problem"]))
    order = _by_speed(judged)
    required = pairs[(pairs["exempt"] == "") & pairs["learning_rate"].notna()]
    title = f"At optax's rates {int(required['converges'].sum())} of {len(required)} runs reach the optimum, and at many others too"
    figure, grid = base.panels(
        len(problems), title, columns=2, width=2.7, height=0.19 * len(order), foot=0.5, names=2.4
    )
    figure.subplots_adjust(wspace=0.05)
    reached = judged["steps"].dropna()
    colours = LogNorm(max(1.0, float(reached.min())), float(reached.max())) if len(reached) else None
    for axes, problem in zip(grid, problems, strict=True):
        shown = _panel(axes, judged[judged["problem"] == problem], order, colours)
        _rings(axes, pairs[pairs["problem"] == problem], order)
        base.name_panel(axes, problem)
    for axes in grid[1:]:
        axes.tick_params(labelleft=False)
    if len(reached):
        _colour_bar(figure, shown)
    legend = {
        "rate of optax's test": Line2D([], [], mec=_RATE, **_RING),
        "the same, exempt": Line2D([], [], mec=base.MUTED, **_RING),
        "does not converge": Patch(fc="white", ec=base.MUTED, lw=0.6),
    }
    base.legend(figure, legend, 3)
    base.note(figure, "optimizers in the order of their fastest runs, the mean of both problems")
    return figure


def _colour_bar(figure: Figure, shown: Any) -> None:
    """Draw the colour bar below the right panel, beside the legend."""
    wide, high = figure.get_size_inches()
    place = figure.add_axes((1 - 4.4 / wide, 0.42 / high, 4.0 / wide, 0.13 / high))
    bar = figure.colorbar(shown, cax=place, orientation="horizontal")
    bar.set_label("steps", fontsize=theme.SMALL, color=base.INK, labelpad=1)
    bar.ax.tick_params(labelsize=theme.SMALL, length=2, colors=base.MUTED, labelcolor=base.INK)
    bar.outline.set_visible(False)
    base.decades(bar.ax.xaxis)


def _by_speed(judged: pd.DataFrame) -> list[str]:
    """Return the optimizers, the fastest first: by the geometric mean over problems of the fewest steps."""
    fastest = judged.groupby(["optimizer", "problem"], sort=False)["steps"].min().fillna(np.inf)
    score = fastest.clip(lower=1.0).map(np.log).groupby("optimizer", sort=False).mean()
    return [str(name) for name in score.sort_values(kind="stable").index]


def _panel(axes: Axes, rows: pd.DataFrame, order: list[str], colours: LogNorm | None) -> Any:
    steps = rows.pivot(index="optimizer", columns="learning_rate", values="steps").reindex(order)
    rates = steps.columns.to_numpy(dtype=np.float64)
    heights = np.arange(len(order) + 1) - 0.5
    values = np.ma.masked_invalid(np.maximum(steps.to_numpy(dtype=np.float64), 1.0))
    mesh = axes.pcolormesh(_edges(rates), heights, values, norm=colours, cmap=f"{theme.MAP}_r")
    base.log_rates(axes, _edges(rates))
    axes.grid(visible=False)
    axes.set_yticks(range(len(order)), order, fontsize=theme.TINY)
    axes.set_ylim(len(order) - 0.5, -0.5)
    return mesh


def _edges(rates: Floats) -> Floats:
    """Return the borders of cells around rates, half-way between them on a logarithmic axis."""
    log = np.log10(rates)
    step = np.diff(log) if len(log) > 1 else np.array([1.0])
    ends = log[0] - step[0] / 2, log[-1] + step[-1] / 2
    edges: Floats = 10 ** np.concatenate([ends[:1], (log[:-1] + log[1:]) / 2, ends[1:]])
    return edges


def _rings(axes: Axes, pairs: pd.DataFrame, order: list[str]) -> None:
    for row in pairs.dropna(subset=["learning_rate"]).to_dict("records"):
        colour = base.MUTED if row["exempt"] else _RATE
        axes.plot(row["learning_rate"], order.index(row["optimizer"]), mec=colour, **_RING)
