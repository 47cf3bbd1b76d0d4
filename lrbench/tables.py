"""From the parts of a study to its tables: runs, curves, and what the analysis makes of them."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from jaxtyping import Int

from lrbench import analysis
from lrbench.analysis import Thresholds, judge, measure, steps_to_target, targets
from lrbench.analysis.finders import LOSS, RANGE_TEST
from lrbench.grid import Grid
from lrbench.store import Holding, Part, Store

CURVES_CSV_ROWS = 1_000_000
"""The most rows of curves that are also written as CSV."""
BATCH_ROWS = 500_000
"""Parts are taken together up to so many rows of curves: reducing a small one alone costs ten times what reading it does."""
_ROW_GROUP = 2**20
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
    measured, batches = _read(store, grid, holdings, objectives)
    runs = _runs(store, grid, batches, measured, thresholds, objectives, target)
    del measured, batches
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


@dataclass(frozen=True)
class _Batch:
    """Some parts that are taken together: of one problem, and with the same curves.

    Args:
        holdings: of the parts.
        objective: the loss that their runs are judged by.
    """

    holdings: tuple[Holding, ...]
    objective: str

    @property
    def numbers(self) -> Int[np.ndarray, " run"]:
        """Which runs of the grid they are, in the order of the parts."""
        return np.concatenate([holding.numbers for holding in self.holdings])

    @property
    def rows(self) -> int:
        """How many rows of curves they are."""
        return sum(len(holding.numbers) * holding.evaluations for holding in self.holdings)

    def read(self, store: Store) -> Part:
        """Return all of them as one part, under the name of the first."""
        parts = [store.read(holding) for holding in self.holdings]
        names = ("run_ids", "diverged_step", "stopped_step", "parameters")
        joined: dict[str, Any] = {
            name: np.concatenate([getattr(part, name) for part in parts]) for name in names
        }
        joined["curves"] = {
            name: np.concatenate([part.curves[name] for part in parts]) for name in parts[0].curves
        }
        return replace(parts[0], **joined)

    def pack_ids(self) -> pa.Array:
        """Return the name of the pack of each run."""
        each = np.repeat(np.arange(len(self.holdings)), [len(holding.numbers) for holding in self.holdings])
        return pa.array([holding.pack_id for holding in self.holdings], pa.string()).take(pa.array(each))


def _batches(grid: Grid, holdings: Sequence[Holding], objectives: Mapping[str, str]) -> Iterator[_Batch]:
    """Yield neighbouring parts in batches, in the order of the grid."""
    starts = np.array([holding.numbers[0] for holding in holdings], dtype=np.int64)
    problems = grid.indices(starts)[0]
    rows = np.cumsum([len(holding.numbers) * holding.evaluations for holding in holdings]) // BATCH_ROWS
    kinds = [
        (int(problem), int(turn), holding.curves, holding.evaluations)
        for holding, problem, turn in zip(holdings, problems, rows, strict=True)
    ]
    for kind, alike in groupby(zip(kinds, holdings, strict=True), key=lambda each: each[0]):
        name = objectives.get(grid.problems[kind[0]].name, "valid_loss")
        objective = name if name in kind[2] else "train_loss"
        yield _Batch(tuple(holding for _, holding in alike), objective)


def _read(
    store: Store, grid: Grid, holdings: Sequence[Holding], objectives: Mapping[str, str]
) -> tuple[pd.DataFrame, list[_Batch]]:
    """Read every part once: write its curves, and return what they say of each run, in the order of the grid.

    Only one batch of parts is in memory at a time; the curves are written in the order of the batches.
    """
    batches = list(_batches(grid, holdings, objectives))
    curves = dict.fromkeys([*_CURVES, *(name for batch in batches for name in batch.holdings[0].curves)])
    schema = pa.schema([(name, _kind(name)) for name in curves])
    rows = sum(batch.rows for batch in batches)
    pieces = []
    with contextlib.ExitStack() as stack:
        path = stack.enter_context(store.writing("curves.parquet"))
        sinks: list[Any] = [stack.enter_context(pq.ParquetWriter(path, schema, use_dictionary=_REPEATED))]
        if rows <= CURVES_CSV_ROWS:
            path = stack.enter_context(store.writing("curves.csv"))
            options = pa.csv.WriteOptions(quoting_style="needed")
            sinks.append(stack.enter_context(pa.csv.CSVWriter(path, schema, write_options=options)))
        for batch in batches:
            part = batch.read(store)
            table = _curve_table(part, schema)
            for sink in sinks:
                sink.write_table(table, _ROW_GROUP)
            measured = _measured(part, batch.objective).assign(pack_id=batch.pack_ids().to_pandas().array)
            pieces.append(measured.set_index(batch.numbers))
    if rows > CURVES_CSV_ROWS:
        (store.folder / "curves.csv").unlink(
            missing_ok=True
        )  # of a smaller grid; it would not be true any more
    return (pd.concat(pieces).sort_index() if pieces else _nothing()), batches


def _runs(
    store: Store,
    grid: Grid,
    batches: Sequence[_Batch],
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
    with pq.ParquetFile(store.folder / "curves.parquet") as curves:
        first = 0
        for batch in batches:
            groups = range(first, first := first + -(-batch.rows // _ROW_GROUP))
            column = curves.read_row_groups(groups, [batch.objective])[batch.objective]
            places = np.searchsorted(numbers, batch.numbers)
            losses = column.to_numpy().reshape(len(places), -1)
            reached[places] = steps_to_target(grid.evaluations, losses, aims[places])
    runs["steps_to_target"] = pd.Series(reached, runs.index).astype("Int64")
    for name in ("final_valid_accuracy", "best_valid_accuracy"):
        runs[name] = runs.get(name, np.nan)
    columns = [str(name) for name in runs.columns]
    leading = [name for name in columns if name not in _OUTCOMES and not name.startswith(("final_", "best_"))]
    rest = [name for name in columns if name not in leading and name not in _OUTCOMES]
    last = [name for name in _OUTCOMES if name in columns]
    return runs[[*leading, *last[:-2], *rest, *last[-2:]]]


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
    return found.assign(parameters=part.parameters)


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
