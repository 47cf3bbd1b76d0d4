"""T2: the width of the band of good rates, Adam's and that of gradient descent."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure

from lrbench.experiments._claims.drawing import percent
from lrbench.experiments._claims.evidence import Evidence
from lrbench.experiments._claims.limits import LIMITS
from lrbench.experiments._claims.studies import ADAM, PLAIN
from lrbench.experiments.findings import Finding, number
from lrbench.plots import base


def measure(evidence: Evidence) -> list[Finding]:
    """Adam's band of good rates is wider than that of gradient descent."""
    study = evidence["families"]
    step = float(np.diff(np.log10(study.rate)).mean())
    wide = study.good.sum(axis=2) * step
    plain = study.where(optimizer=PLAIN)
    adam = study.matching(plain, optimizer=ADAM)
    difference = wide[:, adam] - wide[:, plain]
    value = study.with_interval(difference.mean(axis=1))
    share = float((difference[0] > 0).mean())
    return [
        Finding(
            "width of the band of good rates, Adam minus plain gradient descent, mean over problems",
            *value,
            unit="decades",
            rule="interval above 0",
            met=value[1] > 0,
        ),
        Finding(
            f"{len(plain)} problems: share in which Adam's band is wider",
            share,
            rule=f"more than {LIMITS.most:g}",
            met=share > LIMITS.most,
        ),
    ]


def title(findings: Sequence[Finding]) -> str:
    """What the picture shows, in the numbers of the findings."""
    width, share = findings
    return (
        f"Adam's band of good rates is {number(width.value)} decades wider than that of gradient descent, "
        f"and wider on {percent(share)} of the problems"
    )


def picture(evidence: Evidence, title: str) -> Figure:
    """How many decades of rates are good, by problem and optimizer."""
    study = evidence["families"]
    names, problems = list(study.names["optimizer"].unique()), list(study.names["problem"].unique())
    figure, (axes,) = base.panels(1, title, width=7.0, height=2.6, foot=0.25)
    colours, handles = base.colour_of(names), {}
    step = float(np.diff(np.log10(study.rate)).mean())
    for place, name in enumerate(names):
        lines = [study.where(problem=problem, optimizer=name)[0] for problem in problems]
        at = np.arange(len(problems)) + (place - (len(names) - 1) / 2) * 0.19
        handles[name] = axes.bar(at, study.good[0][lines].sum(axis=1) * step, 0.17, color=colours[name])[0]
    axes.set_xticks(range(len(problems)), [problem.split("(")[0] for problem in problems])
    axes.set_ylabel("decades of good rates")
    base.legend(figure, handles, len(names))
    return figure
