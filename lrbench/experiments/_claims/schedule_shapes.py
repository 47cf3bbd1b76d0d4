"""S5: the usual schedules do what their formulas say."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from lrbench.analysis.groups import Floats
from lrbench.experiments._claims.drawing import met_of
from lrbench.experiments._claims.evidence import Evidence
from lrbench.experiments._claims.limits import LIMITS
from lrbench.experiments.findings import Finding, number
from lrbench.plots import base

_WARMUP = 0.1
_FORMULAS: dict[str, Callable[[Floats, Floats, float], Floats]] = {
    "constant": lambda share, step, size: np.ones_like(share),
    "step": lambda share, step, size: 0.1 ** (step // size),
    "exponential": lambda share, step, size: 0.01**share,
    "linear": lambda share, step, size: 1 - share,
    "cosine": lambda share, step, size: (1 + np.cos(np.pi * share)) / 2,
    "warmup_constant": lambda share, step, size: np.minimum(share / _WARMUP, 1),
    "warmup_cosine": lambda share, step, size: np.where(
        share < _WARMUP, share / _WARMUP, (1 + np.cos(np.pi * (share - _WARMUP) / (1 - _WARMUP))) / 2
    ),
}


def measure(evidence: Evidence) -> list[Finding]:
    """Constant, step decay, annealing, reduction on a plateau and warmup are the ways to change the rate while training."""
    study = evidence["schedules"]
    evaluated, rate = study.curve("learning_rate")
    _, valid = study.curve("valid_loss")
    last = int(study.runs["steps"].iloc[0])
    # The rate recorded at the end is that of the last step.
    step = np.minimum(evaluated, last - 1).astype(np.float64)
    out = []
    for title in study.names["schedule"].unique():
        lines = study.where(schedule=title)
        name = str(title).partition("(")[0]
        if name == "reduce_on_plateau":
            expected = plateau(valid[lines])
            expected[..., -1] = expected[..., -2]
            expected[~np.isfinite(valid[lines])] = (
                np.nan
            )  # the rate of a diverged run is not reduced any more
        elif name in _FORMULAS:
            size = study.settings.get("schedule_step_size", pd.Series(1.0, study.settings.index))[lines[0]]
            expected = _FORMULAS[name](step / last, step, float(size))
        else:
            continue
        error = np.abs(rate[lines] / study.rate[:, None, None] - expected)
        worst = float(error[np.isfinite(error)].max())
        what = f"{title}: largest difference between rate and formula, as a share of the peak"
        out.append(Finding(what, worst, rule=f"at most {LIMITS.schedule:g}", met=worst <= LIMITS.schedule))
    return out


def plateau(loss: Floats, factor: float = 0.1, patience: int = 2, threshold: float = 1e-4) -> Floats:
    """The factors [..., evaluation] of PyTorch's ReduceLROnPlateau for these losses, called after each evaluation.

    The first evaluation, before any step, does not count.

    >>> plateau(np.array([9.0, 5.0, 6.0, 6.0, 6.0, 6.0])).tolist()
    [1.0, 1.0, 1.0, 1.0, 0.1, 0.1]
    """
    best, bad = np.full(loss.shape[:-1], np.inf), np.zeros(loss.shape[:-1])
    out = np.ones(loss.shape)
    with np.errstate(invalid="ignore"):
        for at in range(1, loss.shape[-1]):
            better = loss[..., at] < best * (1 - threshold)
            best, bad = np.where(better, loss[..., at], best), np.where(better, 0, bad + 1)
            drop = bad > patience
            out[..., at:] *= np.where(drop, factor, 1.0)[..., None]
            bad = np.where(drop, 0, bad)
    return out


def title(findings: Sequence[Finding]) -> str:
    """What the picture shows, in the numbers of the findings."""
    worst = max(each.value for each in findings)
    return f"{met_of(findings)} schedules follow their formulas, to {number(worst)} of the peak"


def picture(evidence: Evidence, title: str) -> Figure:
    """The rate as a share of its peak, as recorded during training."""
    study = evidence["schedules"]
    step, rate = study.curve("learning_rate")
    names = list(study.names["schedule"].unique())
    figure, grid = base.panels(len(names), title, columns=3, width=2.7, height=1.25)
    for axes, name in zip(grid, names, strict=True):
        line = study.where(schedule=name)[0]
        shares = rate[line, study.best[0][line], 0] / study.rate[study.best[0][line]]
        axes.plot(step, shares, color=base.COLOURS[0], lw=1.9)
        axes.set_ylim(-0.05, 1.08)
        base.name_panel(axes, name)
        axes.set(xlabel="step", ylabel="rate / peak")
    return figure
