"""What the curves of a run show of it alone: its status, its losses, how much it rose, whether it was still falling."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import pandas as pd

from lrbench.analysis.groups import Floats, Ints

LARGER_IS_BETTER = ("accuracy", "r2", "f1", "auc")


def larger_is_better(metric: str) -> bool:
    """Whether `metric` is a score to raise (accuracy, r2, f1, auc) and not a loss to lower.

    Example:
        >>> larger_is_better("valid_accuracy"), larger_is_better("valid_loss")
        (True, False)
    """
    return metric.endswith(LARGER_IS_BETTER)


def measure(
    step: npt.ArrayLike,
    curves: Mapping[str, npt.ArrayLike],
    diverged_step: npt.ArrayLike,
    objective: str,
    stopped_step: npt.ArrayLike | None = None,
) -> pd.DataFrame:
    """Reduce the curves of runs to one row each; rows do not depend on each other, so parts can be streamed.

    status = `nonfinite` if a step, a training loss or the final validation loss is not finite, else `stopped`
    if a race stopped the run (it then counts as if it had stayed where it was), `diverged` if the training
    loss ends above its start, else `ok`. rise = Σ max(0, ℓ_{k+1} − ℓ_k) over the evaluations
    from T/2 on; late_pace = 4(ℓ(¾T) − ℓ(T)) / (ℓ₀ − ℓ(T)), missing where the objective has not fallen. Both
    are for `judge`.

    Args:
        step: [evaluation] steps of the evaluations; the first is 0, the last is T.
        curves: name -> [run, evaluation]: `train_loss`, `valid_loss` (all NaN where a problem has none),
            `valid_*`.
        diverged_step: [run] first non-finite step, NaN = never.
        objective: "valid_loss" or "train_loss".
        stopped_step: [run] the step after which the run was stopped, NaN = never.

    Example:
        >>> row = measure([0, 2, 4], {"train_loss": [[4.0, 1.0, 2.0]]}, [float("nan")], "train_loss").iloc[0]
        >>> row["status"], float(row["final_train_loss"]), int(row["best_step"]), float(row["rise"])
        ('ok', 2.0, 2, 1.0)

    Source: docs, "Definitions".
    """
    steps = np.asarray(step, dtype=np.int64)
    tables = {name: _finite(values) for name, values in curves.items()}
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
    out["best_step"] = _best_step(steps, tables[objective])
    for name in metrics:
        out[f"final_{name}"] = np.where(broken, np.nan, tables[name][:, -1])
        out[f"best_{name}"] = _best(tables[name], larger=larger_is_better(name))
    out["rise"] = np.where(broken, np.nan, _rise(steps, tables[objective]))
    out["late_pace"] = np.where(broken, np.nan, _late_pace(steps, tables[objective]))
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
