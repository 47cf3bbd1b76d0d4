"""From the parts of a study to its tables: runs, curves, and what the analysis makes of them."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from lrbench import analysis
from lrbench.analysis import Thresholds, judge, measure, steps_to_target, targets
from lrbench.analysis.finders import LOSS, RANGE_TEST
from lrbench.grid import Grid
from lrbench.store import Holding, Part, Store

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

# Parquet would try a dictionary for every column; for losses, nearly all of them distinct, that takes most of the time.
_REPEATED = ["run_id", "step", "learning_rate"]


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
    holdings = store.holdings(grid.run_ids, stopped=grid.race)
    measured = _read(store, grid, holdings, objectives)
    runs = _runs(store, grid, holdings, measured, thresholds, objectives, target)
    del measured
    store.write_table("runs", runs)
    store.write_table("summary", analysis.summary(runs, thresholds))
    sensitivity = analysis.sensitivity(runs, thresholds, objectives)
    store.write_table("sensitivity", sensitivity)
    store.write_table("comparison", analysis.comparison(runs, thresholds, objectives))
    store.write_table("ranking", analysis.ranking(sensitivity, thresholds))
    store.write_table("tuning_budget", analysis.tuning_budget(runs, thresholds, objectives))
    _write_finders(store, grid, holdings, runs)


def _write_finders(store: Store, grid: Grid, holdings: Sequence[Holding], runs: pd.DataFrame) -> None:
    """Write what learning-rate finders suggest for the range tests of a grid, if it has any."""
    tests = [number for number, variant in enumerate(grid.schedules) if variant.name == RANGE_TEST]
    names = ["learning_rate", LOSS]
    schema = pa.schema([(name, _kind(name)) for name in ("run_id", "step", *names)])
    mine = [
        _curve_table(store.read(holding, names), schema)
        for holding in holdings
        if LOSS in holding.curves and np.isin(grid.indices(holding.numbers)[2], tests).any()
    ]
    if mine:
        store.write_table("finders", analysis.finders(runs, pa.concat_tables(mine).to_pandas()))
    else:
        _remove(store, "finders")  # of range tests that are not in the grid any more


def write_failures(store: Store, failures: Sequence[Mapping[str, Any]]) -> None:
    """Write a row for each pack that failed; where none did, there is no such table."""
    if failures:
        store.write_table("failures", pd.DataFrame(failures))
    else:
        _remove(store, "failures")


def _remove(store: Store, name: str) -> None:
    for kind in ("csv", "parquet"):
        (store.folder / f"{name}.{kind}").unlink(missing_ok=True)


def surfaces(grid: Grid, found: Mapping[int, tuple[np.ndarray, np.ndarray, np.ndarray]]) -> pd.DataFrame:
    """Return a row per point of the landscapes of problems of two coordinates.

    Args:
        grid: whose problems they are.
        found: problem number → both coordinates' values, and the losses [second coordinate, first coordinate].
    """
    runs_per_problem = len(grid) // len(grid.problems)
    pieces = []
    for number, (first, second, loss) in found.items():
        identity = grid.columns(np.array([number * runs_per_problem]))
        named = {key: [value[0]] * loss.size for key, value in identity.items() if _of_problem(key)}
        across, along = np.meshgrid(first, second)
        points = {"first_coordinate": across.ravel(), "second_coordinate": along.ravel()}
        pieces.append(pd.DataFrame({**named, **points, "loss": loss.ravel()}))
    return pd.concat(pieces, ignore_index=True)


def _of_problem(column: str) -> bool:
    return column == "problem" or column.startswith("problem_")


def _read(
    store: Store, grid: Grid, holdings: Sequence[Holding], objectives: Mapping[str, str]
) -> pd.DataFrame:
    """Read every part once: write its curves, and return what they say of each run, in the order of the grid.

    Only one part is in memory at a time.
    """
    curves = dict.fromkeys([*_CURVES, *(name for holding in holdings for name in holding.curves)])
    schema = pa.schema([(name, _kind(name)) for name in curves])
    rows = sum(len(holding.numbers) * holding.evaluations for holding in holdings)
    pieces = []
    with contextlib.ExitStack() as stack:
        path = stack.enter_context(store.writing("curves.parquet"))
        sinks: list[Any] = [stack.enter_context(pq.ParquetWriter(path, schema, use_dictionary=_REPEATED))]
        if rows <= CURVES_CSV_ROWS:
            path = stack.enter_context(store.writing("curves.csv"))
            options = pa.csv.WriteOptions(quoting_style="needed")
            sinks.append(stack.enter_context(pa.csv.CSVWriter(path, schema, write_options=options)))
        for holding in holdings:
            part = store.read(holding)
            table = _curve_table(part, schema)
            for sink in sinks:
                sink.write_table(table)
            pieces.append(_measured(part, _objective(grid, holding, objectives)).set_index(holding.numbers))
    if rows > CURVES_CSV_ROWS:
        (store.folder / "curves.csv").unlink(
            missing_ok=True
        )  # of a smaller grid; it would not be true any more
    return pd.concat(pieces).sort_index() if pieces else _nothing()


def _runs(
    store: Store,
    grid: Grid,
    holdings: Sequence[Holding],
    measured: pd.DataFrame,
    thresholds: Thresholds,
    objectives: Mapping[str, str],
    target: float | None,
) -> pd.DataFrame:
    """Return the runs table, in the order of the grid."""
    numbers = measured.index.to_numpy(dtype=np.int64)
    identity = pd.DataFrame(_columns(grid, numbers), index=measured.index)
    runs = judge(pd.concat([identity, measured], axis=1), thresholds, objectives)
    given = None if target is None else dict.fromkeys(runs["problem"].unique(), target)
    aims = targets(runs, objectives, given).to_numpy()
    reached = np.full(len(runs), np.nan)
    for holding in holdings:
        objective = _objective(grid, holding, objectives)
        part = store.read(holding, [objective])
        places = np.searchsorted(numbers, holding.numbers)
        reached[places] = steps_to_target(part.step, part.curves[objective], aims[places])
    runs["steps_to_target"] = pd.Series(reached, runs.index).astype("Int64")
    for name in ("final_valid_accuracy", "best_valid_accuracy"):
        runs[name] = runs.get(name, np.nan)
    columns = [str(name) for name in runs.columns]
    first = [name for name in columns if name not in _OUTCOMES and not name.startswith(("final_", "best_"))]
    rest = [name for name in columns if name not in first and name not in _OUTCOMES]
    last = [name for name in _OUTCOMES if name in columns]
    return runs[[*first, *last[:-2], *rest, *last[-2:]]]


def _columns(grid: Grid, numbers: np.ndarray) -> dict[str, Any]:
    """Return the identity columns, with no Python string for each run_id."""
    columns: dict[str, Any] = grid.columns(numbers)
    return columns | {"run_id": pa.array(columns["run_id"], pa.string()).to_pandas().array}


def _nothing() -> pd.DataFrame:
    """Return what no part says: every column, and no row."""
    judged = {"verdict", "oscillation", "steps_to_target"}
    names = [name for name in _OUTCOMES if name not in judged]
    return pd.DataFrame(columns=[*names, "rise", "late_pace"], dtype=float)


def _measured(part: Part, objective: str) -> pd.DataFrame:
    curves = {"valid_loss": np.full((len(part.run_ids), len(part.step)), np.nan), **part.curves}
    kept = {name: values for name, values in curves.items() if name.startswith(("train_", "valid_"))}
    found = measure(part.step, kept, part.diverged_step, objective, part.stopped_step)
    return found.assign(parameters=part.parameters, pack_id=part.pack_id)


def _objective(grid: Grid, holding: Holding, objectives: Mapping[str, str]) -> str:
    """Return the loss that the runs of a part are judged by; all of them are of one problem."""
    problem = grid.problems[grid.indices(holding.numbers[:1])[0][0]].name
    name = objectives.get(problem, "valid_loss")
    return name if name in holding.curves else "train_loss"


def _curve_table(part: Part, schema: pa.Schema) -> pa.Table:
    runs, evaluations = len(part.run_ids), len(part.step)
    each = pa.array(np.repeat(np.arange(runs), evaluations))
    columns: dict[str, Any] = {
        "run_id": pa.array(part.run_ids, pa.string()).take(each),
        "step": np.tile(part.step, runs),
        **{name: values.reshape(-1) for name, values in part.curves.items()},
    }
    arrays = [
        pa.array(columns[field.name], field.type, from_pandas=True)
        if field.name in columns
        else pa.nulls(runs * evaluations, field.type)
        for field in schema
    ]
    return pa.Table.from_arrays(arrays, schema=schema)


def _kind(name: str) -> pa.DataType:
    return {"run_id": pa.string(), "step": pa.int64()}.get(name, pa.float64())
