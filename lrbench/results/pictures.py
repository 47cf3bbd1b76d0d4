"""The plots and the report of a results folder, as files."""

from __future__ import annotations

import contextlib
import os
import re
from pathlib import Path

import pyarrow.parquet as pq

from lrbench.errors import StudyError, path_of
from lrbench.results import atomic, safe_files
from lrbench.results.folder import ResultsFolder
from lrbench.results.results import Results
from lrbench.study import catalog

REPORT = "report.html"
FORMATS = ("png", "svg", "pdf")
"""The formats of a single plot."""
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


def save(
    results: Results, name: str, *, problem: str | None = None, out: str | os.PathLike[str] | None = None
) -> Path:
    """Write one plot as PNG, SVG or PDF, and return its path.

    Args:
        results: whose plot.
        name: of the plot.
        problem: the name or the label of the only problem to draw; left out, all of them.
        out: the file, whose suffix says which format; left out, a PNG in `plots/` of the results folder.

    Raises:
        StudyError: if there is no such plot, problem or format, or nothing to show.
        StoreError: if the file cannot be written.
    """
    of = "" if problem is None else f"-{re.sub('[^A-Za-z0-9_.=-]+', '_', problem)}"
    path = results.folder / "plots" / f"{name}{of}.png" if out is None else path_of(out)
    kind = path.suffix.lower().removeprefix(".")
    if kind not in FORMATS:
        allowed = ", ".join(f".{each}" for each in FORMATS)
        raise StudyError(f"--out {path}: the name of a picture ends in one of {allowed}")
    figure = results.plot(name, problem)
    if not figure.axes:
        why = getattr(figure, "why", "") or f"`lrbench list plot {name}` says what it draws"
        raise StudyError(f"{name}: has nothing to show of {results.folder}: {why}")
    return atomic.write(path.parent, path.name, lambda file: figure.savefig(file, format=kind))


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
