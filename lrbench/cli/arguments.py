"""The arguments and options that commands share."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lrbench.cli import completion
from lrbench.errors import LrbenchError, counted

if TYPE_CHECKING:
    from lrbench.study.spec import Study

StudyName = Annotated[
    str,
    typer.Argument(
        metavar="STUDY",
        help="A study file, or the name of a built-in study or of a problem.",
        autocompletion=completion.studies,
    ),
]
ResultsPath = Annotated[
    str,
    typer.Argument(metavar="DIR", help="A results folder, or its URL.", autocompletion=completion.folders),
]
ProblemName = Annotated[
    str | None,
    typer.Option(
        "--problem",
        metavar="NAME",
        help="Only this problem of the study.",
        autocompletion=completion.problems,
    ),
]
Overrides = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Set a key, such as learning_rate.num=32."),
]
Unset = Annotated[
    list[str] | None,
    typer.Option("--unset", metavar="KEY", help="Remove a key; before --set."),
]
Launcher = Annotated[
    str,
    typer.Option(
        "--launcher",
        metavar="NAME",
        help="Where packs are executed: local, ray or slurm.",
        autocompletion=completion.launchers,
    ),
]
Trust = Annotated[bool, typer.Option("--trust", help="Run the code that the study names (file.py:function).")]
Devices = Annotated[str, typer.Option("--devices", metavar="N|all", help="How many devices to use.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def beside_results(folder: str, *names: str) -> Path:
    """Return where a file is written that belongs to a results folder, if no other place is named.

    Raises:
        LrbenchError: if the results are at a URL, of which there is only a copy here.
    """
    from lrbench.results.places import local_path

    path = local_path(folder)
    if path is None:
        raise LrbenchError(f"{folder}: is a URL, of which a copy is read; say with --out where to write")
    return path.joinpath(*names)


def read_study(study: str, overrides: list[str] | None, unset: list[str] | None, *, trust: bool) -> Study:
    """Return the study that the arguments ask for.

    Raises:
        StudyError: naming what is wrong with it.
    """
    from lrbench.study.spec import read

    return read(study, overrides or (), unset=unset or (), trust=trust)


def default_study(study: str, read: Study) -> str:
    """Return a line that says what the study of a problem's name is; empty for any other study."""
    from lrbench.study.study_file import is_problem

    if not is_problem(study):
        return ""
    optimizers = ", ".join(choice.text for choice in read.optimizer)
    confirmed = f" and {read.confirm} fresh ones" if read.confirm else ""
    rates = (
        "rates found automatically"
        if read.learning_rate.auto
        else counted(read.learning_rate.count, "learning rate")
    )
    seeds = counted(len(read.grid_seeds), "seed")
    return (
        f"{study} is a problem; its study has {optimizers}, {counted(read.steps, 'step')}, {seeds}{confirmed}, {rates}; "
        f"`lrbench list studies {study} > my.toml` makes a file of it"
    )


def device_count(devices: str) -> int | None:
    """Return the number that `--devices` gives, `None` for all."""
    if devices == "all":
        return None
    if not re.fullmatch("0*[1-9][0-9]{0,8}", devices):
        raise LrbenchError(f"--devices {devices}: must be a number of 1 or more, or all")
    return int(devices)
