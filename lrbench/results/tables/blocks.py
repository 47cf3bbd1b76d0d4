"""The runs of a grid, block by block: what was measured of each is in a file until the turn of its block comes.

A block is whole lines (problem × optimizer × schedule), whose runs are neighbours in the grid. A part is a pack, which holds
a few runs of many lines; so what the parts say is dealt out to the blocks while they are read, each of them once.
Every value of a named rate makes a line of its own, whose runs lie among those of the others.
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
"""The most runs of a block, unless a line alone has more."""


class Dealing(contextlib.ExitStack):
    """Takes what was measured of runs, as it comes, and deals it out to their blocks.

    Args:
        grid: whose runs they are.
        path: of the file that holds them.
    """

    def __init__(self, grid: Grid, path: Path) -> None:
        """Nothing is in it yet."""
        super().__init__()
        self.grid, self.path = grid, path
        self.schema: pa.Schema | None = None
        self.pieces: list[int] = []
        """Which block each piece of the file belongs to."""
        self.present = {kind: np.zeros(len(variants), dtype=bool) for kind, variants in grid.variants.items()}
        """For problem, optimizer and schedule, which variants any run has."""
        self._writer: pa.RecordBatchFileWriter | None = None

    def add(self, measured: pd.DataFrame) -> None:
        """Put runs in.

        Args:
            measured: a row per run, always of the same columns; its index is the number of the run in the grid.
        """
        numbers = measured.index.to_numpy()
        positions = self.grid.positions(numbers)
        for kind, there in self.present.items():
            there[positions[kind]] = True
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


class Blocks:
    """The runs of a grid, read block by block.

    Args:
        dealt: what was measured of them; nothing more is put in.
        nothing: the same of no run.
    """

    def __init__(self, dealt: Dealing, nothing: pd.DataFrame) -> None:
        """Nothing is read yet."""
        self.identity = Identity(dealt.grid, dealt.present)
        self._runs_per_block, self._runs_per_line = runs_per_block(dealt.grid), runs_per_line(dealt.grid)
        # From one rate of a line to the next, all named rates and seeds come in turn.
        self._between, self._seeds = dealt.grid.stride("learning_rate"), len(dealt.grid.seeds)
        self._dealt, self._nothing = dealt, nothing
        self._last: tuple[int, pd.DataFrame] | None = None

    @property
    def numbers(self) -> list[int]:
        """The numbers of the blocks that have runs; 0, if none has."""
        return sorted(set(self._dealt.pieces)) or [0]

    def line_of(self, numbers: Int[np.ndarray, " run"]) -> Int[np.ndarray, " run"]:
        """Return the line of runs of the grid: the number of its first run."""
        return numbers - numbers % self._runs_per_line + numbers % self._between // self._seeds * self._seeds

    def of(self, lines: Int[np.ndarray, " line"]) -> Int[np.ndarray, " line"]:
        """Return the number of the block that each line is in."""
        return lines // self._runs_per_block

    def read(self, block: int) -> pd.DataFrame:
        """Return the runs of a block in the order of the grid: their identity, and what was measured.

        The last one is kept, for whoever asks for it again.
        """
        if self._last is None or self._last[0] != block:
            self._last = None  # there are never two
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
            place = order[np.minimum(np.searchsorted(wanted, line, sorter=order), len(wanted) - 1)]
            (rows,) = (wanted[place] == line).nonzero()
            found.append(runs.iloc[rows[np.argsort(place[rows], kind="stable")]])
            del runs  # before the next ones are read
        return pd.concat(found)

    def _read(self, block: int) -> pd.DataFrame:
        measured = self._nothing
        if self._dealt.schema is not None:
            with pa.OSFile(str(self._dealt.path)) as source, pa.ipc.open_file(source) as file:
                places = [place for place, each in enumerate(self._dealt.pieces) if each == block]
                pieces = [file.get_batch(place) for place in places]
            table = pa.Table.from_batches(pieces, self._dealt.schema)
            measured = table.to_pandas().set_index("number").sort_index()
        return pd.concat([self.identity.of(measured.index.to_numpy(dtype=np.int64)), measured], axis=1)


class Identity:
    """The identity columns of runs of a grid, of one type in every block, as if all runs were in one table.

    Args:
        grid: whose runs they are.
        present: for problem, optimizer and schedule, which variants any run has.
    """

    def __init__(self, grid: Grid, present: Mapping[str, Bool[np.ndarray, " variant"]]) -> None:
        """Make the columns for every value of each axis."""
        self._grid = grid
        sizes = grid.sizes
        there = {kind: np.flatnonzero(each) for kind, each in present.items()}
        some = len(there["problem"]) > 0
        there |= {axis: np.arange(size if some else 0) for axis, size in sizes.items() if axis not in there}
        # Where on its axis a value stands -> where among those that are there.
        self._ranks = {axis: np.searchsorted(each, np.arange(sizes[axis])) for axis, each in there.items()}
        self._columns: dict[str, tuple[str, Any]] = {}
        for axis, values in there.items():
            first = {name: each[:1].repeat(len(values)) for name, each in there.items()}
            at = tuple({**first, axis: values}[name] for name in sizes)
            columns = pd.DataFrame(grid.columns(np.ravel_multi_index(at, tuple(sizes.values()))))
            own = [str(name) for name in columns if _axis(grid, str(name)) == axis]
            self._columns |= {name: (axis, columns[name].array) for name in own}
        self.names = [str(name) for name in columns]
        kinds = {
            name: pa.Schema.from_pandas(pd.DataFrame({name: v})) for name, (_, v) in self._columns.items()
        }
        self._kinds = {name: kind.field(name).type for name, kind in kinds.items()}

    def of(self, numbers: Int[np.ndarray, " run"]) -> pd.DataFrame:
        """Return the identity columns of runs, whose numbers are the index."""
        positions = self._grid.positions(numbers)
        ranks = {axis: rank[positions[axis]] for axis, rank in self._ranks.items()}
        columns = {name: values.take(ranks[axis]) for name, (axis, values) in self._columns.items()}
        columns["run_id"] = pa.array(self._grid.run_ids[numbers], pa.string()).to_pandas().array
        return pd.DataFrame({name: columns[name] for name in self.names}, index=numbers)

    def table(self, frame: pd.DataFrame) -> pa.Table:
        """Return a frame that has some of the identity columns as Arrow."""
        schema = pa.Schema.from_pandas(frame, preserve_index=False)
        for place, name in enumerate(schema.names):
            if name in self._kinds:
                schema = schema.set(place, pa.field(name, self._kinds[name]))
        return pa.Table.from_pandas(frame, schema, preserve_index=False)


def runs_per_line(grid: Grid) -> int:
    """Return how many runs there are of a problem, an optimizer and a schedule."""
    return grid.stride("schedule")


def runs_per_block(grid: Grid) -> int:
    """Return how many runs of a grid a block has."""
    return runs_per_line(grid) * max(1, BLOCK_RUNS // runs_per_line(grid))


def _axis(grid: Grid, column: str) -> str | None:
    """The axis of the grid that decides an identity column; none for run_id, which all of them do."""
    if column in grid.sizes:
        return column
    return {"study": "problem", "steps": "problem"}.get(column, _kind_of(column))


def _kind_of(column: str) -> str | None:
    """The axis of the variants that a parameter's column is of, such as `optimizer_b1`."""
    kind = column.partition("_")[0]
    return kind if kind in {"problem", "optimizer", "schedule"} else None
