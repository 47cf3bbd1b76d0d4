"""The page on which the atlas is looked up: one HTML file that loads nothing from the network."""

from __future__ import annotations

import json
from collections.abc import Sequence
from importlib import resources
from typing import Any

import markupsafe
import numpy as np
import pandas as pd

from lrbench.analysis.groups import Floats
from lrbench.experiments import html_page
from lrbench.experiments._atlas.evidence import MeasuredLines
from lrbench.experiments._atlas.measures import Measures, is_rate_free, name_of
from lrbench.study import catalog

_MEASURES = (
    (
        "tuned",
        "gap, tuned",
        "gap",
        "at each line's rate to use, mean over fresh seeds; 0 is the best line of the problem",
    ),
    (
        "untuned",
        "gap, untuned",
        "gap",
        "at the rate the method comes with, or at the one that is best for the other problems",
    ),
    (
        "common",
        "gap, one rate for all problems",
        "gap",
        "at the rate that is best for the other problems, whatever the method comes with",
    ),
    ("sensitivity", "sensitivity to the rate", "gap", "mean gap over all rates of the grid"),
    (
        "width",
        "band of good rates",
        "decades",
        "decades of neighbouring rates within 5 % of the optimizer's own best",
    ),
    (
        "use",
        "rate to use",
        "rate",
        "the rate that is good, and forgiving if it is missed; the mean is the geometric one",
    ),
)


def page(
    evidence: MeasuredLines,
    found: Measures,
    cost: pd.DataFrame,
    findings: Sequence[str],
    facts: dict[str, int],
) -> str:
    """Return the page.

    Args:
        evidence: what was measured.
        found: of every line.
        cost: the table of that name.
        findings: lines to begin with.
        facts: `runs`, `steps` and `confirm` of the study.
    """
    script = resources.files(__package__).joinpath("page.js").read_text("utf-8")
    # In a script element only "<" could end it, and markup escapes would not be undone.
    data = json.dumps(_data(evidence, found, cost), separators=(",", ":")).replace("<", "\\u003c")
    problems, optimizers, schedules = evidence.shape
    shown = {
        "script": markupsafe.Markup(script),  # a file of the package
        "data": markupsafe.Markup(data),
        "findings": findings,
        "problems": problems,
        "optimizers": optimizers,
        "schedules": schedules,
        "rates": len(evidence.rate),
        **{name: f"{number:,}" for name, number in facts.items()},
    }
    return html_page.render(__package__, shown)


def _data(evidence: MeasuredLines, found: Measures, cost: pd.DataFrame) -> dict[str, Any]:
    """All that the script of the page shows; values are flat, by problem, optimizer and schedule."""
    times = cost.groupby("optimizer")["times_sgd"].median()
    of_table = {
        "sensitivity": "learning_rate_sensitivity_normalised",
        "use": "use_learning_rate",
        "loss": "use_loss",
        "low": "use_loss_low",
        "high": "use_loss_high",
        "from": "own_low",
        "to": "own_high",
    }
    values = {name: getattr(found, name) for name in ("tuned", "untuned", "common", "width")}
    values |= {name: evidence.column(column) for name, column in of_table.items()}
    keys = ("key", "title", "kind", "note")
    return {
        "problems": evidence.problems,
        "schedules": evidence.schedules,
        "optimizers": [
            {
                "name": name,
                "free": bool(free),
                "times": _short(times.get(name_of(name), np.nan)),
                "about": catalog.get("optimizer", name_of(name)).summary,
            }
            for name, free in zip(evidence.optimizers, is_rate_free(evidence), strict=True)
        ],
        "measures": [dict(zip(keys, each, strict=True)) for each in _MEASURES],
        "values": {name: _flat(each) for name, each in values.items()},
    }


def _flat(values: Floats) -> list[float | None]:
    return [_short(value) for value in values.ravel()]


def _short(value: float) -> float | None:
    """A number with four digits; None where it is not known, as JSON has no NaN."""
    return float(f"{value:.4g}") if np.isfinite(value) else None
