"""The report: a template filled with the answer, the pictures' data and the tables."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import resources
from typing import Any

import jinja2
import markupsafe
import numpy as np
import pandas as pd

from lrbench.analysis.best import best
from lrbench.analysis.comparison import pair_names
from lrbench.analysis.groups import PARTS
from lrbench.analysis.labels import label, rate_text
from lrbench.analysis.objective import trained
from lrbench.analysis.thresholds import Thresholds
from lrbench.plots.base import Tables
from lrbench.report.data import as_json, page_data

MAX_ROWS = 500
# heading, column, how to write it, what it means
_COLUMNS = (
    ("best rate", "best_learning_rate", "rate", "the stable rate with the least loss"),
    ("loss there", "best_loss", "loss", "median over seeds"),
    ("good from", "good_low", "rate", "least rate of the unbroken good band"),
    ("good to", "good_high", "rate", "greatest rate of the unbroken good band"),
    ("tolerance", "tolerance_decades", "decades", "length of all good rates, in decades"),
    ("last stable rate", "max_stable_learning_rate", "rate", "at least half the seeds train there"),
    ("cliff", "cliff_decades", "decades", "decades from the best rate to the last stable one"),
    ("sensitivity", "learning_rate_sensitivity", "loss", "mean over the grid of the loss above the best"),
    ("normalised", "learning_rate_sensitivity_normalised", "share", "sensitivity over (start − best)"),
    ("oscillating", "oscillating_fraction", "share", "share of runs"),
    ("diverged", "diverged_fraction", "share", "share of runs"),
)
_COMPARED = (
    ("problem", "problem", "text", ""),
    ("line", "name", "text", "the line of less loss, median over seeds"),
    ("against", "other", "text", ""),
    ("difference", "difference", "loss", "interquartile mean over seeds; below 0: the first has less loss"),
    ("is it real?", "answer", "text", "from the interval"),
    ("normalised", "difference_normalised", "loss", "the difference over (start − best)"),
    ("seeds", "seeds", "raw", "which both have"),
)
_RANKED = (
    ("optimizer", "optimizer", "text", ""),
    ("schedule", "schedule", "text", ""),
    ("average rank", "average_rank", "decades", "over problems, by the loss at the best rate"),
    ("short of the best", "mean_best_gap", "share", "mean over problems of (loss − best) / (start − best)"),
    ("targets reached", "targets_reached", "raw", "problems whose target it reaches"),
    ("profile score", "profile_score", "decades", "1: the fastest to the target on every problem"),
    ("speed-up", "speedup", "decades", "geometric mean over problems of the reference's steps over its own"),
    ("on problems", "speedup_problems", "raw", "problems whose target both reach"),
    ("Nemenyi group", "nemenyi_group", "text", "lines of one group are not told apart"),
    ("Wilcoxon group", "wilcoxon_group", "text", "lines of one group are not told apart (Holm)"),
)
_FILES = (
    ("runs.csv", "a row per run"),
    ("runs.parquet", "the same, with types"),
    ("curves.parquet", "a row per run and evaluation"),
    ("summary.csv", "a row per grid point, over seeds"),
    ("sensitivity.csv", "a row per optimizer and schedule"),
    ("comparison.csv", "a row per pair of lines of a problem"),
    ("ranking.csv", "a row per optimizer and schedule, over problems"),
    ("tuning_budget.csv", "the loss to expect after so many random rates"),
    ("study.toml", "the study"),
    ("manifest.json", "versions, devices, times"),
)


def report(results: Tables) -> str:
    """The whole study as one HTML page: the answer, interactive pictures, tables, and what was run.

    Everything is inside the page (its script too), so that it opens offline, and nothing is fetched. The
    pictures are thinned to a fixed size; the CSV files that the page links to, beside it, hold every number.

    Args:
        results: the tables of a results folder and its manifest.

    Returns:
        HTML text.
    """
    room = resources.files(__package__)
    environment = jinja2.Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True)
    environment.filters |= {"rate": _rate, "loss": _loss, "decades": _decades, "share": _share, "raw": _raw}
    template = environment.from_string(room.joinpath("template.html.jinja").read_text("utf-8"))
    thresholds = Thresholds.of(results.manifest.get("thresholds", {}))
    data = page_data(results)
    return template.render(
        title=_title(results),
        facts=_facts(results),
        answers=_answers(results.sensitivity, thresholds),
        data=data,
        columns=_COLUMNS,
        rows=_rows(results.sensitivity),
        total=len(results.sensitivity),
        compared_columns=_COMPARED,
        compared=_compared(results.comparison),
        pairs=len(results.comparison),
        ranked_columns=_RANKED,
        ranked=_ranked(results.ranking),
        words=_words(thresholds),
        manifest=_listed(results.manifest),
        files=_FILES,
        # These four are the package's own text, or escaped for where they stand: markup, not data.
        json=markupsafe.Markup(as_json(data)),
        style=markupsafe.Markup(room.joinpath("page.css").read_text("utf-8")),
        script=markupsafe.Markup(room.joinpath("page.js").read_text("utf-8")),
        plotly=markupsafe.Markup(_plotly()),
    )


def _plotly() -> str:
    """The script of plotly.js, without importing plotly's Python side."""
    script = resources.files("plotly").joinpath("package_data", "plotly.min.js").read_text("utf-8")
    return script.replace("</script", r"<\/script")


