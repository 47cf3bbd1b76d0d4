"""S1: the learning rate is the size of a step."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure

from lrbench.experiments._claims.drawing import label_axes
from lrbench.experiments._claims.evidence import Evidence, StudyArrays
from lrbench.experiments._claims.limits import LIMITS
from lrbench.experiments.findings import Finding
from lrbench.plots import base

_AREA, _PRICE = 100.0, 500.0
_LEAST_NORM = 1e-15
"""The squares that smaller norms sum up are not normal numbers in single precision."""


def measure(evidence: Evidence) -> list[Finding]:
    """The learning rate is the size of a step: new = old − rate × gradient, and the example of introductions shows it."""
    study = evidence["step"]
    _, first = study.curve("first_coordinate")
    _, second = study.curve("second_coordinate")
    _, loss = study.curve("train_loss")
    linear = study.where(problem="one_sale(linear=true)")[0]
    squared = study.where(problem="one_sale(linear=false)")[0]
    out = []
    for rate, stated in ((0.001, 10.5), (0.1, 1050.0)):
        at = study.at(rate)
        slope, intercept = first[linear, at, 0, -1], second[linear, at, 0, -1]
        price = slope * _AREA + intercept
        what = f"gradient (−100, −500), rate {rate:g}: w = {slope:g}, b = {intercept:g}; predicted price of 100 m²"
        out.append(Finding(what, price, rule=f"is {stated:g}", met=_same(price, stated)))
    start = loss[squared, 0, 0, 0]
    out.append(Finding("loss at the start, (500 − 0)²", start, rule="is 250,000", met=_same(start, 250_000)))
    out.append(_update_is_rate_times_gradient(evidence["wells"]))
    at = study.at(0.001)
    slope, intercept = first[squared, at, 0, -1] / 0.001, second[squared, at, 0, -1] / 0.001
    what = (
        f"gradient of (ŷ − 500)² at w = b = 0: (−{slope:,.0f}, −{intercept:,.0f}); ratio of the first to −100"
    )
    out.append(
        Finding(
            what,
            slope / 100,
            unit="times",
            rule="is 1: the stated gradient is that of the loss",
            met=_same(slope, 100),
        )
    )
    price = first[squared, at, 0, -1] * _AREA + second[squared, at, 0, -1]
    out.append(
        Finding("predicted price after one step with that gradient at rate 0.001 (true price 500)", price)
    )
    return out


def _update_is_rate_times_gradient(study: StudyArrays) -> Finding:
    _, gradient = study.curve("gradient_norm")
    _, update = study.curve("update_norm")
    step = study.rate[:, None, None] * gradient
    counted = np.isfinite(step) & np.isfinite(update) & (step > _LEAST_NORM)
    worst = float(np.abs(update[counted] / step[counted] - 1).max())
    what = f"double_well, sgd: largest relative difference between ‖Δw‖ and rate × ‖gradient‖ in {int(counted.sum()):,} steps"
    return Finding(what, worst, rule=f"at most {LIMITS.equal:g}", met=worst <= LIMITS.equal)


def _same(value: float, other: float) -> bool:
    return bool(abs(value - other) <= LIMITS.equal * abs(other))


def picture(evidence: Evidence) -> Figure:
    """The price predicted after one step, with the stated gradient and with that of the loss."""
    study = evidence["step"]
    _, first = study.curve("first_coordinate")
    _, second = study.curve("second_coordinate")
    price = (first * _AREA + second)[..., 0, -1]
    figure, (axes,) = base.panels(
        1, "One step from w = b = 0: the predicted price of 100 m²", width=6.4, height=2.6
    )
    names = {"linear=true": "gradient (−100, −500), as stated", "linear=false": "gradient of (ŷ − 500)²"}
    for line, title in enumerate(study.names["problem"]):
        name = next((text for key, text in names.items() if key in title), title)
        axes.plot(study.rate, price[line], "o-", color=base.COLOURS[line], label=name)
        for rate, value in zip(study.rate, price[line], strict=True):
            axes.annotate(
                f"{value:,.0f}" if value > 100 else f"{value:g}",
                (rate, value),
                (0, 7),
                textcoords="offset points",
                ha="center",
                fontsize=8.5,
            )
    axes.axhline(_PRICE, color=base.MUTED, lw=1, ls="--")
    axes.annotate(
        "true price: 500",
        (study.rate[0], _PRICE),
        (0, 4),
        textcoords="offset points",
        fontsize=8.5,
        color=base.MUTED,
    )
    axes.set_yscale("log")
    axes.margins(x=0.15, y=0.18)
    axes.set_xscale("log")
    base.decades(axes.xaxis)
    base.decades(axes.yaxis)
    label_axes(axes, "learning rate", "predicted price")
    axes.legend(fontsize=8.5, frameon=False, loc="upper left")
    return figure
