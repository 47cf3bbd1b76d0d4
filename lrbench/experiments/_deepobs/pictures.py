"""The pictures of `deepobs`: losses against rates in each order, and how far they are from the published ones."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from lrbench.analysis.labels import rate_text
from lrbench.experiments._deepobs.rows import MET, MOMENTUMS, SEVERAL

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_MOMENTUM = "momentum 0.99"
_NAMES = {"given": "their order", "fixed": "other fixed orders", "reshuffled": "reshuffled each epoch"}


def _by_optimizer(rows: pd.DataFrame, title: str) -> tuple[list[str], Figure, list[Axes], dict[str, str]]:
    """The optimizers, a figure with a panel for each, and the colours of the orders."""
    from lrbench.plots import base

    names = list(rows["optimizer"].unique())
    figure, grid = base.panels(len(names), title, foot=0.25, height=3.0)
    return names, figure, grid, base.colour_of(list(_NAMES))


def losses(rows: pd.DataFrame, least: float, thresholds: dict[str, float]) -> Figure:
    """The loss above its minimum against the rate, a panel per optimizer."""
    from lrbench.plots import base

    names, figure, grid, colours = _by_optimizer(rows, _what_is_met(rows))
    handles: dict[str, Any] = {}
    for axes, name in zip(grid, names, strict=True):
        mine = rows[rows["optimizer"] == name]
        for order in SEVERAL:
            handles[_NAMES[order]] = _band(axes, mine, order, least, colours[order])
        rate = mine["learning_rate"]
        (handles["their order"],) = axes.plot(
            rate, mine["given_loss"] - least, color=colours["given"], lw=1.4
        )
        (handles["published"],) = axes.plot(
            rate, mine["published_loss"] - least, "o", color=base.INK, ms=3.5, mfc="none", mew=1.0
        )
        if name in thresholds:
            axes.axvline(thresholds[name], color=base.MUTED, lw=1, ls=base.DASHES[2])
        axes.set_yscale("log")
        base.log_rates(axes, rate)
        base.decades(axes.yaxis)
        base.name_panel(axes, name)
    grid[0].set_ylabel("test loss above its minimum")
    base.legend(figure, {key: handles[key] for key in ("published", *_NAMES.values())}, 4)
    base.note(
        figure,
        "bands: the least and the greatest of all seeds; dashed: expectation over all orders; dotted: the largest stable rate of theory",
    )
    return figure


def _what_is_met(rows: pd.DataFrame) -> str:
    """How many losses are met, and where momentum is best if each epoch has an order of its own."""
    title = f"deepobs: in their order {int(rows['met'].sum())} of {len(rows)} published losses are met"
    mine = rows[rows["optimizer"] == _MOMENTUM].set_index("learning_rate")
    losses = mine[["published_loss", "reshuffled_median"]]
    if losses.empty or losses.isna().all().any():
        return title
    rates = losses.index.to_numpy(dtype=np.float64)
    published, reshuffled = (rate_text(rates[int(losses[name].argmin())]) for name in losses)
    if published == reshuffled:
        return title
    return f"{title}; reshuffled, {_MOMENTUM} is best at {reshuffled}, not {published}"


def _band(axes: Axes, rows: pd.DataFrame, order: str, least: float, colour: str) -> Any:
    """The median, least and greatest loss over seeds, and the expected one."""
    from lrbench.plots import base

    rate = rows["learning_rate"]
    low, middle, high, expected = (
        rows[f"{order}_{name}"] - least for name in ("low", "median", "high", "expected")
    )
    axes.fill_between(rate, low, high, color=colour, alpha=0.25, lw=0)
    (drawn,) = axes.plot(rate, middle, color=colour, lw=1.2)
    shown = expected.where(middle.notna())
    axes.plot(rate, shown, color=colour, lw=1.0, ls=base.DASHES[1])
    return drawn


def differences(rows: pd.DataFrame) -> Figure:
    """The relative difference from each published row, a panel per optimizer."""
    from lrbench.plots import base

    given, reshuffled = (
        float((rows[name] / rows["published_loss"] - 1).abs().median())
        for name in ("given_loss", "reshuffled_median")
    )
    title = f"deepobs: relative to the published losses, ours are {given:.1g} off in their order, {reshuffled:.1g} reshuffled (medians)"
    names, figure, grid, colours = _by_optimizer(rows, title)
    handles: dict[str, Any] = {}
    for axes, name in zip(grid, names, strict=True):
        mine = rows[rows["optimizer"] == name]
        rate, published = mine["learning_rate"], mine["published_loss"]
        for order, column in (
            ("reshuffled", "reshuffled_median"),
            ("fixed", "fixed_median"),
            ("given", "given_loss"),
        ):
            apart = np.maximum((mine[column] / published - 1).abs(), 1e-9)
            (handles[_NAMES[order]],) = axes.plot(rate, apart, "o-", color=colours[order], ms=3, lw=1.0)
        axes.axhline(MET, color=base.MUTED, lw=1, ls=base.DASHES[2])
        axes.set_yscale("log")
        axes.set_ylim(3e-10, 100)
        base.log_rates(axes, rate)
        base.decades(axes.yaxis)
        base.name_panel(axes, name)
    grid[0].set_ylabel("|ours / published − 1|")
    base.legend(figure, {key: handles[key] for key in _NAMES.values()}, 3)
    base.note(figure, f"dotted: {MET:g}, below which a row is met; other orders: the median over seeds")
    return figure


def thresholds(largest: float) -> dict[str, float]:
    """The largest stable rate of each linear optimizer, 2(1 + β)/λ."""
    return {name: 2 * (1 + momentum) / largest for name, momentum in MOMENTUMS.items()}
