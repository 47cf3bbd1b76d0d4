"""The HTML page of the claims: verdicts, findings and pictures in one file that loads nothing from the network."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from importlib import resources

import jinja2
import markupsafe

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
    environment = jinja2.Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True)
    environment.filters |= {"number": number, "interval": interval, "class": _CLASS.__getitem__}
    text = resources.files(__package__).joinpath("template.html.jinja").read_text("utf-8")
    style = resources.files("lrbench.report").joinpath("page.css").read_text("utf-8")
    own = resources.files(__package__).joinpath("page.css").read_text("utf-8")
    counts = {name: sum(each.verdict == name for each in judgements) for name in _CLASS}
    return environment.from_string(text).render(
        facts={
            **{name: count for name, count in counts.items() if count},
            "runs": f"{sum(runs.values()):,}",
            "studies": len(runs),
        },
        judgements=judgements,
        pictures={name: _data_url(png) for name, png in pictures.items()},
        studies=list(runs),
        limits=LIMITS.asdict(),
        style=markupsafe.Markup(style + own),  # both are files of the package
    )


def _data_url(png: bytes) -> str:
    return "data:image/png;base64," + base64.b64encode(png).decode("ascii")
