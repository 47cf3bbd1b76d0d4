"""Regret against runs: what each way to choose a rate loses, and what it costs."""

from __future__ import annotations

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullLocator

from lrbench.plots import base, theme

CURVES = {
    "least median": ("least median", 0, 0),
    "best (least mean)": ("best", 0, 0),
    "best, confirmed": ("best", 10, 0),
    "best, refined and confirmed": ("best", 10, 1),
    "use": ("use", 0, 0),
    "use, refined and confirmed": ("use", 10, 1),
    "Optuna TPE": ("TPE", 0, 0),
}
"""What is drawn: method, confirm and refine."""
PANELS = {
    "regret_finest": "loss above the best rate, share of ℓ₀ − ℓ*",
    "too_large": "a rate 2.15 × too large costs in addition",
}


def regret(table: pd.DataFrame, half: str) -> Figure:
    """Two panels over the runs per line: what the rate loses, and what it costs to take 2.15 times as much.

    Args:
        table: what `measures.summary` returns.
        half: the problems that are drawn.
    """
    figure, axes = base.panels(
        len(PANELS),
        "how good the chosen rate is, on seeds that nobody has seen",
        columns=2,
        width=4.4,
        height=3.2,
        foot=0.5,
    )
    handles = {}
    for panel, (measure, title) in zip(axes, PANELS.items(), strict=True):
        for (name, (method, confirm, refine)), colour, number in zip(
            CURVES.items(), base.COLOURS, range(9), strict=False
        ):
            rows = table[
                (table["half"] == half) & (table["measure"] == measure) & (table["method"] == method)
            ]
            rows = rows[(rows["confirm"] == confirm) & (rows["refine"] == refine)].sort_values("runs")
            (handles[name],) = panel.plot(
                rows["runs"], rows["value"], marker="o", ms=4, color=colour, ls=base.DASHES[number % 2]
            )
        _finish(panel, title)
    base.legend(figure, handles, 4)
    problems = int(table.loc[table["half"] == half, "problems"].max())
    base.note(
        figure,
        f"mean over the lines of {problems} problems; points: 1, 2, 3, 5 and 10 seeds of a grid of 16 rates",
    )
    return figure


def _finish(panel: Axes, title: str) -> None:
    panel.set_xscale("log")
    panel.set_yscale("log")
    base.name_panel(panel, title)
    base.decades(panel.xaxis)
    panel.set_xlabel("runs per line", fontsize=theme.LABEL, color=base.INK)
    panel.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    panel.yaxis.set_minor_locator(NullLocator())
    panel.yaxis.set_major_formatter(lambda value, _: f"{100 * value:g} %")
