"""S3: the scale of the data decides which rates can be used."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure

from lrbench.analysis.labels import rate_text
from lrbench.experiments._claims.evidence import Evidence
from lrbench.experiments._claims.limits import LIMITS
from lrbench.experiments.findings import Finding, number, quantity
from lrbench.plots import base, theme


def measure(evidence: Evidence) -> list[Finding]:
    """The price of a house is a line through its area, and its scale decides which learning rates can be used."""
    study = evidence["scale"]
    standardised = study.where(problem="house_prices(standardised=true)")[0]
    raw = study.where(problem="house_prices(standardised=false)")[0]
    decades = np.log10(study.rate)[study.best]
    distance = study.with_interval(decades[:, standardised] - decades[:, raw])
    good_for_both = float((study.good[0][standardised] & study.good[0][raw]).sum())
    loss = np.take_along_axis(
        study.median_loss[:, standardised], study.best[:, standardised][:, None], axis=1
    )[:, 0]
    explained = study.with_interval(1 - loss / study.initial[standardised])
    best = [rate_text(study.rate[study.best[0][line]]) for line in (standardised, raw)]
    least = LIMITS.decades_of_scale
    return [
        Finding(
            "share of the variance of prices of other sales that a line through the area explains, at the best rate",
            *explained,
            rule=f"at least {LIMITS.explained:g}",
            met=explained[0] >= LIMITS.explained,
        ),
        Finding(
            f"best rate for standardised data ({best[0]}) relative to that for square feet and dollars ({best[1]})",
            *distance,
            unit="decades",
            rule=f"at least {least:g}",
            met=distance[0] >= least,
        ),
        Finding(
            "rates that are good for both scales",
            good_for_both,
            unit=f"of {len(study.rate)} rates",
            rule="is 0",
            met=good_for_both == 0,
        ),
    ]


def title(findings: Sequence[Finding]) -> str:
    """What the picture shows, in the numbers of the findings."""
    _, distance, both = findings
    return f"The best rates of two scales are {number(distance.value)} decades apart; {quantity(both)} are good for both"


def picture(evidence: Evidence, title: str) -> Figure:
    """Loss against rate, for raw and for standardised data."""
    study = evidence["scale"]
    figure, (axes,) = base.panels(1, title, width=6.8, height=2.9)
    names = {"true": "standard deviations", "false": "square feet and dollars"}
    for line, problem in enumerate(study.names["problem"]):
        name = next((text for key, text in names.items() if f"standardised={key}" in problem), problem)
        axes.plot(
            study.rate,
            study.median_loss[0][line] / study.initial[line],
            color=base.COLOURS[line],
            lw=1.9,
            label=name,
        )
        at = study.best[0][line]
        axes.plot(
            study.rate[at],
            study.median_loss[0][line, at] / study.initial[line],
            "o",
            color=base.COLOURS[line],
            ms=8,
            mec="white",
        )
    base.log_rates(axes, study.rate)
    axes.set_ylabel("final loss / loss at the start")
    axes.set_ylim(0, 1.05)
    axes.legend(fontsize=theme.SMALL, frameon=False, loc=(0.47, 0.2))
    return figure
