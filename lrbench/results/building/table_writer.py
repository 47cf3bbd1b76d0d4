"""Writes a table piece by piece, as Parquet and as CSV, so that it need never be in memory as a whole.

A piece is encoded wherever it was made, maybe in another process; its bytes then go into the files as they are.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO, NamedTuple

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq

from lrbench.results.building import csv_text
from lrbench.results.building.parquet_pieces import MAGIC, Footer
from lrbench.results.checksums import Checksum, new_digest

CSV_ROWS = 1_000_000
"""The most rows of a table that are also written as CSV."""
ROW_GROUP = 2**20


class Encoded(NamedTuple):
    """A piece of a table as the bytes of its files.

    Args:
        rows: how many it has.
        parquet: a whole Parquet file; Arrow's buffers reach another process without being copied.
        heading: the first line of the CSV.
        text: what the CSV has below it; empty if there is to be none.
    """

    rows: int
    parquet: pa.Buffer
    heading: bytes
    text: pa.Buffer


def encoded(piece: pa.Table, *, csv: bool = True, dictionaries: Sequence[str] | None = None) -> Encoded:
    """Return a piece of a table as it is in its files: row groups of its own, and lines.

    Args:
        piece: some of its rows.
        csv: whether there is to be a CSV.
        dictionaries: the columns that the Parquet file tries to encode as a dictionary, where few columns repeat their values; left out, all.
    """
    piece = piece.replace_schema_metadata()
    sink = pa.BufferOutputStream()
    with pq.ParquetWriter(sink, piece.schema, **_encoding(piece.schema, dictionaries)) as writer:
        if len(piece):
            writer.write_table(piece, ROW_GROUP)
    if not csv:
        return Encoded(len(piece), sink.getvalue(), b"", pa.py_buffer(b""))
    heading, lines = (_lines(csv_text.safe(rows)) for rows in (piece[:0], piece))
    return Encoded(len(piece), sink.getvalue(), heading.to_pybytes(), lines[len(heading) :])


def _encoding(schema: pa.Schema, dictionaries: Sequence[str] | None) -> dict[str, object]:
    """Return how columns are encoded: numbers that hardly repeat byte by byte, since their first bytes are alike."""
    if dictionaries is None:
        return {}
    split = [each.name for each in schema if pa.types.is_float64(each.type) and each.name not in dictionaries]
    return {
        "use_dictionary": list(dictionaries),
        "column_encoding": dict.fromkeys(split, "BYTE_STREAM_SPLIT"),
    }


def _lines(table: pa.Table) -> pa.Buffer:
    sink = pa.BufferOutputStream()
    pa.csv.write_csv(table, sink, pa.csv.WriteOptions(quoting_style="needed"))
    return sink.getvalue()


class TableWriter(contextlib.ExitStack):
    """The files of a table that is being written, in pieces of one schema, at least one.

    Args:
        parquet: the Parquet file.
        csv: the CSV file, `None` for none.
    """

    def __init__(self, parquet: Path, csv: Path | None) -> None:
        """Open nothing yet."""
        super().__init__()
        self.parquet = HashedFile(parquet)
        self.csv = None if csv is None else HashedFile(csv)
        self._footer = Footer()
        self._rows, self._begun = 0, False

    @property
    def has_csv(self) -> bool:
        """Whether all rows so far are in the CSV."""
        return self.csv is not None and self._rows <= CSV_ROWS

    def add(self, piece: Encoded) -> None:
        """Write further rows."""
        if not self._begun:
            self._begin(piece)
        self._rows += piece.rows
        if self.has_csv and self.csv:
            self.csv.write(memoryview(piece.text))
        self.parquet.write(self._footer.add(memoryview(piece.parquet)))

    def _begin(self, piece: Encoded) -> None:
        self._begun = True
        self.enter_context(self.parquet)
        self.push(self._end)
        self.parquet.write(MAGIC)
        if self.csv:
            self.enter_context(self.csv).write(piece.heading)

    def _end(self, kind: type[BaseException] | None, *_: object) -> None:
        """Write what ends the Parquet file, unless the table is abandoned."""
        if kind is None:
            self.parquet.write(self._footer.encoded())


class HashedFile:
    """A new file that is written from its beginning to its end, and hashed meanwhile.

    Args:
        path: of the file.
    """

    def __init__(self, path: Path) -> None:
        """Open nothing yet."""
        self._path, self._size, self._digest = path, 0, new_digest()
        self._file: BinaryIO | None = None

    def __enter__(self) -> HashedFile:
        self._file = self._path.open("wb", buffering=0)
        return self

    def __exit__(self, *_: object) -> None:
        if self._file:
            self._file.close()

    def write(self, data: bytes | memoryview) -> None:
        """Write what comes next."""
        left = memoryview(data)
        self._size += len(left)
        hashing = threading.Thread(target=self._digest.update, args=(left,))  # takes longer than writing
        hashing.start()
        while left and self._file:
            left = left[self._file.write(left) :]
        hashing.join()

    @property
    def sum(self) -> Checksum:
        """Of what was written."""
        return {"size": self._size, "blake2b": self._digest.hexdigest()}
