"""From the parts of a study to its tables: runs, curves, and what the analysis makes of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, groupby
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from jaxtyping import Float, Int

from lrbench import analysis
from lrbench.analysis import Thresholds, judge, measure, steps_to_target
from lrbench.analysis.finders import LOSS, RANGE_TEST
from lrbench.analysis.objective import best_final, losses
from lrbench.analysis.outcomes import median_line
from lrbench.analysis.rates import best_rates
from lrbench.results import safe_files
from lrbench.results.folder import ResultsFolder
from lrbench.results.manifest_schema import FailureSchema
from lrbench.results.part_file import PartSummary
from lrbench.results.tables import sheet
from lrbench.results.tables.blocks import Blocks, Dealing
from lrbench.results.trained import Trained, joined
from lrbench.study.grid import Grid

BATCH_ROWS = 500_000
"""Parts are taken together up to so many rows of curves: reducing a small one alone costs ten times what reading it does."""
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
    store: ResultsFolder,
    grid: Grid,
    parts: Sequence[PartSummary],
    thresholds: Thresholds,
    objectives: Mapping[str, str],
    target: float | None = None,
    check: Callable[[], None] = lambda: None,
) -> None:
    """Make every table of a results folder from its parts.

    Args:
        store: the folder.
        grid: the runs that belong into the tables; others stay in the parts.
        parts: those of the folder that hold runs of the grid, in its order.
        thresholds: of the verdicts.
        objectives: problem name → `valid_loss` or `train_loss`.
        target: the loss of `steps_to_target`; left out, what the median optimizer's best rate reaches.
        check: called between the tables; what it raises ends the making.
    """
    batches = list(_batches(grid, parts, objectives))
    with store.scratch("runs.arrow") as path:
        blocks = _read(store, grid, batches, path)
        check()
        whole = _Whole.of(grid, blocks, thresholds, objectives, target)
        check()
        reached = _steps_to_target(store, grid, batches, whole.target)
        check()
        sensitivity, tests = _write(store, grid, blocks, whole, reached, thresholds, objectives)
        store.write_table("sensitivity", sensitivity)
        check()
        compared = analysis.compare(
            sensitivity,
            (whole.initial - whole.least)[grid.positions(whole.lines)["problem"]],
            blocks.of(whole.lines),
            lambda some: blocks.lines(whole.lines[some]),
            thresholds,
            objectives,
        )
        store.write_table("comparison", compared)
        check()
    store.write_table("ranking", analysis.ranking(sensitivity, thresholds))
    check()
    _write_finders(store, grid, parts, tests)


def _write_finders(
    store: ResultsFolder, grid: Grid, parts: Sequence[PartSummary], runs: pd.DataFrame
) -> None:
    """Write what learning-rate finders suggest for the range tests of a grid, if it has any."""
    numbers = [number for number, variant in enumerate(grid.schedules) if variant.name == RANGE_TEST]
    names = ["learning_rate", LOSS]
    schema = pa.schema([(name, _kind(name)) for name in ("run_id", "step", *names)])
    mine = [
        _curve_table(store.read_part(part, names), schema)
        for part in (parts if numbers else ())
        if LOSS in part.curves and np.isin(grid.positions(part.numbers)["schedule"], numbers).any()
    ]
    if mine:
        store.write_table("finders", analysis.finders(runs, pa.concat_tables(mine).to_pandas()))
    else:
        store.remove_table("finders")  # of range tests that are not in the grid any more


def write_failures(store: ResultsFolder, failures: Sequence[Mapping[str, Any]]) -> None:
    """Write a row for each pack that failed; where none did, there is no such table."""
    if failures:
        names = list(FailureSchema.model_fields)
        store.write_table("failures", pd.DataFrame(failures, columns=names))
    else:
        store.remove_table("failures")


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
        parts: they.
        objective: the loss that their runs are judged by.
    """

    parts: tuple[PartSummary, ...]
    objective: str

    @property
    def numbers(self) -> Int[np.ndarray, " run"]:
        """Which runs of the grid they are, in the order of the parts."""
        return np.concatenate([part.numbers for part in self.parts])

    @property
    def rows(self) -> int:
        """How many rows of curves they are."""
        return sum(len(part.numbers) * part.evaluations for part in self.parts)

    def read(self, store: ResultsFolder) -> Trained:
        """Return all of their runs as one record."""
        return joined([store.read_part(part) for part in self.parts])

    def pack_ids(self) -> pa.Array:
        """Return the name of the pack of each run."""
        each = np.repeat(np.arange(len(self.parts)), [len(part.numbers) for part in self.parts])
        return pa.array([part.pack_id for part in self.parts], pa.string()).take(pa.array(each))


