"""Average ranks over problems, with bars beside lines that cannot be told apart."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from lrbench.errors import counted
from lrbench.plots import base, theme
from lrbench.plots.lines import RankedLines, contenders
from lrbench.tables.base import StudyTables

MAX_LINES = 24


def critical_difference(results: StudyTables) -> Figure:
    """Average rank of every optimizer and schedule over the problems: a critical-difference diagram.

    Disc: average rank, 1 is best; bar at the left: lines that Wilcoxon's tests with Holm's adjustment cannot tell
    apart; ruler: Nemenyi's critical difference. Nothing is drawn for one problem or one line.

    Source: Demšar, JMLR 7 (2006), figure 1.
    """
    table = results.ranking
    ranked = len(table) > 1 and bool(np.isfinite(table["critical_difference"].iloc[0]))
    shown = table.iloc[:MAX_LINES]
    if not ranked:
        one = "line" if len(table) < 2 else "problem"
        return base.nothing(f"it ranks lines over problems, and there is one {one} alone")
    names, lines = contenders(results), RankedLines(results)
    title = base.title_of(results, _finding(table, names))
    height = 0.8 + 0.26 * len(shown)
    figure, (axes,) = base.panels(1, title, width=8.4, height=height, subtitle="average rank over problems")
    rank = shown["average_rank"].to_numpy(dtype=np.float64)
    for row, name in enumerate(names[: len(shown)]):
        look = lines.look(name)
        axes.plot(
            rank[row],
            row,
            "o",
            color=look.colour if look else base.MUTED,
            ms=8,
            mec="white",
            mew=1.2,
            zorder=3,
        )
        text = f"{base.fit(name, 3.0, theme.SMALL)}  {rank[row]:.2f}"
        axes.annotate(
            text,
            (rank[row], row),
            (8, 0),
            textcoords="offset points",
            va="center",
            fontsize=theme.SMALL,
            color=base.INK,
        )
    _bars(axes, shown["wilcoxon_group"])
    _ruler(axes, float(table["critical_difference"].iloc[0]), len(table), len(shown))
    base.note(figure, _note(table, names, len(shown)))
    return figure


def _finding(table: pd.DataFrame, names: list[str]) -> str:
    """Who ranks first, and from how many others it cannot be told apart."""
    first = f"{names[0]} ranks first, {table['average_rank'].iloc[0]:.2f} on average"
    groups = table["wilcoxon_group"].fillna("").str.split()
    if not isinstance(table["wilcoxon_group"].iloc[0], str):
        return first
    alike = sum(bool(set(each) & set(groups.iloc[0])) for each in groups.iloc[1:])
    return f"{first}; " + (
        f"{alike} of {counted(len(table) - 1, 'other line')} cannot be told apart from it"
        if alike
        else "all others are worse"
    )


def _bars(axes: Axes, groups: pd.Series) -> None:
    """A bar beside the lines of each group of two or more, one column to the left of the other."""
    numbers = [text.split() for text in groups.fillna("")]
    drawn = 0
    for number in dict.fromkeys(number for row in numbers for number in row):
        rows = [at for at, row in enumerate(numbers) if number in row]
        if len(rows) > 1:
            at = 0.075 - 0.01 * (drawn % 7)  # left of the first rank
            across = axes.get_yaxis_transform()
            axes.plot([at, at], [rows[0] - 0.3, rows[-1] + 0.3], color=base.INK, lw=3, transform=across)
            drawn += 1


def _ruler(axes: Axes, critical: float, lines: int, rows: int) -> None:
    most = lines - 1
    wide = max(min(critical, most), 1e-9)
    axes.plot([1, 1 + wide], [-1.2, -1.2], "|-", color=base.MUTED, lw=1.5, ms=7)
    beyond = "" if critical <= most else " (wider than all ranks)"
    axes.annotate(
        f"critical difference {critical:.2f}{beyond}",
        (1 + wide, -1.2),
        (8, 0),
        textcoords="offset points",
        va="center",
        fontsize=theme.SMALL,
        color=base.MUTED,
    )
    axes.set_xlim(1 - 0.16 * most, 1 + 1.6 * most)  # bars at the left, names at the right
    axes.set_ylim(rows - 0.4, -1.8)
    axes.set_yticks([])
    ticks = np.arange(1, lines + 1, -(-lines // 10))
    axes.set_xticks(ticks, [f"{tick:.0f}" for tick in ticks])
    axes.spines["left"].set_visible(False)
    axes.set_xlabel("average rank (1 is best)", loc="left")


def _note(table: pd.DataFrame, names: list[str], shown: int) -> str:
    first = table.iloc[0]
    bars = (
        "bar: cannot be told apart (Wilcoxon, Holm)"
        if isinstance(first["wilcoxon_group"], str)
        else "too many lines to test"
    )
    tested = f"; Friedman p = {first['friedman_p']:.2g}" if np.isfinite(first["friedman_p"]) else ""
    rest = base.left_out(names, shown, "lines")
    return "; ".join(filter(None, [f"{counted(int(first['problems']), 'problem')}{tested}", bars, rest]))
