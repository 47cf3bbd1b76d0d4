"""S2: too small, suitable and too large rates."""

from __future__ import annotations

import statistics
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd
from matplotlib.figure import Figure

from lrbench.analysis.groups import Floats
from lrbench.analysis.labels import rate_text
from lrbench.analysis.verdicts import zones
from lrbench.experiments._claims.drawing import medians, percent, shown_problem
from lrbench.experiments._claims.evidence import Evidence, NotMeasured, StudyArrays
from lrbench.experiments._claims.limits import LIMITS
from lrbench.experiments._claims.studies import ADAM
from lrbench.experiments.findings import Finding
from lrbench.plots import base, theme

_FAR_BELOW = 2.0
"""How many decades below the best a rate lies that is much too small."""


def measure(evidence: Evidence) -> list[Finding]:
    """Too small a rate barely moves or stays in a local optimum; a good one falls smoothly; too large a one explodes."""
    study = evidence["families"]
    return [
        _order(study),
        _barely(study),
        _smooth(study),
        _unstable_above(study),
        *_local_optimum(evidence["wells"]),
    ]


def _order(study: StudyArrays) -> Finding:
    table = zones(study.runs, objectives=study.objectives)
    rank = (
        table["zone"]
        .map({"too_small": 0, "good": 1, "too_large": 2})
        .to_numpy()
        .reshape(study.loss.shape[:2])
    )
    share = float((np.diff(rank, axis=1) >= 0).all(axis=1).mean())
    what = f"{len(rank)} problems × optimizers: share in which the zones follow one another as too small, good, too large"
    return Finding(what, share, rule=f"more than {LIMITS.most:g}", met=share > LIMITS.most)


def _barely(study: StudyArrays) -> Finding:
    """How far runs get at a hundredth of the best rate."""
    decades = np.log10(study.rate)
    target = decades[study.best[0]] - _FAR_BELOW
    at = np.abs(decades - target[:, None]).argmin(axis=1)
    in_grid = np.abs(decades[at] - target) < 0.1
    if not in_grid.any():
        raise NotMeasured("study families has no rate at a hundredth of the best")
    loss = np.take_along_axis(study.loss, at[:, None, None], axis=1)[:, 0]
    progress = ((study.initial[:, None] - loss) / study.span[:, None])[in_grid]
    value = study.mean(np.nanmedian(progress, axis=0))
    what = (
        "at a hundredth of the best rate: share of the way from ℓ₀ to ℓ*, median over problems × optimizers"
    )
    return Finding(what, *value, rule=f"at most {LIMITS.barely:g}", met=value[0] <= LIMITS.barely)


def _smooth(study: StudyArrays) -> Finding:
    oscillation = np.take_along_axis(study.column("oscillation"), study.best[0][:, None, None], axis=1)[:, 0]
    value = study.mean(np.nanmedian(oscillation, axis=0))
    limit = study.limits.oscillating
    what = "at the best rate: rises of the loss in the second half, as a share of its whole fall, median"
    return Finding(what, *value, rule=f"at most {limit:g}", met=value[0] <= limit)


def _unstable_above(study: StudyArrays) -> Finding:
    """How many of the runs above the good rates oscillate, collapse or diverge."""
    last = np.where(study.good[0], np.arange(len(study.rate)), -1).max(axis=1)
    above = (np.arange(len(study.rate)) > last[:, None]) & (last >= 0)[:, None]
    value = study.mean(study.broken()[above].mean(axis=0))
    what = "above the good rates: share of runs that oscillate, collapse or diverge (the others end at a poor loss)"
    return Finding(what, *value, rule=f"more than {LIMITS.most:g}", met=value[0] > LIMITS.most)


def _local_optimum(study: StudyArrays) -> list[Finding]:
    share = escapes(study)
    value = share["share"].to_numpy()
    small = np.flatnonzero(study.rate <= study.rate[study.best[0][0]] / 10)
    if not len(small):
        raise NotMeasured("study wells has no rate below a tenth of the best")
    at_small, at_any = int(small[value[small].argmax()]), int(value.argmax())
    text = f"share of {int(share['runs'].max())} starts in the shallower well of double_well that end in the deeper one"
    rules = (
        (
            at_small,
            f"largest at rates up to {rate_text(study.rate[small[-1]])}",
            "stuck in the local optimum",
        ),
        (
            at_any,
            f"at rate {rate_text(study.rate[at_any])}, the best at leaving it",
            "a larger rate leaves it",
        ),
    )
    out = []
    for (at, where, why), limit, met in zip(
        rules,
        (f"at most {LIMITS.rarely:g}", f"at least {LIMITS.escapes:g}"),
        (value[at_small] <= LIMITS.rarely, value[at_any] >= LIMITS.escapes),
        strict=True,
    ):
        low, high = (float(share[end].iloc[at]) for end in ("low", "high"))
        out.append(
            Finding(f"{text}, {where}", float(value[at]), low, high, rule=f"{limit}: {why}", met=bool(met))
        )
    return out


