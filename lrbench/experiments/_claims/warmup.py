"""T1: what warmup adds to the rates that survive."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure

from lrbench.experiments._claims.drawing import forest, met_of
from lrbench.experiments._claims.evidence import Evidence
from lrbench.experiments.findings import Finding


def measure(evidence: Evidence) -> list[Finding]:
    """Warmup lets larger rates survive."""
    study = evidence["schedules"]
    decades = np.log10(study.rate)
    count = len(decades)
    out = []
    for short, long in (("constant", "warmup_constant"), ("cosine", "warmup_cosine")):
        without = study.where(schedule=short)
        with_warmup = study.matching(without, schedule=long)
        for usable, text in ((study.stable, "that trains"), (study.good, "that is good")):
            # A line without any such rate counts as ending one step below the grid.
            last = np.where(usable, np.arange(count), -1).max(axis=2)
            end = np.where(last < 0, 2 * decades[0] - decades[1], decades[last])
            gain = (end[:, with_warmup] - end[:, without]).mean(axis=1)
            value = study.with_interval(np.round(gain, 9))  # equal logarithms leave rounding errors
            what = f"{long} relative to {short}: the largest rate {text}, mean of {len(without)} problems × optimizers"
            out.append(Finding(what, *value, unit="decades", rule="interval above 0", met=value[1] > 0))
    return out


def title(findings: Sequence[Finding]) -> str:
    """What the picture shows, in the numbers of the findings."""
    return f"Warmup raises the largest rate in {met_of(findings)} comparisons"


def picture(evidence: Evidence, title: str) -> Figure:
    """How many decades warmup adds, with intervals."""
    return forest(measure(evidence), title, "decades that warmup adds")
