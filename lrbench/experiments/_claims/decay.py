"""S10: a rate that decays is fast at first, and fine later."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure

from lrbench.analysis.groups import Floats, Ints
from lrbench.experiments._claims.drawing import forest, met_of
from lrbench.experiments._claims.evidence import Evidence, NotMeasured, StudyArrays
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
"""The ratio to constant's best rate of a peak that counts as large, where speed is measured."""


def measure(evidence: Evidence) -> list[Finding]:
    """A rate that is large at first and smaller later is fast, then fine."""
    study = evidence["schedules"]
    if study.loss.shape[2] < 2:
        raise NotMeasured("study schedules has one seed, so that none is left to choose a rate by")
    constant = study.where(schedule="constant")
    out = [_fast(study, constant)]
    for name in _DECAYS:
        value = study.mean(difference(study, study.matching(constant, schedule=name), constant))
        what = f"{name} minus constant, each at the rate that is best on the other half of the seeds: final loss over (ℓ₀ − ℓ*)"
        out.append(Finding(what, *value, rule="interval below 0", met=value[2] < 0))
    return out


def halves(seeds: int) -> list[tuple[Ints, Ints]]:
    """Return the two ways to choose rates on one half of the seeds and to compare on the other.

    >>> [[half.tolist() for half in way] for way in halves(5)]
    [[[0, 2, 4], [1, 3]], [[1, 3], [0, 2, 4]]]
    """
    even, odd = np.arange(0, seeds, 2), np.arange(1, seeds, 2)
    return [(even, odd), (odd, even)]


def chosen(study: StudyArrays, lines: Ints, seeds: Ints) -> Ints:
    """The best rate of each line on some seeds: that of the least median loss, with a diverged run as the worst."""
    loss = study.loss[lines][..., seeds]
    best: Ints = np.median(np.where(np.isfinite(loss), loss, np.inf), axis=2).argmin(axis=1)
    return best


def difference(study: StudyArrays, lines: Ints, others: Ints) -> Floats:
    """Final loss of lines minus that of others, each tuned on the other half of the seeds, over (ℓ₀ − ℓ*), mean over the lines: [seed]."""
    # A run that ends above its start, or not at all, counts as one that stayed there.
    start = study.initial[:, None, None]
    loss = np.where(np.isfinite(study.loss), np.fmin(study.loss, start), start)
    out = np.empty(loss.shape[2])
    for tuning, comparing in halves(loss.shape[2]):
        mine, theirs = (loss[each, chosen(study, each, tuning)][:, comparing] for each in (lines, others))
        out[comparing] = ((mine - theirs) / study.span[others][:, None]).mean(axis=0)
    return out


def _fast(study: StudyArrays, constant: Ints) -> Finding:
    """Early in the run, a decaying rate with a large peak against a constant rate of a tenth of it."""
    step, loss = study.curve("valid_loss")
    quarter = int(np.abs(step - step[-1] / 4).argmin())
    cosine = study.matching(constant, schedule="cosine")
    decades = np.log10(study.rate)
    start, times = study.initial[constant][:, None], []
    out = np.empty(loss.shape[2])
    for tuning, comparing in halves(loss.shape[2]):
        best = decades[chosen(study, constant, tuning)]
        peak = np.abs(decades - (best + np.log10(_LARGER))[:, None]).argmin(axis=1)
        tenth = np.abs(decades - (decades[peak] - 1)[:, None]).argmin(axis=1)
        early, small = (
            np.fmin(loss[lines, at][:, comparing, quarter], start)
            for lines, at in ((cosine, peak), (constant, tenth))
        )
        out[comparing] = ((early - small) / study.span[constant][:, None]).mean(axis=0)
        times.append(decades[peak] - best)
    value = study.mean(out)
    larger = f"{10 ** float(np.mean(times)):.2g} × constant's best rate"
    what = (
        f"after a quarter of the run: cosine at {larger} minus constant at a tenth of it, loss over (ℓ₀ − ℓ*)"
    )
    return Finding(what, *value, rule="interval below 0", met=value[2] < 0)


def title(findings: Sequence[Finding]) -> str:
    """What the picture shows, in the numbers of the findings."""
    _, *decays = findings
    return f"{met_of(decays)} decays end below a constant rate, each tuned on other seeds"


def picture(evidence: Evidence, title: str) -> Figure:
    """What each decay gains over a constant rate, each at a rate tuned on other seeds, with intervals."""
    return forest(measure(evidence), title, "loss minus that of a constant rate, over ℓ₀ − ℓ*")
