"""S8: speed, stability and generalisation depend on the rate."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from lrbench.analysis.groups import Floats
from lrbench.analysis.targets import steps_to_target
from lrbench.experiments._claims import equal_loss
from lrbench.experiments._claims.drawing import medians, shown_problem
from lrbench.experiments._claims.evidence import Evidence, NotMeasured, StudyArrays
from lrbench.experiments._claims.limits import LIMITS
from lrbench.experiments.findings import Finding, number
from lrbench.plots import base

_COLUMNS = 4
"""Of the legend."""


def measure(evidence: Evidence) -> list[Finding]:
    """The learning rate decides how fast a model trains, whether it is stable, and how well it generalises."""
    study = evidence["families"]
    return [_speed(study), _stability(study), *equal_loss.measure(evidence["equal_loss"])]


def steps_to_most(study: StudyArrays) -> Floats:
    """The first evaluated step at which a run is most of the way from ℓ₀ to ℓ*: [line, rate, seed]; NaN if it never is."""
    step, loss = study.curve("valid_loss")
    target = np.broadcast_to((study.initial - LIMITS.way * study.span)[:, None, None], study.loss.shape)
    return steps_to_target(step, loss.reshape(-1, len(step)), target.reshape(-1)).reshape(study.loss.shape)


def _speed(study: StudyArrays) -> Finding:
    steps = steps_to_most(study)
    slowest = np.where(np.isfinite(steps), steps, -np.inf).max(axis=1)
    fastest = np.where(np.isfinite(steps), steps, np.inf).min(axis=1)
    with np.errstate(invalid="ignore"):
        ratio = np.where(np.isfinite(slowest), slowest / np.maximum(fastest, 1), np.nan)
    reached = np.isfinite(ratio).all(axis=1)
    if not reached.any():
        raise NotMeasured("in study families no optimizer gets most of the way with every seed")
    value = study.mean(np.median(ratio[reached], axis=0))
    least = LIMITS.times_faster
    what = f"ratio of the slowest to the fastest steps to {100 * LIMITS.way:g} % of the way, among rates that get so far: median of {int(reached.sum())} problems × optimizers"
    return Finding(what, *value, unit="times", rule=f"at least {least:g}", met=value[0] >= least)


def _stability(study: StudyArrays) -> Finding:
    broken = study.broken()
    rate = np.arange(len(study.rate))
    above, below = rate > study.best[0][:, None], rate < study.best[0][:, None]
    difference = broken[above].mean(axis=0) - broken[below].mean(axis=0)
    value = study.mean(difference)
    what = "share of runs that oscillate, collapse or diverge, above the best rate minus below it"
    return Finding(what, *value, rule="interval above 0", met=value[1] > 0)


def title(findings: Sequence[Finding]) -> str:
    """What the picture shows, in the numbers of the findings."""
    speed, failures, accuracy, _ = findings
    return (
        f"Between rates, speed differs {number(speed.value)} times, failures by {number(100 * failures.value)} points, "
        f"accuracy by {number(accuracy.value)} points"
    )


def picture(evidence: Evidence, title: str) -> Figure:
    """Steps to most of the way, share of unstable runs, and validation accuracy at equal training loss, by rate."""
    study = evidence["families"]
    problem = shown_problem(study)
    names = list(study.names["optimizer"].unique())
    rows = -(-(len(names) + len(evidence["equal_loss"].loss)) // _COLUMNS)
    figure, grid = base.panels(3, title, width=3.3, height=2.5, foot=0.2 * rows)
    colours, handles = base.colour_of(names), {}
    steps, broken = steps_to_most(study), study.broken()
    for name in names:
        line = study.where(problem=problem, optimizer=name)[0]
        (handles[name],) = grid[0].plot(study.rate, medians(steps[line].T), "o-", ms=4, color=colours[name])
        grid[1].plot(study.rate, broken[line].mean(axis=1), "o-", ms=4, color=colours[name])
    handles |= _accuracies(grid[2], evidence["equal_loss"])
    panels = (
        f"{problem}: steps to {100 * LIMITS.way:g} % of the way",
        f"{problem}: share that fail",
        "accuracy at equal training loss",
    )
    for axes, shown in zip(grid, panels, strict=True):
        base.log_rates(axes, study.rate)
        base.name_panel(axes, shown)
    base.legend(figure, handles, _COLUMNS)
    base.note(figure, "fail: oscillate, collapse or diverge; bars: 95 % over seeds")
    return figure


def _accuracies(axes: Axes, study: StudyArrays) -> dict[str, Any]:
    """Draw the accuracy of every line at equal training loss, with intervals, where every seed gets so far."""
    found, handles = equal_loss.accuracy_at_equal_loss(study), {}
    for line, row in enumerate(found):
        known = np.flatnonzero(np.isfinite(row).all(axis=1))
        if not len(known):
            continue
        value, low, high = np.array([study.mean(row[at]) for at in known]).T
        name = f"{study.names['problem'].iloc[line]}, {study.names['optimizer'].iloc[line]}"
        colour = base.COLOURS[(line + 4) % len(base.COLOURS)]
        bars = np.nan_to_num([value - low, high - value])
        handles[name] = axes.errorbar(
            study.rate[known], value, yerr=bars, color=colour, fmt="o-", ms=4, lw=1.4, capsize=2
        )
    return handles
