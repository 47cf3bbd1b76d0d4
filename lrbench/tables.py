"""From the parts of a study to its tables: runs, curves, summary, sensitivity."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from lrbench.analysis import Thresholds, judge, measure, sensitivity, steps_to_target, summary, targets
from lrbench.grid import Grid
from lrbench.store import Part, Store

CURVES_CSV_ROWS = 1_000_000
"""The most rows of curves that are also written as CSV."""
_OUTCOMES = (
    "status verdict diverged_step initial_train_loss final_train_loss best_train_loss initial_valid_loss "
    "final_valid_loss best_valid_loss best_step final_valid_accuracy best_valid_accuracy steps_to_target "
    "oscillation parameters pack_id"
).split()
_CURVES = (
    "run_id step learning_rate train_loss valid_loss valid_accuracy gradient_norm update_norm parameter_norm"
).split()


def build(
    store: Store,
    grid: Grid,
    thresholds: Thresholds,
    objectives: Mapping[str, str],
    target: float | None = None,
) -> None:
    """Make every table of a results folder from its parts.

    Args:
        store: the folder.
        grid: the runs that belong into the tables; others stay in the parts.
        thresholds: of the verdicts.
        objectives: problem name → `valid_loss` or `train_loss`.
        target: the loss of `steps_to_target`; left out, what the median optimizer's best rate reaches.
    """
    runs = _runs(store, grid, thresholds, objectives, target)
    store.write_table("runs", runs)
    store.write_table("summary", summary(runs, thresholds))
    store.write_table("sensitivity", sensitivity(runs, thresholds, objectives))
    _write_curves(store, grid)


def _runs(
    store: Store, grid: Grid, thresholds: Thresholds, objectives: Mapping[str, str], target: float | None
) -> pd.DataFrame:
    """Return the runs table, in the order of the grid."""
    pieces = [
        _measured(part, pd.DataFrame(grid.columns(numbers), index=numbers), objectives)
        for part, numbers in store.parts(grid.run_ids)
    ]
    if not pieces:
        judged = {"verdict", "oscillation", "steps_to_target"}
        measured = [name for name in _OUTCOMES if name not in judged]
        nothing = pd.DataFrame(columns=[*measured, "rise", "late_pace"], dtype=float)
        pieces = [pd.concat([pd.DataFrame(grid.columns(np.array([], dtype=int))), nothing], axis=1)]
    runs = judge(pd.concat(pieces).sort_index(), thresholds, objectives)
    given = None if target is None else dict.fromkeys(runs["problem"].unique(), target)
    aims = targets(runs, objectives, given)
    reached = pd.Series(np.nan, index=runs.index)
    for part, numbers in store.parts(grid.run_ids):
        objective = _objective(part, str(runs["problem"].loc[numbers[0]]), objectives)
        reached.loc[numbers] = steps_to_target(part.step, objective, aims.loc[numbers].to_numpy())
    runs["steps_to_target"] = reached.astype("Int64")
    for name in ("final_valid_accuracy", "best_valid_accuracy"):
        runs[name] = runs.get(name, np.nan)
    columns = [str(name) for name in runs.columns]
    first = [name for name in columns if name not in _OUTCOMES and not name.startswith(("final_", "best_"))]
    rest = [name for name in columns if name not in first and name not in _OUTCOMES]
    last = [name for name in _OUTCOMES if name in columns]
    return runs[[*first, *last[:-2], *rest, *last[-2:]]]


def _measured(part: Part, identity: pd.DataFrame, objectives: Mapping[str, str]) -> pd.DataFrame:
    curves = {"valid_loss": np.full((len(identity), len(part.step)), np.nan), **part.curves}
    objective = objectives.get(str(identity["problem"].iloc[0]), "valid_loss")
    kept = {name: values for name, values in curves.items() if name.startswith(("train_", "valid_"))}
    found = measure(part.step, kept, part.diverged_step, objective).set_index(identity.index)
    return pd.concat([identity, found], axis=1).assign(parameters=part.parameters, pack_id=part.pack_id)


def _objective(part: Part, problem: str, objectives: Mapping[str, str]) -> np.ndarray:
    name = objectives.get(problem, "valid_loss")
    return part.curves[name if name in part.curves else "train_loss"]


def _write_curves(store: Store, grid: Grid) -> None:
    """Write the curves part by part, so that memory does not grow with the number of runs."""
    names = list(_CURVES)
    rows = 0
    for part, numbers in store.parts(grid.run_ids):
        names += [name for name in part.curves if name not in names]
        rows += len(numbers) * len(part.step)
    schema = pa.schema([(name, _kind(name)) for name in names])

    def as_parquet(path: Path) -> None:
        with pq.ParquetWriter(path, schema) as writer:
            for table in _curve_tables(store, grid, schema):
                writer.write_table(table)

    def as_csv(path: Path) -> None:
        with pa.csv.CSVWriter(
            path, schema, write_options=pa.csv.WriteOptions(quoting_style="needed")
        ) as writer:
            for table in _curve_tables(store, grid, schema):
                writer.write_table(table)

    store.write("curves.parquet", as_parquet)
    if rows <= CURVES_CSV_ROWS:
        store.write("curves.csv", as_csv)


def _curve_tables(store: Store, grid: Grid, schema: pa.Schema) -> Iterator[pa.Table]:
    for part, numbers in store.parts(grid.run_ids):
        yield _curve_table(part, grid.run_ids[numbers], schema)


def _curve_table(part: Part, run_ids: np.ndarray, schema: pa.Schema) -> pa.Table:
    size = len(run_ids) * len(part.step)
    columns: dict[str, Any] = {
        "run_id": np.repeat(run_ids, len(part.step)),
        "step": np.tile(part.step, len(run_ids)),
        **{name: values.reshape(-1) for name, values in part.curves.items()},
    }
    arrays = [
        pa.array(columns[field.name], field.type, from_pandas=True)
        if field.name in columns
        else pa.nulls(size, field.type)
        for field in schema
    ]
    return pa.Table.from_arrays(arrays, schema=schema)


def _kind(name: str) -> pa.DataType:
    return {"run_id": pa.string(), "step": pa.int64()}.get(name, pa.float64())
