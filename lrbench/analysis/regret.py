"""What following a finder costs, compared with a dense grid of rates."""

from __future__ import annotations

import numpy as np
import pandas as pd

from lrbench.analysis.groups import Floats
from lrbench.analysis.labels import label
from lrbench.analysis.loss_by_rate import loss_by_rate
from lrbench.analysis.mean_loss import best_rates
from lrbench.analysis.objective import Objectives


def regret(found: pd.DataFrame, runs: pd.DataFrame, objectives: Objectives = None) -> pd.DataFrame:
    """How much worse than the best rate of a grid each suggestion is.

    Formula: regret = ℓ(η) − ℓ*, where ℓ(η), the loss at the suggested rate η, is interpolated between the grid's rates on both
    sides of it, linearly in log η; outside the grid it is that of the nearest rate.

    Args:
        found: what `finders` returns.
        runs: of a grid with the same problems and optimizers, and one schedule.
        objectives: as in the manifest of the grid.

    Returns:
        A row per suggestion: problem, optimizer (labels), seed, rule, suggestion, reason; `loss` ℓ(η); `best_learning_rate` and
        `best_loss` of that optimizer on the grid; `regret`; `regret_normalised`, that over (ℓ₀ − ℓ*); `excess_normalised`,
        (ℓ(η) − best_loss) / (ℓ₀ − ℓ*); `decades` = log₁₀(η / best_learning_rate).
    """
    grid = loss_by_rate(runs, objectives=objectives)
    best = best_rates(runs, objectives=objectives)
    best = best.assign(
        problem=label(runs, "problem").iloc[best["row"]].to_numpy(),
        optimizer=label(runs, "optimizer").iloc[best["row"]].to_numpy(),
    )
    names = ["problem", "optimizer"]
    table = found.assign(problem=label(found, "problem"), optimizer=label(found, "optimizer"))
    table = table[[*names, "seed", "rule", "suggestion", "reason"]].reset_index(drop=True)
    table["loss"] = _at(table, grid)
    known = best.rename(columns={"learning_rate": "best_learning_rate", "loss": "best_loss"}).drop(
        columns="row"
    )
    known["least"] = known.groupby("problem")["best_loss"].transform("min")
    known = known.merge(grid.drop_duplicates(names)[[*names, "initial"]], on=names)
    table = table.merge(known, on=names, how="left")
    scale = table.pop("initial") - table["least"]
    over = table["loss"] - table.pop("least")
    return table.assign(
        regret=over,
        regret_normalised=over / scale,
        excess_normalised=(table["loss"] - table["best_loss"]) / scale,
        decades=np.log10(table["suggestion"] / table["best_learning_rate"]),
    )


def _at(table: pd.DataFrame, grid: pd.DataFrame) -> Floats:
    """The loss at each suggested rate; NaN where there is none."""
    lines = dict(list(grid.groupby(["problem", "optimizer"], sort=False)))
    loss = np.full(len(table), np.nan)
    for key, rows in table.groupby(["problem", "optimizer"], sort=False):
        line = lines[key]
        known = np.log(line["learning_rate"])
        loss[rows.index] = np.interp(np.log(rows["suggestion"]), known, line["loss"])
    loss[table["suggestion"].isna()] = np.nan
    return loss


def regret_summary(table: pd.DataFrame, good: float = 0.05) -> pd.DataFrame:
    """How good each rule is over all problems, optimizers and seeds.

    Args:
        table: what `regret` returns.
        good: ε; a suggestion is good if its normalised excess is at most that.

    Returns:
        A row per rule: `suggestions` (how many), `none` (the share of them that are missing); of the others the medians of
        `regret_normalised`, `excess_normalised` and `decades`, the 90th percentile `excess_normalised_90`, and `good`, the share
        that is.
    """
    rows = []
    for rule, each in table.groupby("rule", sort=False):
        given = each[each["suggestion"].notna()]
        rows.append(
            {
                "rule": rule,
                "suggestions": len(each),
                "none": 1 - len(given) / len(each),
                "regret_normalised": given["regret_normalised"].median(),
                "excess_normalised": given["excess_normalised"].median(),
                "excess_normalised_90": given["excess_normalised"].quantile(0.9),
                "good": (given["excess_normalised"] <= good).mean(),
                "decades": given["decades"].median(),
            }
        )
    return pd.DataFrame(rows)
