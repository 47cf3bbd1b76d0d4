"""S1: the learning rate is the size of a step."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure

from lrbench.analysis.groups import Floats
from lrbench.experiments._claims.evidence import Evidence, StudyArrays
from lrbench.experiments._claims.limits import LIMITS
from lrbench.experiments._claims.one_step import one_step, same
from lrbench.experiments.findings import Finding, number
from lrbench.plots import base

_LEAST_NORM = 1e-15
"""The squares that smaller norms sum up are not normal numbers in single precision."""
_SHOWN = 2000
"""So many points, evenly chosen, show what all of them do."""


def measure(evidence: Evidence) -> list[Finding]:
    """The learning rate is the size of a step: new = old − rate × gradient."""
    study = evidence["step"]
    stated = one_step(study, stated=True)
    out = [_update_is_rate_times_gradient(evidence["wells"])]
    for rate, expected in ((0.001, 10.5), (0.1, 1050.0)):
        at = study.at(rate)
        slope, intercept, price = (float(each[at]) for each in stated)
        what = f"gradient (−100, −500), rate {rate:g}: w = {slope:g}, b = {intercept:g}; predicted price of 100 m²"
        out.append(Finding(what, price, rule=f"is {expected:g}", met=same(price, expected)))
    squared = study.where(problem="one_sale(linear=false)")[0]
    start = study.curve("train_loss")[1][squared, 0, 0, 0]
    out.append(Finding("loss at the start, (500 − 0)²", start, rule="is 250,000", met=same(start, 250_000)))
    return out


def _steps(study: StudyArrays) -> tuple[Floats, Floats]:
    """Rate × ‖gradient‖ and ‖Δw‖ of every evaluated step in which both are normal numbers."""
    _, gradient = study.curve("gradient_norm")
    _, update = study.curve("update_norm")
    step = study.rate[:, None, None] * gradient
    counted = np.isfinite(step) & np.isfinite(update) & (step > _LEAST_NORM)
    return step[counted], update[counted]


def _update_is_rate_times_gradient(study: StudyArrays) -> Finding:
    step, update = _steps(study)
    worst = float(np.abs(update / step - 1).max())
    what = f"double_well, sgd: largest relative difference between ‖Δw‖ and rate × ‖gradient‖ in {len(step):,} steps"
    return Finding(what, worst, rule=f"at most {LIMITS.equal:g}", met=worst <= LIMITS.equal)


def title(findings: Sequence[Finding]) -> str:
    """What the picture shows, in the numbers of the findings."""
    return f"Steps differ from rate × gradient by at most {number(findings[0].value)} of their length, at every rate"


def picture(evidence: Evidence, title: str) -> Figure:
    """The length of a step against rate × length of the gradient: all points are on the diagonal."""
    step, update = _steps(evidence["wells"])
    order = np.argsort(step)[np.linspace(0, len(step) - 1, min(_SHOWN, len(step))).astype(int)]
    figure, (axes,) = base.panels(1, title, width=5.6, height=3.2)
    ends = step[order[[0, -1]]]
    axes.plot(ends, ends, color=base.MUTED, lw=1)
    axes.plot(step[order], update[order], ".", color=base.COLOURS[0], ms=3)
    axes.set_xscale("log")
    axes.set_yscale("log")
    base.decades(axes.xaxis)
    base.decades(axes.yaxis)
    axes.set(xlabel="rate × ‖gradient‖", ylabel="‖Δw‖")
    return figure
