"""Does the best learning rate of a narrow network suit a wide one?"""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from lrbench.errors import StudyError
from lrbench.experiments.bench import Answer, Bench
from lrbench.study import catalog

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_KINDS = {"standard": "standard", "mup_adam": "muP", "mup_sgd": "muP"}
_LOWEST = {"adam": -13, "sgd": -6}
"""The first exponent of each optimizer's rates."""


def transfer(
    bench: Bench,
    *,
    widths: tuple[int, ...] = (64, 128, 256, 512, 1024),
    optimizers: tuple[str, ...] = ("adam", "sgd"),
    rates: int = 11,
    steps: int = 100,
    seeds: int = 3,
) -> Answer:
    """Best learning rate against width, with standard parametrisation and with muP, on the digits.

    Two hidden layers of each width are trained at rates that double from one to the next, so that one grid step is a
    factor of 2. The best rate of a width is the one with the least training loss at the end, median over seeds.

    Args:
        widths: of both hidden layers; the first is the one that the others are compared with.
        optimizers: adam, sgd, or both.
        rates: how many, from 2⁻¹³ on for adam and from 2⁻⁶ on for sgd.
        steps: optimizer steps of every run.
        seeds: a count.

    Source: Yang et al., Tensor Programs V: Tuning large neural networks via zero-shot hyperparameter transfer,
        arXiv:2203.03466.
    """
    tables = [_table(bench, name, widths, rates, steps, seeds) for name in optimizers]
    table = pd.concat(tables, ignore_index=True)
    best = _best(table)
    lines = [_line(rows) for _, rows in best.groupby(["optimizer", "parametrisation"], sort=False)]
    return Answer(
        tuple(lines),
        (
            *bench.write_table("transfer", table),
            *bench.write_table("best", best),
            *bench.write_picture("transfer", _picture(table, best)),
        ),
    )


def _table(
    bench: Bench, optimizer: str, widths: tuple[int, ...], rates: int, steps: int, seeds: int
) -> pd.DataFrame:
    """Train one optimizer; return a row per parametrisation, width and rate."""
    if optimizer not in _LOWEST:
        raise StudyError(f"transfer: optimizers: {catalog.unknown('optimizer', optimizer, list(_LOWEST))}")
    results = bench.train(
        {
            "name": f"transfer_{optimizer}",
            "steps": steps,
            "evaluate_every": steps,
            "seeds": seeds,
            "objective": "train_loss",
            "probes": [],
            "optimizer": optimizer,
            "learning_rate": {"values": [2.0 ** (_LOWEST[optimizer] + step) for step in range(rates)]},
            "problem": {
                "name": "digits_mlp",
                "hidden": [[width, width] for width in widths],
                "parametrisation": ["standard", f"mup_{optimizer}"],
            },
        }
    )
    runs = results.runs.assign(
        parametrisation=results.runs["problem_parametrisation"].map(_KINDS),
        width=results.runs["problem_hidden"].map(lambda text: json.loads(text)[0]),
        # A diverged run counts as infinitely bad, so that the median is finite as long as most seeds train.
        train_loss=results.runs["final_train_loss"].fillna(np.inf),
    )
    keys = ["optimizer", "parametrisation", "width", "learning_rate"]
    table = runs.groupby(keys, sort=False)["train_loss"].median().reset_index()
    return table.replace(np.inf, np.nan)


def _best(table: pd.DataFrame) -> pd.DataFrame:
    """Return the best rate of each width, and how many grid steps it is from that of the first width."""
    trained = table.dropna(subset=["train_loss"])
    keys = ["optimizer", "parametrisation", "width"]
    best = trained.loc[trained.groupby(keys, sort=False)["train_loss"].idxmin()].reset_index(drop=True)
    best = best.rename(columns={"learning_rate": "best_learning_rate"})
    first = best.groupby(["optimizer", "parametrisation"], sort=False)["best_learning_rate"].transform(
        "first"
    )
    rates = table.groupby("optimizer")["learning_rate"].agg(["min", "max"]).loc[best["optimizer"]]
    found = best["best_learning_rate"].to_numpy()
    edge = (found == rates["min"].to_numpy()) | (found == rates["max"].to_numpy())
    return best.assign(
        shift=np.log2(best["best_learning_rate"] / first).round().astype(int), best_at_edge=edge
    )


def _line(best: pd.DataFrame) -> str:
    """Return the answer for one optimizer and parametrisation."""
    first, last = best.iloc[0], best.iloc[-1]
    most = int(best["shift"].abs().max())
    verdict = "stays within one grid step" if most <= 1 else f"moves by up to {most} grid steps"
    shifts = ", ".join(f"{shift:+d}" if shift else "0" for shift in best["shift"])
    edge = "; some at the edge of the grid" if best["best_at_edge"].any() else ""
    return (
        f"{first['optimizer']}, {first['parametrisation']}: the best rate is {_power(first['best_learning_rate'])} at width "
        f"{first['width']:,} and {_power(last['best_learning_rate'])} at {last['width']:,}; "
        f"it {verdict} of 2 ({shifts}){edge}"
    )


def _power(rate: float) -> str:
    return f"2^{round(math.log2(rate))}"


def _picture(table: pd.DataFrame, best: pd.DataFrame) -> Figure:
    """Loss against learning rate, a line per width, a panel per optimizer and parametrisation; a ring at the best."""
    from matplotlib import colormaps

    from lrbench.plots import base

    panels = list(table.groupby(["optimizer", "parametrisation"], sort=False))
    figure, grid = base.panels(
        len(panels), "transfer: does the best rate stay as the width grows?", columns=2, height=2.1
    )
    widths = list(table["width"].unique())
    colours = {width: colormaps["viridis"](0.9 - 0.9 * i / len(widths)) for i, width in enumerate(widths)}
    low, high = table["train_loss"].min(), table["train_loss"].max()
    for axes, (key, rows) in zip(grid, panels, strict=True):
        at = best[(best["optimizer"] == key[0]) & (best["parametrisation"] == key[1])].set_index("width")
        for width, line in rows.groupby("width", sort=False):
            colour = colours[width]
            axes.plot(line["learning_rate"], line["train_loss"], color=colour, lw=1.6, label=f"{width:,}")
            axes.plot(
                *at.loc[width, ["best_learning_rate", "train_loss"]],
                "o",
                color=colour,
                ms=7,
                mfc="none",
                mew=1.8,
            )
        base.log_rates(axes, table.loc[table["optimizer"] == key[0], "learning_rate"])
        axes.set_yscale("log")
        axes.set_ylim(low / 1.3, high * 1.3)
        base.decades(axes.yaxis)
        axes.set_ylabel("final training loss", fontsize=9, color=base.INK)
        base.name_panel(axes, f"{key[0]}, {key[1]}")
    grid[0].legend(title="width", fontsize=8, title_fontsize=8, frameon=False)
    base.note(figure, "ring: the best rate of a width; median over seeds")
    return figure
