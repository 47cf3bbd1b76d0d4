"""On how many problems an optimizer is fast, and how much slower than the fastest on the others."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure

from lrbench.analysis.rank_tests import across_problems, ratios, share_within
from lrbench.analysis.thresholds import Thresholds
from lrbench.errors import counted
from lrbench.plots import base, theme
from lrbench.plots.lines import RankedLines, contenders
from lrbench.tables.base import StudyTables


def performance_profile(results: StudyTables) -> Figure:
    """Share of problems on which a line reaches the target within τ times the steps of the fastest line.

    A curve that starts high is fastest on many problems; one that ends high reaches the target on many. Nothing is
    drawn for one problem or one line, or where none reaches its target.

    Source: Dolan & Moré, Mathematical Programming 91 (2002).
    """
    every = across_problems(results.sensitivity)
    ratio = ratios(every.steps)
    most = results.manifest.get("thresholds", {}).get("profile_ratio", Thresholds().profile_ratio)
    if len(every.problems) < 2:
        return base.nothing("it compares lines over problems, and there is one problem alone")
    if len(ratio) < 2 or not np.isfinite(ratio).any():
        return base.nothing(
            "no two lines can be compared" if len(ratio) < 2 else "no line reaches its target"
        )
    lines = RankedLines(results)
    names = contenders(results)
    ranked = results.ranking.sort_values("profile_score", ascending=False, kind="stable")
    shown = [at for at in ranked.index if lines.look(names[at])]
    others = [at for at in ranked.index if not lines.look(names[at])]
    across = 2
    foot = 0.2 * -(-(len(shown) + 1) // across)
    fastest = (ratio == 1).sum(axis=1)
    leaders = [every.label[at] for at in np.flatnonzero(fastest == fastest.max())]
    count = counted(len(every.problems), "problem")
    title = base.title_of(results, f"{_named(leaders)} the fastest on {fastest.max()} of {count}")
    what = "problems solved within τ times the fastest's steps"
    figure, (axes,) = base.panels(1, title, width=6.8, height=3.6, foot=foot, subtitle=what)
    tau = np.unique(np.concatenate([ratio[ratio <= most], [1.0, most]]))
    share = share_within(ratio, tau)
    handles = {}
    for at in shown:
        look = lines.look(names[at])
        assert look is not None, "those without a look are among the others"
        row = share[every.label.index(names[at])]
        (handle,) = axes.step(tau, row, where="post", lw=theme.LINE, color=look.colour, ls=look.dash)
        handles[f"{names[at]}: {ranked['profile_score'][at]:.2f}"] = handle
    for at in others:
        row = share[every.label.index(names[at])]
        (handle,) = axes.step(tau, row, where="post", lw=theme.THIN, color=theme.REST, zorder=1.5)
        handles["all other lines"] = handle
    axes.set_xlim(1, most)
    axes.set_ylim(-0.03, 1.03)
    axes.set_xlabel("τ")
    axes.set_ylabel("share of problems")
    base.legend(figure, handles, across)
    base.note(figure, f"{count}; number: score")
    return figure


def _named(leaders: list[str]) -> str:
    """Who leads, with its verb: all of two, the first and the number of the others of more."""
    rest = counted(len(leaders) - 1, "other line") if len(leaders) > 2 else "".join(leaders[1:])
    return f"{leaders[0]} and {rest} are" if rest else f"{leaders[0]} is"