def _batches(grid: Grid, parts: Sequence[PartSummary], objectives: Mapping[str, str]) -> Iterator[_Batch]:
    """Yield neighbouring parts in batches, in the order of the grid."""
    starts = np.array([part.numbers[0] for part in parts], dtype=np.int64)
    problems = grid.positions(starts)["problem"]
    rows = np.cumsum([len(part.numbers) * part.evaluations for part in parts]) // BATCH_ROWS
    kinds = [
        (int(problem), int(turn), part.curves, part.evaluations)
        for part, problem, turn in zip(parts, problems, rows, strict=True)
    ]
    for kind, alike in groupby(zip(kinds, parts, strict=True), key=lambda each: each[0]):
        name = objectives.get(grid.problems[kind[0]].name, "valid_loss")
        objective = name if name in kind[2] else "train_loss"
        yield _Batch(tuple(part for _, part in alike), objective)


def _read(store: ResultsFolder, grid: Grid, batches: Sequence[_Batch], path: Path) -> Blocks:
    """Read every part once: write its curves, and put what they say of each run into blocks, which are in a file.

    Only one batch of parts is in memory at a time; the curves are written in the order of the batches.
    """
    each = [batch.parts[0].curves for batch in batches]
    curves = dict.fromkeys([*_CURVES, *chain.from_iterable(each)])
    metrics = [name for name in dict.fromkeys(chain.from_iterable(each)) if _is_metric(name)]
    schema = pa.schema([(name, _kind(name)) for name in curves])
    csv = sum(batch.rows for batch in batches) <= sheet.CSV_ROWS  # else it would be written in vain
    with (
        store.table("curves", csv=csv, dictionaries=_REPEATED, gather=False) as of_curves,
        Dealing(grid, path) as dealing,
    ):
        of_curves.add(schema.empty_table())
        for batch in batches:
            part = batch.read(store)
            of_curves.add(_curve_table(part, schema))
            measured = _measured(part, batch.objective).assign(pack_id=batch.pack_ids().to_pandas().array)
            columns = dict.fromkeys(
                [*measured, *(f"{of}_{name}" for name in metrics for of in ("final", "best"))]
            )
            dealing.add(measured.reindex(columns=list(columns)).set_index(batch.numbers))
    return Blocks(dealing, _nothing())


def _is_metric(curve: str) -> bool:
    return curve.startswith("valid_") and curve != "valid_loss"


@dataclass(frozen=True)
class _Whole:
    """What all blocks say together.

    Args:
        lines: the lines that have runs, as `Blocks.line_of` numbers them, in order of appearance.
        least: [problem] ℓ*, NaN where nothing trains.
        initial: [problem] the median ℓ₀ of its runs.
        target: [problem] the loss of `steps_to_target`.
    """

    lines: Int[np.ndarray, " line"]
    least: Float[np.ndarray, " problem"]
    initial: Float[np.ndarray, " problem"]
    target: Float[np.ndarray, " problem"]

    @classmethod
    def of(
        cls,
        grid: Grid,
        blocks: Blocks,
        thresholds: Thresholds,
        objectives: Mapping[str, str],
        target: float | None,
    ) -> _Whole:
        """Go through the blocks once."""
        problems = len(grid.problems)
        least = np.full(problems, np.nan)
        starts: list[list[np.ndarray]] = [[np.empty((2, 0))] for _ in range(problems)]
        lines, reached = [], []
        for block in blocks.numbers:
            runs = blocks.read(block)
            numbers = runs.index.to_numpy(dtype=np.int64)
            problem = grid.positions(numbers)["problem"]
            initial, final = losses(runs, objectives)
            code, here = best_final(runs, initial, final, thresholds.stable)
            mine = problem[np.unique(code, return_index=True)[1]]
            least[mine] = np.fmin(least[mine], here)
            for each in mine:
                starts[each].append(np.stack(np.unique(initial[problem == each], return_counts=True)))
            best = best_rates(runs, objectives=objectives)
            lines.append(blocks.line_of(numbers[best["row"].to_numpy()]))
            reached.append(best["loss"].to_numpy())
            del runs  # before the next ones are read
        every = np.concatenate(lines)
        aims = median_line(grid.positions(every)["problem"], np.concatenate(reached), problems)
        middle = np.array([_median(*np.concatenate(each, axis=1)) for each in starts])
        return cls(every, least, middle, aims if target is None else np.full(problems, target))


