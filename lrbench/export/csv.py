"""Tables for spreadsheets."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet as pq

from lrbench.query import tables
from lrbench.results import Results

_FORMULA = r"^[=+\-@\t\r]"
"""What makes a spreadsheet take a text for a formula."""


def csv(results: Results, folder: Path) -> str:
    """Write every table as CSV, in full precision; a text that a spreadsheet would run as a formula gets an apostrophe before it.

    That is a text that begins with =, +, -, @, a tab or a carriage return, such as the name of a problem could. Numbers
    stay as they are.

    Args:
        results: of any number of runs; a table is never in memory as a whole.
        folder: gets `<table>.csv` for each.

    Source: OWASP, CSV Injection.
    """
    names = tables(results.folder)
    for name in names:
        with pq.ParquetFile(results.folder / f"{name}.parquet") as file:
            schema = file.schema_arrow
            heads = [_plain(pa.array([column]))[0].as_py() for column in schema.names]
            written = pa.schema([schema.field(at).with_name(head) for at, head in enumerate(heads)])
            options = pa.csv.WriteOptions(quoting_style="needed")
            with pa.csv.CSVWriter(folder / f"{name}.csv", written, write_options=options) as sink:
                for batch in file.iter_batches():
                    sink.write(pa.record_batch([_plain(column) for column in batch.columns], schema=written))
    return f"{len(names)} tables: {', '.join(names)}"


def _plain(column: pa.Array) -> pa.Array:
    """Return a column whose texts no spreadsheet takes for a formula."""
    if not (pa.types.is_string(column.type) or pa.types.is_large_string(column.type)):
        return column
    return pc.replace_substring_regex(column, _FORMULA, r"'\0")
