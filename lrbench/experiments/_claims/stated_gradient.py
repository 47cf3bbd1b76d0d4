"""S1b: the gradient that the example of introductions states."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.figure import Figure

from lrbench.experiments._claims.evidence import Evidence
from lrbench.experiments._claims.one_step import PRICE, one_step, same
from lrbench.experiments.findings import Finding, number
from lrbench.plots import base, theme

_RATE = 0.001


def measure(evidence: Evidence) -> list[Finding]:
    """The gradient of the squared error of one sale, 100 m² for 500, at w = b = 0 is (−100, −500), as the example has it."""
    study = evidence["step"]
    at = study.at(_RATE)
    after = one_step(study, stated=False)
    slope, intercept = float(after.slope[at]) / _RATE, float(after.intercept[at]) / _RATE
    return [
        Finding(
            "first component of the gradient of (ŷ − 500)² at w = b = 0",
            -slope,
            rule="is −100",
            met=same(slope, 100),
        ),
        Finding("second component of it", -intercept, rule="is −500", met=same(intercept, 500)),
        Finding(
            f"predicted price after one step with that gradient at rate {_RATE:g} (true price 500)",
            float(after.price[at]),
        ),
    ]


def title(findings: Sequence[Finding]) -> str:
    """What the picture shows, in the numbers of the findings."""
    first, second, price = findings
    said = "that" if first.met and second.met else "not that"
    return f"One step predicts {number(price.value)} for a price of {PRICE:g}: the stated gradient is {said} of the squared error"


def picture(evidence: Evidence, title: str) -> Figure:
    """The price predicted after one step, with the stated gradient and with that of the loss."""
    study = evidence["step"]
    figure, (axes,) = base.panels(1, title, width=6.4, height=2.6)
    names = {True: "gradient (−100, −500), as stated", False: "gradient of (ŷ − 500)²"}
    for place, (stated, name) in enumerate(names.items()):
        price = one_step(study, stated=stated).price
        axes.plot(study.rate, price, "o-", color=base.COLOURS[place], label=name)
        for rate, value in zip(study.rate, price, strict=True):
            axes.annotate(
                f"{value:,.0f}" if value > 100 else f"{value:g}",
                (rate, value),
                (0, 7),
                textcoords="offset points",
                ha="center",
                fontsize=theme.SMALL,
            )
    axes.axhline(PRICE, color=base.MUTED, lw=1, ls=theme.DASHES[1])
    axes.annotate(
        "true price: 500",
        (study.rate[0], PRICE),
        (0, 4),
        textcoords="offset points",
        fontsize=theme.SMALL,
        color=base.MUTED,
    )
    axes.set_yscale("log")
    axes.margins(x=0.15, y=0.18)
    axes.set_xscale("log")
    base.decades(axes.xaxis)
    base.decades(axes.yaxis)
    axes.set(xlabel="learning rate", ylabel="predicted price")
    axes.legend(fontsize=theme.SMALL, frameon=False, loc="upper left")
    return figure
