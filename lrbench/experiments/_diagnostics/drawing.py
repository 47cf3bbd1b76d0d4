"""The pictures: who solves what, and what that costs in random draws of rate and seed."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure

from lrbench.experiments._diagnostics.judge import Judged, solved_within
from lrbench.plots import base, theme

_SHARES = LinearSegmentedColormap.from_list("shares", theme.SHARES)
_CELL = 0.34
"""Inches of a cell of the matrix."""
_MOST_LINES = len(base.COLOURS)
_DRAWS = np.unique(np.round(np.geomspace(1, 200, 60)).astype(int))


def matrix(judged: Judged, optimizers: pd.DataFrame, problems: pd.DataFrame) -> Figure:
    """A cell per optimizer and problem: colour, the share of held-out seeds that are solved; number, the draws until the first success."""
    rows, columns = list(optimizers["optimizer"]), list(problems["problem"])
    lines = judged.lines
    share, draws = (
        lines.pivot(index="optimizer", columns="problem", values=column).loc[rows, columns].to_numpy(float)
        for column in ("solved_share", "attempts")
    )
    best, counts = optimizers.iloc[0], f"of {len(columns)} problems"
    title = f"diagnostics: {best['optimizer']} solves {best['solved']} {counts}, {optimizers.iloc[-1]['optimizer']} {optimizers.iloc[-1]['solved']}"
    wide, high = _CELL * 1.25 * len(columns), _CELL * len(rows)
    figure, (axes,) = base.panels(1, title, width=max(wide, 4.5), height=high, names=1.0, foot=1.25)
    axes.imshow(share, cmap=_SHARES, vmin=0, vmax=1, aspect="auto")
    axes.grid(visible=False)
    for row in range(len(rows)):
        for column in range(len(columns)):
            _cell(axes, row, column, share[row, column], draws[row, column])
    solved = optimizers.set_index("optimizer")["solved"]
    axes.set_yticks(range(len(rows)), [f"{name}  {solved[name]}" for name in rows])
    by = problems.set_index("problem")["solved_by"]
    axes.set_xticks(
        range(len(columns)),
        [f"{name}  {by[name]}" for name in columns],
        rotation=55,
        ha="right",
        rotation_mode="anchor",
    )
    axes.tick_params(length=0)
    axes.spines[["left", "bottom"]].set_visible(False)
    base.note(
        figure,
        "blue: solved on all held-out seeds; number: draws of rate and seed until one run solves it; beside names: how many",
    )
    return figure


def _cell(axes: Axes, row: int, column: int, share: float, draws: float) -> None:
    text = "–" if not np.isfinite(draws) else f"{draws:.1f}" if draws < 9.95 else f"{draws:.0f}"
    colour = "white" if share > 0.75 else base.INK if np.isfinite(draws) else base.MUTED
    axes.text(column, row, text, ha="center", va="center", fontsize=theme.TINY, color=colour)


def draws(judged: Judged, optimizers: pd.DataFrame) -> Figure:
    """Problems that are solved after so many random draws of rate and seed, a line per optimizer."""
    order = optimizers.sort_values("solved_in_10_draws", ascending=False, kind="stable")
    names = list(order["optimizer"])
    # The best, and the last one: all others would be lines without a name.
    shown = [*names[: _MOST_LINES - 1], *names[-1:]] if len(names) > _MOST_LINES else names
    title = f"diagnostics: with ten random rates, {names[0]} solves most"
    figure, (axes,) = base.panels(1, title, width=7.2, height=4.0)
    colours = base.colour_of(shown)
    for name in names:
        expected = solved_within(judged.lines.loc[judged.lines["optimizer"] == name, "success"], _DRAWS)
        if name in colours:
            dash = base.DASHES[shown.index(name) % 2]
            axes.plot(_DRAWS, expected, color=colours[name], lw=1.8, ls=dash, label=name, zorder=3)
        else:
            axes.plot(_DRAWS, expected, color=theme.REST, lw=theme.THIN, zorder=2)
    axes.set_xscale("log")
    axes.set_xlim(1, _DRAWS[-1])
    base.decades(axes.xaxis)
    axes.set_ylim(0, None)
    axes.set_xlabel("random draws of rate and seed, per problem")
    axes.set_ylabel("problems solved (expected)")
    axes.legend(fontsize=theme.SMALL, frameon=False, loc="lower right")
    grey = "; grey: the other optimizers" if len(names) > len(shown) else ""
    base.note(figure, f"rates are drawn log-uniformly from the grid{grey}")
    return figure
