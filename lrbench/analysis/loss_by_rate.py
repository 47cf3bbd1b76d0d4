"""The loss at every rate, over seeds: what pictures of loss against learning rate draw."""

from __future__ import annotations

import numpy as np
import pandas as pd

from lrbench.analysis.groups import KINDS, Floats, group, line_columns
from lrbench.analysis.labels import labels
from lrbench.analysis.objective import Objectives
from lrbench.analysis.rates import lines, median
from lrbench.analysis.thresholds import Thresholds
from lrbench.analysis.verdicts import zones


def loss_by_rate(
    runs: pd.DataFrame, thresholds: Thresholds | None = None, objectives: Objectives = None
) -> pd.DataFrame:
    """The loss at every rate of every problem × optimizer × schedule, with its spread over seeds.

    The loss of a run is min(ℓ(T), ℓ₀), and ℓ₀ after a divergence.

    Returns:
        A row per line and rate, rates ascending: `line` (0, 1, … as in the sensitivity table), problem,
            optimizer,
        schedule (labels), learning_rate, `median`, `low`, `high` (over seeds), `initial` (ℓ₀), `seeds`,
        `diverged` (seeds that are not ok), `zone`.

    Example:
        >>> runs = pd.DataFrame({"problem": "a", "optimizer": "sgd", "schedule": "constant",
        ...     "learning_rate": 0.1, "seed": [0, 1], "status": "ok", "verdict": "good",
        ...     "initial_train_loss": 1.0, "final_train_loss": [0.0, 0.5]})
        >>> loss_by_rate(runs)[["median", "low", "high", "zone"]].values.tolist()
        [[0.25, 0.0, 0.5, 'good']]
    """
    columns = line_columns(runs)
    names = labels(runs).iloc[group(runs, columns)[1]]
    found = []
    for some in lines(runs, objectives):
        low, high = _ends(some.loss)
        present = np.isfinite(some.ok)
        columns_of = {
            "line": np.broadcast_to(some.line[:, None], some.rate.shape),
            "learning_rate": some.rate,
            "median": median(some.loss),
            "low": low,
            "high": high,
            "initial": np.broadcast_to(some.initial[:, None], some.rate.shape),
            "seeds": present.sum(axis=2),
            "diverged": (present & (some.ok < 1)).sum(axis=2),
        }
        found.append(pd.DataFrame({name: values.reshape(-1) for name, values in columns_of.items()}))
    if not found:
        return pd.DataFrame(columns=["line", *KINDS, "learning_rate", "median", "low", "high", "zone"])
    out = pd.concat(found).sort_values("line", kind="stable", ignore_index=True)
    out[list(KINDS)] = names.to_numpy()[out["line"].to_numpy()]
    out["zone"] = _zone(runs, out, thresholds, objectives)
    return out


def _ends(loss: Floats) -> tuple[Floats, Floats]:
    low, high = (
        np.where(np.isnan(loss), np.inf, loss).min(axis=-1),
        np.where(np.isnan(loss), -np.inf, loss).max(axis=-1),
    )
    return np.where(np.isinf(low), np.nan, low), np.where(np.isinf(high), np.nan, high)


def _zone(
    runs: pd.DataFrame, out: pd.DataFrame, thresholds: Thresholds | None, objectives: Objectives
) -> pd.Series:
    found = zones(runs, thresholds, objectives)
    found["line"] = group(found, line_columns(found))[0]
    key = ["line", "learning_rate"]
    joined = out[key].merge(found[[*key, "zone"]], on=key, how="left")
    return joined["zone"].set_axis(out.index)
