"""The command line, run in the process of the tests, which has JAX already."""

from __future__ import annotations

import contextlib
import functools
import io
import sys

from lrbench.cli import commands

STUDY = """
name = "x"
steps = 20
seeds = 1
problem = "quadratic"
optimizer = "sgd"
learning_rate = {values = [0.1]}
"""

TABLE = {
    "name": "x",
    "steps": 20,
    "seeds": 1,
    "problem": "quadratic",
    "optimizer": "sgd",
    "learning_rate": {"values": [0.1]},
}


def lrbench(words: list[str]) -> tuple[int, str]:
    return _doctor() if words == ["doctor"] else _lrbench(words)


def refused(*words: str) -> str:
    """Run a command that is a mistake, and return its line."""
    code, said = lrbench(list(words))
    assert code == 2, said
    assert said.startswith("lrbench: ")
    assert said.count("\n") == 1
    return said.removeprefix("lrbench: ").strip()


@functools.cache
def _doctor() -> tuple[int, str]:
    """Several pages begin with `lrbench doctor`, which takes seconds, and says the same in every folder."""
    return _lrbench(["doctor"])


def _lrbench(words: list[str]) -> tuple[int, str]:
    """Run the command line in this process, which has JAX already; return exit code and output."""
    printed, before = io.StringIO(), sys.argv
    sys.argv = ["lrbench", *words]
    try:
        with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(printed):
            commands.main()
    except SystemExit as done:
        return int(done.code or 0), printed.getvalue()
    finally:
        sys.argv = before
    return 0, printed.getvalue()
