"""What commands print: the answer, the paths of what was written, and the packs that failed."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import typer

from lrbench.errors import counted, escaped

if TYPE_CHECKING:
    from pydantic import BaseModel

    from lrbench.execution.execute import Finished

PAGE = 110
Form = Literal["table", "sentences", "json"]


def print_text(text: str, *, err: bool = False) -> None:
    """Print lines; a name in them may be anybody's, and no character of it reaches the terminal as a command."""
    typer.echo("\n".join(map(escaped, text.split("\n"))), err=err)


def print_json(record: BaseModel) -> None:
    """Print a record as JSON, in ASCII alone."""
    import json

    print_text(json.dumps(record.model_dump(mode="json"), indent=1))


def print_answer(
    folder: Path | str, *, problem: str | None = None, top: int | None = None, form: Form = "table"
) -> None:
    """Print the answer of a results folder.

    Args:
        folder: the results folder, or its URL.
        problem: the name or the label of the only problem to print; None: all of them.
        top: the most lines of a problem.
        form: whether a table follows the winner of each problem or sentences, or all of it is JSON.
    """
    from lrbench.results.answer import as_text, of_problem
    from lrbench.results.answer_schema import as_json
    from lrbench.results.results import load

    results = load(folder)
    answer, lines = results.best(), results.sensitivity
    if problem is not None:
        answer = of_problem(answer, lines, problem)
    moves = results.if_written("interactions")
    if not moves.empty:
        moves = moves[moves["problem"].isin(lines["problem"].iloc[answer["line"]])]
    if form == "json":
        study = str(results.manifest.get("study", ""))
        print_text(as_json(answer, lines, moves, study, results.thresholds, top=top))
        return
    # What is not read on a terminal is as wide as a page.
    width = shutil.get_terminal_size().columns if sys.stdout.isatty() else PAGE
    sentences = form == "sentences"
    print_text(as_text(answer, results.thresholds, moves, width=width, top=top, sentences=sentences))


def print_failures(done: Finished) -> None:
    """Print why packs failed, and how to go on."""
    for failed in done.failures:
        print_text(f"pack {failed.pack.pack_id} failed: {failed.error}", err=True)
    if done.instead:
        missing, saved = sum(len(failed.pack.runs) for failed in done.failures), ""
    else:
        runs = done.results.manifest["runs"]
        missing, saved = runs["left"], "the others are saved; " if runs["done"] else ""
    are, them = ("is", "it") if missing == 1 else ("are", "them")
    line = f"{counted(missing, 'run')} {are} missing; {saved}the same command tries {them} again"
    print_text(line, err=True)


def print_written(folder: Path, name: str, *, pictures: bool) -> None:
    """Print the paths of the tables in a results folder, and of the plots and the report; `name` is the folder's, or its URL."""
    from lrbench.study import catalog
    from lrbench.tables.base import file_to_open

    def exists(file: str) -> bool:
        return (folder / file).exists()

    files = [file_to_open(table, exists) for table in catalog.names("table")]
    if pictures:
        files += ["plots", "report.html"]
    print_paths(folder, name, files)


def print_paths(folder: Path, name: str, files: list[str]) -> None:
    """Print the paths of those files in a folder that exist; `name` is the folder's, or its URL."""
    for file in files:
        if (folder / file).exists():
            print_text(f"{name}/{file}")
