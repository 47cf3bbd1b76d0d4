"""How cheap an optimizer is to tune: the loss to expect against the number of rates tried."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from lrbench.analysis.labels import labels
from lrbench.analysis.thresholds import Thresholds
from lrbench.plots import base, theme
from lrbench.plots.lines import RankedLines
from lrbench.tables.base import StudyTables

MAX_PANELS = 6
FEW = 3
"""How many rates someone tries who tunes little."""


def tuning_budget(results: StudyTables) -> Figure:
    """Expected best loss after k random rates of the grid, a panel per problem, a line per optimizer and schedule.

    The loss is normalised: 1 is where training starts, 0 the best loss of the problem; dotted: what counts as good. The line that is
    the easiest to tune is black with dots if it is none of those with a colour.
    Nothing is drawn for one rate, or where nothing trains.

    Source: Dodge et al., arXiv:1909.03004.
    """
    table = results.tuning_budget
    table = table.assign(**labels(table))
    table["name"] = table["optimizer"] + " + " + table["schedule"]
    table = table[np.isfinite(table["expected_gap"])]
    table = table[table.groupby("problem")["trials"].transform("max") > 1] if len(table) else table
    problems = list(dict.fromkeys(table["problem"]))
    shown = problems[:MAX_PANELS]
    if not shown:
        return base.nothing(
            "no line trains" if len(results.tuning_budget) else "no rates are tried at random"
        )
    lines = RankedLines(results)
    kept = [name for name in dict.fromkeys(table["name"]) if lines.look(name)]
    few = table[table["trials"] == FEW].groupby("name")["expected_gap"].mean()
    columns = 2 if len(shown) in (2, 4) else 3
    width, height = (6.8, 3.6) if len(shown) == 1 else (4.4, 2.8)
    across = 4 if len(shown) > 1 else 3
    told, leader = "one random rate is all there is", ""
    if len(few):
        easiest, leader = "is the easiest to tune:" if len(few) > 1 else "is", str(few.idxmin())
        told = f"{leader} {easiest} {few.min():.2g} above the best after {FEW} random rates"
    kept = list(dict.fromkeys([*kept, leader]))
    foot = 0.2 * -(-(len(kept) + 1) // across)
    figure, grid = base.panels(
        len(shown),
        base.title_of(results, told),
        columns=columns,
        width=width,
        height=height,
        foot=foot,
        subtitle="expected loss after trying random rates of the grid; 1 is the start, 0 the best loss",
    )
    handles: dict[str, Artist] = {}
    for axes, problem in zip(grid, shown, strict=True):
        for name, rows in table[table["problem"] == problem].groupby("name", sort=False):
            look = lines.look(str(name))
            style: dict[str, Any] = {"color": theme.REST, "lw": theme.THIN, "zorder": 1.5}
            if look:
                style = {"color": look.colour, "ls": look.dash, "lw": theme.LINE}
            elif name == leader:
                style = {"color": base.INK, "lw": theme.LINE, "marker": "o", "ms": 4}
            (drawn,) = axes.plot(rows["trials"], rows["expected_gap"], **style)
            handles[str(name) if look or name == leader else "all other lines"] = drawn
        _axes(axes, results)
        base.name_panel(axes, problem)
    others = {name: handles.pop(name) for name in ["all other lines"] if name in handles}
    base.legend(figure, handles | others, across)
    base.note(
        figure, "; ".join(filter(None, ["dotted: good", base.left_out(problems, len(shown), "problems")]))
    )
    return figure


def _axes(axes: Axes, results: StudyTables) -> None:
    good = results.manifest.get("thresholds", {}).get("good", Thresholds().good)
    axes.axhline(good, color=base.MUTED, lw=1, ls=theme.DASHES[2])
    values = np.concatenate([np.asarray(line.get_ydata(), dtype=np.float64) for line in axes.lines])
    axes.set_yscale("symlog", linthresh=good / 5, linscale=0.3)
    axes.set_ylim(0, max(1.1, 1.1 * float(values.max())))
    ticks = [0, 0.01, 0.1, 1]
    axes.set_yticks(ticks, [f"{tick:g}" for tick in ticks])
    axes.minorticks_off()
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_xlabel("number of random rates tried")
    axes.set_ylabel("loss above the best")