def escapes(study: StudyArrays) -> pd.DataFrame:
    """Return for each rate the share of the runs started in the shallower well that end in the deeper one, with Wilson's interval."""
    _, position = study.curve("first_coordinate")
    ridge = float(np.sort(np.roots([4.0, 0.0, -4.0, 0.3]).real)[1])
    shallow = position[0, :, :, 0] > ridge
    ended = (shallow & (position[0, :, :, -1] < ridge) & (study.ok[0] > 0)).sum(axis=1)
    runs = shallow.sum(axis=1)
    if not runs.all():
        raise NotMeasured("no run of study wells starts in the shallower well")
    low, high = wilson(ended, runs, study.limits.confidence)
    return pd.DataFrame(
        {"learning_rate": study.rate, "share": ended / runs, "low": low, "high": high, "runs": runs}
    )


def wilson(met: npt.ArrayLike, of: npt.ArrayLike, confidence: float) -> tuple[Floats, Floats]:
    """Return Wilson's interval of a share, which is not empty where none or all of the runs are met.

    >>> [end.round(4).tolist() for end in wilson([0, 5], [10, 10], 0.95)]
    [[0.0, 0.2366], [0.2775, 0.7634]]

    Source: Wilson, Journal of the American Statistical Association 22 (1927).
    """
    count, n = np.asarray(met, dtype=np.float64), np.asarray(of, dtype=np.float64)
    z = statistics.NormalDist().inv_cdf((1 + confidence) / 2)
    middle = (count + z**2 / 2) / (n + z**2)
    half = z * np.sqrt(count * (n - count) / n + z**2 / 4) / (n + z**2)
    return np.maximum(middle - half, 0.0), np.minimum(middle + half, 1.0)


def title(findings: Sequence[Finding]) -> str:
    """What the picture shows, in the numbers of the findings."""
    _, barely, *_, escapes = findings
    return (
        f"A hundredth of the best rate gets {percent(barely)} of the way; "
        f"no rate takes more than {percent(escapes)} of runs out of a local optimum"
    )


def picture(evidence: Evidence, title: str) -> Figure:
    """Loss at a rate that is too small, the best and one that is too large; and which rates leave a local optimum."""
    study, wells = evidence["families"], evidence["wells"]
    figure, (left, right) = base.panels(2, title, columns=2, width=4.6, height=2.9)
    line = study.where(optimizer=ADAM, problem=shown_problem(study))[0]
    step, loss = study.curve("valid_loss")
    best = study.best[0][line]
    chosen = {
        "too small": (max(best - 4, 0), theme.TOO_SMALL),
        "best": (best, theme.BEST),
        "too large": (len(study.rate) - 1, theme.TOO_LARGE),
    }
    for kind, (at, colour) in chosen.items():
        left.plot(
            step,
            medians(loss[line, at]),
            color=colour,
            lw=1.9,
            label=f"{kind}: {rate_text(study.rate[at])}",
        )
    start = float(study.initial[line])
    left.set_ylim(0, 1.6 * start)
    base.name_panel(left, f"{study.names['problem'][line]}, Adam")
    left.set(xlabel="step", ylabel="validation loss")
    left.legend(fontsize=theme.SMALL, frameon=False)
    share = escapes(wells)
    right.fill_between(wells.rate, share["low"], share["high"], color=base.COLOURS[0], alpha=0.18, lw=0)
    right.plot(wells.rate, share["share"], color=base.COLOURS[0], lw=1.9)
    base.log_rates(right, wells.rate)
    right.set_ylim(-0.01, max(0.5, 1.05 * float(share["high"].max())))
    base.name_panel(right, "double_well: leaves the local optimum")
    right.set_ylabel("share of runs that started there")
    return figure
