"""The list of all claims, and how their findings become verdicts."""

from __future__ import annotations

import inspect
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

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
    stated_gradient,
    step_size,
    three_effects,
    usual_rates,
    warmup,
    zones,
)
from lrbench.experiments._claims.evidence import Evidence, NotMeasured
from lrbench.experiments.findings import Finding

HOLDS, IN_PART, FAILS, UNKNOWN = "holds", "holds in part", "does not hold", "not measured"


class Parts(Protocol):
    """What the module of a claim has."""

    def measure(self, evidence: Evidence) -> list[Finding]:
        """Measure the claim, which is its docstring."""

    def title(self, findings: Sequence[Finding]) -> str:
        """Say what was found."""

    def picture(self, evidence: Evidence, title: str) -> Figure:
        """Draw it."""


@dataclass(frozen=True)
class Claim:
    """A claim: its name, and its module."""

    name: str
    parts: Parts

    @property
    def text(self) -> str:
        """The claim in a sentence."""
        return " ".join((inspect.getdoc(self.parts.measure) or "").split())


CLAIMS = (
    Claim("S1", step_size),
    Claim("S1b", stated_gradient),
    Claim("S2", zones),
    Claim("S3", data_scale),
    Claim("S4", usual_rates),
    Claim("S5", schedule_shapes),
    Claim("S6", optimizer_shift),
    Claim("S7", combinations),
    Claim("S8", three_effects),
    Claim("S9", early_curves),
    Claim("S10", decay),
    Claim("T1", warmup),
    Claim("T2", band_width),
)


_TELLING = (
    ("S1b", "first component", 1),
    ("S2", "at a hundredth of the best rate", 1),
    ("S2", "the best at leaving it", 1),
    # The longest runs of the three families.
    ("S4", "adam, .* share of runs", 3),
    ("S8", "validation accuracy at the best", 1),
    ("S10", "^cosine minus constant", 1),
    ("T1", "warmup_cosine relative to cosine: the largest rate that trains", 1),
)
"""The findings that the page shows: those of a claim whose text matches, of several the last ones."""


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


def judge(evidence: Evidence) -> list[Judgement]:
    """Judge every claim.

    A finding with a rule speaks for its claim if the rule is met, and against it if not. All speak for it: the claim
    holds. All speak against it: it does not hold. Otherwise, and also if one could not be measured, it holds in part.

    Args:
        evidence: the studies by name.
    """
    out = []
    for claim in CLAIMS:
        try:
            findings, reason = tuple(claim.parts.measure(evidence)), ""
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


def findings(judgements: Sequence[Judgement]) -> list[Finding]:
    """Return what the page says: how many claims have each verdict, each claim's verdict, and the numbers that say most."""
    out = []
    for name in (HOLDS, IN_PART, FAILS, UNKNOWN):
        those = [each.claim.name for each in judgements if each.verdict == name]
        if those or name != UNKNOWN:
            listed = f" ({', '.join(those)})" if those else ""
            out.append(
                Finding(
                    f"claims about the learning rate with the verdict “{name}”{listed}",
                    len(those),
                    unit=f"of {len(judgements)}",
                )
            )
    out += [_of_claim(each) for each in judgements]
    by_name = {each.claim.name: each.findings for each in judgements}
    for name, pattern, count in _TELLING:
        telling = [one for one in by_name[name] if re.search(pattern, one.what)][-count:]
        out += [one._replace(what=f"{name}: {one.what}") for one in telling]
    return out


def _of_claim(judgement: Judgement) -> Finding:
    """Return a claim as a finding: how many of its rules are met."""
    met = [one.met for one in judgement.findings if one.rule]
    known = judgement.verdict != UNKNOWN
    return Finding(
        f"claim {judgement.claim.name} {judgement.verdict}: {judgement.claim.text}",
        met.count(True) if known else float("nan"),
        unit=f"of {len(met)} rules met" if known else "",
        rule="all" if known else "",
        met=judgement.verdict == HOLDS if known else None,
    )


def pictures(judgements: Sequence[Judgement]) -> dict[str, Figure]:
    """Return the picture of every claim that was measured, by the claim's name."""
    return {
        each.claim.name: each.claim.parts.picture(each.evidence, each.claim.parts.title(each.findings))
        for each in judgements
        if each.findings
    }
