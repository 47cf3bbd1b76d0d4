"""The tables of the page: the answer first, then sensitivity, comparison and ranking; their headings, and what these mean."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from lrbench.analysis import answer_words
from lrbench.analysis.answer_words import Row, rows_of
from lrbench.analysis.best import best
from lrbench.analysis.groups import KINDS
from lrbench.analysis.labels import label, labels, pair_names
from lrbench.analysis.objective import objectives_of
from lrbench.analysis.thresholds import Thresholds
from lrbench.tables.base import StudyTables

MAX_ROWS = 500
# heading, column, how to write it, what it means
SENSITIVITY = (
    ("problem", "problem", "text", ""),
    ("optimizer", "optimizer", "text", ""),
    ("schedule", "schedule", "text", ""),
    ("use", "use_learning_rate", "rate", "the rate to use: good, and forgiving"),
    ("loss there", "use_loss", "loss", "mean over seeds, fresh ones if it is confirmed"),
    ("best rate", "best_learning_rate", "rate", "the rate with the lowest loss"),
    ("loss", "best_loss", "loss", "mean over seeds"),
    ("last useful rate", "collapse_low", "rate", "above it, training collapses"),
    ("collapsed at", "collapse_high", "rate", "the first larger rate that is not useful any more"),
    ("good from", "good_low", "rate", "the smallest rate of the unbroken good band"),
    ("good to", "good_high", "rate", "the largest rate of the unbroken good band"),
    ("tolerance", "tolerance_decades", "decades", "length of all good rates, in decades"),
    (
        "last stable rate",
        "max_stable_learning_rate",
        "rate",
        "the largest rate at which at least half the seeds stay finite; training may have collapsed far below",
    ),
    ("cliff", "cliff_decades", "decades", "decades from the best rate to the last stable one"),
    ("sensitivity", "learning_rate_sensitivity", "loss", "mean over the rates of the loss above the best"),
    ("normalised", "learning_rate_sensitivity_normalised", "share", "sensitivity over (start − best)"),
    ("oscillating", "oscillating_fraction", "share", "share of runs"),
    ("collapsed", "collapsed_fraction", "share", "share of runs"),
    ("diverged", "diverged_fraction", "share", "share of runs"),
)
COMPARISON = (
    ("problem", "problem", "text", ""),
    ("line", "name", "text", "the line with the lower loss, mean over seeds"),
    ("against", "other", "text", ""),
    (
        "difference",
        "difference",
        "loss",
        "mean over seeds; below 0: the first has the lower loss",
    ),
    ("is it real?", "answer", "text", "adjusted for all comparisons of the problem"),
    ("steps", "steps_factor", "decades", "how many times the first line's steps the other one needs"),
    ("normalised", "difference_normalised", "loss", "the difference over (start − best)"),
    ("seeds", "seeds", "raw", "seeds that both have"),
)
RANKING = (
    ("optimizer", "optimizer", "text", ""),
    ("schedule", "schedule", "text", ""),
    ("average rank", "average_rank", "decades", "over problems, by the loss at the rate to use"),
    ("gap to the best", "mean_use_gap", "share", "mean over problems of (loss − best) / (start − best)"),
    ("targets reached", "targets_reached", "raw", "problems on which it reaches the target"),
    ("profile score", "profile_score", "decades", "1: the fastest to the target on every problem"),
    ("speed-up", "speedup", "decades", "geometric mean over problems of the reference's steps over its own"),
    ("on problems", "speedup_problems", "raw", "problems on which both reach the target"),
    ("Nemenyi group", "nemenyi_group", "text", "lines of one group cannot be told apart"),
    ("Wilcoxon group", "wilcoxon_group", "text", "lines of one group cannot be told apart (Holm)"),
)


def answers(results: StudyTables, thresholds: Thresholds) -> list[dict[str, Any]]:
    """Return, for each problem, its winner in a sentence, the table of its lines, and a sentence for each."""
    table = best(results.sensitivity, thresholds, results.comparison, objectives_of(results.manifest))
    out = []
    for problem, rows in table.groupby("problem", sort=False):
        every = rows_of(rows)
        listed = every[:MAX_ROWS]
        cells = answer_words.cells(listed)
        out.append(
            {
                "problem": problem,
                "answer": answer_words.headline(every, thresholds).removeprefix(f"{problem}: "),
                "headings": list(cells[0]),
                "rows": [list(row.values()) for row in cells],
                "sentences": [row["answer"] for row in listed],
                "legend": answer_words.legend(listed, thresholds),
                "more": len(every) - len(listed),
            }
        )
    return out


def sensitivity_rows(sensitivity: pd.DataFrame) -> list[Row]:
    """Return the lines with the lowest loss."""
    named = _complete(sensitivity, SENSITIVITY).assign(**labels(sensitivity))
    return rows_of(named.sort_values("best_loss", kind="stable").head(MAX_ROWS))


def comparison_rows(comparison: pd.DataFrame) -> list[Row]:
    """Return the first pairs, each line with its label."""
    first, other = pair_names(comparison)
    named = _complete(comparison, COMPARISON).assign(
        problem=label(comparison, "problem"), name=first, other=other
    )
    return rows_of(named.head(MAX_ROWS))


def ranking_rows(ranking: pd.DataFrame) -> list[Row]:
    """Return the ranking; nothing if there is one line to rank, or one problem, whose answer says all."""
    if len(ranking) < 2 or ranking["problems"].iloc[0] < 2:
        return []
    named = ranking.assign(**labels(ranking, KINDS[1:]))
    named[["nemenyi_group", "wilcoxon_group"]] = named[["nemenyi_group", "wilcoxon_group"]].fillna("–")
    return rows_of(named.head(MAX_ROWS))


def _complete(table: pd.DataFrame, columns: tuple[tuple[str, str, str, str], ...]) -> pd.DataFrame:
    """The table with every column of its headings; what one of an older lrbench lacks is missing."""
    return table.assign(**{name: np.nan for _, name, _, _ in columns if name not in table})
