"""The main plot: loss against learning rate, with the best rate and the cliff."""

from __future__ import annotations

from typing import Any

import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from lrbench.analysis.loss_by_rate import loss_by_rate
from lrbench.plots import base
from lrbench.tables.base import StudyTables

MAX_PANELS, MAX_LINES = 6, 8


def loss_vs_learning_rate(results: StudyTables) -> Figure:
    """Final loss against learning rate: a panel per problem, a line per optimizer and schedule.

    Line: median over seeds of min(ℓ(T), ℓ₀), a diverged run counting as ℓ₀; band: lowest to highest seed;
    disc: best rate; cross: the largest rate at which at least half the seeds train; shaded: no line trains
    at these rates.

    Source: Wortsman et al., arXiv:2309.14322, figure 1.
    """
    objectives = results.manifest.get("objectives")
    table = loss_by_rate(results.runs, objectives=objectives)
    table = table.merge(
        results.sensitivity[["best_learning_rate", "best_loss", "max_stable_learning_rate"]],
        left_on="line",
        right_index=True,
        how="left",
    )
    names = list(dict.fromkeys(table["problem"]))
    shown = names[:MAX_PANELS]
    title = base.title_of(results, "final loss against learning rate")
    columns = 2 if len(shown) in (2, 4) else 3
    width, height = (6.8, 3.6) if len(shown) == 1 else (4.6, 3.0)
    styles = {name: base.DASHES[at % 4] for at, name in enumerate(dict.fromkeys(table["schedule"]))}
    colours = base.colour_of(list(table["optimizer"]))
    kept = {name: _kept(table[table["problem"] == name]) for name in shown}
    entries = table[table["line"].isin([line for some in kept.values() for line in some])].drop_duplicates(
        ["optimizer", "schedule"]
    )
    across = 4 if len(shown) > 1 else 3
    foot = 0.2 * -(-(len(entries) + 4) // across)
    figure, grid = base.panels(len(shown), title, columns=columns, width=width, height=height, foot=foot)
    lines: dict[str, Artist] = {}
    for axes, name in zip(grid, shown, strict=True):
        mine = table[table["problem"] == name]
        lines |= _panel(axes, mine, kept[name], colours, styles)
        base.name_panel(axes, name)
        problem = str(results.sensitivity["problem"].iloc[int(mine["line"].iloc[0])])
        axes.set_ylabel(base.objective_label(results, problem), fontsize=9, color=base.INK)
    _legend(figure, lines, across)
    base.note(figure, base.left_out(names, len(shown), "problems"))
    return figure


def _panel(
    axes: Axes, mine: pd.DataFrame, kept: list[int], colours: dict[str, str], styles: dict[str, Any]
) -> dict[str, Artist]:
    top = float(mine["initial"].max())
    handles: dict[str, Artist] = {}
    for line in kept:
        rows = mine[mine["line"] == line]
        optimizer, schedule = str(rows["optimizer"].iloc[0]), str(rows["schedule"].iloc[0])
        colour = colours[optimizer]
        look = {"linestyle": styles[schedule], "marker": "o" if len(rows) == 1 else ""}
        (drawn,) = axes.plot(rows["learning_rate"], rows["median"], color=colour, lw=1.8, **look)
        axes.fill_between(rows["learning_rate"], rows["low"], rows["high"], color=colour, alpha=0.16, lw=0)
        _marks(axes, rows, colour)
        handles[f"{optimizer}, {schedule}" if len(styles) > 1 else optimizer] = drawn
    base.log_rates(axes, mine["learning_rate"])
    _limits(axes, mine, top)
    _shade(axes, mine)
    if len(kept) < mine["line"].nunique():
        text = f"the {len(kept)} best of {mine['line'].nunique()} lines"
        axes.text(0.02, 0.02, text, transform=axes.transAxes, fontsize=8, color=base.MUTED)
    return handles


def _kept(mine: pd.DataFrame) -> list[int]:
    """The lines of the panel: the best few of them, in the study's order."""
    ranked = mine.drop_duplicates("line").sort_values("best_loss", kind="stable", na_position="last")
    return sorted(ranked["line"].iloc[:MAX_LINES])


def _marks(axes: Axes, rows: pd.DataFrame, colour: str) -> None:
    best = rows[rows["learning_rate"] == rows["best_learning_rate"]]
    axes.plot(best["learning_rate"], best["median"], "o", color=colour, ms=8, mec="white", mew=1.4, zorder=5)
    cliff = rows[rows["learning_rate"] == rows["max_stable_learning_rate"]]
    if len(cliff) and cliff["learning_rate"].iloc[0] < rows["learning_rate"].max():
        axes.plot(
            cliff["learning_rate"], cliff["median"], "X", color=colour, ms=8, mec="white", mew=1, zorder=5
        )


def _limits(axes: Axes, mine: pd.DataFrame, top: float) -> None:
    """From the best seed to ℓ₀: losses above the start are of no interest."""
    low = float(mine["low"].min())
    if not top > low:
        low, top = top - 0.5, top + 0.5
    elif base.log_is_better([low, top]):
        axes.set_yscale("log")
        axes.set_ylim(low / (top / low) ** 0.06, top * (top / low) ** 0.06)
        base.decades(axes.yaxis)
        return
    axes.set_ylim(low - 0.05 * (top - low), top + 0.05 * (top - low))


def _shade(axes: Axes, mine: pd.DataFrame) -> None:
    cliff = mine["max_stable_learning_rate"].max()
    right = mine["learning_rate"].max()
    if pd.isna(cliff):
        axes.axvspan(*axes.get_xlim(), color=base.SHADE, zorder=0)
        axes.text(0.5, 0.75, "no rate trains", transform=axes.transAxes, ha="center", color=base.MUTED)
    elif cliff < right:
        following = mine.loc[mine["learning_rate"] > cliff, "learning_rate"].min()
        axes.axvspan((cliff * following) ** 0.5, axes.get_xlim()[1], color=base.SHADE, zorder=0)


def _legend(figure: Figure, lines: dict[str, Artist], columns: int) -> None:
    marks: dict[str, Artist] = {
        "best rate": Line2D([], [], color=base.MUTED, marker="o", ls="", ms=7),
        "largest rate that trains": Line2D([], [], color=base.MUTED, marker="X", ls="", ms=7),
        "lowest to highest seed": Patch(color=base.MUTED, alpha=0.2, lw=0),
        "all diverge": Patch(color=base.SHADE, lw=0),
    }
    base.legend(figure, lines | marks, columns)
