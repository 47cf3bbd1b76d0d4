"""The list of all claims, and how their findings become verdicts."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import pandas as pd
from matplotlib.figure import Figure

from lrbench.experiments._claims import (
    band_width,
    combinations,
    data_scale,
    decay,
    early_curves,
    optimizer_shift,
    schedule_shapes,
    step_size,
    three_effects,
    usual_rates,
    warmup,
    zones,
)
from lrbench.experiments._claims.evidence import Evidence, NotMeasured
from lrbench.experiments.findings import Finding
from lrbench.tables.base import StudyTables

HOLDS, IN_PART, FAILS, UNKNOWN = "holds", "holds in part", "does not hold", "not measured"


@dataclass(frozen=True)
class Claim:
    """A claim: its name, the function that measures it, whose docstring is its text, and the one that draws it."""

    name: str
    measure: Callable[[Evidence], list[Finding]]
    picture: Callable[[Evidence], Figure]

    @property
    def text(self) -> str:
        """The claim in a sentence."""
        return " ".join((inspect.getdoc(self.measure) or "").split())


CLAIMS = (
    Claim("S1", step_size.measure, step_size.picture),
    Claim("S2", zones.measure, zones.picture),
    Claim("S3", data_scale.measure, data_scale.picture),
    Claim("S4", usual_rates.measure, usual_rates.picture),
    Claim("S5", schedule_shapes.measure, schedule_shapes.picture),
    Claim("S6", optimizer_shift.measure, optimizer_shift.picture),
    Claim("S7", combinations.measure, combinations.picture),
    Claim("S8", three_effects.measure, three_effects.picture),
    Claim("S9", early_curves.measure, early_curves.picture),
    Claim("S10", decay.measure, decay.picture),
    Claim("T1", warmup.measure, warmup.picture),
    Claim("T2", band_width.measure, band_width.picture),
)


@dataclass(frozen=True)
class Judgement:
    """A claim with its verdict, its findings, the reason if it was not measured, and the evidence it was judged by."""

    claim: Claim
    verdict: str
    findings: tuple[Finding, ...]
    reason: str
    evidence: Evidence

    @property
    def line(self) -> str:
        """Name, verdict and text of the claim as one line."""
        return f"{self.claim.name:4}{self.verdict:14} {self.claim.text}"


def judge(studies: Mapping[str, StudyTables]) -> list[Judgement]:
    """Judge every claim.

    A finding with a rule speaks for its claim if the rule is met, and against it if not. All speak for it: the claim
    holds. All speak against it: it does not hold. Otherwise, and also if one could not be measured, it holds in part.

    Args:
        studies: the results of each study, by the study's name.
    """
    evidence = Evidence(studies)
    out = []
    for claim in CLAIMS:
        try:
            findings, reason = tuple(claim.measure(evidence)), ""
        except NotMeasured as missing:
            findings, reason = (), str(missing)
        out.append(Judgement(claim, verdict(findings), findings, reason, evidence))
    return out


def verdict(findings: Sequence[Finding]) -> str:
    """Return the verdict that follows from findings.

    >>> verdict([Finding("a", 1.0, rule="is 1", met=True), Finding("b", 0.0, rule="is 1", met=False)])
    'holds in part'
    """
    met = [finding.met for finding in findings if finding.rule]
    if not any(each is not None for each in met):
        return UNKNOWN
    if all(met):
        return HOLDS
    return IN_PART if any(met) else FAILS


def table(judgements: Sequence[Judgement]) -> pd.DataFrame:
    """Return a row per finding: the claim, its verdict, what was measured, the rule, and whether it is met."""
    rows = []
    for each in judgements:
        findings = each.findings or (Finding(each.reason, float("nan")),)
        rows += [
            {"claim": each.claim.name, "text": each.claim.text, "verdict": each.verdict, **one._asdict()}
            for one in findings
        ]
    out = pd.DataFrame(rows).rename(columns={"what": "finding"})
    return out.astype({"met": "boolean"})


def pictures(judgements: Sequence[Judgement]) -> dict[str, Figure]:
    """Return the picture of every claim that was measured, by the claim's name."""
    return {each.claim.name: each.claim.picture(each.evidence) for each in judgements if each.findings}
