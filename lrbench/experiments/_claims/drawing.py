"""Helpers that the pictures of the claims share."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from lrbench.analysis.groups import Floats
from lrbench.experiments._claims.evidence import StudyArrays
from lrbench.experiments.findings import Finding
from lrbench.plots import base, theme

_SHOWN = "digits_mlp"


def shown_problem(study: StudyArrays) -> str:
    """The problem that a picture of one problem shows."""
    names = list(study.names["problem"])
    return _SHOWN if _SHOWN in names else str(names[0])


def medians(values: Floats) -> Floats:
    """The median of [seed, ...] over seeds; a diverged seed counts as infinite, and an infinite median is NaN."""
    found = pd.DataFrame(np.where(np.isfinite(values), values, np.inf)).median(axis=0).to_numpy()
    out: Floats = np.where(np.isfinite(found), found, np.nan)
    return out


def met_of(findings: Sequence[Finding]) -> str:
    """How many of the findings that have a rule meet it.

    >>> met_of([Finding("a", 1.0, rule="is 1", met=True), Finding("b", 0.0, rule="is 1", met=False), Finding("c", 2.0)])
    '1 of 2'
    """
    met = [each.met for each in findings if each.rule]
    return f"{met.count(True)} of {len(met)}"


def percent(finding: Finding) -> str:
    """A share, as a title has it.

    >>> percent(Finding("share that trains", 0.284))
    '28 %'
    """
    return f"{100 * finding.value:.0f} %" if np.isfinite(finding.value) else "–"


def forest(findings: Sequence[Finding], title: str, what: str) -> Figure:
    """Every finding as a dot with its interval, on an axis that says what it is; green speaks for the claim, orange against it."""
    shown = [each for each in findings if np.isfinite(each.value)]
    figure, (axes,) = base.panels(1, title, width=5.0, height=0.29 * len(shown) + 0.4, names=4.4)
    for row, each in enumerate(shown):
        colour = {True: theme.SPEAKS_FOR, False: theme.SPEAKS_AGAINST, None: base.MUTED}[each.met]
        if np.isfinite(each.low):
            axes.plot([each.low, each.high], [row, row], color=colour, lw=2)
        axes.plot(each.value, row, "o", color=colour, ms=6)
    axes.axvline(0, color=base.MUTED, lw=1)
    axes.set_yticks(range(len(shown)), [_short(each.what) for each in shown], fontsize=theme.SMALL)
    axes.set_ylim(len(shown) - 0.5, -0.5)
    axes.set_xlabel(what)
    base.note(figure, "green: speaks for the claim; orange: against it; lines: 95 %")
    return figure


def _short(text: str) -> str:
    """The beginning of a finding, in lines that fit beside a panel."""
    words = re.split(", each at|, loss over|, mean of", text, maxsplit=1)[0]
    return textwrap.fill(base.plain(words, 150), 72)
