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
from lrbench.plots import base, theme
from lrbench.plots.lines import RankedLines
from lrbench.tables.base import StudyTables

OTHERS = "all other lines"
_PANELS = {BEST: "at the best rate", ANY: "at a rate drawn for each start: tuning included"}


def ecdf(results: StudyTables) -> Figure:
    """Share of problems and targets met within a number of steps, with restarts: at the best rate, and with the cost of finding it.

    Requires `first_hits = true`. Left: every start has the rate that is the best in hindsight; right: a rate of the grid, drawn at random. Cross: where
    runs end; what lies beyond takes restarts. Grey: the virtual best line, which is for each target the fastest one. Nothing is drawn
    without first hits.

    Source: Hansen et al., COCO: performance assessment, arXiv:1605.03560.
    """
    hits = results.first_hits
    runs = results.runs
    found = runtime_distribution(runs, hits) if len(hits) else pd.DataFrame(columns=["line", "optimizer"])
    names = [name for name in dict.fromkeys(found["line"]) if name != VIRTUAL]
    if not names:
        return base.nothing("it requires first_hits = true")
    ahead, lines = _ahead(found, names), RankedLines(results)
    shown = [name for name in ahead if lines.look(name)]
    across = 4
    foot = 0.2 * -(-(len(shown) + 2) // across)
    told = "meets the most targets" if len(names) > 1 else "meets targets later"
    title = base.title_of(results, f"{ahead[0]} {told} if its rate has to be found, too")
    what = "targets met within so many steps, restarts included"
    figure, grid = base.panels(2, title, columns=2, width=4.9, height=3.4, foot=foot, subtitle=what)
    handles: dict[str, Artist] = {}
    for axes, draws in zip(grid, _PANELS, strict=False):
        mine = found[found["draws"] == draws]
        end = float(runs["steps"].median())
        (handles[VIRTUAL],) = _draw(
            axes, mine[mine["line"] == VIRTUAL], end, color=base.MUTED, lw=3.0, alpha=0.5
        )
        for name in names:
            look = lines.look(name)
            style: dict[str, Any] = {"color": theme.REST, "lw": theme.THIN, "zorder": 1.5}
            if look:
                style = {"color": look.colour, "linestyle": look.dash, "lw": theme.LINE}
            (handles[name if look else OTHERS],) = _draw(axes, mine[mine["line"] == name], end, **style)
        _axes(axes, found)
        base.name_panel(axes, _PANELS[draws])
    entries = [*shown, VIRTUAL, *([OTHERS] if OTHERS in handles else [])]
    base.legend(figure, {name: handles[name] for name in entries}, across)
    problems = counted(len(group(runs, columns_of(runs, "problem"))[1]), "problem")
    base.note(figure, f"{problems}; cross: where runs end")
    return figure


def _ahead(found: pd.DataFrame, names: list[str]) -> list[str]:
    """The lines by how many targets they have met on average over the numbers of steps, with the cost of tuning; the most first."""
    mean = found[found["draws"] == ANY].groupby("line")["share"].mean()
    return [str(name) for name in mean.loc[names].sort_values(ascending=False, kind="stable").index]


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
    axes.set_xlabel("steps of all starts together")
    axes.set_ylabel("share of problems and targets met")
