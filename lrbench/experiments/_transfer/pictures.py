"""The pictures of the experiment: the loss at every rate, and the best rate of every size."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator

from lrbench.analysis.labels import rate_text
from lrbench.plots import base, theme

_NAMES = {"adam": "Adam", "sgd": "gradient descent"}


def losses(table: pd.DataFrame, best: pd.DataFrame, grows: str) -> Figure:
    """Loss against learning rate, a line per size, a panel per optimizer and parametrisation; a tick at each fitted best rate."""
    table, best = table[table["grows"] == grows], best[best["grows"] == grows]
    keys = ["optimizer", "parametrisation"]
    panels = list(table.groupby(keys, sort=False))
    title = f"transfer: {_moved(best, grows)}"
    figure, grid = base.panels(len(panels), title, columns=2, height=2.1)
    sizes = sorted(table[grows].unique())
    colours = {size: colormaps[theme.MAP](0.9 - 0.9 * i / len(sizes)) for i, size in enumerate(sizes)}
    low, high = table["train_loss"].min(), table["train_loss"].max()
    for axes, (key, rows) in zip(grid, panels, strict=True):
        fitted = best[(best[keys] == list(key)).all(axis=1)].set_index(grows)["best_learning_rate"]
        for size, line in rows.groupby(grows, sort=True):
            rate, loss = line["learning_rate"], line["train_loss"]
            axes.plot(rate, loss, color=colours[size], lw=1.4, marker=".", ms=4, label=f"{size:,}")
            if np.isfinite(fitted[size]):
                at = np.exp(np.interp(np.log(fitted[size]), np.log(rate), np.log(loss)))
                axes.plot(fitted[size], at, "o", color=colours[size], ms=7, mfc="none", mew=1.6)
        base.log_rates(axes, rows["learning_rate"])
        axes.set_yscale("log")
        axes.set_ylim(low / 1.3, high * 1.3)
        base.decades(axes.yaxis)
        axes.set_ylabel("final training loss")
        base.name_panel(axes, f"{_NAMES[str(key[0])]}, {key[1]}")
    grid[0].legend(title=grows, fontsize=theme.SMALL, title_fontsize=theme.SMALL, frameon=False)
    base.note(figure, f"ring: the fitted best rate of a {grows}; mean over seeds")
    return figure


def slopes(best: pd.DataFrame, table: pd.DataFrame) -> Figure:
    """The best rate against the size with its interval, a line per optimizer and parametrisation, a panel for what grows."""
    ways = list(best["grows"].unique())
    powers = [
        f"{ways[0]}^{row['slope']:.2f} ({row['parametrisation']})".replace("-", "−")
        for row in _of_adam(table[table["grows"] == ways[0]]).to_dict("records")
    ]
    told = f"the best rate of Adam goes as {' and '.join(powers)}" if powers else "no slope is known"
    figure, grid = base.panels(
        len(ways),
        f"transfer: {told}",
        columns=2,
        width=4.4,
        height=3,
        foot=0.5,
    )
    words_of = best["optimizer"].map(_NAMES) + ", " + best["parametrisation"]
    colours = base.colour_of(list(words_of))
    handles: dict[str, Any] = {}
    for axes, grows in zip(grid, ways, strict=True):
        mine = best[best["grows"] == grows]
        for (name, kind), rows in mine.groupby(["optimizer", "parametrisation"], sort=False):
            words = f"{_NAMES[str(name)]}, {kind}"
            look: dict[str, Any] = {"color": colours[words], "ls": base.DASHES[kind != "standard"]}
            handles[words] = _line(axes, rows, grows, look)
        sizes = sorted(mine[grows].unique())
        axes.set_xscale("log", base=2)
        axes.set_yscale("log")
        known = mine["best_learning_rate"].dropna()
        axes.set_ylim(*((known.min() / 3, known.max() * 3) if len(known) else (0.1, 1.0)))
        axes.set_xticks(sizes, [f"{size:g}" for size in sizes])
        axes.xaxis.set_minor_locator(NullLocator())
        base.decades(axes.yaxis)
        axes.set_xlabel(grows if grows == "width" else "hidden layers")
        axes.set_ylabel("best learning rate")
        base.name_panel(axes, _told(table[table["grows"] == grows]))
    base.legend(figure, handles, 2)
    base.note(figure, "bars: 95 % over seeds")
    return figure


def _moved(best: pd.DataFrame, grows: str) -> str:
    """From where to where the best rate of the first optimizer goes, from the smallest network to the largest."""
    name = best["optimizer"].iloc[0]
    mine = best[best["optimizer"] == name].sort_values(grows)
    ways = []
    for kind, rows in mine.groupby("parametrisation", sort=False):
        rates = rows["best_learning_rate"]
        if np.isfinite(rates.iloc[[0, -1]]).all():
            ways.append(f"from {rate_text(rates.iloc[0])} to {rate_text(rates.iloc[-1])} ({kind})")
    if mine[grows].nunique() < 2 or not ways:
        return f"it is not known how the best rate of {_NAMES[name]} changes with the {grows}"
    sizes = f"from {grows} {mine[grows].iloc[0]:,} to {mine[grows].iloc[-1]:,}"
    return f"{sizes} the best rate of {_NAMES[name]} goes {' and '.join(ways)}"


def _line(axes: Axes, rows: pd.DataFrame, grows: str, look: dict[str, Any]) -> Any:
    rate = rows["best_learning_rate"]
    ends = [rate - rows["best_learning_rate_low"], rows["best_learning_rate_high"] - rate]
    return axes.errorbar(
        rows[grows], rate, yerr=np.nan_to_num(ends), fmt="o", ms=4.5, lw=1.4, capsize=2, **look
    )


def _of_adam(slopes: pd.DataFrame) -> pd.DataFrame:
    return slopes[(slopes["optimizer"] == "adam") & slopes["slope"].notna()]


def _told(slopes: pd.DataFrame) -> str:
    """The slopes of Adam, which theory speaks of, as the title of a panel."""
    adam = _of_adam(slopes)
    parts = [
        f"{kind} {slope:.2f}" for kind, slope in zip(adam["parametrisation"], adam["slope"], strict=True)
    ]
    return f"slope with Adam: {', '.join(parts)}".replace("-", "−") if parts else ""
