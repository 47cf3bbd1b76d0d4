"""On how many problems an optimizer is fast, and how much slower than the fastest on the others."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure

from lrbench.analysis.rank_tests import across_problems, ratios, share_within
from lrbench.analysis.thresholds import Thresholds
from lrbench.errors import counted
from lrbench.plots import base
from lrbench.tables.base import StudyTables

MAX_LINES = 8


def performance_profile(results: StudyTables) -> Figure:
    """Share of problems on which the target is reached within τ times the steps of the fastest.

    A curve that starts high is fastest on many problems; one that ends high reaches the target on many. Nothing is
    drawn where fewer than two lines can be compared, or none reaches its target.

    Source: Dolan & Moré, Mathematical Programming 91 (2002).
    """
    every = across_problems(results.sensitivity)
    ratio = ratios(every.steps)
    most = results.manifest.get("thresholds", {}).get("profile_ratio", Thresholds().profile_ratio)
    some = len(ratio) > 1 and bool(np.isfinite(ratio).any())
    title = base.title_of(results, "problems solved within τ times the fastest's steps")
    names, colours = base.contenders(results)
    ranked = results.ranking.sort_values("profile_score", ascending=False, kind="stable")
    shown = ranked.index[:MAX_LINES]
    across = 2
    foot = 0.2 * -(-len(shown) // across)
    figure, grid = base.panels(int(some), title, width=6.8, height=3.6, foot=foot)
    for axes in grid:
        tau = np.unique(np.concatenate([ratio[ratio <= most], [1.0, most]]))
        share = share_within(ratio, tau)
        handles = {}
        for number, at in enumerate(shown):
            row = share[every.label.index(names[at])]
            look = {"color": colours[at], "linestyle": base.DASHES[number % 4]}
            (handle,) = axes.step(tau, row, where="post", lw=1.8, **look)
            handles[f"{names[at]}: {ranked['profile_score'][at]:.2f}"] = handle
        axes.set_xlim(1, most)
        axes.set_ylim(-0.03, 1.03)
        axes.set_xlabel("τ", fontsize=9, color=base.INK)
        axes.set_ylabel("share of problems", fontsize=9, color=base.INK)
        base.legend(figure, handles, across)
        rest = base.left_out([names[at] for at in ranked.index], len(shown), "lines")
        count = counted(len(every.problems), "problem")
        base.note(figure, "; ".join(filter(None, [count, "number: score", rest])))
    return figure
