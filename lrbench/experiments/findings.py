"""Findings: numbers that answer the question of an experiment, as a table, as lines of its answer, and as rows of its page."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import pandas as pd

NAN = float("nan")


class Finding(NamedTuple):
    """One number that was measured, in words, and whether it is what was required.

    Args:
        what: what was measured, in words that the number completes: "best rate of Adam at width 1,024".
        value: the number; `low` and `high` are the ends of its 95 % interval, if it has one.
        unit: of the number.
        rule: what is required of the number, or expected of it; empty for a number that is only reported.
        met: whether the rule is met; None if the number is only reported, could not be measured, or does not tell.
    """

    what: str
    value: float
    low: float = NAN
    high: float = NAN
    unit: str = ""
    rule: str = ""
    met: bool | None = None

    @property
    def line(self) -> str:
        """The finding as a line of an answer.

        >>> Finding("dimension of the boundary", 1.66, 1.62, 1.7, rule="1.17 to 1.98", met=True).line
        'dimension of the boundary: 1.66 (1.62 … 1.7); expected: 1.17 to 1.98, met'
        >>> Finding("slope", 0.7, 0.3, 1.1, rule="contains 1, and not 0.5").line
        'slope: 0.7 (0.3 … 1.1); expected: contains 1, and not 0.5, cannot be told'
        >>> Finding("runs that met their target", 96, unit="of 96").line
        'runs that met their target: 96 of 96'
        """
        between = f" ({interval(self)})" if interval(self) else ""
        verdict = f", {self.verdict}" if self.verdict else ""
        rule = f"; expected: {self.rule}{verdict}" if self.rule else ""
        return f"{self.what}: {quantity(self)}{between}{rule}"

    @property
    def verdict(self) -> str:
        """Whether the rule is met, in words; empty if there is none, or nothing was measured."""
        if self.met is None:
            return "cannot be told" if self.rule and math.isfinite(self.value) else ""
        return "met" if self.met else "not met"


def number(value: float) -> str:
    """Return a measured number in a readable form.

    >>> [number(value) for value in (0.123456, 250000.0, 1.2e-9, -100000.0, float("nan"))]
    ['0.123', '250,000', '1.2e-09', '−100,000', '–']
    """
    if not math.isfinite(value):
        return "–"
    text = f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"
    return text.replace("-", "−", 1) if value < 0 else text


def quantity(finding: Finding) -> str:
    """Return the number of a finding with its unit."""
    return f"{number(finding.value)} {finding.unit}".rstrip()


def interval(finding: Finding) -> str:
    """Return the interval of a finding; empty if it has none."""
    if not (math.isfinite(finding.low) and math.isfinite(finding.high)):
        return ""
    return f"{number(finding.low)} … {number(finding.high)}"


def to_table(findings: Sequence[Finding]) -> pd.DataFrame:
    """Return a row per finding."""
    frame = pd.DataFrame([finding._asdict() for finding in findings], columns=list(Finding._fields))
    return frame.rename(columns={"what": "finding"}).astype({"met": "boolean"})


def of_table(frame: pd.DataFrame) -> list[Finding]:
    """Return the findings of a table that was written as CSV, where an empty text is a missing one.

    >>> of_table(to_table([Finding("runs", 96.0, unit="of 96")]))
    [Finding(what='runs', value=96.0, low=nan, high=nan, unit='of 96', rule='', met=None)]
    """
    return [
        Finding(
            str(row["finding"]),
            float(row["value"]),
            float(row["low"]),
            float(row["high"]),
            unit=_text(row["unit"]),
            rule=_text(row["rule"]),
            met=None if pd.isna(row["met"]) else bool(row["met"]),
        )
        for row in frame.to_dict("records")
    ]


def _text(cell: object) -> str:
    return cell if isinstance(cell, str) else ""
