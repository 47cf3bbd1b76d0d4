"""The report: a template filled with the answer, the data of its pictures, and the tables."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from importlib import resources
from importlib.resources.abc import Traversable
from typing import Any

import jinja2
import markupsafe
import numpy as np
import pandas as pd

from lrbench.analysis.answer_words import more_steps, moves
from lrbench.analysis.labels import rate_text
from lrbench.analysis.objective import trained
from lrbench.analysis.rates import stages
from lrbench.analysis.thresholds import Thresholds
from lrbench.plots import theme
from lrbench.report.glossary import glossary
from lrbench.report.page_plots import as_json, page_data, without_range
from lrbench.report.page_tables import (
    COMPARISON,
    MAX_ROWS,
    RANKING,
    SENSITIVITY,
    answers,
    comparison_rows,
    ranking_rows,
    sensitivity_rows,
)
from lrbench.study import catalog
from lrbench.tables.base import StudyTables, file_to_open

SCRIPTS = ("charts", "tables", "panels", "page")


def report(results: StudyTables) -> str:
    """The whole study as one HTML page: the answer, interactive pictures, tables, and what was run.

    Everything is inside the page (its script too), so that it opens offline, and nothing is fetched. The
    plots are thinned to a fixed size; the CSV files beside the page, which it links to, have every number.

    Args:
        results: the tables of a results folder and its manifest.

    Returns:
        HTML text.
    """
    room = resources.files(__package__)
    environment = jinja2.Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True)
    environment.filters |= {
        "rate": _rate,
        "loss": _loss,
        "decades": _decades,
        "share": _share,
        "raw": _raw,
        "kept": _kept,
        "named": _named,
    }
    template = environment.from_string(room.joinpath("template.html.jinja").read_text("utf-8"))
    thresholds = Thresholds.of(results.manifest.get("thresholds", {}))
    data = page_data(results)
    return template.render(
        title=_title(results),
        facts=_facts(results),
        answers=answers(results, thresholds),
        moves=moves(results.interactions)[:MAX_ROWS],
        data=data,
        faster=more_steps(thresholds),
        good=f"at most {100 * thresholds.good:g} % of (ℓ₀ − ℓ*)",
        columns=SENSITIVITY,
        rows=sensitivity_rows(results.sensitivity),
        total=len(results.sensitivity),
        compared_columns=COMPARISON,
        compared=comparison_rows(results.comparison),
        pairs=len(results.comparison),
        ranked_columns=RANKING,
        ranked=ranking_rows(results.ranking),
        words=glossary(thresholds),
        manifest=_listed(results.manifest),
        files=_files(results),
        # These three are the package's own text, or escaped for their context: markup, not data.
        json=markupsafe.Markup(as_json(data)),
        style=markupsafe.Markup(_style(room)),
        script=markupsafe.Markup(_script(room)),
    )


def _script(room: Traversable) -> str:
    """The script of the page: its files, each of which needs those before it."""
    return "".join(room.joinpath(f"{name}.js").read_text("utf-8") for name in SCRIPTS)


def _style(room: Traversable) -> str:
    """The style sheet of the page, with the colours of lines: those of the plots, told apart in its dark scheme, too; on paper it is light."""
    light, dark = (
        "".join(f".c{number} {{ --own: {colour}; }}\n" for number, colour in enumerate(colours))
        for colours in (theme.ON_LIGHT, theme.ON_DARK)
    )
    css = room.joinpath("page.css").read_text("utf-8")
    return f"{css}{light}@media screen and (prefers-color-scheme: dark) {{\n{dark}}}\n"


def _title(results: StudyTables) -> str:
    study = results.manifest.get("study")
    name = study.get("name") if isinstance(study, Mapping) else study
    return str(name or next(iter(results.runs.get("study", [])), "study"))


def _facts(results: StudyTables) -> list[tuple[str, str]]:
    """The study in seven numbers."""
    runs = without_range(results.runs)
    rates = runs["learning_rate"]
    steps = " or ".join(f"{value:,}" for value in sorted(runs["steps"].unique())) if "steps" in runs else "–"
    diverged = float((~trained(runs)).mean()) if len(runs) else np.nan
    return [
        ("runs", f"{len(results.runs):,}"),
        ("problems", f"{runs['problem'].nunique():,}"),
        ("lines", f"{len(results.sensitivity):,}"),
        ("learning rates", f"{rates.nunique():,} from {_rate(rates.min())} to {_rate(rates.max())}"),
        ("seeds", _seeds(runs)),
        ("steps", steps),
        ("diverged", _share(diverged)),
    ]


def _seeds(runs: pd.DataFrame) -> str:
    """How many seeds the grid has, and how many fresh ones confirm what it found."""
    seeds = runs["seed"].groupby(stages(runs) == "confirm").nunique()
    fresh = f" + {seeds[True]:,} fresh" if True in seeds.index else ""
    return f"{seeds.get(False, 0):,}{fresh}"


def _files(results: StudyTables) -> list[tuple[str, str]]:
    """What lies beside the page: the tables that the manifest lists, and how they were made."""
    written = results.manifest.get("tables", {})
    tables = {file_to_open(name, written.__contains__): name for name in catalog.names("table")}
    found = [
        (file, catalog.get("table", name).summary.removesuffix("."))
        for file, name in tables.items()
        if file in written
    ]
    return [*found, ("study.toml", "the study"), ("manifest.json", "versions, devices, times")]


def _listed(manifest: Mapping[str, Any]) -> list[tuple[str, str]]:
    """The manifest as lines, without what is empty, long lists and records (schedules, packs), and the tables, which are listed as files."""
    out = []
    for key, value in manifest.items():
        if value is None or value in ([], {}, "") or key == "tables":
            continue
        if isinstance(value, Mapping):
            plain = [f"{name} {item}" for name, item in value.items() if not isinstance(item, (dict, list))]
            text = ", ".join(plain or map(str, value))
        elif key == "devices" and isinstance(value, list) and all(isinstance(each, dict) for each in value):
            kinds = Counter(str(each.get("kind", "")) for each in value)
            text = ", ".join(f"{count} × {kind}" for kind, count in kinds.items())
        elif isinstance(value, (list, tuple)) and (len(value) > 8 or any(isinstance(v, dict) for v in value)):
            continue
        elif isinstance(value, (list, tuple)):
            text = ", ".join(map(str, value))
        else:
            text = f"{value:,.6g}" if isinstance(value, float) else str(value)
        out.append((str(key).replace("_", " "), text if len(text) <= 400 else text[:399] + "…"))
    return out


def _rate(value: float) -> str:
    return rate_text(value) if np.isfinite(value) else "–"


def _loss(value: float) -> str:
    return f"{value:.4g}".replace("-", "−") if np.isfinite(value) else "–"


def _decades(value: float) -> str:
    return f"{value:.2f}" if np.isfinite(value) else "–"


def _share(value: float) -> str:
    return f"{100 * value:.3g} %" if np.isfinite(value) else "–"


def _kept(text: str) -> markupsafe.Markup:
    """A text in which a number stays with its sign and its unit and is not broken after a minus of its own."""
    joined = re.sub(r" ([±×%]) ?", lambda found: found[0].replace(" ", "\u00a0"), text)
    escaped = str(markupsafe.escape(joined))
    return markupsafe.Markup(re.sub(r"\d[\d.]*e-\d+", r'<span class="number">\g<0></span>', escaped))


def _named(text: str) -> markupsafe.Markup:
    """A name that may be broken between its parts."""
    return markupsafe.Markup(re.sub(r"(?<=\w)([_(,])(?=\w)", r"\1<wbr>", str(markupsafe.escape(text))))


def _raw(value: object) -> str:
    """A number for sorting; empty if missing."""
    return repr(float(value)) if isinstance(value, (int, float)) and pd.notna(value) else ""
