"""S4: the starting rates that are usually advised."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure

from lrbench.analysis.labels import rate_text
from lrbench.experiments._claims.drawing import widen_left
from lrbench.experiments._claims.evidence import Evidence, NotMeasured
from lrbench.experiments._claims.limits import LIMITS
from lrbench.experiments.findings import Finding
from lrbench.plots import base

_FAMILIES = {
    "house_prices": "simple models",
    "digits_softmax": "simple models",
    "digits_mlp": "simple models",
    "digits_cnn": "CNN",
    "char_transformer": "Transformer",
}
_USUAL = {"simple models": (1e-3, 1e-2), "CNN": (1e-5, 3e-4), "Transformer": (1e-5, 3e-4)}
_ROUND = 1.06
"""A rate this much outside a range still counts: 3.16e-4, which is on the grid, as 3e-4."""


def measure(evidence: Evidence) -> list[Finding]:
    """Good starting rates are 1e-5 to 3e-4 for CNNs and Transformers, and 1e-3 to 1e-2 for simple models."""
    study = evidence["families"]
    good = study.verdicts() == "good"
    family = study.names["problem"].map(lambda name: _FAMILIES.get(name.split("(")[0], "")).to_numpy()
    out = []
    for name, (low, high) in _USUAL.items():
        rates = (study.rate >= low / _ROUND) & (study.rate <= high * _ROUND)
        for optimizer in study.names["optimizer"].unique():
            members = np.flatnonzero((family == name) & (study.names["optimizer"] == optimizer).to_numpy())
            if not len(members) or not rates.any():
                raise NotMeasured(f"study families has no {name}, or no rate from {low:g} to {high:g}")
            value = study.mean(good[members][:, rates].mean(axis=(0, 1)))
            best = sorted({study.rate[at] for at in study.best[0][members]})
            text = " … ".join(rate_text(rate) for rate in dict.fromkeys((best[0], best[-1])))
            what = (
                f"{name}, {optimizer}: share of runs at {low:g} … {high:g} that are good (best rate {text})"
            )
            out.append(Finding(what, *value, rule=f"at least {LIMITS.most:g}", met=value[0] >= LIMITS.most))
    return out


def picture(evidence: Evidence) -> Figure:
    """The good rates of every problem and optimizer, and the ranges that are usually advised."""
    study = evidence["families"]
    names = list(study.names["optimizer"].unique())
    colours = base.colour_of(names)
    problems = list(study.names["problem"].unique())
    figure, (axes,) = base.panels(
        1,
        "Good rates, and the usual advice (shaded)",
        width=7.4,
        height=0.62 * len(problems) + 0.5,
        foot=0.25,
    )
    half = 10 ** (0.5 * float(np.diff(np.log10(study.rate)).mean()))
    for row, problem in enumerate(problems):
        usual = _USUAL.get(_FAMILIES.get(problem.split("(")[0], ""))
        if usual:
            axes.fill_between(usual, row - 0.42, row + 0.42, color="#f3e3b3", lw=0)
        for row_part, name in enumerate(names):
            line = study.where(problem=problem, optimizer=name)[0]
            y = row + (row_part - (len(names) - 1) / 2) * 0.19
            for at in np.flatnonzero(study.good[0][line]):
                axes.plot(
                    [study.rate[at] / half, study.rate[at] * half],
                    [y, y],
                    color=colours[name],
                    lw=5,
                    solid_capstyle="butt",
                )
            axes.plot(
                study.rate[study.best[0][line]], y, "o", color="white", mec=colours[name], ms=4.5, zorder=5
            )
    base.log_rates(axes, [study.rate[0], study.rate[-1]])
    axes.set_yticks(range(len(problems)), [problem.split("(")[0] for problem in problems])
    axes.invert_yaxis()
    widen_left(figure, 1.5)
    base.legend(figure, {name: axes.plot([], [], color=colours[name], lw=5)[0] for name in names}, len(names))
    base.note(figure, "circle: best rate; a line without colour has no good rate")
    return figure
