"""Across problems: how each optimizer × schedule fares on all of them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from lrbench.analysis.groups import Floats
from lrbench.analysis.rank_tests import (
    AcrossProblems,
    across_problems,
    average_ranks,
    critical_difference,
    friedman,
    group_texts,
    profile_score,
    ratios,
    speedups,
    wilcoxon_holm,
)
from lrbench.analysis.thresholds import Thresholds

TESTED = 60
"""The most lines that are tested in pairs, 1,770 pairs; of more, none would be significant after Holm's adjustment."""


def ranking(sensitivity: pd.DataFrame, thresholds: Thresholds | None = None) -> pd.DataFrame:
    """A row per optimizer and schedule: how it ranks over all problems, at its rate to use on each; the best average rank first.

    average_rank: mean over problems of the rank by use_gap, ties sharing theirs; Friedman's test, Nemenyi's critical
    difference and Wilcoxon's tests with Holm's adjustment are over problems, never over seeds. profile_score:
    1/(τ_max − 1) ∫₁^τ_max ρ(τ) dτ, ρ(τ) the share of problems on which the steps to the target are at most τ times
    those of the fastest. speedup: geometric mean of t_reference / t, the reference being the first line.

    Args:
        sensitivity: the sensitivity table.
        thresholds: for `confidence` and `profile_ratio` (τ_max).

    Columns:
        optimizer, schedule: their names; `optimizer_<parameter>` and so on are their parameters
        problems: the number of problems
        average_rank: mean over problems of the rank by the loss at the rate to use; 1 is best
        mean_use_gap: mean over problems of `use_gap` in the sensitivity table
        mean_best_gap: the same for `best_gap`
        targets_reached: on how many problems it reaches the target
        profile_score: how fast it reaches the target compared with the fastest line; 1 is fastest on every problem
        speedup: steps to the target of the reference divided by its own, as a geometric mean over problems
        speedup_problems: on how many problems both reach the target
        friedman_statistic, friedman_p: Friedman's test that all lines rank alike; the same in every row
        critical_difference: Nemenyi's critical difference of the average ranks; the same in every row
        reference: the line that `speedup` compares with
        nemenyi_group, wilcoxon_group: numbers of the groups that cannot be told apart, separated by blanks; missing if nothing can
            be tested

    Example:
        >>> table = pd.DataFrame({"problem": ["a", "b"] * 2, "optimizer": ["sgd"] * 2 + ["adam"] * 2,
        ...     "schedule": "constant", "best_loss": 0.1, "best_gap": [0.1, 0.2, 0.0, 0.0],
        ...     "steps_to_target": [40.0, None, 10.0, 20.0]})
        >>> row = ranking(table).iloc[0]
        >>> row["optimizer"], float(row["average_rank"]), float(row["profile_score"]), float(row["speedup"])
        ('adam', 1.0, 1.0, 4.0)

    Source: Demšar, JMLR 7 (2006); Dolan & Moré (2002); Dahl et al., arXiv:2306.07179.
    """
    limits = thresholds or Thresholds()
    every = across_problems(sensitivity)
    found = _measured(every, limits) if every.problems else dict.fromkeys(_MEASURED, np.nan)
    order = np.argsort(np.broadcast_to(found["average_rank"], len(every.names)), kind="stable")
    out = every.names.assign(problems=len(every.problems), **found, reference=next(iter(every.label), ""))
    out = out.iloc[order].reset_index(drop=True)
    return out.assign(**_groups(every.gap[order], out["average_rank"].to_numpy(dtype=np.float64), limits))


_MEASURED = (
    "average_rank mean_use_gap mean_best_gap targets_reached profile_score speedup speedup_problems friedman_statistic "
    "friedman_p critical_difference"
).split()


def _measured(every: AcrossProblems, limits: Thresholds) -> dict[str, Any]:
    speedup, both = speedups(every.steps, 0)
    statistic, p = friedman(every.gap)
    values = (
        average_ranks(every.gap),
        every.gap.mean(axis=1),
        every.best_gap.mean(axis=1),
        np.isfinite(every.steps).sum(axis=1),
        profile_score(ratios(every.steps), limits.profile_ratio),
        speedup,
        both,
        statistic,
        p,
        critical_difference(len(every.label), len(every.problems), limits.confidence),
    )
    return dict(zip(_MEASURED, values, strict=True))


def _groups(gap: Floats, rank: Floats, limits: Thresholds) -> dict[str, pd.Series]:
    """The groups of lines, in the order of their ranks, that each test cannot tell apart; missing if there is no test."""
    lines, problems = gap.shape
    nothing = pd.Series(pd.NA, index=range(lines), dtype="str")
    out = {"nemenyi_group": nothing, "wilcoxon_group": nothing}
    if lines > 1 and problems > 1:
        near = np.abs(rank[:, None] - rank) <= critical_difference(lines, problems, limits.confidence)
        out["nemenyi_group"] = pd.Series(group_texts(near), dtype="str")
        if lines <= TESTED:
            alike = wilcoxon_holm(gap) > 1 - limits.confidence
            out["wilcoxon_group"] = pd.Series(group_texts(alike), dtype="str")
    return out
