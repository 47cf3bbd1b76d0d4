"""The page of the claims: verdicts, findings, pictures; everything inside it, nothing from the network."""

from __future__ import annotations

import base64
import io
import math
from collections.abc import Mapping, Sequence
from importlib import resources
from typing import Any

import jinja2
import markupsafe
from matplotlib.figure import Figure

from lrbench.claims.evidence import Finding
from lrbench.claims.judging import Judged

_CLASS = {"holds": "yes", "holds in part": "partly", "does not hold": "no", "not measured": "unknown"}


def page(judged: Sequence[Judged], pictures: Mapping[str, Figure], manifest: Mapping[str, Any]) -> str:
    """Return the claims as one HTML page.

    Args:
        judged: the claims with their verdicts.
        pictures: a figure by the claim's name.
        manifest: of the whole study.
    """
    environment = jinja2.Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True)
    environment.filters |= {"number": number, "span": span, "kind": lambda verdict: _CLASS[verdict]}
    text = resources.files(__package__).joinpath("template.html.jinja").read_text("utf-8")
    style = resources.files("lrbench.report").joinpath("page.css").read_text("utf-8")
    own = resources.files(__package__).joinpath("page.css").read_text("utf-8")
    counts = {name: sum(each.verdict == name for each in judged) for name in _CLASS}
    return environment.from_string(text).render(
        title=str(manifest.get("study", "claims")),
        facts=_facts(manifest, counts),
        judged=judged,
        pictures={name: _png(figure) for name, figure in pictures.items()},
        parts=[str(name) for name in manifest.get("parts", ())],
        limits=manifest.get("limits", {}),
        style=markupsafe.Markup(style + own),  # the package's own text
    )


def number(value: float) -> str:
    """A measured number as people read it.

    >>> [number(value) for value in (0.123456, 250000.0, 1.2e-9, -100000.0, float("nan"))]
    ['0.123', '250,000', '1.2e-09', '−100,000', '–']
    """
    if not math.isfinite(value):
        return "–"
    text = f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"
    return text.replace("-", "−", 1) if value < 0 else text


def span(finding: Finding) -> str:
    """The interval of a finding; empty where it has none."""
    if not (math.isfinite(finding.low) and math.isfinite(finding.high)):
        return ""
    return f"{number(finding.low)} … {number(finding.high)}"


def _facts(manifest: Mapping[str, Any], counts: Mapping[str, int]) -> list[tuple[str, str]]:
    runs = manifest.get("runs", {})
    told = [(name, str(count)) for name, count in counts.items() if count]
    return [*told, ("runs", f"{runs.get('done', 0):,}"), ("grids", str(len(manifest.get("parts", ()))))]


def _png(figure: Figure) -> str:
    """The picture as text that an `img` holds in itself."""
    file = io.BytesIO()
    figure.savefig(file, format="png")
    return "data:image/png;base64," + base64.b64encode(file.getvalue()).decode("ascii")
