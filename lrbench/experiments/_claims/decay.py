"""S10: a rate that decays is fast at first, and fine later."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure

from lrbench.analysis.groups import Floats, Ints
from lrbench.experiments._claims.drawing import forest
from lrbench.experiments._claims.evidence import Evidence, StudyArrays
from lrbench.experiments.findings import Finding

_DECAYS = (
    "step(step_size=30)",
    "step(step_size=100)",
    "exponential",
    "linear",
    "cosine",
    "reduce_on_plateau",
    "warmup_cosine",
)
_LARGER = 10**0.5
"""The ratio to constant's best rate of a peak that counts as large."""


def measure(evidence: Evidence) -> list[Finding]:
    """A rate that is large at first and smaller later is fast, then fine."""
    study = evidence["schedules"]
    constant = study.where(schedule="constant")
    best = study.best[0][constant]
    decades = np.log10(study.rate)
    peak = np.abs(decades - (decades[best] + np.log10(_LARGER))[:, None]).argmin(axis=1)
    times = 10 ** float((decades[peak] - decades[best]).mean())
    larger = f"{times:.2g} × constant's best rate"
    out = [_fast(study, constant, peak, larger)]
    for name in _DECAYS:
        lines = study.matching(constant, schedule=name)
        for at, text in ((best, "constant's best rate"), (peak, larger)):
            value = study.mean(difference(study, lines, constant, at))
            what = f"{name} minus constant, both at {text}: final loss over (ℓ₀ − ℓ*)"
            out.append(Finding(what, *value, rule="interval below 0", met=value[2] < 0))
    return out


def difference(study: StudyArrays, lines: Ints, others: Ints, at: Ints) -> Floats:
    """Final loss of lines minus that of others at the same rates, over (ℓ₀ − ℓ*), mean over the lines: [seed]."""
    gap: Floats = ((study.loss[lines, at] - study.loss[others, at]) / study.span[others][:, None]).mean(
        axis=0
    )
    return gap


def _fast(study: StudyArrays, constant: Ints, peak: Ints, larger: str) -> Finding:
    """Early in the run, a decaying rate with a large peak against a constant rate of a tenth of it."""
    step, loss = study.curve("valid_loss")
    quarter = int(np.abs(step - step[-1] / 4).argmin())
    tenth = np.abs(np.log10(study.rate) - (np.log10(study.rate[peak]) - 1)[:, None]).argmin(axis=1)
    cosine = study.matching(constant, schedule="cosine")
    start = study.initial[constant][:, None]
    early, small = (
        np.fmin(loss[lines, at, :, quarter], start) for lines, at in ((cosine, peak), (constant, tenth))
    )
    value = study.mean(((early - small) / study.span[constant][:, None]).mean(axis=0))
    what = (
        f"after a quarter of the run: cosine at {larger} minus constant at a tenth of it, loss over (ℓ₀ − ℓ*)"
    )
    return Finding(what, *value, rule="interval below 0", met=value[2] < 0)


def picture(evidence: Evidence) -> Figure:
    """What each decay gains over a constant rate of the same peak, with intervals."""
    return forest(measure(evidence), "Decay minus constant: below 0 is better")
