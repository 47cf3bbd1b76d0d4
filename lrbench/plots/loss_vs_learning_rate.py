"""The main plot: loss against learning rate, with the rate to use and the collapse."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from lrbench.analysis.labels import label, rate_text
from lrbench.analysis.loss_by_rate import loss_by_rate
from lrbench.analysis.objective import objectives_of
from lrbench.plots import base, findings, theme
from lrbench.plots.lines import RankedLines
from lrbench.tables.base import StudyTables

MAX_PANELS = 6
ROOM = 0.12
"""How much of the height is left below the lines, for a remark."""
_MARKED = ["use_learning_rate", "use_loss", "best_loss", "collapse_low", "collapse_high"]
"""What the plot takes of the sensitivity table; missing in one of an older version."""


def loss_vs_learning_rate(results: StudyTables) -> Figure:
    """Final loss against learning rate: a panel per problem, a line per optimizer and schedule.

    Line: mean over seeds of min(ℓ(T), ℓ₀), a diverged run counting as ℓ₀; band: lowest to highest seed;
    disc: rate to use; cross: the last useful rate before training collapses; shaded: no line is useful
    at these rates; grey: the lines that are not among the best eight by rank; dots alone: points of a sample, whose other parameters differ, too. In the corner: the metric of the problem's headline that the line of least loss reaches at the rate to use.

    Source: Wortsman et al., arXiv:2309.14322, figure 1.
    """
    objectives = objectives_of(results.manifest)
    table = loss_by_rate(results.runs, objectives=objectives)
    table = table.merge(
        results.sensitivity.reindex(columns=_MARKED),
        left_on="line",
        right_index=True,
        how="left",
    )
    table["name"] = table["optimizer"] + " + " + table["schedule"]
    names = list(dict.fromkeys(table["problem"]))
    shown = names[:MAX_PANELS]
    lines, alone = RankedLines(results), label(results.sensitivity, "schedule").nunique() == 1
    table = table.assign(short=table["optimizer"] if alone else table["name"])
    columns = 2 if len(shown) in (2, 4) else 3
    width, height = (6.8, 3.6) if len(shown) == 1 else (4.6, 3.0)
    told = [name for name in lines.ranked if lines.look(name)]
    across = 4 if len(shown) > 1 else 3
    foot = 0.2 * -(-(len(told) + 4 + (len(told) < len(lines.ranked))) // across)
    figure, grid = base.panels(
        len(shown),
        base.title_of(results, findings.answer(results)),
        columns=columns,
        width=width,
        height=height,
        foot=foot,
        subtitle="final loss against learning rate, mean over seeds",
    )
    handles: dict[str, Artist] = {}
    for axes, name in zip(grid, shown, strict=True):
        mine = table[table["problem"] == name]
        handles = _panel(axes, mine, lines) | handles
        _corner(axes, results.sensitivity.iloc[mine["line"].unique()])
        base.name_panel(axes, name)
        problem = str(results.sensitivity["problem"].iloc[int(mine["line"].iloc[0])])
        axes.set_ylabel(base.outcome_label(results, problem))
    in_order = dict.fromkeys(table["name"]) if len(told) == len(lines.ranked) else told
    short = dict(zip(table["name"], table["short"], strict=True))
    entries = {short[name]: handles[name] for name in in_order if name in handles}
    if len(told) < len(lines.ranked):
        entries["all other lines"] = Line2D([], [], color=theme.REST, lw=theme.THIN)
    _legend(figure, entries, across)
    base.note(figure, base.left_out(names, len(shown), "problems"))
    return figure


def _panel(axes: Axes, mine: pd.DataFrame, lines: RankedLines) -> dict[str, Artist]:
    """Draw the lines of a problem, and return those that have a look of their own by their names."""
    top = float(mine["initial"].max())
    handles: dict[str, Artist] = {}
    rest = []
    for _, rows in mine.groupby("line", sort=False):
        name = str(rows["name"].iloc[0])
        look, sampled = lines.look(name), bool(rows["sampled"].iloc[0])
        if look is None:
            rest.append(rows[["learning_rate", "loss"]].to_numpy(dtype=np.float64))
            continue
        # The best lie above the others.
        style = {
            "linestyle": look.dash,
            "marker": "o" if len(rows) == 1 else "",
            "zorder": 3 - 0.01 * lines.order(name),
        }
        if sampled:
            style = {"linestyle": "", "marker": ".", "alpha": 0.6}
        (drawn,) = axes.plot(rows["learning_rate"], rows["loss"], color=look.colour, lw=theme.LINE, **style)
        if not sampled:
            axes.fill_between(
                rows["learning_rate"], rows["low"], rows["high"], color=look.colour, alpha=0.16, lw=0
            )
        _marks(axes, rows, look.colour)
        handles[name] = drawn
    if rest:
        # As vectors, thousands of lines would make the SVG large and slow to open.
        axes.add_collection(
            LineCollection(rest, colors=theme.REST, linewidths=theme.THIN, zorder=1.5, rasterized=True)
        )
    base.log_rates(axes, mine["learning_rate"])
    _limits(axes, mine, top)
    _shade(axes, mine)
    return handles


def _corner(axes: Axes, lines: pd.DataFrame) -> None:
    """Write where there is room in most panels what the winner reaches."""
    text = base.plain(_reached(lines), 60)
    axes.text(0.02, 0.02, text, transform=axes.transAxes, fontsize=theme.SMALL, color=base.MUTED, zorder=6)


def _reached(lines: pd.DataFrame) -> str:
    """What the line of least loss reaches at the rate to use, in the metric that is shown beside the loss."""
    if not {"use_learning_rate", "use_loss", "use_value", "headline"} <= set(lines.columns):
        return ""
    known = lines[lines["use_value"].notna() & lines["use_loss"].notna()]
    if known.empty:
        return ""
    at = int(known["use_loss"].to_numpy().argmin())
    best, who = known.iloc[at], str(label(known, "optimizer").iloc[at])
    name, value = str(best["headline"]).removeprefix("valid_").replace("_", " "), float(best["use_value"])
    reached = f"{100 * value:.1f} %" if name.endswith("accuracy") else f"{value:.3g}"
    return f"{who} at {rate_text(best['use_learning_rate'])}: {name} {reached}"


def _marks(axes: Axes, rows: pd.DataFrame, colour: str) -> None:
    for name, marker, edge in (("use_learning_rate", "o", 1.4), ("collapse_low", "X", 1.0)):
        at = rows[rows["learning_rate"] == rows[name]]
        axes.plot(
            at["learning_rate"], at["loss"], marker, color=colour, ms=8, mec="white", mew=edge, zorder=5
        )


def _limits(axes: Axes, mine: pd.DataFrame, top: float) -> None:
    """From the best seed to ℓ₀: losses above the start are of no interest."""
    low = float(mine["low"].min())
    if not top > low:
        low, top = top - 0.5, top + 0.5
    elif base.log_is_better([low, top]):
        axes.set_yscale("log")
        axes.set_ylim(low / (top / low) ** ROOM, top * (top / low) ** 0.06)
        base.decades(axes.yaxis)
        return
    axes.set_ylim(low - ROOM * (top - low), top + 0.05 * (top - low))


def _shade(axes: Axes, mine: pd.DataFrame) -> None:
    trains = mine[mine["use_learning_rate"].notna()]
    if trains.empty:
        axes.axvspan(*axes.get_xlim(), color=base.SHADE, zorder=0)
        axes.text(0.5, 0.75, "no rate trains", transform=axes.transAxes, ha="center", color=base.MUTED)
    elif trains["collapse_low"].notna().all():
        last = trains.iloc[int(trains["collapse_low"].to_numpy().argmax())]
        middle = (last["collapse_low"] * last["collapse_high"]) ** 0.5
        axes.axvspan(middle, axes.get_xlim()[1], color=base.SHADE, zorder=0)


def _legend(figure: Figure, lines: dict[str, Artist], columns: int) -> None:
    marks: dict[str, Artist] = {
        "rate to use": Line2D([], [], color=base.MUTED, marker="o", ls="", ms=7),
        "last useful rate": Line2D([], [], color=base.MUTED, marker="X", ls="", ms=7),
        "lowest to highest seed": Patch(color=base.MUTED, alpha=0.2, lw=0),
        "no line is useful": Patch(color=base.SHADE, lw=0),
    }
    base.legend(figure, lines | marks, columns)
