"""S6: momentum and adaptive methods shift the best rate."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure

from lrbench.experiments._claims.evidence import Evidence
from lrbench.experiments._claims.limits import LIMITS
from lrbench.experiments._claims.studies import PLAIN
from lrbench.experiments.findings import Finding, number
from lrbench.plots import base, theme


def measure(evidence: Evidence) -> list[Finding]:
    """Momentum and adaptive methods such as Adam and RMSprop change what a learning rate means."""
    study = evidence["families"]
    decades = np.log10(study.rate)[study.best]
    plain = study.where(optimizer=PLAIN)
    least = LIMITS.decades_of_optimizer
    out = []
    for name in study.names["optimizer"].unique():
        if name == PLAIN:
            continue
        lines = study.matching(plain, optimizer=name)
        shift = study.with_interval((decades[:, lines] - decades[:, plain]).mean(axis=1))
        met = abs(shift[0]) >= least and not shift[1] <= 0 <= shift[2]
        what = (
            f"best rate of {name} relative to that of plain gradient descent, mean of {len(plain)} problems"
        )
        rule = f"at least {least:g} from 0, and the interval excludes 0"
        out.append(Finding(what, *shift, unit="decades", rule=rule, met=met))
    for name in study.names["optimizer"].unique():
        lines = study.matching(plain, optimizer=name)
        loss = np.minimum(study.median_loss[:, lines], study.initial[lines][:, None])
        above = ((loss - study.star[lines][:, None]) / study.span[lines][:, None]).mean(axis=(1, 2))
        out.append(
            Finding(
                f"sensitivity of {name}: mean of (ℓ − ℓ*) / (ℓ₀ − ℓ*) over all rates",
                *study.with_interval(above),
            )
        )
    return out


def title(findings: Sequence[Finding]) -> str:
    """What the picture shows, in the numbers of the findings."""
    shifts = sorted(each.value for each in findings if each.rule)
    ends = " to ".join(number(shift) for shift in (shifts[0], shifts[-1]))
    return f"Momentum and adaptive methods move the best rate of plain gradient descent by {ends} decades"


def picture(evidence: Evidence, title: str) -> Figure:
    """Loss against rate for every optimizer, a panel per problem."""
    study = evidence["families"]
    names, problems = list(study.names["optimizer"].unique()), list(study.names["problem"].unique())
    figure, grid = base.panels(len(problems), title, columns=3, width=3.2, height=2.1, foot=0.25)
    colours, handles = base.colour_of(names), {}
    for axes, problem in zip(grid, problems, strict=True):
        for name in names:
            line = study.where(problem=problem, optimizer=name)[0]
            above = (study.median_loss[0][line] - study.star[line]) / study.span[line]
            (handles[name],) = axes.plot(study.rate, above, color=colours[name], lw=1.8)
        axes.axhline(study.limits.good, color=base.MUTED, lw=0.8, ls=theme.DASHES[1])
        base.log_rates(axes, study.rate)
        axes.set_ylabel("(ℓ − ℓ*) / (ℓ₀ − ℓ*)")
        base.name_panel(axes, problem.split("(")[0])
    base.legend(figure, handles, 2 * len(problems))
    base.note(figure, "below the dashed line a rate is good")
    return figure
