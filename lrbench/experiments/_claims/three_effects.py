"""S8: speed, stability and generalisation depend on the rate."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure

from lrbench.analysis.groups import Floats
from lrbench.analysis.targets import steps_to_target
from lrbench.experiments._claims.drawing import medians, shown_problem
from lrbench.experiments._claims.evidence import Evidence, NotMeasured, StudyArrays
from lrbench.experiments._claims.limits import LIMITS
from lrbench.experiments.findings import Finding
from lrbench.plots import base


def measure(evidence: Evidence) -> list[Finding]:
    """The learning rate decides how fast a model trains, whether it is stable, and how well it generalises."""
    study = evidence["families"]
    return [_speed(study), _stability(study), *_generalisation(study)]


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


def _generalisation(study: StudyArrays) -> list[Finding]:
    """What it costs to choose the rate by the training loss, measured on a seed that had no part in the choice."""
    train, valid = study.column("final_train_loss"), study.column("final_valid_loss")
    start = study.column("initial_valid_loss")
    valid = np.where(np.isfinite(valid), np.fmin(valid, start), start)
    train = np.where(np.isfinite(train) & (study.ok > 0), train, np.inf)
    seeds = train.shape[2]
    if seeds < 2:
        raise NotMeasured("study families has one seed, so that none is left to choose a rate by")
    cost, differ = np.zeros((len(train), seeds)), np.zeros((len(train), seeds))
    for seed in range(seeds):
        others = np.arange(seeds) != seed
        by_train = np.median(train[..., others], axis=2).argmin(axis=1)
        by_valid = np.median(valid[..., others], axis=2).argmin(axis=1)
        line = np.arange(len(train))
        cost[:, seed] = (valid[line, by_train, seed] - valid[line, by_valid, seed]) / study.span
        differ[:, seed] = by_train != by_valid
    share = study.mean(differ.mean(axis=0))
    value = study.mean(np.nanmean(cost, axis=0))
    return [
        Finding(
            "share of problems × optimizers in which training and validation loss choose different rates",
            *share,
        ),
        Finding(
            "validation loss at the rate with the least training loss minus that at the rate with the least validation loss (both chosen on other seeds), over (ℓ₀ − ℓ*)",
            *value,
            rule="interval above 0",
            met=value[1] > 0,
        ),
    ]


def picture(evidence: Evidence) -> Figure:
    """Steps to most of the way, share of unstable runs, and training and validation loss, by rate."""
    study = evidence["families"]
    problem = shown_problem(study)
    figure, grid = base.panels(
        3, f"{problem}: speed, stability, generalisation", columns=3, width=3.3, height=2.5, foot=0.25
    )
    names = list(study.names["optimizer"].unique())
    colours, handles = base.colour_of(names), {}
    steps, broken = steps_to_most(study), study.broken()
    train, valid = study.column("final_train_loss"), study.column("final_valid_loss")
    for name in names:
        line = study.where(problem=problem, optimizer=name)[0]
        (handles[name],) = grid[0].plot(study.rate, medians(steps[line].T), "o-", ms=4, color=colours[name])
        grid[1].plot(study.rate, broken[line].mean(axis=1), "o-", ms=4, color=colours[name])
        grid[2].plot(study.rate, medians(valid[line].T), color=colours[name], lw=1.8)
        grid[2].plot(study.rate, medians(train[line].T), color=colours[name], lw=1.2, ls=(0, (2, 2)))
    titles = (
        f"steps to {100 * LIMITS.way:g} % of the way",
        "share that oscillate, collapse or diverge",
        "final loss (dotted: training)",
    )
    for axes, title in zip(grid, titles, strict=True):
        base.log_rates(axes, study.rate)
        base.name_panel(axes, title)
    grid[2].set_ylim(0, 1.1 * float(study.initial[study.where(problem=problem)].max()))
    base.legend(figure, handles, len(names))
    return figure
