"""What commands print: the answer, the paths of what was written, and the packs that failed."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import typer

from lrbench.errors import counted, escaped
from lrbench.study import catalog

if TYPE_CHECKING:
    from lrbench.execution.execute import Finished


def print_text(text: str, *, err: bool = False) -> None:
    """Print lines; a name in them may be anybody's, and no character of it reaches the terminal as a command."""
    typer.echo("\n".join(map(escaped, text.split("\n"))), err=err)


def print_answer(folder: Path) -> None:
    """Print the best rates of a results folder, by problem."""
    from lrbench.results.results import load

    answers = load(folder).best()
    if answers.empty:
        print_text("no run is finished yet, so there is no answer")
    for problem, rows in answers.groupby("problem", sort=False):
        print_text(f"{problem}")
        for answer in rows["answer"]:
            print_text(f"  {answer}")


def print_failures(done: Finished) -> None:
    """Print why packs failed, and how to go on."""
    for failed in done.failures:
        print_text(f"pack {failed.pack.pack_id} failed: {failed.error}", err=True)
    runs = done.results.manifest["runs"]
    missing, saved = runs["left"], "the others are saved; " if runs["done"] else ""
    are, them = ("is", "it") if missing == 1 else ("are", "them")
    line = f"{counted(missing, 'run')} {are} missing; {saved}the same command tries {them} again"
    print_text(line, err=True)


def print_written(folder: Path, *, pictures: bool) -> None:
    """Print the paths of the tables in a results folder, and of the plots and the report."""
    from lrbench.tables.base import file_to_open

    def exists(file: str) -> bool:
        return (folder / file).exists()

    names = [file_to_open(name, exists) for name in catalog.names("table")]
    if pictures:
        names += ["plots", "report.html"]
    print_paths(folder, names)


def print_paths(folder: Path, names: list[str]) -> None:
    """Print the paths of those files in a folder that exist."""
    for name in names:
        if (folder / name).exists():
            print_text(str(folder / name))
