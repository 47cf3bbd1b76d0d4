"""Where `good`, `collapsed`, `oscillating`, `slow`, `stuck` and `diverged` are decided, and the zones of learning rates that follow."""

from __future__ import annotations

import numpy as np
import pandas as pd

from lrbench.analysis.groups import group, identity, line_columns
from lrbench.analysis.line_answers import line_answers
from lrbench.analysis.mean_loss import best_rates, levels
from lrbench.analysis.objective import Objectives, losses, trained
from lrbench.analysis.thresholds import Thresholds

_INTERNAL = ["rise", "late_pace"]


def judge(
    runs: pd.DataFrame, thresholds: Thresholds | None = None, objectives: Objectives = None
) -> pd.DataFrame:
    """Add `verdict` and `oscillation` to the runs, and drop the internals of `measure`.

    With ℓ* the least mean loss of the problem (see `levels`), and ℓ₀, ℓ*_line and the best rate of the line: `diverged` if the run did not train (see
    `trained`); else, unless a race stopped it, `good` if ℓ(T) ≤ ℓ* + ε(ℓ₀ − ℓ*); else `collapsed` if the line trains, its rate is above the best one and
    ℓ(T) is more than halfway from ℓ*_line to ℓ₀; else, unless stopped, `oscillating` if rise > ¼(ℓ₀ − ℓ*); else `slow` if its rate is not above the best one, and it was stopped
    or late_pace ≥ ½; else `stuck`. oscillation = rise / (ℓ₀ − ℓ*), missing where the run diverged or ℓ₀ is not above ℓ*
    (ℓ₀ − ℓ* then counts as 0: only ℓ* itself is good, and any rise is an oscillation).

    Args:
        runs: identity columns and the columns of `measure`, a row per run.
        thresholds: where the words begin.
        objectives: problem -> what its runs are judged by.

    Example:
        >>> runs = pd.DataFrame({"problem": "a", "optimizer": "sgd", "schedule": "constant", "seed": 0, "learning_rate": [0.1, 1.0, 10.0],
        ...                      "status": "ok", "initial_train_loss": 1.0, "final_train_loss": [0.5, 0.0, 0.9], "rise": 0.0, "late_pace": 0.1})
        >>> judge(runs)["verdict"].tolist()
        ['stuck', 'good', 'collapsed']

    Source: docs, "Definitions".
    """
    limits = thresholds or Thresholds()
    _, final = losses(runs, objectives)
    level = levels(runs, limits, objectives)
    star = level.least[level.code]
    line, _ = group(runs, line_columns(runs))
    answer = line_answers(runs, limits, objectives)
    best, least, start = (
        answer[name].to_numpy(dtype=np.float64)[line] for name in ("best_rate", "least", "start")
    )
    span = np.maximum(start - star, 0.0)
    rise, late = (runs[name].to_numpy(dtype=np.float64) for name in ("rise", "late_pace"))
    trains = answer["trains"].to_numpy(dtype=bool)[line]
    failed = ~trained(runs) | np.isnan(final)
    stopped = (runs["status"] == "stopped").to_numpy(dtype=bool)
    with np.errstate(invalid="ignore", divide="ignore"):
        above = runs["learning_rate"].to_numpy(dtype=np.float64) > best
        verdict = np.select(
            [
                failed,
                ~stopped & (final <= star + limits.good * span),
                trains & above & (final - least > limits.useful * (start - least)),
                ~stopped & (rise > limits.oscillating * span),
                ~above & (stopped | (late >= limits.slow)),
            ],
            ["diverged", "good", "collapsed", "oscillating", "slow"],
            "stuck",
        )
        oscillation = np.where(failed | (span == 0), np.nan, rise / span)
    out = runs.drop(columns=[name for name in _INTERNAL if name in runs])
    out.insert(list(out.columns).index("status") + 1, "verdict", pd.Series(verdict, out.index, dtype="str"))
    out["oscillation"] = oscillation
    return out


def zones(
    runs: pd.DataFrame, thresholds: Thresholds | None = None, objectives: Objectives = None
) -> pd.DataFrame:
    """The zone of every rate, by the verdicts of its seeds: `too_small`, `good` or `too_large`.

    `good` if more than half the seeds are good (half is not enough). Else the seeds that are not good vote:
    oscillating, collapsed and diverged for too_large; slow and stuck for too_small at or below the best rate, for
    too_large above it. A tied vote is too_large, the safer warning.

    Returns:
        A row per problem × optimizer × schedule (with their parameters) × learning_rate, with `zone`.
    """
    limits = thresholds or Thresholds()
    columns = [*line_columns(runs), "learning_rate"]
    code, first = group(runs, columns)
    best = best_rates(runs, limits, objectives)
    line, _ = group(runs, line_columns(runs))
    rate = runs["learning_rate"].to_numpy(dtype=np.float64)
    with np.errstate(invalid="ignore"):
        above = rate > best["learning_rate"].to_numpy(dtype=np.float64)[line]
    low = runs["verdict"].isin(["slow", "stuck"]).to_numpy(dtype=bool)
    good = np.bincount(code, (runs["verdict"] == "good").to_numpy(dtype=bool), len(first))
    small = np.bincount(code, low & ~above, len(first))
    count = np.bincount(code, minlength=len(first))
    zone = np.select([2 * good > count, small > count - good - small], ["good", "too_small"], "too_large")
    return identity(runs, first, columns).assign(zone=pd.array(zone, dtype="str"))
