"""Blocks of runs on disk: what was measured of each run is in a file until its block is read.

A block is whole lines (problem × optimizer × schedule), whose runs are neighbours in the grid. A part is a pack, which has
a few runs of many lines; so the parts, each of which is read once, are sorted into blocks as they come.
Each value of a named rate makes a line of its own, whose runs lie among those of the others.
Neighbouring blocks are a group, which is a row group of every table that is made from runs; only how many blocks a group has depends on `BLOCK_RUNS`.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import pandas as pd
import pyarrow as pa
from jaxtyping import Bool, Float, Int

from lrbench.results import safe_files
from lrbench.study.grid import Grid
from lrbench.study.stages import GRID

BLOCK_RUNS = 100_000
"""The most runs of a block, unless one line has more: so many are in memory, with their tables."""
GROUP_RUNS = 100_000
"""The same of a group."""
Numbers = Int[np.ndarray, " run"]


@dataclass(frozen=True)
class Cuts:
    """How the runs of a grid are cut into lines, blocks and groups; small, however large the grid is.

    Args:
        sizes: the length of each axis of the grid.
        line: how many runs there are of a problem with an optimizer and a schedule.
        block, group: how many runs of the grid are a block and a group.
    """

    sizes: Mapping[str, int]
    line: int
    block: int
    group: int

    @classmethod
    def of(cls, grid: Grid) -> Cuts:
        """Return those of a grid."""
        line = grid.stride("schedule")
        block, group = (line * max(1, most // line) for most in (BLOCK_RUNS, GROUP_RUNS))
        return cls(grid.sizes, line, block, group)

    @property
    def _blocks_of_group(self) -> int:
        return -(-self.group // self.block)

    def blocks(self, numbers: Numbers) -> Numbers:
        """Return the block of each run."""
        return numbers // self.group * self._blocks_of_group + numbers % self.group // self.block

    def groups(self, blocks: Sequence[int]) -> list[tuple[int, list[int]]]:
        """Return the number of each group, and those of its blocks, which are ascending."""
        found = groupby(blocks, key=lambda block: block // self._blocks_of_group)
        return [(group, list(mine)) for group, mine in found]

    def positions(self, numbers: Numbers) -> dict[str, Numbers]:
        """Return each run's position on every axis, by the axis's name."""
        return dict(zip(self.sizes, np.unravel_index(numbers, tuple(self.sizes.values())), strict=True))

    def lines(self, numbers: Numbers) -> Numbers:
        """Return the number of each run's line, as `Grid.line` does."""
        at = self.positions(numbers)
        sizes = {name: size for name, size in self.sizes.items() if name not in {"learning_rate", "seed"}}
        return np.ravel_multi_index([at[name] for name in sizes], tuple(sizes.values()))

    def first_of_line(self, numbers: Numbers) -> Numbers:
        """Return the line of runs of the grid: the number of its first run."""
        # From one rate of a line to the next, all named rates and seeds come in turn.
        between, seeds = self.line // self.sizes["learning_rate"], self.sizes["seed"]
        return numbers - numbers % self.line + numbers % between // seeds * seeds


class BlockWriter(contextlib.ExitStack):
    """Writes what was measured of runs to a file, sorted by their blocks; they come in any order.

    Args:
        grid: whose runs they are.
        path: of the file, in a results folder.
    """

    def __init__(self, grid: Grid, path: Path) -> None:
        """Open the file."""
        super().__init__()
        self.grid, self.path, self.cuts = grid, path, Cuts.of(grid)
        self.pieces: dict[int, list[tuple[int, int]]] = {}
        """Block → where its pieces are in the file: where each begins, and how many bytes it has."""
        self.present = {kind: np.zeros(len(variants), dtype=bool) for kind, variants in grid.variants.items()}
        """For problem, optimizer and schedule: which variants have a run."""
        self.schema: pa.Schema | None = None
        """Columns and types of all runs: those of the first ones that came."""
        self._file: BinaryIO = self.enter_context(path.open("wb"))

    def add(self, found: MeasuredRuns) -> None:
        """Write some runs."""
        for kind, variants in found.present.items():
            self.present[kind][variants] = True
        for block, data in found.pieces:
            if self.schema is None:
                self.schema = pa.ipc.open_stream(data).schema
            self.pieces.setdefault(block, []).append((self._file.tell(), len(data)))
            self._file.write(data)


@dataclass(frozen=True)
class MeasuredRuns:
    """What was measured of some runs, as it is in the file of blocks.

    Args:
        pieces: the number of each block, and its runs.
        present: for problem, optimizer and schedule, which variants they have.
    """

    pieces: list[tuple[int, bytes]]
    present: dict[str, Int[np.ndarray, " some"]]

    @classmethod
    def of(cls, cuts: Cuts, measured: pd.DataFrame) -> MeasuredRuns:
        """Sort runs into blocks.

        Args:
            cuts: of the grid.
            measured: a row per run, always of columns of the same names, `run_id` among them; its index is the number of the run in the grid.
        """
        numbers = measured.index.to_numpy()
        blocks = cuts.blocks(numbers)
        order = np.argsort(blocks, kind="stable")
        rows = measured.reset_index(names="number").iloc[order]
        table = pa.Table.from_pandas(rows, preserve_index=False).combine_chunks()
        found, begins = np.unique(blocks[order], return_index=True)
        ends = [*begins[1:], len(order)]
        pieces = [_packed(table[begin:end]) for begin, end in zip(begins, ends, strict=True)]
        at = cuts.positions(numbers)
        present = {kind: np.unique(at[kind]) for kind in ("problem", "optimizer", "schedule")}
        return cls(list(zip(found.tolist(), pieces, strict=True)), present)


