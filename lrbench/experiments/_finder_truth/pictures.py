"""The pictures of the experiment: what each rule loses, and each of its suggestions."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.artist import Artist
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from lrbench.experiments._finder_truth.suggested import DEFAULT, OTHERS
from lrbench.plots import base

_NAMES = {DEFAULT: "Keras's default", OTHERS: "best on other problems"}


def rules(table: pd.DataFrame) -> Figure:
    """The mean loss of every rule with its interval, the best at the top."""
    ordered = table.sort_values("excess_mean", ascending=False, ignore_index=True)
    height = 0.32 * len(ordered)
    best = _NAMES.get(str(ordered["rule"].iloc[-1]), str(ordered["rule"].iloc[-1]))
    title = f"finders: what following each rule loses; least: {best}"
    figure, (axes,) = base.panels(1, title, width=5.6, height=height, names=1.2)
    for place, row in enumerate(ordered.to_dict("records")):
        plain = row["rule"] in _NAMES
        value, low, high = (100 * row[f"excess_mean{end}"] for end in ("", "_low", "_high"))
        ends = np.nan_to_num([[value - low], [high - value]])
        look: dict[str, Any] = {"fmt": "s" if plain else "o", "color": base.COLOURS[plain]}
        axes.errorbar(value, place, xerr=ends, ms=5, capsize=2, lw=1.4, **look)
    axes.set_yticks(range(len(ordered)), [_NAMES.get(rule, rule) for rule in ordered["rule"]])
    axes.axvline(0, color=base.MUTED, lw=0.8)
    axes.set_xlabel("loss above that of the best rate, % of ℓ₀ − ℓ*")
    base.note(figure, "mean and 95 % over problems; squares: no range test")
    return figure


def suggestions(table: pd.DataFrame, good: float) -> Figure:
    """A panel per rule: what each suggestion loses to the best rate, against its distance from it."""
    names = list(dict.fromkeys(table["rule"]))
    share = (table["excess_normalised"] <= good).groupby(table["rule"], sort=False).mean()
    first = str(share.idxmax())
    title = f"finders: {_NAMES.get(first, first)} loses at most {good:.0%} most often, in {share.max():.0%} of cases"
    figure, grid = base.panels(len(names), title, columns=4, width=2.7, height=2.1, foot=0.65)
    colours = base.colour_of(list(table["optimizer"]))
    problems = list(dict.fromkeys(table["problem"]))
    marks = dict(zip(problems, "os^DvP*X" * len(problems), strict=False))
    handles: dict[str, Artist] = {
        name: Line2D([], [], color=colour, lw=4) for name, colour in colours.items()
    }
    handles |= {name: Line2D([], [], color=base.MUTED, marker=mark, ls="") for name, mark in marks.items()}
    width = max(1.0, float(np.nanmax(np.abs(table["decades"]), initial=0)))
    for axes, rule in zip(grid, names, strict=True):
        rows_of_rule = table[table["rule"] == rule]
        for (problem, optimizer), rows in rows_of_rule.groupby(["problem", "optimizer"], sort=False):
            look: dict[str, Any] = {"color": colours[optimizer], "marker": marks[problem], "ls": ""}
            axes.plot(rows["decades"], rows["excess_normalised"], ms=4.5, alpha=0.7, mew=0, **look)
        axes.axhspan(-0.05, good, color=base.GRID, zorder=0)
        axes.axvline(0, color=base.MUTED, lw=0.8)
        axes.set_xlim(-1.05 * width, 1.05 * width)
        axes.set_ylim(-0.05, 1.05)
        axes.set_xlabel("decades from the best rate")
        axes.set_ylabel("share of ℓ₀ − ℓ* lost")
        none = int(rows_of_rule["suggestion"].isna().sum())
        name = _NAMES.get(rule, rule)
        base.name_panel(axes, f"{name}: {none} of {len(rows_of_rule)} without" if none else name)
    base.legend(figure, handles, 6)
    base.note(figure, f"shaded: within {good:.0%}")
    return figure