def _title(results: Tables) -> str:
    study = results.manifest.get("study")
    name = study.get("name") if isinstance(study, Mapping) else study
    return str(name or next(iter(results.runs.get("study", [])), "study"))


def _facts(results: Tables) -> list[tuple[str, str]]:
    """The study in six numbers."""
    runs = results.runs
    rates = runs["learning_rate"]
    steps = " or ".join(f"{value:,}" for value in sorted(runs["steps"].unique())) if "steps" in runs else "–"
    diverged = float((~trained(runs)).mean()) if len(runs) else np.nan
    return [
        ("runs", f"{len(runs):,}"),
        ("problems", f"{runs['problem'].nunique():,}"),
        ("optimizers × schedules", f"{len(results.sensitivity):,}"),
        ("learning rates", f"{rates.nunique():,} from {_rate(rates.min())} to {_rate(rates.max())}"),
        ("seeds", f"{runs['seed'].nunique():,}"),
        ("steps", steps),
        ("diverged", _share(diverged)),
    ]


def _answers(sensitivity: pd.DataFrame, thresholds: Thresholds) -> list[dict[str, Any]]:
    """Per problem: the sentence of its best row, and all rows."""
    table = best(sensitivity, thresholds)
    out = []
    for problem, rows in table.groupby("problem", sort=False):
        listed = _records(rows.head(MAX_ROWS))
        out.append({"problem": problem, "first": listed[0], "rows": listed, "more": len(rows) - len(listed)})
    return out


def _rows(sensitivity: pd.DataFrame) -> list[dict[str, Any]]:
    named = sensitivity.assign(**{part: label(sensitivity, part) for part in PARTS})
    return _records(named.sort_values("best_loss", kind="stable").head(MAX_ROWS))


def _compared(comparison: pd.DataFrame) -> list[dict[str, Any]]:
    first, other = pair_names(comparison)
    named = comparison.assign(problem=label(comparison, "problem"), name=first, other=other)
    return _records(named.head(MAX_ROWS))


def _ranked(ranking: pd.DataFrame) -> list[dict[str, Any]]:
    """The ranking, if there is more than one line to rank."""
    named = ranking.assign(**{part: label(ranking, part) for part in PARTS[1:]})
    named[["nemenyi_group", "wilcoxon_group"]] = named[["nemenyi_group", "wilcoxon_group"]].fillna("–")
    return _records(named.head(MAX_ROWS)) if len(named) > 1 else []


def _records(table: pd.DataFrame) -> list[dict[str, Any]]:
    return [{str(key): value for key, value in row.items()} for row in table.to_dict("records")]


def _words(limits: Thresholds) -> list[tuple[str, str]]:
    shares = (limits.good, limits.oscillating, limits.slow, limits.stable, limits.confidence)
    percent, waves, late, most, sure = (f"{100 * share:g} %" for share in shares)
    return [
        (
            "ℓ₀, ℓ*",
            "the loss at the start of a run; the best final loss over the grid of its problem, as the median over seeds",
        ),
        ("diverged", "a loss became infinite or undefined, or the training loss ended above its start"),
        ("good", f"the run ended within {percent} of (ℓ₀ − ℓ*) of ℓ*"),
        ("oscillating", f"not good, and its upward moves over the second half exceed {waves} of (ℓ₀ − ℓ*)"),
        ("slow", f"neither, and its last quarter still falls at {late} or more of its mean pace"),
        ("stuck", "none of these"),
        ("too small, good, too large", "the zone of a rate, by the verdicts of most of its seeds"),
        (
            "last stable rate",
            f"the greatest rate at which at least {most} of the seeds train",
        ),
        ("tolerance", "how many decades of learning rate are good"),
        ("cliff", "how many decades lie between the best rate and the last stable one"),
        (
            "sensitivity",
            "mean over the rates of min(ℓ, ℓ₀) − ℓ*; diverged counts as ℓ₀ (arXiv:2309.14322)",
        ),
        ("line", "one problem, optimizer and schedule with all their parameters"),
        ("interval", f"{sure} bootstrap over seeds, the same seeds at every rate"),
    ]


def _listed(manifest: Mapping[str, Any]) -> list[tuple[str, str]]:
    """The manifest as lines; long lists (schedules, packs) only by their length."""
    out = []
    for key, value in manifest.items():
        if isinstance(value, Mapping):
            text = ", ".join(
                f"{name} {item}" for name, item in value.items() if not isinstance(item, (dict, list))
            )
        elif isinstance(value, (list, tuple)) and (len(value) > 8 or any(isinstance(v, dict) for v in value)):
            text = f"{len(value)} of them"
        elif isinstance(value, (list, tuple)):
            text = ", ".join(map(str, value))
        else:
            text = f"{value:,.6g}" if isinstance(value, float) else str(value)
        out.append((str(key).replace("_", " "), text if len(text) <= 400 else text[:399] + "…"))
    return out


def _rate(value: float) -> str:
    return rate_text(value) if np.isfinite(value) else "–"


def _loss(value: float) -> str:
    return f"{value:.4g}" if np.isfinite(value) else "–"


def _decades(value: float) -> str:
    return f"{value:.2f}" if np.isfinite(value) else "–"


def _share(value: float) -> str:
    return f"{100 * value:.3g} %" if np.isfinite(value) else "–"


def _raw(value: object) -> str:
    """A number for sorting; empty if missing."""
    return repr(float(value)) if isinstance(value, (int, float)) and pd.notna(value) else ""
