"""How cheap an optimizer is to tune: the loss to expect against the number of rates tried."""

from __future__ import annotations

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from lrbench.analysis.labels import labels
from lrbench.analysis.thresholds import Thresholds
from lrbench.plots import base
from lrbench.tables.base import StudyTables

MAX_PANELS, MAX_LINES = 6, 8


def tuning_budget(results: StudyTables) -> Figure:
    """Expected best loss after k random rates of the grid, a panel per problem, a line per optimizer and schedule.

    The loss is normalised: 1 is where training starts, 0 the best loss of the problem; dotted: what counts as good.
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
    styles = {name: base.DASHES[at % 4] for at, name in enumerate(dict.fromkeys(table["schedule"]))}
    colours = base.colour_of(list(table["optimizer"]))
    kept = list(dict.fromkeys(table["name"]))
    # The lines that do best with few trials, over all problems.
    few = table[table["trials"] <= 3].groupby("name")["expected_gap"].mean()
    kept = [name for name in kept if name in set(few.nsmallest(MAX_LINES).index)]
    columns = 2 if len(shown) in (2, 4) else 3
    width, height = (6.8, 3.6) if len(shown) == 1 else (4.4, 2.8)
    across = 4 if len(shown) > 1 else 3
    title = base.title_of(results, "expected loss after trying random rates")
    foot = 0.2 * -(-len(kept) // across)
    figure, grid = base.panels(len(shown), title, columns=columns, width=width, height=height, foot=foot)
    handles: dict[str, Artist] = {}
    for axes, problem in zip(grid, shown, strict=True):
        for name, rows in table[(table["problem"] == problem) & table["name"].isin(kept)].groupby(
            "name", sort=False
        ):
            look = {"color": colours[rows["optimizer"].iloc[0]], "ls": styles[rows["schedule"].iloc[0]]}
            (handles[str(name)],) = axes.plot(rows["trials"], rows["expected_gap"], lw=1.8, **look)
        _axes(axes, results)
        base.name_panel(axes, problem)
    if shown:
        base.legend(figure, handles, across)
        rest = [base.left_out(problems, len(shown), "problems")]
        more = table["name"].nunique() - len(kept)
        rest.append(f"the {len(kept)} easiest to tune of {more + len(kept)} lines" if more else "")
        base.note(figure, "; ".join(filter(None, ["dotted: good", *rest])))
    return figure


def _axes(axes: Axes, results: StudyTables) -> None:
    good = results.manifest.get("thresholds", {}).get("good", Thresholds().good)
    axes.axhline(good, color=base.MUTED, lw=1, ls=":")
    values = np.concatenate([np.asarray(line.get_ydata(), dtype=np.float64) for line in axes.lines])
    axes.set_yscale("symlog", linthresh=good / 5, linscale=0.3)
    axes.set_ylim(0, max(1.1, 1.1 * float(values.max())))
    ticks = [0, 0.01, 0.1, 1]
    axes.set_yticks(ticks, [f"{tick:g}" for tick in ticks])
    axes.minorticks_off()
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_xlabel("number of random rates tried", fontsize=9, color=base.INK)
    axes.set_ylabel("loss above the best", fontsize=9, color=base.INK)
