"""A results folder that others wrote, and everything that a person can do with it."""

from __future__ import annotations

import contextlib
import io
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import lrbench as lb
from lrbench.cli import commands

STUDY = {"name": "foreign", "steps": 4, "seeds": 2, "problem": ["quadratic"], "optimizer": ["sgd", "adam"]}
STUDY |= {"learning_rate": {"values": [0.1, 1.0]}, "probes": [], "lanes_per_chunk": 2}
PACK = "0123456789abcdef"
TABLES = (
    "runs",
    "curves",
    "summary",
    "sensitivity",
    "comparison",
    "ranking",
    "tuning_budget",
    "interactions",
    "winners",
)


def _slurm() -> Iterator[Any]:
    """Submit a pack to Slurm, or to what passes for it here."""
    from lrbench.launchers import slurm

    work: Any = type(
        "Work", (), {"folder": Path("out"), "costs": lambda self, packs: [1.0], "notify": print}
    )()
    work.study = type("Study", (), {"name": "foreign"})()
    pack: Any = type("Pack", (), {"pack_id": "0" * 16})()
    with mock.patch.object(
        slurm, "states", dict
    ):  # where Slurm is installed and does not run, each question takes seconds
        yield from slurm.slurm([pack], work, detach=True)


def lrbench(*words: str) -> tuple[int, str, str]:
    """Run the command line in this process; return exit code, output and errors; a traceback fails the test."""
    out, err, before = io.StringIO(), io.StringIO(), sys.argv
    sys.argv = ["lrbench", *words]
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            commands.main()
    except SystemExit as done:
        return int(done.code or 0), out.getvalue(), err.getvalue()
    finally:
        sys.argv = before
    return 0, out.getvalue(), err.getvalue()


COMMANDS = {
    "best": ["best", "out"],
    "query": ["query", "out", "SELECT count(*) FROM runs"],
    "status": ["status", "out"],
    "compare": ["compare", "out", "out"],
    "export": ["export", "out", "--to", "csv"],
    "report": ["report", "out"],
    "run": ["run", "foreign.toml", "--out", "out", "--quiet", "--no-report"],
    "fresh": ["run", "foreign.toml", "--out", "out", "--quiet", "--no-report", "--fresh"],
    "profile": ["run", "foreign.toml", "--out", "out", "--quiet", "--no-report", "--profile"],
    "plot": ["plot"],
    "save": ["save"],
    "slurm": ["slurm"],
}
"""What a person can do with a folder; the last three from Python."""


def do(command: str) -> tuple[int, str]:
    """Do something with the folder; return the exit code, and what it said of a mistake."""
    act: dict[str, Callable[[], Any]] = {
        "plot": lambda: lb.load("out").plot("curves"),
        "save": lambda: lb.load("out").save("saved"),
        "slurm": lambda: list(_slurm()),
    }
    if command not in act:
        code, _, err = lrbench(*COMMANDS[command])
        return code, err
    try:
        act[command]()
    except lb.LrbenchError as error:
        return commands.MISTAKE, f"lrbench: {error}\n"
    return 0, ""


def refused(code: int, said: str) -> bool:
    """Return whether a command was refused, which is one line."""
    assert code in {commands.DONE, commands.MISTAKE}, said
    assert "Traceback" not in said
    if code == commands.MISTAKE:
        assert said.count("\n") == 1, said
        assert said.startswith("lrbench: "), said
    return code == commands.MISTAKE


def whole(place: Path) -> dict[str, tuple[Any, ...]]:
    """Return all that can be seen of a folder: names, kinds, contents, times of change, and when files were last read."""
    found = {}
    for path in sorted([place, *place.rglob("*")]):
        stat = path.lstat()
        content = str(path.readlink()) if path.is_symlink() else path.read_bytes() if path.is_file() else b""
        read = stat.st_atime_ns if path.is_file() else 0
        found[str(path)] = (stat.st_mode, stat.st_mtime_ns, content, read)
        if path.is_file():
            os.utime(path, ns=(read, stat.st_mtime_ns))
    return found
