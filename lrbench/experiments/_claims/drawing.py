"""Helpers that the pictures of the claims share."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
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


def label_axes(axes: Axes, x: str, y: str) -> None:
    """Name both axes of a panel."""
    axes.set_xlabel(x)
    axes.set_ylabel(y)


def widen_left(figure: Figure, inches: float) -> None:
    """Widen a figure so that its panel has this much room at its left."""
    wide, high = figure.get_size_inches()
    left, right = figure.subplotpars.left * wide, figure.subplotpars.right * wide
    figure.set_size_inches(wide + inches - left, high)
    whole = wide + inches - left
    figure.subplots_adjust(left=inches / whole, right=(right + inches - left) / whole)


def forest(findings: Sequence[Finding], title: str) -> Figure:
    """Every finding as a dot with its interval; green speaks for the claim, red against it."""
    shown = [each for each in findings if np.isfinite(each.value)]
    figure, (axes,) = base.panels(1, title, width=5.0, height=0.29 * len(shown) + 0.4)
    widen_left(figure, 5.4)
    for row, each in enumerate(shown):
        colour = {True: theme.SPEAKS_FOR, False: theme.SPEAKS_AGAINST, None: base.MUTED}[each.met]
        if np.isfinite(each.low):
            axes.plot([each.low, each.high], [row, row], color=colour, lw=2)
        axes.plot(each.value, row, "o", color=colour, ms=6)
    axes.axvline(0, color=base.MUTED, lw=1)
    axes.set_yticks(range(len(shown)), [_short(each.what) for each in shown], fontsize=theme.SMALL)
    axes.invert_yaxis()
    return figure


def _short(text: str) -> str:
    """The beginning of a finding, in lines that fit beside a panel."""
    words = re.split(": final loss|, loss over|, mean of", text, maxsplit=1)[0]
    return textwrap.fill(base.plain(words, 150), 72)
