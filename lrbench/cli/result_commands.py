"""The commands that read a results folder: `report`, `best`, `plot`, `open`, `compare`, `query` and `export`."""

from __future__ import annotations

import contextlib
import os
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer

from lrbench.cli import completion
from lrbench.cli.arguments import Json, ProblemName, ResultsPath, beside_results
from lrbench.cli.interrupt import Interrupt
from lrbench.cli.output import Form, print_answer, print_text, print_written
from lrbench.errors import LrbenchError

MISTAKE = 2
"""The exit code of a user's mistake."""


def report(context: typer.Context, folder: ResultsPath) -> None:
    """Rebuild tables, plots and report of a folder from its parts."""
    from lrbench.cli.progress import listener
    from lrbench.execution.rebuild import rebuild
    from lrbench.results.remote_folder import results_at

    store = results_at(folder)
    rebuild(store, listener=listener(False, context.ensure_object(Interrupt)), helpers=True)
    print_written(store.folder, store.name, pictures=True)


def best(
    folder: ResultsPath,
    problem: ProblemName = None,
    top: Annotated[
        int | None, typer.Option("--top", metavar="N", min=1, help="Show the N best lines of each problem.")
    ] = None,
    sentences: Annotated[
        bool, typer.Option("--sentences", help="Print a sentence for each line instead of the table.")
    ] = False,
    json: Json = False,
) -> None:
    """Print the answer of a study.

    It names the winner of each problem. For each line it gives the rate to use, its band, where training collapses, the loss and
    its interval, and how many times the winner's steps the line needs.
    """
    if sentences and json:
        raise LrbenchError("--sentences: does not go together with --json, which has the sentences too")
    form: Form = "json" if json else "sentences" if sentences else "table"
    print_answer(folder, problem=problem, top=top, form=form)


def plot(
    folder: ResultsPath,
    name: Annotated[
        str,
        typer.Argument(metavar="NAME", help="One of `lrbench list plots`.", autocompletion=completion.plots),
    ],
    problem: ProblemName = None,
    out: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="A file of type .png, .svg or .pdf [DIR/plots/NAME.png]."),
    ] = None,
) -> None:
    """Draw one plot of a folder.

    It shows all problems of the study, or only one.
    """
    from lrbench.results import pictures
    from lrbench.results.results import load
    from lrbench.study import catalog

    catalog.get("plot", name)
    if out is None:
        beside_results(folder)
    print_text(str(pictures.save(load(folder), name, problem=problem, out=out)))


def open_(folder: ResultsPath) -> None:
    """Open the report of a folder in the browser.

    Its path is printed. Without a display or a browser, nothing else happens.
    """
    import webbrowser

    from lrbench.errors import StoreError
    from lrbench.results.folder import ResultsFolder
    from lrbench.results.pictures import REPORT
    from lrbench.results.remote_folder import read_copy

    copy = read_copy(folder)
    if not ResultsFolder(copy).manifest:
        raise StoreError(
            f"{folder}: is not a results folder (it has no manifest.json); `lrbench run STUDY` creates one"
        )
    path = copy / REPORT
    if not path.is_file():
        raise StoreError(f"{path}: is missing; `lrbench report {folder}` writes it")
    if not (_has_display() and webbrowser.open(path.absolute().as_uri())):
        print_text("no browser was found; open this file in one:", err=True)
    print_text(str(path))


def _has_display() -> bool:
    """Return whether a browser has somewhere to show itself: one in a terminal would take it from the command."""
    wanted = ("BROWSER", "DISPLAY", "WAYLAND_DISPLAY")
    return sys.platform in ("darwin", "win32") or any(map(os.environ.get, wanted))


def compare(
    folders: Annotated[
        list[str],
        typer.Argument(
            metavar="DIR DIR",
            help="Two or more results folders, or their URLs.",
            autocompletion=completion.folders,
        ),
    ],
) -> None:
    """Print two or more results side by side.

    It compares best rates and losses, and tests whether they differ, paired by seed.
    """
    from lrbench.results import compare, results

    print_text(compare.as_text(results.compare(*folders)))


def query(
    folder: ResultsPath,
    sql: Annotated[str, typer.Argument(metavar="SQL", help="One statement, in DuckDB's dialect.")],
    timeout: Annotated[
        float,
        typer.Option(metavar="SECONDS", help="Stop the statement after this many seconds; 0 means never."),
    ] = 60.0,
) -> None:
    """Run an SQL query on the tables and print the result.

    Use the tables by their names: runs, curves, summary, sensitivity, ...
    """
    from lrbench.results.query import shown
    from lrbench.results.results import load

    tables = load(folder).tables
    with _time_limit(timeout):
        text = shown(tables, sql, timeout)
    print_text(text)


def export(
    folder: ResultsPath,
    to: Annotated[
        str,
        typer.Option(
            "--to",
            metavar="NAME",
            help="One of `lrbench list exporters`.",
            autocompletion=completion.exporters,
        ),
    ],
    out: Annotated[Path | None, typer.Option(metavar="DIR", help="A new or empty folder [DIR/NAME].")] = None,
) -> None:
    """Write the results for another tool."""
    from lrbench.results.results import load

    target = out if out is not None else beside_results(folder, to)
    print_text(load(folder).export(to, out))
    print_text(str(target))


@contextlib.contextmanager
def _time_limit(timeout: float) -> Iterator[None]:
    """End the process where a statement outlasts its time: DuckDB can be interrupted only between calls of functions."""
    from lrbench.results.query import PATIENCE, too_long

    def end() -> None:
        os.write(2, f"lrbench: {too_long(timeout)}\n".encode())
        os._exit(MISTAKE)

    timer = threading.Timer(timeout + PATIENCE, end)
    timer.daemon = True
    if 0 < timeout < threading.TIMEOUT_MAX - PATIENCE:
        timer.start()
    try:
        yield
    finally:
        timer.cancel()
