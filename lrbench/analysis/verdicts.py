"""Where `good`, `oscillating`, `slow`, `stuck` and `diverged` are decided, and the zones of learning rates that follow."""

from __future__ import annotations

import numpy as np
import pandas as pd

from lrbench.analysis.groups import group, identity, line_columns
from lrbench.analysis.objective import Objectives, best_final, losses, trained
from lrbench.analysis.rates import best_rates
from lrbench.analysis.thresholds import Thresholds

_INTERNAL = ["rise", "late_pace", "objective"]


def judge(
    runs: pd.DataFrame, thresholds: Thresholds | None = None, objectives: Objectives = None
) -> pd.DataFrame:
    """Add `verdict` and `oscillation` to the runs, and drop the internals of `measure`.

    With ℓ* the best final loss over the grid of a problem (see `best_final`): `diverged` if the run did not train (see `trained`);
    `slow` if a race stopped it; else `good` if ℓ(T) ≤ ℓ* + ε(ℓ₀ − ℓ*); else `oscillating` if rise > ¼(ℓ₀ − ℓ*); else `slow` if late_pace ≥ ½;
    else `stuck`. oscillation = rise / (ℓ₀ − ℓ*), missing where the run diverged or started no higher than ℓ*
    (ℓ₀ − ℓ* then counts as 0: only ℓ* itself is good, and any rise is an oscillation).

    Args:
        runs: identity columns and the columns of `measure`, a row per run.
        thresholds: where the words begin.
        objectives: problem -> "valid_loss" or "train_loss", or a Series of these per run; a column
            `objective` of the runs is used when this is None.

    Example:
        >>> runs = pd.DataFrame({"problem": "a", "status": "ok", "initial_train_loss": 1.0,
        ...                      "final_train_loss": [0.0, 0.5], "rise": 0.0, "late_pace": 0.1})
        >>> judge(runs)["verdict"].tolist()
        ['good', 'stuck']

    Source: docs, "Definitions".
    """
    limits = thresholds or Thresholds()
    if objectives is None and "objective" in runs:
        objectives = runs["objective"]
    initial, final = losses(runs, objectives)
    code, least = best_final(runs, initial, final, limits.stable)
    star = least[code]
    span = np.maximum(initial - star, 0.0)
    rise = runs["rise"].to_numpy(dtype=np.float64)
    failed = ~trained(runs) | np.isnan(final)
    stopped = (runs["status"] == "stopped").to_numpy(dtype=bool)
    with np.errstate(invalid="ignore", divide="ignore"):
        verdict = np.select(
            [
                failed,
                stopped,
                final <= star + limits.good * span,
                rise > limits.oscillating * span,
                runs["late_pace"].to_numpy(dtype=np.float64) >= limits.slow,
            ],
            ["diverged", "slow", "good", "oscillating", "slow"],
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
    oscillating and diverged for too_large; slow and stuck for too_small at or below the best rate, for
    too_large above it. A tied vote is too_large, the safer warning.

    Returns:
        A row per problem × optimizer × schedule (with their parameters) × learning_rate, with `zone`.
    """
    limits = thresholds or Thresholds()
    columns = [*line_columns(runs), "learning_rate"]
    code, first = group(runs, columns)
    best = best_rates(runs, stable=limits.stable, objectives=objectives)
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
