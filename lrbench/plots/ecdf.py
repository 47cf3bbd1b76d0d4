"""How many targets optimizers have met after so many steps, if the best rate is known and if it has to be found."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from lrbench.analysis.ecdf import ANY, BEST, VIRTUAL, runtime_distribution
from lrbench.analysis.groups import columns_of, group
from lrbench.errors import counted
from lrbench.plots import base
from lrbench.tables.base import StudyTables

MAX_LINES = 8
_PANELS = {BEST: "at the best rate", ANY: "at a rate drawn for each start: tuning included"}


def ecdf(results: StudyTables) -> Figure:
    """Share of problems and targets that are met within so many steps, with restarts: at the best rate, and with the cost of finding it.

    Requires `first_hits = true`. Left: every start has the rate that is the best in hindsight; right: a rate of the grid, drawn at random. Cross: where
    runs end; what lies beyond takes restarts. Grey: the virtual best line, which is for each target the fastest one. Nothing is drawn
    without first hits.

    Source: Hansen et al., COCO: performance assessment, arXiv:1605.03560.
    """
    hits = results.first_hits
    runs = results.runs
    found = runtime_distribution(runs, hits) if len(hits) else pd.DataFrame(columns=["line", "optimizer"])
    names = [name for name in dict.fromkeys(found["line"]) if name != VIRTUAL]
    optimizer = found.drop_duplicates("line").set_index("line")["optimizer"]
    shown = _ahead(found, names)
    across = 4
    foot = 0.2 * -(-(len(shown) + 1) // across)
    title = base.title_of(results, "targets met within so many steps, restarts included")
    figure, grid = base.panels(2 if shown else 0, title, columns=2, width=4.9, height=3.4, foot=foot)
    colours = base.colour_of([optimizer[name] for name in names])
    handles: dict[str, Artist] = {}
    for axes, draws in zip(grid, _PANELS, strict=False):
        mine = found[found["draws"] == draws]
        end = float(runs["steps"].median())
        (handles[VIRTUAL],) = _draw(
            axes, mine[mine["line"] == VIRTUAL], end, color=base.MUTED, lw=3.0, alpha=0.5
        )
        for number, name in enumerate(shown):
            look = {"color": colours[optimizer[name]], "linestyle": _dash(number, shown, optimizer, colours)}
            (handles[name],) = _draw(axes, mine[mine["line"] == name], end, lw=1.7, **look)
        _axes(axes, found)
        base.name_panel(axes, _PANELS[draws])
    if shown:
        base.legend(figure, {name: handles[name] for name in (*shown, VIRTUAL)}, across)
        problems = counted(len(group(runs, columns_of(runs, "problem"))[1]), "problem")
        rest = base.left_out([*shown, *(name for name in names if name not in shown)], len(shown), "lines")
        base.note(figure, "; ".join(filter(None, [problems, "cross: where runs end", rest])))
    return figure


def _ahead(found: pd.DataFrame, names: list[str]) -> list[str]:
    """The lines that have met the most targets on average over the numbers of steps, with the cost of tuning."""
    if not names:
        return []
    mean = found[found["draws"] == ANY].groupby("line")["share"].mean()
    return [str(name) for name in mean.loc[names].nlargest(MAX_LINES).index]


def _dash(number: int, shown: list[str], optimizer: pd.Series, colours: dict[str, str]) -> Any:
    """Another dash for each further line of a colour."""
    mine = colours[optimizer[shown[number]]]
    before = sum(colours[optimizer[name]] == mine for name in shown[:number])
    return base.DASHES[before % len(base.DASHES)]


def _draw(axes: Axes, rows: pd.DataFrame, end: float, **look: Any) -> list[Artist]:
    """Draw a line, with a cross where its runs end."""
    steps, share = rows["steps"].to_numpy(), rows["share"].to_numpy()
    drawn = axes.step(steps, share, where="post", **look)
    at = max(0, int(np.searchsorted(steps, end, side="right")) - 1)
    axes.plot(end, share[at], "x", color=drawn[0].get_color(), ms=6, mew=1.6)
    return list(drawn)


def _axes(axes: Axes, found: pd.DataFrame) -> None:
    axes.set_xscale("log")
    axes.set_xlim(1, float(found["steps"].max()))
    axes.set_ylim(-0.02, 1.02)
    base.decades(axes.xaxis)
    axes.set_xlabel("steps of all starts together", fontsize=9, color=base.INK)
    axes.set_ylabel("share of problems and targets met", fontsize=9, color=base.INK)
