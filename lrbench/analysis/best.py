"""The answer: which learning rate to use, in a table and in sentences."""

from __future__ import annotations

import numpy as np
import pandas as pd

from lrbench.analysis.labels import labels, rate_text
from lrbench.analysis.thresholds import Thresholds
from lrbench.errors import counted

_LABELS = ["problem", "optimizer", "schedule"]
_OUT = [*_LABELS, "use", "use_low", "use_high", "from", "to", "cliff", "loss", "answer"]


def best(sensitivity: pd.DataFrame, thresholds: Thresholds | None = None) -> pd.DataFrame:
    r"""Answer which learning rate to use for each line, the lowest loss of a problem first.

    Args:
        sensitivity: the sensitivity table.
        thresholds: those of the table, for the words "within 5 %".

    Returns:
        problem, optimizer, schedule (labels), `use` (best rate) with its bootstrap interval `use_low`,
        `use_high`, the good band `from`, `to`, `cliff` (the largest stable rate; missing if no larger rate
        was tried, or a race stopped runs of larger rates before they were seen to diverge), `loss`, and `answer`, a sentence.

    Example:
        >>> table = pd.DataFrame({"problem": ["a"], "optimizer": "adam", "schedule": "constant",
        ...     "best_learning_rate": 0.01, "best_learning_rate_low": 0.01, "best_learning_rate_high": 0.01,
        ...     "best_loss": 0.1, "best_gap": 0.0, "good_low": 0.01, "good_high": 0.1,
        ...     "max_stable_learning_rate": 1.0, "rate_low": 0.001, "rate_high": 10.0,
        ...     "rates": 5, "seeds": 3, "best_at_edge": False})
        >>> print(best(table)["answer"].item().replace("; ", "\n"))
        adam + constant: use 0.01
        anything from 0.01 to 0.1 is within 5 %
        above 1 it diverges
        5 rates × 3 seeds
    """
    limits = thresholds or Thresholds()
    table = sensitivity.assign(
        **labels(sensitivity),
        use=sensitivity["best_learning_rate"],
        use_low=sensitivity["best_learning_rate_low"],
        use_high=sensitivity["best_learning_rate_high"],
        to=sensitivity["good_high"],
        loss=sensitivity["best_loss"],
        cliff=sensitivity["max_stable_learning_rate"].where(
            sensitivity["max_stable_learning_rate"] < sensitivity["rate_high"]
        ),
    )
    table["from"] = table["good_low"]
    table["answer"] = pd.array([_answer(row, limits) for _, row in table.iterrows()], dtype="str")
    order = {name: at for at, name in enumerate(table["problem"].unique())}
    ranked = table.assign(order=table["problem"].map(order)).sort_values(["order", "loss"], kind="stable")
    return ranked[_OUT].reset_index(drop=True)


def _answer(row: pd.Series, limits: Thresholds) -> str:
    parts = _no_rate(row) if np.isnan(row["use"]) else _rate_to_use(row, limits)
    rates, seeds = int(row["rates"]), int(row["seeds"])
    parts.append(f"{counted(rates, 'rate')} × {counted(seeds, 'seed')}")
    return f"{row['optimizer']} + {row['schedule']}: " + "; ".join(parts)


def _no_rate(row: pd.Series) -> list[str]:
    low, high = float(row["rate_low"]), float(row["rate_high"])
    tried = f"at {rate_text(low)}" if low == high else f"from {rate_text(low)} to {rate_text(high)}"
    # A few seeds may have trained at some rates, but a rate counts only if half of its seeds do.
    every = row.get("diverged_fraction", 1.0) == 1
    what = "every run diverges" if every else "at every rate most seeds diverge"
    return [f"{what} ({tried})", f"try {rate_text(low / 1e4)} to {rate_text(low)} next"]


def _rate_to_use(row: pd.Series, limits: Thresholds) -> list[str]:
    parts = [f"use {rate_text(row['use'])}"]
    within = f"within {100 * limits.good:g} %"
    if np.isfinite(row["from"]) and row["from"] < row["to"]:
        parts.append(f"anything from {rate_text(row['from'])} to {rate_text(row['to'])} is {within}")
    elif np.isfinite(row["from"]):
        parts.append(f"no other rate around it is {within}")
    else:
        gap = 100 * float(row["best_gap"])
        parts.append(f"even that is {gap:.{0 if gap >= 10 else 1}f} % short of the best of this problem")
    if np.isfinite(row["cliff"]):
        parts.append(f"above {rate_text(row['cliff'])} it diverges")
    return parts + _edge(row)


def _edge(row: pd.Series) -> list[str]:
    """What to try next where the best rate may lie outside the grid."""
    low, high, use = float(row["rate_low"]), float(row["rate_high"]), float(row["use"])
    if low == high:
        return [f"no other rate was tried: try {rate_text(use / 100)} to {rate_text(use * 100)} next"]
    if use == low:
        return [f"that is the smallest rate tried: try {rate_text(low / 100)} to {rate_text(low)} next"]
    if use == high:
        return [f"that is the largest rate tried: try {rate_text(high)} to {rate_text(high * 100)} next"]
    return []
