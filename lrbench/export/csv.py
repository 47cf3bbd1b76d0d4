"""Tables for spreadsheets."""

from __future__ import annotations

from pathlib import Path

import pyarrow.csv
import pyarrow.parquet as pq

from lrbench.errors import StoreError, counted
from lrbench.results import safe_files
from lrbench.results.building import csv_text
from lrbench.results.query import tables
from lrbench.results.results import Results


def csv(results: Results, folder: Path) -> str:
    """Write every table as CSV, in full precision; a string that a spreadsheet would run as a formula is prefixed with an apostrophe.

    Args:
        results: any number of runs; a table is never in memory as a whole.
        folder: receives a `<table>.csv` for each table.

    Raises:
        StoreError: if a table cannot be read.
    """
    names = tables(results.folder)
    for name in names:
        try:
            _write(results, name, folder)
        except ValueError as error:  # what Arrow raises for a damaged file
            raise StoreError(
                f"{results.folder / name}.parquet: cannot be read ({error}); `lrbench report {results.folder}` writes it again"
            ) from error
    return f"{counted(len(names), 'table')}: {', '.join(names)}"


def _write(results: Results, name: str, folder: Path) -> None:
    with (
        results.tables.open(f"{name}.parquet") as table,
        safe_files.native(table) as native,
        pq.ParquetFile(native) as file,
    ):
        written = csv_text.safe(file.schema_arrow.empty_table()).schema
        options = pyarrow.csv.WriteOptions(quoting_style="needed")
        with pyarrow.csv.CSVWriter(folder / f"{name}.csv", written, write_options=options) as sink:
            for batch in file.iter_batches():
                sink.write(csv_text.safe(batch))
