"""Every claim with its findings, its verdict and its picture."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import pandas as pd
from matplotlib.figure import Figure

from lrbench.claims import basics, draw, training
from lrbench.claims.evidence import Evidence, Finding, NotMeasured
from lrbench.tables.base import StudyTables

HOLDS, IN_PART, FAILS, UNKNOWN = "holds", "holds in part", "does not hold", "not measured"


@dataclass(frozen=True)
class Claim:
    """A claim: its name, what is measured for it, and its picture; its text is the docstring of `measure`."""

    name: str
    measure: Callable[[Evidence], list[Finding]]
    picture: Callable[[Evidence], Figure]

    @property
    def text(self) -> str:
        """The claim in a sentence."""
        return " ".join((inspect.getdoc(self.measure) or "").split())


CLAIMS = (
    Claim("S1", basics.steps, draw.steps),
    Claim("S2", basics.three_zones, draw.three_zones),
    Claim("S3", basics.scale, draw.scale),
    Claim("S4", basics.usual_rates, draw.usual_rates),
    Claim("S5", basics.schedules, draw.schedules),
    Claim("S6", training.optimizers, draw.optimizers),
    Claim("S7", training.products, draw.products),
    Claim("S8", training.three_effects, draw.three_effects),
    Claim("S9", training.curves, draw.curves),
    Claim("S10", training.decay, draw.decay),
    Claim("T1", training.warmup, draw.warmup),
    Claim("T2", training.width, draw.width),
)


@dataclass(frozen=True)
class Judged:
    """A claim with its verdict, what was found, and, where nothing could be measured, why."""

    claim: Claim
    verdict: str
    findings: tuple[Finding, ...]
    reason: str
    evidence: Evidence


def judge(parts: Mapping[str, StudyTables]) -> list[Judged]:
    """Judge every claim.

    A finding that has a rule speaks for its claim if the rule is met, and against it if not. All for it: holds. All
    against it: does not hold. Else, also where one could not be measured: holds in part.

    Args:
        parts: the results of every part of the study, by its name.
    """
    evidence = Evidence(parts)
    out = []
    for claim in CLAIMS:
        try:
            findings, reason = tuple(claim.measure(evidence)), ""
        except NotMeasured as missing:
            findings, reason = (), str(missing)
        out.append(Judged(claim, verdict(findings), findings, reason, evidence))
    return out


def verdict(findings: Sequence[Finding]) -> str:
    """Return what findings say together.

    >>> verdict([Finding("a", 1.0, rule="is 1", met=True), Finding("b", 0.0, rule="is 1", met=False)])
    'holds in part'
    """
    met = [finding.met for finding in findings if finding.rule]
    if not any(each is not None for each in met):
        return UNKNOWN
    if all(met):
        return HOLDS
    return IN_PART if any(met) else FAILS


def table(judged: Sequence[Judged]) -> pd.DataFrame:
    """Return a row per finding: the claim, its verdict, what was measured, the rule, and whether it is met."""
    rows = []
    for each in judged:
        found = each.findings or (Finding(each.reason, float("nan")),)
        rows += [
            {"claim": each.claim.name, "text": each.claim.text, "verdict": each.verdict, **one._asdict()}
            for one in found
        ]
    out = pd.DataFrame(rows).rename(columns={"what": "finding"})
    return out.astype({"met": "boolean"})


def pictures(judged: Sequence[Judged]) -> dict[str, Figure]:
    """Return the picture of every claim that was measured, by the claim's name."""
    return {each.claim.name: each.claim.picture(each.evidence) for each in judged if each.findings}