def _packed(table: pa.Table) -> bytes:
    sink = pa.BufferOutputStream()
    options = pa.ipc.IpcWriteOptions(compression="lz4")
    with pa.ipc.new_stream(sink, table.schema, options=options) as writer:
        writer.write_table(table)
    found: bytes = sink.getvalue().to_pybytes()
    return found


class RunBlocks:
    """The runs of a grid, read block by block; small, so that it can be sent to another process.

    Args:
        written: what was measured of them; complete.
        no_runs: the same of no run.
    """

    def __init__(self, written: BlockWriter, no_runs: pd.DataFrame) -> None:
        """Read nothing yet."""
        self.cuts = written.cuts
        self.identity = IdentityColumns(written.grid, written.present)
        self._path, self._pieces, self._schema = written.path, written.pieces, written.schema
        self._no_runs = no_runs
        self._last: tuple[int, pd.DataFrame] | None = None

    def __getstate__(self) -> dict[str, Any]:
        """Return what another process is sent: no runs."""
        return {**self.__dict__, "_last": None}

    @property
    def numbers(self) -> list[int]:
        """The numbers of the blocks that have runs; 0 alone if none has."""
        return sorted(self._pieces) or [0]

    @property
    def groups(self) -> list[tuple[int, list[int]]]:
        """The groups that have runs, and the numbers of the blocks of each."""
        return self.cuts.groups(self.numbers)

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
        for block, mine in groupby(lines.tolist(), key=lambda line: int(self.cuts.blocks(line))):
            runs = self.read(block)
            wanted = np.array(list(mine))
            order = np.argsort(wanted)
            line = self.cuts.first_of_line(runs.index.to_numpy())
            position = order[np.minimum(np.searchsorted(wanted, line, sorter=order), len(wanted) - 1)]
            (rows,) = (wanted[position] == line).nonzero()
            found.append(runs.iloc[rows[np.argsort(position[rows], kind="stable")]])
            del runs  # before the next ones are read
        return pd.concat(found)

    def _read(self, block: int) -> pd.DataFrame:
        measured = self._no_runs
        if self._schema is not None:
            pieces = self._pieces_of(block, self._schema)
            measured = pa.concat_tables(pieces).to_pandas().set_index("number").sort_index()
        numbers, run_ids = measured.index.to_numpy(dtype=np.int64), measured["run_id"].array
        identity = self.identity.of(numbers, run_ids)
        return pd.concat([identity, measured.drop(columns="run_id")], axis=1)

    def _pieces_of(self, block: int, schema: pa.Schema) -> Iterator[pa.Table]:
        with safe_files.open_file(self._path.parent, self._path.name) as file:
            for begin, size in self._pieces[block]:
                piece = pa.ipc.open_stream(os.pread(file.fileno(), size, begin)).read_all()
                yield piece.select(schema.names).cast(schema)


class IdentityColumns:
    """The identity columns of runs of a grid, with the same types in each block, as if all runs were in one table.

    Args:
        grid: whose runs they are.
        present: for problem, optimizer and schedule, which variants have a run.
    """

    def __init__(self, grid: Grid, present: Mapping[str, Bool[np.ndarray, " variant"]]) -> None:
        """Compute the columns for each value of each axis."""
        self._cuts, sizes = Cuts.of(grid), grid.sizes
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
        self._stages = np.array([stage.name for stage in grid.stages] or [GRID], dtype=object)
        self._stage = grid.stage_number if grid.stages else None
        self._sampled = _sampled(grid)

    def of(self, numbers: Numbers, run_ids: Any) -> pd.DataFrame:
        """Return the identity columns of runs, whose numbers are the index; their run_ids are given."""
        at = self._cuts.positions(numbers)
        ranks = {axis: rank[at[axis]] for axis, rank in self._ranks.items()}
        columns = {name: values.take(ranks[axis]) for name, (axis, values) in self._columns.items()}
        columns["run_id"] = run_ids
        columns["stage"] = self._stages[
            np.zeros_like(numbers) if self._stage is None else self._stage[numbers]
        ]
        columns |= {name: each[at["optimizer"], at["learning_rate"]] for name, each in self._sampled.items()}
        return pd.DataFrame({name: columns[name] for name in self.names}, index=numbers)

    def table(self, frame: pd.DataFrame) -> pa.Table:
        """Return a frame with any of the identity columns as Arrow, these with their types."""
        schema = pa.Schema.from_pandas(frame, preserve_index=False)
        for number, name in enumerate(schema.names):
            if name in self._types:
                schema = schema.set(number, pa.field(name, self._types[name]))
        return pa.Table.from_pandas(frame, schema, preserve_index=False)


def _sampled(grid: Grid) -> dict[str, Float[np.ndarray, "optimizer rate"]]:
    """Return the columns of what is sampled together with the learning rate, which depend on that and on the optimizer."""
    if not grid.points:
        return {}
    starts = (np.arange(grid.sizes[axis]) * grid.stride(axis) for axis in ("optimizer", "learning_rate"))
    runs = np.add.outer(*starts)
    return {name: each.reshape(runs.shape) for name, each in grid.sampled(runs.reshape(-1)).items()}


def _axis(grid: Grid, column: str) -> str | None:
    """The axis of the grid that an identity column depends on; none for run_id, which depends on all."""
    if column in grid.sizes:
        return column
    return {"study": "problem", "steps": "problem"}.get(column, _kind_of(column))


def _kind_of(column: str) -> str | None:
    """The axis that the column of a parameter, such as `optimizer_b1`, belongs to."""
    kind = column.partition("_")[0]
    return kind if kind in {"problem", "optimizer", "schedule"} else None