def _median(values: Float[np.ndarray, " value"], counts: Float[np.ndarray, " value"]) -> float:
    """The median of what is finite of values that are there so many times; NaN where nothing is.

    All runs of a seed start alike, so that there are few values.
    """
    finite = np.isfinite(values)
    order = np.argsort(values[finite])
    ordered, ends = values[finite][order], np.cumsum(counts[finite][order])
    if not len(ends):
        return np.nan
    low, high = np.searchsorted(ends, [(ends[-1] - 1) // 2, ends[-1] // 2], side="right")
    return 0.5 * float(ordered[low] + ordered[high])


def _steps_to_target(
    store: ResultsFolder, grid: Grid, batches: Sequence[_Batch], targets: Float[np.ndarray, " problem"]
) -> Int[np.ndarray, " run"]:
    """Return the first evaluated step at which each run of the grid meets the target of its problem; -1 for none."""
    reached = np.full(len(grid), -1, dtype=np.int32)
    with safe_files.open_file(store.folder, "curves.parquet") as file, pq.ParquetFile(file) as curves:
        first = 0
        for batch in batches:
            groups = range(first, first := first + -(-batch.rows // sheet.ROW_GROUP))
            column = curves.read_row_groups(groups, [batch.objective])[batch.objective]
            numbers = batch.numbers
            values = column.to_numpy().reshape(len(numbers), -1)
            aims = targets[grid.positions(numbers)["problem"]]
            found = steps_to_target(grid.evaluations, values, aims)
            reached[numbers] = np.where(np.isfinite(found), found, -1)
    return reached


def _write(
    store: ResultsFolder,
    grid: Grid,
    blocks: Blocks,
    whole: _Whole,
    reached: Int[np.ndarray, " run"],
    thresholds: Thresholds,
    objectives: Mapping[str, str],
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Write the tables of runs, points and trials, and return the sensitivity table and who the range tests are."""
    sensitivity, tests = [], []
    with (
        store.table("runs") as of_runs,
        store.table("summary") as of_points,
        store.table("tuning_budget") as of_trials,
    ):
        for block in blocks.numbers:
            runs = _judged(grid, blocks.read(block), whole, reached, thresholds, objectives)
            of_runs.add(blocks.identity.table(runs.drop(columns="least_loss")))
            of_points.add(blocks.identity.table(analysis.summary(runs, thresholds)))
            of_trials.add(blocks.identity.table(analysis.tuning_budget(runs, thresholds, objectives)))
            sensitivity.append(analysis.sensitivity(runs, thresholds, objectives))
            tests.append(runs.loc[runs["schedule"] == RANGE_TEST, blocks.identity.names])
            del runs  # before the next ones are read
    return pd.concat(sensitivity, ignore_index=True), pd.concat(tests)


def _judged(
    grid: Grid,
    measured: pd.DataFrame,
    whole: _Whole,
    reached: Int[np.ndarray, " run"],
    thresholds: Thresholds,
    objectives: Mapping[str, str],
) -> pd.DataFrame:
    """Return a block of the runs table, and `least_loss` last."""
    numbers = measured.index.to_numpy(dtype=np.int64)
    problem = grid.positions(numbers)["problem"]
    runs = judge(measured.assign(least_loss=whole.least[problem]), thresholds, objectives)
    steps = reached[numbers].astype(np.float64)
    runs["steps_to_target"] = pd.Series(np.where(steps < 0, np.nan, steps), runs.index).astype("Int64")
    for name in ("final_valid_accuracy", "best_valid_accuracy"):
        runs[name] = runs.get(name, np.nan)
    columns = [str(name) for name in runs.columns if name != "least_loss"]
    leading = [name for name in columns if name not in _OUTCOMES and not name.startswith(("final_", "best_"))]
    rest = [name for name in columns if name not in leading and name not in _OUTCOMES]
    last = [name for name in _OUTCOMES if name in columns]
    return runs[[*leading, *last[:-2], *rest, *last[-2:], "least_loss"]]


def _nothing() -> pd.DataFrame:
    """Return what no part says: every column, and no row."""
    judged = {"verdict", "oscillation", "steps_to_target"}
    names = [name for name in _OUTCOMES if name not in judged]
    return pd.DataFrame(columns=[*names, "rise", "late_pace"], dtype=float)


def _measured(part: Trained, objective: str) -> pd.DataFrame:
    curves = {"valid_loss": np.full((len(part.run_ids), len(part.step)), np.nan), **part.curves}
    kept = {name: values for name, values in curves.items() if name.startswith(("train_", "valid_"))}
    found = measure(part.step, kept, part.diverged_step, objective, part.stopped_step)
    return found.assign(parameters=part.parameters)


def _curve_table(part: Trained, schema: pa.Schema) -> pa.Table:
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
