"""The sweeps of learning-rate finders, and what they suggest."""

from __future__ import annotations

from textwrap import fill
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from lrbench.analysis import label, suggestions
from lrbench.analysis.groups import columns_of, group
from lrbench.analysis.labels import rate_text
from lrbench.analysis.range_tests import LOSS, RANGE_TEST, RULES, Sweep, sweeps
from lrbench.plots import base, theme
from lrbench.plots.lines import RankedLines
from lrbench.tables.base import StudyTables
from lrbench.tables.finders import finders

MAX_PANELS = 12
MARKS = ("o", "s", "^", "D")


def range_test(results: StudyTables) -> Figure:
    """The smoothed loss of range tests over the learning rate: a panel per problem and optimizer; where they do not all fit, those of the best optimizers.

    Line: a seed's, up to where its sweep ends; mark: the median suggestion of a rule over seeds; bar below: from the lowest to the
    highest one.
    """
    runs = results.runs
    if RANGE_TEST not in set(runs["schedule"]):
        return base.nothing("no run has the schedule range_test; `lrbench find` makes them")
    curves = results.some_curves("step", "learning_rate", LOSS)
    found = dict(sweeps(runs, curves))
    tests = runs.iloc[sorted(found)]
    code, first = group(tests, columns_of(tests, "problem", "optimizer"))
    names = [
        f"{problem}: {optimizer}"
        for problem, optimizer in zip(
            label(tests, "problem").iloc[first], label(tests, "optimizer").iloc[first], strict=True
        )
    ]
    order = _by_rank(results, tests.iloc[first])
    names = [names[panel] for panel in order]
    shown = names[:MAX_PANELS]
    if not shown:
        return base.nothing("no range test has a curve")
    rules = suggestions(finders(tests, curves))
    title = base.title_of(results, _finding(rules))
    what = "what learning-rate finders suggest, from the smoothed loss of range tests"
    columns = 2 if len(shown) in (2, 4) else 3
    figure, grid = base.panels(
        len(shown), title, columns=columns, width=3.8, height=2.4, foot=0.25, subtitle=what
    )
    for number, axes, name in zip(order, grid, shown, strict=False):
        mine = [found[row] for row, panel in zip(sorted(found), code, strict=True) if panel == number]
        _panel(axes, mine, rules.iloc[number * len(RULES) : (number + 1) * len(RULES)])
        base.name_panel(axes, name)
    handles: dict[str, Artist] = {"a seed": Line2D([], [], color=base.MUTED, lw=1.2)}
    handles |= {
        rule: Line2D([], [], color=base.COLOURS[at], marker=MARKS[at], ls="", ms=6)
        for at, rule in enumerate(RULES)
    }
    base.legend(figure, handles, len(handles))
    base.note(figure, base.left_out(names, len(shown), "panels"))
    return figure


def _by_rank(results: StudyTables, panels: pd.DataFrame) -> list[int]:
    """The places of the first runs of panels, or, where these do not all fit, those of the best optimizers first: each by its best line."""
    places = list(range(len(panels)))
    if len(panels) <= MAX_PANELS:
        return places
    lines, rank = RankedLines(results), dict[str, int]()
    for name, who in zip(lines.names, label(results.sensitivity, "optimizer"), strict=True):
        rank[who] = min(rank.get(who, len(lines.names)), lines.order(name))
    who = label(results.runs, "optimizer").loc[panels.index]
    return sorted(places, key=lambda place: rank[who.iloc[place]])


def _finding(rules: pd.DataFrame) -> str:
    """How far the rules are apart."""
    known = rules["suggestion"].dropna()
    if known.empty:
        return "no rule suggests a rate"
    low, high = float(known.min()), float(known.max())
    if low == high:
        return f"{'every rule' if len(known) > 1 else 'one rule'} suggests {rate_text(low)}"
    if len(rules) == len(RULES):
        return f"rules suggest {rate_text(low)} to {rate_text(high)}, {_times(high / low)} apart"
    panels = rules["suggestion"].groupby(np.arange(len(rules)) // len(RULES))
    apart = (panels.max() / panels.min())[panels.count() > 1]
    if apart.empty:
        return f"rules suggest {rate_text(low)} to {rate_text(high)}, one in each panel"
    ends = list(dict.fromkeys(_times(each) for each in (apart.min(), apart.max())))
    return f"rules for the same runs suggest rates that are {' to '.join(ends)} apart"


def _times(factor: float) -> str:
    """A factor of two digits.

    >>> _times(2219.3), _times(4.56), _times(1.0)
    ('2,200 ×', '4.6 ×', '1 ×')
    """
    return f"{float(f'{factor:.2g}'):,.9g} ×"


def _panel(axes: Axes, mine: list[Sweep], rules: pd.DataFrame) -> None:
    rates = np.concatenate([sweep.rate for sweep in mine])
    for sweep in mine:
        axes.plot(sweep.rate[: sweep.end], sweep.smoothed[: sweep.end], color=base.MUTED, lw=1.2, alpha=0.8)
    _limits(axes, mine)
    base.log_rates(axes, [*rates, *rules["lowest"].dropna()])
    axes.set_ylabel("smoothed minibatch loss")
    for at, (_, row) in enumerate(rules.iterrows()):
        if np.isfinite(row["suggestion"]):
            colour, height = base.COLOURS[at], 0.05 * (1 + at)
            across = axes.get_xaxis_transform()
            axes.plot([row["lowest"], row["highest"]], [height] * 2, color=colour, lw=2, transform=across)
            axes.axvline(row["suggestion"], color=colour, lw=0.8, ls=base.DASHES[1])
            axes.plot(
                row["suggestion"],
                height,
                MARKS[at],
                color=colour,
                ms=6.5,
                mec="white",
                mew=0.8,
                transform=across,
                zorder=5,
            )
    texts = [
        f"{', '.join(rows['rule']) if len(rows) < len(rules) else 'no suggestion'}: {reason}"
        for reason, rows in rules.groupby("reason", sort=False)
    ]
    look: dict[str, Any] = {"va": "top", "fontsize": theme.TINY, "color": base.MUTED}
    axes.text(0.03, 0.97, "\n".join(fill(text, 56) for text in texts), transform=axes.transAxes, **look)


def _limits(axes: Axes, mine: list[Sweep]) -> None:
    """From the lowest loss, with room below for the marks, to somewhat above the first ones."""
    seen = np.concatenate([sweep.smoothed[: sweep.end] for sweep in mine] or [np.empty(0)])
    if not len(seen):
        axes.set_ylim(0, 1)
        return
    low, high = float(seen.min()), float(max(sweep.smoothed[0] for sweep in mine if sweep.end))
    if base.log_is_better([low, high]):
        axes.set_yscale("log")
        axes.set_ylim(low / (high / low) ** 0.35, high * (high / low) ** 0.15)
        base.decades(axes.yaxis)
    else:
        span = (high - low) or 1.0
        axes.set_ylim(low - 0.35 * span, high + 0.25 * span)
