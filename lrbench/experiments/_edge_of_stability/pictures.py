"""The pictures of the experiment: where each rate ends, and how some of them get there."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from lrbench.errors import counted
from lrbench.experiments._edge_of_stability.kinds import KINDS
from lrbench.experiments._edge_of_stability.outcomes import HOVERS, REACHED
from lrbench.plots import base, theme

_LOOKS = {"not reached": 0, "hovers": 2, "above": 3, "fell below": 4, "diverged": 1}
"""The outcomes, and the number of the colour of each."""
_SHOWN = 8
"""So many rates are drawn step by step, for each optimizer."""
_TOP = 2.0


def levels(runs: pd.DataFrame) -> Figure:
    """Where each rate ends relative to the edge, a panel per optimizer."""
    names = list(runs["optimizer"].unique())
    reached = runs["outcome"].isin(REACHED)
    share = (runs["outcome"] == "hovers")[reached].mean()
    title = "edge of stability: no rate reaches it"
    if np.isfinite(share):
        title = f"edge of stability: {share:.0%} of the rates that reach it stay there"
    figure, grid = base.panels(len(names), title, foot=0.3)
    for axes, name in zip(grid, names, strict=True):
        rows = runs[runs["optimizer"] == name]
        _edge(axes)
        for outcome, number in _LOOKS.items():
            mine = rows[rows["outcome"] == outcome]
            lost = outcome == "diverged"
            height = np.full(len(mine), _TOP) if lost else np.minimum(mine["late_ratio"], _TOP)
            axes.plot(mine["learning_rate"], height, **_look(number, lost))
        base.log_rates(axes, rows["learning_rate"])
        axes.set_ylabel("η·λ over its value at the edge")
        base.name_panel(axes, f"{KINDS[name].words}: the edge is at η·λ = {KINDS[name].edge:.3g}")
    seen = [outcome for outcome in _LOOKS if outcome in set(runs["outcome"])]
    handles = {outcome: Line2D([], [], **_look(_LOOKS[outcome], outcome == "diverged")) for outcome in seen}
    base.legend(figure, handles, len(handles))
    base.note(figure, "median over the second half of a run; shaded: what counts as hovering")
    return figure


def trajectories(curves: pd.DataFrame, runs: pd.DataFrame) -> Figure:
    """The ratio and the loss against the step, some rates of each optimizer, one seed."""
    names = list(runs["optimizer"].unique())
    reached = runs[runs["outcome"].isin(REACHED)]
    stay = int(((reached["outcome"] == "hovers") & reached["still_falls"].astype(bool)).sum())
    title = f"edge of stability: in {stay} of {counted(len(reached), 'run')} that reach it curvature stays there while the loss falls"
    figure, grid = base.panels(2 * len(names), title, columns=len(names))
    for name, upper, lower in zip(names, grid[: len(names)], grid[len(names) :], strict=True):
        trained = runs[(runs["optimizer"] == name) & (runs["outcome"] != "diverged")]["learning_rate"]
        chosen = trained.iloc[np.unique(np.linspace(0, len(trained) - 1, _SHOWN).round().astype(int))]
        _edge(upper)
        for number, rate in enumerate(chosen):
            curve = curves[(curves["optimizer"] == name) & (curves["learning_rate"] == rate)]
            colour = colormaps[theme.MAP](0.9 - 0.9 * number / len(chosen))
            look: dict[str, Any] = {"color": colour, "lw": 1.1, "label": f"{rate:.2g}"}
            upper.plot(curve["step"], curve["edge_ratio"], **look)
            lower.plot(curve["step"], curve["train_loss"], **look)
        upper.set_ylabel("η·λ over its value at the edge")
        lower.set_ylabel("training loss")
        lower.set_yscale("log")
        base.decades(lower.yaxis)
        lower.set_xlabel("step")
        base.name_panel(upper, KINDS[name].words)
        if len(chosen):
            lower.legend(
                fontsize=theme.TINY, frameon=False, ncols=2, title="learning rate", title_fontsize=theme.TINY
            )
    return figure


def _edge(axes: Axes) -> None:
    axes.axhspan(*HOVERS, color=base.GRID, zorder=0)
    axes.axhline(1, color=base.INK, lw=1, ls=base.DASHES[2])
    axes.set_ylim(0, 1.05 * _TOP)


def _look(number: int, lost: bool) -> dict[str, Any]:
    return {
        "color": base.COLOURS[number],
        "marker": "x" if lost else "o",
        "ls": "",
        "ms": 3,
        "alpha": 0.7,
        "mew": 0.8,
    }
