"""What the curves of a run show of it alone: its status, its losses, how much it rose, whether it was still falling."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import pandas as pd

from lrbench.analysis.groups import Floats, Ints
from lrbench.analysis.objective import Objective
from lrbench.study.metric import larger_by_name

SLOWEST = 0.05
"""The least share of its mean rate by which the pace of the last quarter of a run is divided."""


def measure(
    step: npt.ArrayLike,
    curves: Mapping[str, npt.ArrayLike],
    diverged_step: npt.ArrayLike,
    objective: Objective,
    stopped_step: npt.ArrayLike | None = None,
    larger: Mapping[str, bool] | None = None,
) -> pd.DataFrame:
    """Reduce the curves of runs to one row each; rows do not depend on each other, so parts can be streamed.

    status = `nonfinite` if a step, a training loss or the final validation loss is not finite, else `stopped`
    if a race stopped the run (it then counts as if it had stayed where it was), `diverged` if the training
    loss ends above its start, else `ok`. rise = Σ max(0, ℓ_{k+1} − ℓ_k) over the evaluations
    from T/2 on; late_pace = 4(ℓ(¾T) − ℓ(T)) / (ℓ₀ − ℓ(T)), missing where the objective has not fallen, over
    max(0.05, mean rate of the last quarter / mean rate of the run): a run whose rate decays is expected to slow down as much. Both are for `judge`.

    Args:
        step: [evaluation] steps of the evaluations; the first is 0, the last is T.
        curves: name -> [run, evaluation]: `train_loss`, `valid_loss` (all NaN where a problem has none),
            `valid_*`; and `learning_rate`, if it is known.
        diverged_step: [run] first non-finite step, NaN = never.
        objective: what the runs are judged by; best_step, rise and late_pace are those of its ℓ.
        stopped_step: [run] the step after which the run was stopped, NaN = never.
        larger: metric -> whether larger values are better; of those that are missing the name says so.

    Example:
        >>> row = measure([0, 2, 4], {"train_loss": [[4.0, 1.0, 2.0]]}, [float("nan")],
        ...               Objective("train_loss")).iloc[0]
        >>> row["status"], float(row["final_train_loss"]), int(row["best_step"]), float(row["rise"])
        ('ok', 2.0, 2, 1.0)

    Source: docs, "Definitions".
    """
    steps = np.asarray(step, dtype=np.int64)
    tables = {name: _finite(values) for name, values in curves.items() if name != "learning_rate"}
    tables.setdefault("valid_loss", np.full_like(tables["train_loss"], np.nan))
    stopped = np.full(len(tables["train_loss"]), np.nan) if stopped_step is None else np.asarray(stopped_step)
    tables = {name: _frozen(steps, table, stopped) for name, table in tables.items()}
    first_bad = _first_bad(steps, tables, np.asarray(diverged_step, dtype=np.float64))
    broken = np.isfinite(first_bad)
    train = tables["train_loss"]
    with np.errstate(invalid="ignore"):
        states = [broken, np.isfinite(stopped), train[:, -1] > train[:, 0]]
    status = np.select(states, ["nonfinite", "stopped", "diverged"], "ok")
    out: dict[str, object] = {
        "status": pd.array(status, dtype="str"),
        "diverged_step": pd.array(np.where(broken, first_bad, np.nan), dtype="Int64"),
    }
    metrics = [name for name in tables if name.startswith("valid_") and name != "valid_loss"]
    for name in ("train_loss", "valid_loss"):
        out[f"initial_{name}"] = tables[name][:, 0]
        out[f"final_{name}"] = np.where(broken, np.nan, tables[name][:, -1])
        out[f"best_{name}"] = _best(tables[name], larger=False)
    judged = objective.smaller(tables[objective.column])
    out["best_step"] = _best_step(steps, judged)
    for name in metrics:
        out[f"initial_{name}"] = tables[name][:, 0]
        out[f"final_{name}"] = np.where(broken, np.nan, tables[name][:, -1])
        out[f"best_{name}"] = _best(tables[name], larger=(larger or {}).get(name, larger_by_name(name)))
    out["rise"] = np.where(broken, np.nan, _rise(steps, judged))
    slower = _late_share(steps, np.asarray(curves["learning_rate"])) if "learning_rate" in curves else 1.0
    out["late_pace"] = np.where(broken, np.nan, _late_pace(steps, judged) / slower)
    return pd.DataFrame(out)


def _finite(values: npt.ArrayLike) -> Floats:
    table = np.array(values, dtype=np.float64)
    table[~np.isfinite(table)] = np.nan
    return table


def _frozen(step: Ints, table: Floats, stopped: Floats) -> Floats:
    """Repeat the value of its last evaluation after a run was stopped."""
    rows = np.flatnonzero(np.isfinite(stopped))
    last = np.searchsorted(step, stopped[rows], side="right") - 1
    after = np.arange(len(step))[None] > last[:, None]
    table[rows] = np.where(after, table[rows, last][:, None], table[rows])
    return table


def _first_bad(step: Ints, tables: Mapping[str, Floats], diverged_step: Floats) -> Floats:
    """First step [run] that was not finite: of a minibatch (as the engine found) or of an evaluation."""
    bad = np.isnan(tables["train_loss"])
    valid = tables["valid_loss"]
    # A problem without validation data has no validation loss at step 0 either, which is not a divergence.
    bad[:, -1] |= np.isfinite(valid[:, 0]) & np.isnan(valid[:, -1])
    seen = np.where(bad.any(axis=1), step[bad.argmax(axis=1)].astype(np.float64), np.nan)
    return np.fmin(seen, diverged_step)


def _best(table: Floats, *, larger: bool) -> Floats:
    filler = -np.inf if larger else np.inf
    filled = np.where(np.isnan(table), filler, table)
    best = filled.max(axis=1) if larger else filled.min(axis=1)
    return np.where(np.isinf(best), np.nan, best)


def _best_step(step: Ints, table: Floats) -> pd.Series:
    where = np.where(np.isnan(table), np.inf, table).argmin(axis=1)
    found = np.where(np.isnan(table).all(axis=1), np.nan, step[where].astype(np.float64))
    return pd.Series(found).astype("Int64")


def _rise(step: Ints, table: Floats) -> Floats:
    second_half = table[:, 2 * step >= step[-1]]
    rise: Floats = np.maximum(np.diff(second_half, axis=1), 0.0).sum(axis=1)
    return rise


def _late_share(step: Ints, rate: Floats) -> Floats:
    """Mean rate of the last quarter over that of the run [run], at least 0.05; 1 where it is not known.

    Between two evaluations the rate counts as linear.
    """
    if len(step) < 2:
        return np.ones(len(rate))
    spans = np.diff(step)
    whole = np.append(0.0, np.cumsum(spans))
    areas = np.column_stack(
        [np.zeros(len(rate)), np.cumsum((rate[:, 1:] + rate[:, :-1]) / 2 * spans, axis=1)]
    )
    quarter = 0.75 * step[-1]
    right = int(np.clip(np.searchsorted(whole, quarter), 1, len(step) - 1))
    share = (quarter - whole[right - 1]) / spans[right - 1]
    there = rate[:, right - 1] + share * (rate[:, right] - rate[:, right - 1])
    before = areas[:, right - 1] + (rate[:, right - 1] + there) / 2 * share * spans[right - 1]
    with np.errstate(invalid="ignore", divide="ignore"):
        found = 4 * (areas[:, -1] - before) / areas[:, -1]
    return np.where(np.isfinite(found), np.maximum(found, SLOWEST), 1.0)


def _late_pace(step: Ints, table: Floats) -> Floats:
    if len(step) < 2:
        return np.full(len(table), np.nan)
    quarter = 0.75 * step[-1]
    right = int(np.clip(np.searchsorted(step, quarter), 1, len(step) - 1))
    share = (quarter - step[right - 1]) / (step[right] - step[right - 1])
    at_quarter = (1 - share) * table[:, right - 1] + share * table[:, right]
    fallen = table[:, 0] - table[:, -1]
    # Where the objective has not fallen, "still falling at its mean pace" means nothing.
    pace: Floats = 4 * (at_quarter - table[:, -1]) / np.where(fallen > 0, fallen, np.nan)
    return pace
