"""The loss at every rate, over seeds: what pictures of loss against learning rate draw."""

from __future__ import annotations

import numpy as np
import pandas as pd

from lrbench.analysis.groups import KINDS, Floats, group, line_columns
from lrbench.analysis.labels import labels
from lrbench.analysis.mean_loss import mean_loss
from lrbench.analysis.objective import Objectives
from lrbench.analysis.rates import lines
from lrbench.analysis.thresholds import Thresholds
from lrbench.analysis.verdicts import zones


def loss_by_rate(
    runs: pd.DataFrame, thresholds: Thresholds | None = None, objectives: Objectives = None
) -> pd.DataFrame:
    """The loss at every rate of every problem × optimizer × schedule, with its spread over seeds.

    The loss of a run is min(ℓ(T), ℓ₀), and ℓ₀ after a divergence; that of a rate is the mean over its fresh seeds where it was confirmed, else over the
    seeds of the grid.

    Returns:
        A row per line and rate, rates ascending: `line` (0, 1, … as in the sensitivity table), problem,
            optimizer,
        schedule (labels), learning_rate, `loss` (the mean), `low`, `high` (the ends, over seeds), `initial` (ℓ₀), `seeds`, `sampled` (whether other parameters differ from rate to rate, too),
        `diverged` (seeds that are not ok), `zone`.

    Example:
        >>> runs = pd.DataFrame({"problem": "a", "optimizer": "sgd", "schedule": "constant",
        ...     "learning_rate": 0.1, "seed": [0, 1], "status": "ok", "verdict": "good",
        ...     "initial_train_loss": 1.0, "final_train_loss": [0.0, 0.5]})
        >>> loss_by_rate(runs)[["loss", "low", "high", "zone"]].values.tolist()
        [[0.25, 0.0, 0.5, 'good']]
    """
    columns, limits = line_columns(runs), thresholds or Thresholds()
    names = labels(runs).iloc[group(runs, columns)[1]]
    found = []
    for some in lines(runs, objectives):
        found_here = mean_loss(some, limits)
        used = found_here.used
        low, high = _ends(np.where(used, some.loss, np.nan))
        columns_of = {
            "line": np.broadcast_to(some.line[:, None], some.rate.shape),
            "learning_rate": some.rate,
            "loss": np.where(np.isfinite(found_here.loss), found_here.loss, found_here.asked),
            "low": low,
            "high": high,
            "initial": np.broadcast_to(some.initial[:, None], some.rate.shape),
            "seeds": used.sum(axis=2),
            "sampled": np.broadcast_to(some.sampled[:, None], some.rate.shape),
            "diverged": (used & (some.ok < 1)).sum(axis=2),
        }
        found.append(pd.DataFrame({name: values.reshape(-1) for name, values in columns_of.items()}))
    if not found:
        known = ["line", "learning_rate", "loss", "low", "high", "initial", "seeds", "sampled", "diverged"]
        return pd.DataFrame(columns=[*known, *KINDS, "zone"])
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
