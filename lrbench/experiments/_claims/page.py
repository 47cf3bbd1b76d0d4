"""The HTML page of the claims: verdicts, findings and pictures in one file that loads nothing from the network."""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from lrbench.experiments import html_page
from lrbench.experiments._claims.judging import FAILS, HOLDS, IN_PART, UNKNOWN, Judgement
from lrbench.experiments._claims.limits import LIMITS
from lrbench.experiments.findings import interval, number

_CLASS = {HOLDS: "yes", IN_PART: "partly", FAILS: "no", UNKNOWN: "unknown"}
"""The CSS class of each verdict."""


def page(judgements: Sequence[Judgement], pictures: Mapping[str, bytes], runs: Mapping[str, int]) -> str:
    """Return the claims as one HTML page.

    Args:
        judgements: the claims with their verdicts.
        pictures: a PNG by the claim's name.
        runs: how many each study has, by the study's name.
    """
    counts = {name: sum(each.verdict == name for each in judgements) for name in _CLASS}
    shown = {
        "facts": {
            **{name: count for name, count in counts.items() if count},
            "runs": f"{sum(runs.values()):,}",
            "studies": len(runs),
        },
        "judgements": judgements,
        "pictures": {name: _data_url(png) for name, png in pictures.items()},
        "studies": list(runs),
        "limits": LIMITS.asdict(),
    }
    filters: dict[str, Callable[..., Any]] = {
        "number": number,
        "interval": interval,
        "class": _CLASS.__getitem__,
    }
    return html_page.render(__package__, shown, filters)


def _data_url(png: bytes) -> str:
    return "data:image/png;base64," + base64.b64encode(png).decode("ascii")
