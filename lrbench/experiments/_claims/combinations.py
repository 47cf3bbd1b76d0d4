"""S7: every optimizer can be combined with every schedule."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure

from lrbench.analysis.labels import rate_text
from lrbench.experiments._claims.drawing import percent
from lrbench.experiments._claims.evidence import Evidence
from lrbench.experiments._claims.studies import ADAM
from lrbench.experiments.findings import Finding
from lrbench.plots import base, theme


def measure(evidence: Evidence) -> list[Finding]:
    """An optimizer and a schedule are separate parts that work together, as in Adam at 1e-3 with step decay."""
    study = evidence["schedules"]
    trains = study.stable[0].any(axis=1)
    out = [
        Finding(
            f"{len(trains)} problems × optimizers × schedules: share that trains at some rate",
            float(trains.mean()),
            rule="is 1",
            met=bool(trains.all()),
        )
    ]
    at = study.at(1e-3)
    for schedule, text in (
        ("constant", "constant"),
        ("step(step_size=30)", "StepLR(30, 0.1) called after every step"),
        ("step(step_size=100)", "StepLR(100, 0.1), two drops in the run"),
    ):
        lines = study.where(optimizer=ADAM, schedule=schedule)
        gap = ((study.loss[lines, at] - study.star[lines][:, None]) / study.span[lines][:, None]).mean(axis=0)
        value = study.mean(gap)
        good = study.limits.good
        reported = schedule == "constant"
        rule, met = ("", None) if reported else (f"at most {good:g}", value[0] <= good)
        out.append(
            Finding(
                f"Adam at 1e-3, {text}: (ℓ − ℓ*) / (ℓ₀ − ℓ*), mean of {len(lines)} problems",
                *value,
                rule=rule,
                met=met,
            )
        )
    lines = study.where(optimizer=ADAM)
    best = study.rate[study.best[0][lines]]
    out.append(
        Finding(
            f"Adam's best rates over all schedules, from {rate_text(best.min())} to {rate_text(best.max())}: their range",
            float(np.log10(best.max() / best.min())),
            unit="decades",
        )
    )
    return out


def title(findings: Sequence[Finding]) -> str:
    """What the picture shows, in the numbers of the findings."""
    trains, _, every, twice, _ = findings
    return (
        f"{percent(trains)} of the combinations train; Adam at 1e-3 with step decay "
        f"ends {percent(every)} and {percent(twice)} of ℓ₀ − ℓ* above the best"
    )


def picture(evidence: Evidence, title: str) -> Figure:
    """How far every optimizer with every schedule, at its best rate, ends from the best loss of the problem."""
    study = evidence["schedules"]
    problems = list(study.names["problem"].unique())
    figure, grid = base.panels(
        len(problems),
        title,
        columns=1,
        width=9.2,
        height=1.3,
        names=0.75,
    )
    rows, columns = list(study.names["optimizer"].unique()), list(study.names["schedule"].unique())
    for axes, problem in zip(grid, problems, strict=True):
        gap, best = np.zeros((2, len(rows), len(columns)))
        for row, optimizer in enumerate(rows):
            for column, schedule in enumerate(columns):
                line = study.where(problem=problem, optimizer=optimizer, schedule=schedule)[0]
                at = study.best[0][line]
                best[row, column] = float(study.rate[at])
                gap[row, column] = (study.median_loss[0][line, at] - study.star[line]) / study.span[line]
        axes.imshow(gap, cmap=theme.GAPS, vmin=0, vmax=0.25, aspect="auto")
        for (row, column), value in np.ndenumerate(gap):
            colour = "white" if value > 0.14 else base.INK
            text = f"{100 * value:.1f} %\nat {rate_text(float(best[row, column]))}"
            axes.text(column, row, text, ha="center", va="center", fontsize=theme.TINY, color=colour)
        axes.grid(visible=False)
        axes.set_xticks(
            range(len(columns)), [name.replace("(", "\n(") for name in columns], fontsize=theme.TINY
        )
        axes.set_yticks(range(len(rows)), rows)
        base.name_panel(axes, f"{problem}: (ℓ − ℓ*) / (ℓ₀ − ℓ*) at the best rate")
    return figure
