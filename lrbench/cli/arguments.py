"""The arguments and options that commands share."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated

import typer

from lrbench.errors import LrbenchError

StudyName = Annotated[
    str, typer.Argument(metavar="STUDY", help="A study file, or the name of a built-in study.")
]
ResultsPath = Annotated[Path, typer.Argument(metavar="DIR", help="A results folder.")]
Overrides = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Set a key, such as learning_rate.num=32."),
]
Trust = Annotated[bool, typer.Option("--trust", help="Run the code that the study names (file.py:function).")]
Devices = Annotated[str, typer.Option("--devices", metavar="N|all", help="How many devices to use.")]


def device_count(devices: str) -> int | None:
    """Return the number that `--devices` gives, `None` for all."""
    if devices == "all":
        return None
    if not re.fullmatch("0*[1-9][0-9]{0,8}", devices):
        raise LrbenchError(f"--devices {devices}: must be a number of 1 or more, or all")
    return int(devices)
