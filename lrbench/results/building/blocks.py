"""Blocks of runs on disk: what was measured of each run is in a file until its block is read.

A block is whole lines (problem × optimizer × schedule), whose runs are neighbours in the grid. A part is a pack, which has
a few runs of many lines; so the parts, each of which is read once, are sorted into blocks as they come.
Each value of a named rate makes a line of its own, whose runs lie among those of the others.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from jaxtyping import Bool, Int

from lrbench.study.grid import Grid

BLOCK_RUNS = 250_000
"""The most runs of a block, unless one line has more."""


class BlockWriter(contextlib.ExitStack):
    """Writes what was measured of runs to a file, sorted by their blocks; they come in any order.

    Args:
        grid: whose runs they are.
        path: of the file.
    """

    def __init__(self, grid: Grid, path: Path) -> None:
        """Open nothing yet: the first runs bring the columns."""
        super().__init__()
        self.grid, self.path = grid, path
        self.schema: pa.Schema | None = None
        self.pieces: list[int] = []
        """The block that each piece of the file belongs to."""
        self.present = {kind: np.zeros(len(variants), dtype=bool) for kind, variants in grid.variants.items()}
        """For problem, optimizer and schedule: which variants have a run."""
        self._writer: pa.RecordBatchFileWriter | None = None

    def add(self, measured: pd.DataFrame) -> None:
        """Write some runs.

        Args:
            measured: a row per run, always of the same columns; its index is the number of the run in the grid.
        """
        numbers = measured.index.to_numpy()
        positions = self.grid.positions(numbers)
        for kind, present in self.present.items():
            present[positions[kind]] = True
        blocks = numbers // runs_per_block(self.grid)
        order = np.argsort(blocks, kind="stable")
        rows = measured.reset_index(names="number").iloc[order]
        table = pa.Table.from_pandas(rows, self.schema, preserve_index=False).combine_chunks()
        if self._writer is None:
            self.schema = table.schema
            options = pa.ipc.IpcWriteOptions(compression="lz4")
            self._writer = self.enter_context(pa.ipc.new_file(self.path, self.schema, options=options))
        found, begins = np.unique(blocks[order], return_index=True)
        for begin, end in zip(begins, [*begins[1:], len(order)], strict=True):
            self._writer.write_table(table[begin:end])
        self.pieces += found.tolist()


class RunBlocks:
    """The runs of a grid, read block by block.

    Args:
        written: what was measured of them; complete.
        no_runs: the same of no run.
    """

    def __init__(self, written: BlockWriter, no_runs: pd.DataFrame) -> None:
        """Read nothing yet."""
        self.identity = IdentityColumns(written.grid, written.present)
        self._runs_per_block, self._runs_per_line = runs_per_block(written.grid), runs_per_line(written.grid)
        # From one rate of a line to the next, all named rates and seeds come in turn.
        self._between, self._seeds = written.grid.stride("learning_rate"), len(written.grid.seeds)
        self._written, self._no_runs = written, no_runs
        self._last: tuple[int, pd.DataFrame] | None = None

    @property
    def numbers(self) -> list[int]:
        """The numbers of the blocks that have runs; 0 alone if none has."""
        return sorted(set(self._written.pieces)) or [0]

    def line_of(self, numbers: Int[np.ndarray, " run"]) -> Int[np.ndarray, " run"]:
        """Return the line of runs of the grid: the number of its first run."""
        return numbers - numbers % self._runs_per_line + numbers % self._between // self._seeds * self._seeds

    def of(self, lines: Int[np.ndarray, " line"]) -> Int[np.ndarray, " line"]:
        """Return the number of the block of each line."""
        return lines // self._runs_per_block

    def read(self, block: int) -> pd.DataFrame:
        """Return the runs of a block in the order of the grid: their identity, and what was measured.

        The last one stays in memory, in case it is read again.
        """
        if self._last is None or self._last[0] != block:
            self._last = None  # never two blocks in memory
            self._last = block, self._read(block)
        return self._last[1]

    def lines(self, lines: Int[np.ndarray, " line"]) -> pd.DataFrame:
        """Return the runs of some lines, line by line in that order."""
        found = []
        for block, mine in groupby(lines.tolist(), key=lambda line: int(self.of(line))):
            runs = self.read(block)
            wanted = np.array(list(mine))
            order = np.argsort(wanted)
            line = self.line_of(runs.index.to_numpy())
            position = order[np.minimum(np.searchsorted(wanted, line, sorter=order), len(wanted) - 1)]
            (rows,) = (wanted[position] == line).nonzero()
            found.append(runs.iloc[rows[np.argsort(position[rows], kind="stable")]])
            del runs  # before the next ones are read
        return pd.concat(found)

    def _read(self, block: int) -> pd.DataFrame:
        measured = self._no_runs
        if self._written.schema is not None:
            with pa.OSFile(str(self._written.path)) as source, pa.ipc.open_file(source) as file:
                mine = [number for number, each in enumerate(self._written.pieces) if each == block]
                pieces = [file.get_batch(number) for number in mine]
            table = pa.Table.from_batches(pieces, self._written.schema)
            measured = table.to_pandas().set_index("number").sort_index()
        return pd.concat([self.identity.of(measured.index.to_numpy(dtype=np.int64)), measured], axis=1)


class IdentityColumns:
    """The identity columns of runs of a grid, with the same types in each block, as if all runs were in one table.

    Args:
        grid: whose runs they are.
        present: for problem, optimizer and schedule, which variants have a run.
    """

    def __init__(self, grid: Grid, present: Mapping[str, Bool[np.ndarray, " variant"]]) -> None:
        """Compute the columns for each value of each axis."""
        self._grid = grid
        sizes = grid.sizes
        used = {kind: np.flatnonzero(each) for kind, each in present.items()}
        some = len(used["problem"]) > 0
        used |= {axis: np.arange(size if some else 0) for axis, size in sizes.items() if axis not in used}
        # From the position of a value on its axis to that among those that have a run.
        self._ranks = {axis: np.searchsorted(each, np.arange(sizes[axis])) for axis, each in used.items()}
        self._columns: dict[str, tuple[str, Any]] = {}
        for axis, values in used.items():
            first = {name: each[:1].repeat(len(values)) for name, each in used.items()}
            at = tuple({**first, axis: values}[name] for name in sizes)
            columns = pd.DataFrame(grid.columns(np.ravel_multi_index(at, tuple(sizes.values()))))
            own = [str(name) for name in columns if _axis(grid, str(name)) == axis]
            self._columns |= {name: (axis, columns[name].array) for name in own}
        self.names = [str(name) for name in columns]
        schemas = {
            name: pa.Schema.from_pandas(pd.DataFrame({name: v})) for name, (_, v) in self._columns.items()
        }
        self._types = {name: schema.field(name).type for name, schema in schemas.items()}

    def of(self, numbers: Int[np.ndarray, " run"]) -> pd.DataFrame:
        """Return the identity columns of runs, whose numbers are the index."""
        positions = self._grid.positions(numbers)
        ranks = {axis: rank[positions[axis]] for axis, rank in self._ranks.items()}
        columns = {name: values.take(ranks[axis]) for name, (axis, values) in self._columns.items()}
        columns["run_id"] = pa.array(self._grid.run_ids[numbers], pa.string()).to_pandas().array
        columns["stage"] = self._grid.stage(numbers)
        columns |= self._grid.sampled(numbers)
        return pd.DataFrame({name: columns[name] for name in self.names}, index=numbers)

    def table(self, frame: pd.DataFrame) -> pa.Table:
        """Return a frame with any of the identity columns as Arrow, these with their types."""
        schema = pa.Schema.from_pandas(frame, preserve_index=False)
        for number, name in enumerate(schema.names):
            if name in self._types:
                schema = schema.set(number, pa.field(name, self._types[name]))
        return pa.Table.from_pandas(frame, schema, preserve_index=False)


def runs_per_line(grid: Grid) -> int:
    """Return how many runs there are of a problem with an optimizer and a schedule."""
    return grid.stride("schedule")


def runs_per_block(grid: Grid) -> int:
    """Return how many runs of a grid are a block."""
    return runs_per_line(grid) * max(1, BLOCK_RUNS // runs_per_line(grid))


def _axis(grid: Grid, column: str) -> str | None:
    """The axis of the grid that an identity column depends on; none for run_id, which depends on all."""
    if column in grid.sizes:
        return column
    return {"study": "problem", "steps": "problem"}.get(column, _kind_of(column))


def _kind_of(column: str) -> str | None:
    """The axis that the column of a parameter, such as `optimizer_b1`, belongs to."""
    kind = column.partition("_")[0]
    return kind if kind in {"problem", "optimizer", "schedule"} else None
