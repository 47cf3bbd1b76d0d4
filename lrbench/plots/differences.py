"""Every line against the best one of its problem, with intervals."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from lrbench.analysis.labels import label, pair_names
from lrbench.errors import counted
from lrbench.plots import base, theme
from lrbench.tables.base import StudyTables

MAX_PANELS, MAX_LINES = 6, 12


def differences(results: StudyTables) -> Figure:
    """How much higher the loss of each line ends than that of the best line, paired by seed: a panel per problem.

    Point: mean of the differences; line: 95 % t interval; grey diamond where the two cannot be told apart, as the winner is compared with
    several. Nothing is drawn where no two lines train.
    """
    table = _against_the_best(results.comparison)
    problems = list(dict.fromkeys(table["problem"]))
    shown = problems[:MAX_PANELS]
    rows = max((min(len(some), MAX_LINES) for _, some in table.groupby("problem")), default=0)
    if not shown:
        return base.nothing("it compares lines of a problem, and no two of them train")
    apart = int(table["decided"].astype(bool).sum())
    best = (
        table["best"].iloc[0]
        if len(problems) == 1
        else f"the best of {'its' if apart == 1 else 'their'} problem"
    )
    told = f"{apart} of {counted(len(table), 'line')} {'is' if apart == 1 else 'are'} worse than {best}"
    title = base.title_of(results, told if apart else f"no line can be told apart from {best}")
    columns = 1 if len(shown) == 1 else 2
    figure, grid = base.panels(
        len(shown),
        title,
        columns=columns,
        width=3.6,
        height=0.5 + 0.24 * rows,
        foot=0.2,
        names=2.0,
        subtitle="loss above that of the best line, each at its rate to use",
    )
    for axes, problem in zip(grid, shown, strict=True):
        _panel(axes, table[table["problem"] == problem])
        base.name_panel(axes, problem)
    looks = {"differs": (theme.APART, "o"), "cannot be told apart": (theme.ALIKE, "D")}
    marks = {name: Line2D([], [], color=colour, marker=mark, ms=5) for name, (colour, mark) in looks.items()}
    base.legend(figure, marks, 2)
    alone = "one seed: no interval" if int(table["seeds"].min()) == 1 else ""
    base.note(figure, "; ".join(filter(None, [alone, base.left_out(problems, len(shown), "problems")])))
    return figure


def _against_the_best(table: pd.DataFrame) -> pd.DataFrame:
    """Each line's difference to the best line of its problem, which has the first rows of that problem."""
    first, other = pair_names(table)
    table = table.assign(problem=label(table, "problem"), best=first, name=other)
    table = table[table["best"] == table.groupby("problem")["best"].transform("first")]
    return table[np.isfinite(table["difference"])]


def _panel(axes: Axes, mine: pd.DataFrame) -> None:
    shown = mine.iloc[:MAX_LINES]
    for at, row in enumerate(shown.to_dict("records")):
        low, high = -row["difference_high"], -row["difference_low"]
        colour, mark = (theme.APART, "o") if row["decided"] else (theme.ALIKE, "D")
        axes.plot([low, high], [at, at], color=colour, lw=2, solid_capstyle="round")
        axes.plot(-row["difference"], at, mark, color=colour, ms=6, mec="white", mew=1)
    axes.axvline(0, color=base.MUTED, lw=1)
    axes.set_yticks(range(len(shown)), [base.fit(name, 2.4, theme.SMALL) for name in shown["name"]])
    axes.set_ylim(len(shown) - 0.4, -0.6)
    axes.tick_params(axis="y", direction="in", pad=4, length=0)
    axes.xaxis.set_major_locator(MaxNLocator(5))
    against = base.fit(f"loss above that of {mine['best'].iloc[0]}", 3.6, theme.LABEL)
    axes.set_xlabel(against)
    if len(mine) > len(shown):
        text = f"the {len(shown)} nearest of {len(mine)}"
        axes.text(1, 1.02, text, transform=axes.transAxes, ha="right", fontsize=theme.TINY, color=base.MUTED)
