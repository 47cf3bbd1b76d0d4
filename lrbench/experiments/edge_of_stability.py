"""How sharp does full-batch gradient descent let its loss become?"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from lrbench.experiments.bench import Answer, Bench

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_HOVERS = 0.9, 1.3
"""A rate hovers at the edge if its median of η·λ_max/2 over the second half is between these."""


def edge_of_stability(
    bench: Bench,
    *,
    rates: tuple[float, ...] = (0.02, 0.03, 0.04, 0.06, 0.08),
    steps: int = 8000,
    degree: int = 4,
    hidden: tuple[int, ...] = (64, 64),
) -> Answer:
    """Sharpness along gradient descent: it rises until η·λ_max/2 is about 1, and hovers there while the loss still falls.

    A tanh network fits a Chebyshev polynomial by full-batch gradient descent, at a range of rates, one seed each. A rate
    hovers at the edge if the median of η·λ_max/2 over the second half of its evaluations is from 0.9 to 1.3.

    Args:
        rates: learning rates.
        steps: of every run.
        degree: of the polynomial.
        hidden: widths of the network's hidden layers.

    Source: Cohen et al., Gradient descent on neural networks typically occurs at the edge of stability, arXiv:2103.00065.
    """
    results = bench.train(
        {
            "name": "gradient_descent",
            "steps": steps,
            "evaluate_every": max(1, steps // 80),
            "seeds": 1,
            "probes": ["sharpness", "stability"],
            "problem": {"name": "chebyshev_mlp", "degree": degree, "hidden": list(hidden)},
            "optimizer": "sgd",
            "learning_rate": {"values": list(rates)},
        }
    )
    columns = ["learning_rate", "step", "train_loss", "sharpness", "stability"]
    table = results.curves[columns].sort_values(["learning_rate", "step"], ignore_index=True)
    return Answer(
        tuple(_line(rate, curve) for rate, curve in table.groupby("learning_rate")),
        (
            *bench.write_table("edge_of_stability", table),
            *bench.write_picture("edge_of_stability", _picture(table)),
        ),
    )


def _line(rate: object, curve: pd.DataFrame) -> str:
    """Return the answer for one rate."""
    late = curve.loc[curve["step"] >= curve["step"].max() / 2, "stability"]
    middle = float(late.median()) if late.notna().all() else np.nan
    low, high = _HOVERS
    if np.isnan(middle):
        return f"rate {rate:g}: diverged"
    words = "below the edge" if middle < low else "hovers at the edge" if middle <= high else "above the edge"
    loss = curve["train_loss"]
    return (
        f"rate {rate:g}: η·λ/2 is {middle:.2f} over the second half (from {curve['stability'].iloc[0]:.2f} at the "
        f"start): {words}; loss {loss.iloc[0]:.2g} to {loss.iloc[-1]:.2g}"
    )


def _picture(table: pd.DataFrame) -> Figure:
    """Loss, sharpness and η·λ_max/2 against the step, a line per rate."""
    from matplotlib import colormaps

    from lrbench.plots import base

    figure, (loss, sharp, edge) = base.panels(
        3, "edge of stability: gradient descent sharpens the loss until η·λ/2 is about 1"
    )
    curves = list(table.groupby("learning_rate"))
    for number, (rate, curve) in enumerate(curves):
        colour = colormaps["viridis"](0.9 - 0.9 * number / len(curves))
        for axes, column in ((loss, "train_loss"), (sharp, "sharpness"), (edge, "stability")):
            axes.plot(curve["step"], curve[column], color=colour, lw=1.4, label=f"{rate:g}")
        sharp.axhline(2 / float(str(rate)), color=colour, lw=1, ls=base.DASHES[2])
    edge.axhline(1, color=base.INK, lw=1, ls=base.DASHES[2])
    top = 2 / float(table["learning_rate"].min())
    sharp.set_ylim(0, 1.15 * top)
    edge.set_ylim(0, 2)
    if base.log_is_better(table["train_loss"]):
        loss.set_yscale("log")
        base.decades(loss.yaxis)
    for axes, name in ((loss, "training loss"), (sharp, "sharpness λ"), (edge, "η·λ/2")):
        base.name_panel(axes, name)
        axes.set_xlabel("step", fontsize=9, color=base.INK)
    loss.legend(title="learning rate η", fontsize=8, title_fontsize=8, frameon=False)
    base.note(
        figure, "dotted: sharpness 2/η of each rate, above which gradient descent on a quadratic diverges"
    )
    return figure
