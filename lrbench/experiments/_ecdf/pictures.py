"""The pictures of the experiment `ecdf`."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from lrbench.plots import base, theme
from lrbench.plots.ecdf import ecdf
from lrbench.results.results import Results


def distributions(results: Results, table: pd.DataFrame) -> Figure:
    """The runtime distributions, with what they show as the title."""
    told = table.sort_values("place_at_best_rate", kind="stable")["optimizer"].iloc[0]
    drawn = table["optimizer"].iloc[0]
    figure = ecdf(results)
    who = (
        f"{told} if its best rate is known, {drawn} if a rate is drawn"
        if told != drawn
        else f"{told}, whatever its rate"
    )
    figure.texts[0].set_text(base.plain(f"one run meets the most targets with {who}"))
    return figure


def prices(table: pd.DataFrame) -> Figure:
    """The price of tuning with its interval, and the places at the best and at a random rate."""
    known = table.dropna(subset=["price"]).sort_values("price", ascending=False, ignore_index=True)
    least = f": least for {known['optimizer'].iloc[-1]}" if len(known) else ""
    figure, grid = base.panels(
        2, f"finding the rate costs many runs{least}", columns=2, width=4.2, height=3.4, names=0.95
    )
    prices, places = grid
    at = np.arange(len(known))
    low, high = (known[f"price_{end}"].fillna(known["price"]) for end in ("low", "high"))
    prices.errorbar(
        known["price"],
        at,
        xerr=[known["price"] - low, high - known["price"]],
        fmt="o",
        color=base.COLOURS[0],
        ms=5,
    )
    prices.set_yticks(at, [base.plain(name, 24) for name in known["optimizer"]])
    prices.set_xscale("log")
    base.decades(prices.xaxis)
    prices.set_xlabel("running time at random rates / at the best rate")
    base.name_panel(prices, "price of tuning, at the target 10⁻²")
    for _, row in table.iterrows():
        ends = [row["place_at_best_rate"], row["place_at_random_rate"]]
        colour = base.MUTED if ends[0] == ends[1] else base.COLOURS[0 if ends[1] < ends[0] else 1]
        places.plot([0, 1], ends, "-o", color=colour, lw=1.6, ms=4)
    for side, column, align in ((0, "place_at_best_rate", "right"), (1, "place_at_random_rate", "left")):
        for place in sorted(set(table[column].tolist())):
            text = ", ".join(base.plain(name, 24) for name in table.loc[table[column] == place, "optimizer"])
            places.text(
                side + (0.05 if side else -0.05), place, text, ha=align, va="center", fontsize=theme.TINY
            )
    places.set_xlim(-0.9, 1.9)
    places.set_ylim(len(table) + 0.7, 0.3)
    places.set_xticks([0, 1], ["at the best rate", "at a random rate"])
    places.set_yticks([])
    places.grid(visible=False)
    base.name_panel(places, "place by the share of targets that one run meets")
    base.note(figure, "bar: 95 % bootstrap interval over seeds; blue: better at a random rate, orange: worse")
    return figure
