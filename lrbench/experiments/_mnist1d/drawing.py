"""The pictures of the experiment: accuracy while training and against the rate, and the mean training loss against the rate."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

from lrbench.experiments._mnist1d.optimum import Optimum
from lrbench.experiments._mnist1d.published import BEST_RATE, LEAST_LOSS, MODELS, RATE

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_NOTEBOOKS = {"quickstart": "o", "benchmark": "D"}


def accuracies(found: pd.DataFrame, printed: pd.DataFrame, agreement: tuple[int, int]) -> Figure:
    """A panel per model: the accuracy at the published rate against the step, beside what the notebooks print."""
    from lrbench.plots import base

    models = list(found["model"].unique())
    figure, grid = base.panels(
        len(models),
        f"mnist1d: one more seed may give {agreement[0]} of {agreement[1]} printed accuracies",
        columns=2,
        foot=0.3,
    )
    colours = base.colour_of(models)
    rows = found[found["learning_rate"] == RATE]
    for axes, model in zip(grid, models, strict=True):
        line, marks = rows[rows["model"] == model], printed[printed["model"] == model]
        marks = marks[marks["step"] <= line["step"].max()]
        axes.fill_between(
            line["step"], line["one_low"], line["one_high"], color=colours[model], alpha=0.18, lw=0
        )
        axes.plot(line["step"], line["accuracy"], color=colours[model], lw=1.8)
        for notebook, mark in _NOTEBOOKS.items():
            some = marks[marks["notebook"] == notebook]
            axes.plot(
                some["step"], some["accuracy"], mark, color=base.INK, ms=4.5, mfc="none", label=notebook
            )
        axes.set_ylim(top=min(100, axes.get_ylim()[1]))
        axes.set_xlabel("step")
        axes.set_ylabel("accuracy in %")
        base.name_panel(axes, model)
    marks = grid[0].get_legend_handles_labels()
    base.legend(figure, {f"printed in {name}": mark for mark, name in zip(*marks, strict=True)}, 2)
    base.note(
        figure,
        f"line: mean over seeds at Adam's rate {RATE:g}; shaded: where one further seed falls with 95 %",
    )
    return figure


def rates(found: pd.DataFrame) -> Figure:
    """The accuracy at the end against Adam's rate, a line per model, with the number of the README."""
    from lrbench.plots import base

    ends = found[found["step"] == found["step"].max()]
    readme = {model.name: model.readme for model in MODELS if model.name in set(found["model"])}
    best = ends.groupby("model")["accuracy"].max()
    # The README rounds to whole percents.
    reached = sum(best[name] >= accuracy - 0.5 for name, accuracy in readme.items())
    title = f"mnist1d: at its best rate, {reached} of {len(readme)} models reach the README's accuracy"
    figure, (axes,) = base.panels(1, title, columns=1, width=7.4, height=3.6, foot=0.45)
    colours = base.colour_of(list(readme))
    for model, line in ends.groupby("model", sort=False):
        name, colour = str(model), colours[str(model)]
        width = [line["accuracy"] - line["low"], line["high"] - line["accuracy"]]
        axes.errorbar(
            *(line["learning_rate"], line["accuracy"]),
            yerr=[each.fillna(0) for each in width],
            color=colour,
            fmt="o-",
            ms=4,
            lw=1.6,
            capsize=2,
            label=f"{name} (README: {readme[name]} %)",
        )
        axes.axhline(readme[name], color=colour, lw=1, ls=base.DASHES[2])
    base.log_rates(axes, found["learning_rate"])
    axes.set_ylim(0, 100)
    axes.set_ylabel("accuracy in % at the end")
    handles, names = axes.get_legend_handles_labels()
    base.legend(figure, dict(zip(names, handles, strict=True)), 2)
    base.note(figure, "mean over seeds; bars: 95 %; dotted: the README's accuracy")
    return figure


def optimum(table: pd.DataFrame, best: Optimum) -> Figure:
    """The mean training loss against the rate of gradient descent, with the best rate and the published one."""
    from lrbench.plots import base

    title = f"mnist1d: SGD's best rate is {best.rate.mean:.2f}, printed: {BEST_RATE:g}"
    figure, (axes,) = base.panels(1, title, columns=1, width=6.4, height=3.2)
    axes.fill_between(
        table["learning_rate"], table["low"], table["high"], color=base.COLOURS[0], alpha=0.18, lw=0
    )
    axes.plot(table["learning_rate"], table["mean_loss"], "o-", color=base.COLOURS[0], ms=4, lw=1.6)
    axes.axvspan(best.rate.low, best.rate.high, color=base.COLOURS[2], alpha=0.25, lw=0)
    axes.plot(BEST_RATE, LEAST_LOSS, "D", color=base.COLOURS[1], ms=8, mfc="none", mew=1.8)
    base.log_rates(axes, table["learning_rate"])
    axes.set_ylabel("mean training loss")
    base.note(
        figure,
        "shaded: 95 % over seeds, of the loss (blue) and the best rate (green); diamond: as printed",
    )
    return figure
