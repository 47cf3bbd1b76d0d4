"""Writes a table piece by piece, as Parquet and as CSV, so that it need never be in memory as a whole."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq

from lrbench.results.building import csv_text

CSV_ROWS = 1_000_000
"""The most rows of a table that are also written as CSV."""
ROW_GROUP = 2**20


class TableWriter(contextlib.ExitStack):
    """The files of a table that is being written, in pieces of one schema, at least one.

    Args:
        parquet: the Parquet file.
        csv: the CSV file, `None` for none.
        dictionaries: the columns that the Parquet file tries to encode as a dictionary, or whether it tries all.
        gather: whether pieces are joined into row groups of one size, so that the file is the same however the
            table was cut; if not, each piece begins a row group.
    """

    def __init__(
        self, parquet: Path, csv: Path | None, dictionaries: Sequence[str] | bool, *, gather: bool
    ) -> None:
        """Open nothing yet: the first piece brings the columns."""
        super().__init__()
        self._parquet_path, self._csv_path = parquet, csv
        self._dictionaries = dictionaries if isinstance(dictionaries, bool) else list(dictionaries)
        self._gather = gather
        self._parquet: pq.ParquetWriter | None = None
        self._csv: pa.csv.CSVWriter | None = None
        self._waiting: list[pa.Table] = []
        self._rows, self._has_groups = 0, False

    @property
    def has_csv(self) -> bool:
        """Whether all rows so far are in the CSV."""
        return self._csv_path is not None and self._rows <= CSV_ROWS

    def add(self, piece: pa.Table) -> None:
        """Write further rows."""
        piece = piece.replace_schema_metadata()
        self._rows += len(piece)
        if self.has_csv:
            self._add_text(csv_text.safe(piece))
        if self._parquet is None:
            writer = pq.ParquetWriter(self._parquet_path, piece.schema, use_dictionary=self._dictionaries)
            self._parquet = self.enter_context(writer)
            self.push(self._end)
        self._waiting.append(piece)
        if not self._gather or sum(map(len, self._waiting)) >= ROW_GROUP:
            self._write(all_rows=not self._gather)

    def _end(self, kind: type[BaseException] | None, *_: object) -> None:
        """Write the rows that wait, unless the table is abandoned."""
        if kind is None:
            self._write(all_rows=True)

    def _add_text(self, piece: pa.Table) -> None:
        if self._csv is None:
            options = pa.csv.WriteOptions(quoting_style="needed")
            self._csv = self.enter_context(
                pa.csv.CSVWriter(self._csv_path, piece.schema, write_options=options)
            )
        self._csv.write_table(piece)

    def _write(self, *, all_rows: bool) -> None:
        """Write the rows that wait as Parquet: those that make full row groups, or all."""
        if self._parquet is None or not self._waiting:
            return
        whole = pa.concat_tables(self._waiting).combine_chunks()
        rows = len(whole) if all_rows else len(whole) // ROW_GROUP * ROW_GROUP
        if rows or (self._gather and not self._has_groups):  # a table without rows is one empty row group
            self._parquet.write_table(whole[:rows], ROW_GROUP)
        self._has_groups = True
        left = np.arange(rows, len(whole))
        self._waiting = [whole.take(left)] if len(left) else []  # a slice would keep all of it in memory
