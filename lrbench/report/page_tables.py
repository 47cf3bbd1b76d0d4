"""The tables of the page: the answer first, then sensitivity, comparison and ranking; their headings, and what these mean."""

from __future__ import annotations

from typing import Any

import pandas as pd

from lrbench.analysis.best import best
from lrbench.analysis.groups import KINDS
from lrbench.analysis.labels import label, labels, pair_names
from lrbench.analysis.thresholds import Thresholds

MAX_ROWS = 500
# heading, column, how to write it, what it means
SENSITIVITY = (
    ("best rate", "best_learning_rate", "rate", "the stable rate with the lowest loss"),
    ("loss", "best_loss", "loss", "median over seeds"),
    ("good from", "good_low", "rate", "the smallest rate of the unbroken good band"),
    ("good to", "good_high", "rate", "the largest rate of the unbroken good band"),
    ("tolerance", "tolerance_decades", "decades", "length of all good rates, in decades"),
    (
        "last stable rate",
        "max_stable_learning_rate",
        "rate",
        "the largest rate at which at least half the seeds train",
    ),
    ("cliff", "cliff_decades", "decades", "decades from the best rate to the last stable one"),
    ("sensitivity", "learning_rate_sensitivity", "loss", "mean over the rates of the loss above the best"),
    ("normalised", "learning_rate_sensitivity_normalised", "share", "sensitivity over (start − best)"),
    ("oscillating", "oscillating_fraction", "share", "share of runs"),
    ("diverged", "diverged_fraction", "share", "share of runs"),
)
COMPARISON = (
    ("problem", "problem", "text", ""),
    ("line", "name", "text", "the line with the lower median loss over seeds"),
    ("against", "other", "text", ""),
    (
        "difference",
        "difference",
        "loss",
        "interquartile mean over seeds; below 0: the first has the lower loss",
    ),
    ("is it real?", "answer", "text", "from the interval"),
    ("normalised", "difference_normalised", "loss", "the difference over (start − best)"),
    ("seeds", "seeds", "raw", "seeds that both have"),
)
RANKING = (
    ("optimizer", "optimizer", "text", ""),
    ("schedule", "schedule", "text", ""),
    ("average rank", "average_rank", "decades", "over problems, by the loss at the best rate"),
    ("gap to the best", "mean_best_gap", "share", "mean over problems of (loss − best) / (start − best)"),
    ("targets reached", "targets_reached", "raw", "problems on which it reaches the target"),
    ("profile score", "profile_score", "decades", "1: the fastest to the target on every problem"),
    ("speed-up", "speedup", "decades", "geometric mean over problems of the reference's steps over its own"),
    ("on problems", "speedup_problems", "raw", "problems on which both reach the target"),
    ("Nemenyi group", "nemenyi_group", "text", "lines of one group cannot be told apart"),
    ("Wilcoxon group", "wilcoxon_group", "text", "lines of one group cannot be told apart (Holm)"),
)


def answers(sensitivity: pd.DataFrame, thresholds: Thresholds) -> list[dict[str, Any]]:
    """Return, for each problem, the sentence of its best row, and its rows."""
    table = best(sensitivity, thresholds)
    out = []
    for problem, rows in table.groupby("problem", sort=False):
        listed = _records(rows.head(MAX_ROWS))
        out.append({"problem": problem, "first": listed[0], "rows": listed, "more": len(rows) - len(listed)})
    return out


def sensitivity_rows(sensitivity: pd.DataFrame) -> list[dict[str, Any]]:
    """Return the lines with the lowest loss."""
    named = sensitivity.assign(**labels(sensitivity))
    return _records(named.sort_values("best_loss", kind="stable").head(MAX_ROWS))


def comparison_rows(comparison: pd.DataFrame) -> list[dict[str, Any]]:
    """Return the first pairs, each line with its label."""
    first, other = pair_names(comparison)
    named = comparison.assign(problem=label(comparison, "problem"), name=first, other=other)
    return _records(named.head(MAX_ROWS))


def ranking_rows(ranking: pd.DataFrame) -> list[dict[str, Any]]:
    """Return the ranking; nothing if there is only one line to rank."""
    named = ranking.assign(**labels(ranking, KINDS[1:]))
    named[["nemenyi_group", "wilcoxon_group"]] = named[["nemenyi_group", "wilcoxon_group"]].fillna("–")
    return _records(named.head(MAX_ROWS)) if len(named) > 1 else []


def _records(table: pd.DataFrame) -> list[dict[str, Any]]:
    return [{str(key): value for key, value in row.items()} for row in table.to_dict("records")]
