"""The plots and the report of a results folder, as files."""

from __future__ import annotations

import contextlib

import pyarrow.parquet as pq

from lrbench.results import safe_files
from lrbench.results.folder import ResultsFolder
from lrbench.results.results import Results
from lrbench.study import catalog

REPORT = "report.html"
MOST_RUNS, MOST_ROWS = 1_000_000, 20_000_000
"""The most runs, and rows of their curves, that plots and the report are made of: they hold all of them in memory."""


def names() -> list[str]:
    """Return what can be drawn: every plot, and the report."""
    return [*catalog.names("plot"), REPORT]


def write(results: Results, name: str) -> None:
    """Write the report, or a plot as PNG and SVG if it has something to show."""
    if name == REPORT:
        ResultsFolder(results.folder).write_text(REPORT, results.report())
        return
    figure = results.plot(name)
    if figure.axes:
        ResultsFolder(results.folder).write_picture(f"plots/{name}", figure)


def remove(results: Results) -> None:
    """Remove plots and the report, which are of runs that are not in the tables any more."""
    for name in catalog.names("plot"):
        for kind in ("png", "svg"):
            safe_files.remove(results.folder, f"plots/{name}.{kind}")
    safe_files.remove(results.folder, REPORT)
    with contextlib.suppress(OSError):  # there is none, or it holds other files
        (results.folder / "plots").rmdir()


def too_many(results: Results) -> bool:
    """Return whether the runs, or the rows of their curves, are more than plots and the report can hold in memory."""
    return rows(results, "runs") > MOST_RUNS or rows(results, "curves") > MOST_ROWS


def rows(results: Results, table: str) -> int:
    """Return how many rows a table has, without reading it."""
    with results.tables.open(f"{table}.parquet") as file:
        found: int = pq.read_metadata(file).num_rows
    return found
