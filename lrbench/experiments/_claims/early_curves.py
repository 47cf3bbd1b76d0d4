"""S9: the curves show early whether a rate is right."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib import colormaps
from matplotlib.figure import Figure

from lrbench.analysis.labels import rate_text
from lrbench.experiments._claims.drawing import medians, percent, shown_problem
from lrbench.experiments._claims.event_files import compare_with_tables
from lrbench.experiments._claims.evidence import Evidence
from lrbench.experiments._claims.limits import LIMITS
from lrbench.experiments._claims.studies import ADAM
from lrbench.experiments.findings import Finding
from lrbench.plots import base, theme


def measure(evidence: Evidence) -> list[Finding]:
    """Watching the curves in TensorBoard or Weights & Biases shows early whether a learning rate is right."""
    study = evidence["families"]
    step, loss = study.curve("valid_loss")
    quarter = int(np.abs(step - step[-1] / 4).argmin())
    early = np.where(np.isfinite(loss[..., quarter]), loss[..., quarter], np.inf)
    chosen = early.argmin(axis=1)
    good = np.take_along_axis(study.verdicts() == "good", chosen[:, None], axis=1)[:, 0]
    can_be_good = study.good[0].any(axis=1)
    value = study.mean(good[can_be_good].mean(axis=0))
    what = "the rate whose curve is lowest after a quarter of the run: share of runs that end good"
    return [
        Finding(what, *value, rule=f"more than {LIMITS.most:g}", met=value[0] > LIMITS.most),
        compare_with_tables(study),
    ]


def title(findings: Sequence[Finding]) -> str:
    """What the picture shows, in the numbers of the findings."""
    return f"At the rate whose curve is lowest after a quarter of the run, {percent(findings[0])} of the runs end good"


def picture(evidence: Evidence, title: str) -> Figure:
    """The curve of every rate, and the step at which the lowest is chosen."""
    study = evidence["families"]
    line = study.where(optimizer=ADAM, problem=shown_problem(study))[0]
    step, loss = study.curve("valid_loss")
    figure, (axes,) = base.panels(1, title, width=6.8, height=3.0)
    base.name_panel(axes, f"{study.names['problem'][line]}, Adam")
    for at, rate in enumerate(study.rate):
        share = at / max(1, len(study.rate) - 1)
        colour = colormaps[theme.MAP](0.9 - 0.9 * share)
        axes.plot(step, medians(loss[line, at]), color=colour, lw=1.5, label=rate_text(rate))
    axes.axvline(step[-1] / 4, color=base.MUTED, lw=1, ls=theme.DASHES[1])
    axes.set_ylim(0, 1.3 * float(study.initial[line]))
    axes.set_xlim(0, 1.28 * step[-1])
    axes.set(xlabel="step", ylabel="validation loss")
    axes.legend(
        fontsize=theme.TINY, frameon=False, loc="center right", title="rate", title_fontsize=theme.SMALL
    )
    return figure
