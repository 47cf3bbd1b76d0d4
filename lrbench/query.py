"""SQL over the tables of a results folder, by DuckDB; it reads those tables and nothing else."""

from __future__ import annotations

import contextlib
from io import BufferedReader
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow.dataset

from lrbench import inside
from lrbench.errors import DataError, StoreError
from lrbench.sums import Tables
from lrbench.tabulate import aligned

MOST_ROWS = 100
"""The most rows that are printed."""
MOST_CHARACTERS = 60
"""The most characters of a printed cell."""
# The tables come through Arrow, so that SQL needs no file at all: what it names itself is not opened.
_CLOSED: dict[str, str | bool | int | float | list[str]] = {
    "enable_external_access": False,
    "python_enable_replacements": False,
    "autoload_known_extensions": False,
    "autoinstall_known_extensions": False,
}


def query(opened: Tables, sql: str) -> pd.DataFrame:
    """Return what a statement of SQL selects from the tables of a folder: runs, curves, summary, sensitivity, ...

    Args:
        opened: a folder's `*.parquet` files, which are tables of that name.
        sql: one statement, in DuckDB's dialect. It can neither write nor read another file, nor the network.

    Raises:
        DataError: if DuckDB is not there, or refuses the statement.
        StoreError: if the folder has no tables, or one of them cannot be read.
    """
    try:
        import duckdb
    except ImportError as error:
        raise DataError("query needs DuckDB; get it with: pip install 'lrbench[query]'") from error
    names = tables(opened.folder)
    with contextlib.ExitStack() as stack:
        files = {name: stack.enter_context(opened.open(f"{name}.parquet")) for name in names}
        connection = stack.enter_context(duckdb.connect(":memory:", config=_CLOSED))
        for name, file in files.items():
            connection.register(name, _dataset(file, opened.folder / f"{name}.parquet"))
        connection.execute("SET lock_configuration = true")
        try:
            statements = connection.extract_statements(sql)
            if len(statements) != 1:
                raise DataError(f"query: {sql!r}: must be one statement, such as SELECT * FROM runs LIMIT 5")
            found: pd.DataFrame = connection.execute(statements[0]).df()
        except duckdb.Error as error:
            said = str(error).split("\n\n")[0].replace("\n", " ")
            raise DataError(f"query: {said}; tables: {', '.join(names)}") from error
    return found


def tables(folder: Path) -> list[str]:
    """Return the names of the tables of a folder.

    Raises:
        StoreError: if there are none.
    """
    names = [
        name.removesuffix(".parquet")
        for name in inside.names(folder, "")
        if name.endswith(".parquet") and not name.startswith(".")
    ]
    if not names:
        raise StoreError(f"{folder}: has no tables; `lrbench run STUDY` or `lrbench report DIR` makes them")
    return names


def text(found: pd.DataFrame) -> str:
    """Return the first rows of a table as text, and how many there are in all if those are not all.

    Example:
        >>> print(text(pd.DataFrame({"problem": ["line"], "loss": [0.123456789], "seed": [3]})))
        problem      loss  seed
        line     0.123457     3
    """
    if found.empty:
        return "no rows"
    shown = found.head(MOST_ROWS)
    left = [str(name) for name in found.columns if not pd.api.types.is_numeric_dtype(found[name])]
    rows = [
        {str(name): _cell(value) for name, value in zip(found.columns, row, strict=True)}
        for row in shown.itertuples(index=False, name=None)
    ]
    table = aligned(rows, left)
    if len(shown) == len(found):
        return table
    return f"{table}\n... {len(found):,} rows; LIMIT and OFFSET choose which {MOST_ROWS} are shown"


def _cell(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if value is None or (pd.api.types.is_scalar(value) and pd.isna(value)):
        return ""
    written = f"{value:.6g}" if isinstance(value, float) else " ".join(str(value).split())
    return written if len(written) <= MOST_CHARACTERS else written[: MOST_CHARACTERS - 1] + "…"


def _dataset(file: BufferedReader, path: Path) -> pyarrow.dataset.Dataset:
    kind = pyarrow.dataset.ParquetFileFormat()
    try:
        whole = kind.make_fragment(file)
        return pyarrow.dataset.FileSystemDataset([whole], whole.physical_schema, kind)
    except (OSError, ValueError) as error:
        raise StoreError(f"{path}: cannot be read; `lrbench report {path.parent}` makes it anew") from error
