"""SQL over the tables of a results folder, by DuckDB; it reads those tables and nothing else."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow.dataset

from lrbench import machine
from lrbench.errors import DataError, StoreError
from lrbench.results import safe_files
from lrbench.results.checksums import CheckedTables
from lrbench.results.text_table import aligned

MOST_ROWS = 100
"""The most rows that are printed."""
MOST_CHARACTERS = 60
"""The most characters of a printed cell."""
TIMEOUT = 60.0
"""The default of seconds after which a statement is interrupted."""
PATIENCE = 2.0
"""The seconds more after which the process is ended, where it does nothing else: DuckDB finishes a call of a function first."""
LONGEST = 10_000_000
"""The most seconds that can be given."""
# The tables come through Arrow, so that SQL needs no file at all: what it names itself is not opened.
_CLOSED: dict[str, str | bool | int | float | list[str]] = {
    "enable_external_access": False,
    "python_enable_replacements": False,
    "autoload_known_extensions": False,
    "autoinstall_known_extensions": False,
    "temp_directory": "",  # what does not fit into memory is refused, and not written somewhere
}


def query(opened: CheckedTables, sql: str, timeout: float = TIMEOUT) -> pd.DataFrame:
    """Return what a statement of SQL selects from the tables of a folder; `lrbench list tables` explains them.

    Args:
        opened: a folder's `*.parquet` files, which are tables of that name.
        sql: one statement, in DuckDB's dialect. It can neither write nor read another file, nor the network.
        timeout: seconds after which it is ended; 0 is never.

    Raises:
        DataError: if DuckDB is not installed, refuses the statement, or needs more time or memory than there is.
        StoreError: if the folder has no tables, or one of them cannot be read.
    """
    with _selected(opened, sql, timeout) as found:
        frame: pd.DataFrame = found.df()
    return frame


def shown(opened: CheckedTables, sql: str, timeout: float = TIMEOUT) -> str:
    """Return the first rows of what a statement selects as text; no more rows are made than that takes.

    The arguments and errors are those of `query`; `lrbench.cli.query` ends the process where DuckDB does not end in time.
    """
    with _selected(opened, sql, timeout, alone=True) as found:
        chunks = [found.fetch_df_chunk()]
        while len(chunks[-1]) and sum(map(len, chunks)) <= MOST_ROWS:  # a chunk may have a single row
            chunks.append(found.fetch_df_chunk())
        return text(pd.concat([chunk for chunk in chunks if len(chunk)] or chunks[:1], ignore_index=True))


def too_long(timeout: float) -> DataError:
    """Return the error of a statement that takes longer than it may."""
    return DataError(
        f"query: took more than {timeout:g} seconds; ask for less, or give it more by --timeout SECONDS"
    )


@contextlib.contextmanager
def _selected(opened: CheckedTables, sql: str, timeout: float, *, alone: bool = False) -> Iterator[Any]:
    """Give a connection that has begun to execute a statement, and makes rows as they are fetched.

    Args:
        opened, sql, timeout: as of `query`.
        alone: whether the process does nothing else meanwhile, so that the system may bound its memory.
    """
    try:
        import duckdb
    except ImportError as error:
        raise DataError("query needs DuckDB; get it with: pip install 'lrbench[query]'") from error
    if not 0 <= timeout <= LONGEST:
        raise DataError(
            f"query: timeout = {timeout:g}: must be from 0, which is never, to {LONGEST:,} seconds"
        )
    names = tables(opened.folder)
    limits: dict[str, Any] = {"memory_limit": f"{machine.memory().free // 2**21}MiB"}
    with contextlib.ExitStack() as stack:
        files = {}
        for name in names:
            file = stack.enter_context(opened.open(f"{name}.parquet"))
            files[name] = stack.enter_context(safe_files.native(file))
        connection = stack.enter_context(duckdb.connect(":memory:", config=_CLOSED | limits))
        for name, file in files.items():
            connection.register(name, _dataset(file, opened.folder / f"{name}.parquet"))
        connection.execute("SET lock_configuration = true")
        timer = threading.Timer(timeout or LONGEST, connection.interrupt)
        timer.daemon = True
        timer.start()
        try:
            statements = connection.extract_statements(sql)
            if len(statements) != 1:
                raise DataError(f"query: {sql!r}: must be one statement, such as SELECT * FROM runs LIMIT 5")
            if not _returns_rows(statements[0]):
                raise DataError(
                    f"query: {sql!r}: returns no rows; give a query, such as SELECT * FROM runs LIMIT 5"
                )
            with machine.bounded() if alone else contextlib.nullcontext():
                connection.execute(statements[0])
                yield connection
        except duckdb.InterruptException as error:
            raise too_long(timeout) from error
        except (duckdb.OutOfMemoryException, MemoryError) as error:
            raise DataError(
                f"query: needs more than the {limits['memory_limit']} of memory that it may take; ask for less"
            ) from error
        except duckdb.Error as error:
            why = str(error).split("\n\n")[0].replace("\n", " ")
            raise DataError(f"query: {why}; tables: {', '.join(names)}") from error
        finally:
            timer.cancel()


def _returns_rows(statement: Any) -> bool:
    """Return whether a statement is a query: one that creates, changes or sets something is not."""
    import duckdb

    queries = statement.expected_result_type == [duckdb.ExpectedResultType.QUERY_RESULT]
    return queries or statement.type == duckdb.StatementType.MULTI  # such as PIVOT


def tables(folder: Path) -> list[str]:
    """Return the names of the tables of a folder.

    Raises:
        StoreError: if there are none.
    """
    names = [
        name.removesuffix(".parquet")
        for name in safe_files.names(folder, "")
        if name.endswith(".parquet") and not name.startswith(".")
    ]
    if not names:
        raise StoreError(f"{folder}: has no tables; `lrbench run STUDY` or `lrbench report DIR` makes them")
    return names


def text(found: pd.DataFrame) -> str:
    """Return the first rows of a table as text, and a line that says so if those are not all.

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
    return f"{table}\n... and more rows; LIMIT and OFFSET choose which {MOST_ROWS} are shown"


def _cell(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if value is None or (pd.api.types.is_scalar(value) and pd.isna(value)):
        return ""
    written = (
        f"{value:.6g}" if isinstance(value, float) else " ".join(str(value)[: 10 * MOST_CHARACTERS].split())
    )
    return written if len(written) <= MOST_CHARACTERS else written[: MOST_CHARACTERS - 1] + "…"


def _dataset(file: pyarrow.NativeFile, path: Path) -> pyarrow.dataset.Dataset:
    kind = pyarrow.dataset.ParquetFileFormat()
    try:
        whole = kind.make_fragment(file)
        return pyarrow.dataset.FileSystemDataset([whole], whole.physical_schema, kind)
    except (OSError, ValueError) as error:
        raise StoreError(f"{path}: cannot be read; `lrbench report {path.parent}` writes it again") from error
