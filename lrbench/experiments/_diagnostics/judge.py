"""Which runs solve their problem, and which lines do at the rate that was chosen for them on other seeds."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import pandas as pd

from lrbench.experiments._diagnostics import studies
from lrbench.results.results import Results

HELD = 0.9
"""From this share of the steps on, a run has to hold what it reached."""
KEYS = ["problem", "optimizer"]
_RESAMPLED = 1000


class Judged(NamedTuple):
    """What came out of every line.

    Args:
        lines: a row per problem and optimizer.
        kept: whether a held-out seed of a line was solved at its chosen rate, [line, held-out seed].
    """

    lines: pd.DataFrame
    kept: np.ndarray


def gaps(results: Results, optimum: Mapping[str, float]) -> pd.DataFrame:
    """Return the runs with their greatest loss above the minimum over the last tenth of their steps; infinite if it is not finite."""
    curves = results.some_curves("step", "train_loss")
    late = curves[curves["step"] >= HELD * curves["step"].max()]
    losses = late["train_loss"].fillna(np.inf).replace(-np.inf, np.inf)
    worst = losses.groupby(late["run_id"].astype(str), observed=True).max()
    runs = results.runs
    gap = runs["run_id"].map(worst).fillna(np.inf).astype(float) - runs["problem"].map(optimum).astype(float)
    return studies.names(runs.assign(gap=gap))


def judge(runs: pd.DataFrame, target: float, tuning: int) -> Judged:
    """Choose a rate of each line on its first seeds, and judge it on the others.

    The chosen rate solves the problem on most of the first `tuning` seeds; of several, it has the least median loss on them.

    Args:
        runs: as `gaps` returns them.
        target: how far above the minimum a run may be at most.
        tuning: how many seeds a rate is chosen on.
    """
    seeds = np.sort(runs["seed"].unique())
    rows, kept = [], []
    for (problem, optimizer), line in runs.groupby(KEYS, sort=False):
        gap = line.pivot(index="learning_rate", columns="seed", values="gap")[seeds]
        found, first = gap.to_numpy(), gap.to_numpy()[:, :tuning]
        chosen = int(np.lexsort((np.median(first, axis=1), -(first <= target).sum(axis=1)))[0])
        held = found[chosen, tuning:]
        success = float((found <= target).mean())
        kept.append(held <= target)
        rows.append(
            {
                "problem": problem,
                "optimizer": optimizer,
                "learning_rate": float(gap.index[chosen]),
                "solved_share": float((held <= target).mean()),
                "solved": bool((held <= target).mean() > 0.5),
                "gap": float(np.median(held)),
                "success": success,
                "attempts": 1 / success if success else np.inf,
            }
        )
    return Judged(pd.DataFrame(rows), np.array(kept))


def by_optimizer(judged: Judged) -> pd.DataFrame:
    """Return how many problems each optimizer solves, with 95 % intervals over the held-out seeds, those that solve most first."""
    lines, kept = judged
    random = np.random.default_rng(0)
    drawn = random.integers(0, kept.shape[1], (_RESAMPLED, kept.shape[1]))
    rows = []
    for optimizer, at in lines.groupby("optimizer", sort=False).indices.items():
        counts = (kept[at][:, drawn].mean(axis=2) > 0.5).sum(axis=0)
        mine = lines.iloc[at]
        rows.append(
            {
                "optimizer": optimizer,
                "problems": len(at),
                "solved": int(mine["solved"].sum()),
                "solved_low": float(np.quantile(counts, 0.025)),
                "solved_high": float(np.quantile(counts, 0.975)),
                "solved_in_10_draws": float(solved_within(mine["success"], np.array([10]))[0]),
                "attempts": float(mine["attempts"].median()),
            }
        )
    return _descending(pd.DataFrame(rows), "solved", "solved_in_10_draws")


def by_problem(judged: Judged) -> pd.DataFrame:
    """Return how many optimizers solve each problem, those that most solve first."""
    rows = []
    for problem, line in judged.lines.groupby("problem", sort=False):
        easiest = line.iloc[int(line["attempts"].argmin())]
        rows.append(
            {
                "problem": problem,
                "optimizers": len(line),
                "solved_by": int(line["solved"].sum()),
                "success": float(line["success"].mean()),
                "easiest_for": easiest["optimizer"] if easiest["success"] else "",
                "attempts": float(easiest["attempts"]),
            }
        )
    return _descending(pd.DataFrame(rows), "solved_by", "success")


def _descending(frame: pd.DataFrame, *columns: str) -> pd.DataFrame:
    return frame.sort_values([*columns], ascending=False, kind="stable", ignore_index=True)


def solved_within(success: pd.Series, draws: np.ndarray) -> np.ndarray:
    """Return the expected number of problems that some of so many random draws of rate and seed solve.

    >>> solved_within(pd.Series([0.5, 0.0]), np.array([1, 2]))
    array([0.5 , 0.75])
    """
    return (1 - (1 - success.to_numpy()[:, None]) ** draws).sum(axis=0)
