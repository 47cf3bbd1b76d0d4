"""S4: the starting rates that are usually advised."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from lrbench.analysis.groups import Ints
from lrbench.analysis.labels import rate_text
from lrbench.experiments._claims.drawing import met_of
from lrbench.experiments._claims.evidence import Evidence, NotMeasured, StudyArrays
from lrbench.experiments._claims.limits import LIMITS
from lrbench.experiments._claims.studies import ADAM, LONGER
from lrbench.experiments.findings import Finding
from lrbench.plots import base, theme

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
    out = [
        _in_range(study, family, str(optimizer))
        for family in _USUAL
        for optimizer in study.names["optimizer"].unique()
    ]
    for each in longer(evidence):
        out += [_in_range(each, family, ADAM) for family in _USUAL]
    return [*out, *_lowest_good(evidence)]


def longer(evidence: Evidence) -> list[StudyArrays]:
    """The studies of longer runs, the shortest first."""
    names = [name for name in evidence.names if name.startswith(LONGER)]
    return [evidence[name] for name in sorted(names, key=lambda name: int(name.removeprefix(LONGER)))]


def steps_of(study: StudyArrays) -> int:
    """How many steps the runs of a study take."""
    return int(study.runs["steps"].iloc[0])


def _members(study: StudyArrays, family: str, optimizer: str) -> Ints:
    """The lines of a family of models with an optimizer."""
    own = study.names["problem"].map(lambda name: _FAMILIES.get(name.split("(")[0], "")).to_numpy()
    return np.flatnonzero((own == family) & (study.names["optimizer"] == optimizer).to_numpy())


def _in_range(study: StudyArrays, family: str, optimizer: str) -> Finding:
    """The share of the runs at the usual rates of a family that are good."""
    low, high = _USUAL[family]
    rates = (study.rate >= low / _ROUND) & (study.rate <= high * _ROUND)
    members = _members(study, family, optimizer)
    if not len(members) or not rates.any():
        raise NotMeasured(f"study {study.name} has no {family}, or no rate from {low:g} to {high:g}")
    value = study.mean((study.verdicts() == "good")[members][:, rates].mean(axis=(0, 1)))
    best = sorted({study.rate[at] for at in study.best[0][members]})
    text = " … ".join(rate_text(rate) for rate in dict.fromkeys((best[0], best[-1])))
    what = (
        f"{family}, {optimizer}, {steps_of(study):,} steps: share of runs at {low:g} … {high:g} that are good "
        f"(best rate {text})"
    )
    return Finding(what, *value, rule=f"at least {LIMITS.most:g}", met=value[0] >= LIMITS.most)


def _lowest_good(evidence: Evidence) -> Iterator[Finding]:
    """How far down the good rates of Adam reach, by the length of the runs; only reported."""
    studies = [evidence["families"], *longer(evidence)]
    for family in _USUAL:
        for study in studies:
            good = study.good[0][_members(study, family, ADAM)]
            lowest = [study.rate[row.argmax()] for row in good if row.any()]
            problems = f", the least of {len(good)} problems" if len(good) > 1 else ""
            what = f"{family}, {ADAM}, {steps_of(study):,} steps: lowest good rate{problems}"
            yield Finding(what, float(min(lowest, default=np.nan)))


def title(findings: Sequence[Finding]) -> str:
    """What the picture shows, in the numbers of the findings."""
    return f"At least half of the runs at the usual rates (shaded) are good in {met_of(findings)} cases"


def picture(evidence: Evidence, title: str) -> Figure:
    """The good rates of every problem, by optimizer and by the length of the runs, and the ranges that are usually advised."""
    study = evidence["families"]
    names = [str(name) for name in study.names["optimizer"].unique()]
    rows = [(study, name, name) for name in names]
    rows += [(each, ADAM, f"{ADAM}, {steps_of(each):,} steps") for each in longer(evidence)]
    colours = base.colour_of([text for *_, text in rows])
    problems = [str(name) for name in study.names["problem"].unique()]
    figure, (axes,) = base.panels(
        1,
        title,
        width=7.4,
        height=(0.14 * len(rows) + 0.08) * len(problems) + 0.5,
        foot=0.45,
        names=0.75,
    )
    for row, problem in enumerate(problems):
        usual = _USUAL.get(_FAMILIES.get(problem.split("(")[0], ""))
        if usual:
            axes.fill_between(usual, row - 0.46, row + 0.46, color=theme.ADVISED, lw=0)
        for part, (each, name, text) in enumerate(rows):
            y = row + (part - (len(rows) - 1) / 2) * 0.9 / len(rows)
            _good_rates(axes, each, problem, name, y, colours[text])
    base.log_rates(axes, [study.rate[0], study.rate[-1]])
    axes.set_yticks(range(len(problems)), [problem.split("(")[0] for problem in problems])
    axes.invert_yaxis()
    base.legend(figure, {text: axes.plot([], [], color=colours[text], lw=4)[0] for *_, text in rows}, 3)
    base.note(figure, "circle: best rate; a line without colour has no good rate")
    return figure


def _good_rates(axes: Axes, study: StudyArrays, problem: str, optimizer: str, y: float, colour: str) -> None:
    """Draw the good rates of one line of a study as bars one grid step wide, and its best rate as a circle."""
    half = 10 ** (0.5 * float(np.diff(np.log10(study.rate)).mean()))
    line = study.where(problem=problem, optimizer=optimizer)[0]
    for rate in study.rate[study.good[0][line]]:
        axes.plot([rate / half, rate * half], [y, y], color=colour, lw=4, solid_capstyle="butt")
    axes.plot(study.rate[study.best[0][line]], y, "o", color="white", mec=colour, ms=4.5, zorder=5)
