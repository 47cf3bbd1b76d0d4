"""A command's process ends at once when the command is done, and nothing is lost by that."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.helpers.paths import ROOT

COMMAND = """
import atexit, os, sys
{before}
sys.argv = ["lrbench", "--version"]
from lrbench.__main__ import main
from lrbench.cli import commands

class Torn:
    def __del__(self, write=os.write):
        write(1, b"torn down\\n")

def command(interrupt):
    global file, torn
    file, torn = open("open.txt", "w"), Torn()
    file.write("of the user")
    atexit.register(print, "called")
    print("done", end=" ")
    {end}

commands.main = command
main()
"""


def _ended(folder: Path, end: str, before: str = "", stdout: int = subprocess.PIPE) -> tuple[int, str, str]:
    done = subprocess.run(
        [sys.executable, "-c", COMMAND.format(before=before, end=end)],
        cwd=folder,
        env={"PYTHONPATH": str(ROOT)},
        stdout=stdout,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout, done.stderr


@pytest.mark.parametrize("code", [0, 3])
def test_nothing_is_torn_down_and_nothing_is_lost(code: int, tmp_path: Path) -> None:
    assert _ended(tmp_path, f"sys.exit({code})") == (code, "done called\n", "")
    assert (tmp_path / "open.txt").read_text() == "of the user"


def test_who_watches_the_end_of_a_process_sees_it(tmp_path: Path) -> None:
    before = "atexit.register(print, 'measured')"
    assert _ended(tmp_path, "sys.exit(0)", before) == (0, "done called\nmeasured\ntorn down\n", "")


def test_a_bug_ends_as_python_ends_it(tmp_path: Path) -> None:
    code, printed, errors = _ended(tmp_path, "raise TypeError('a bug')")
    assert (code, printed) == (1, "done called\ntorn down\n")
    assert errors.endswith("TypeError: a bug\n")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs Linux's /dev/full")
def test_output_that_cannot_be_written_is_reported(tmp_path: Path) -> None:
    with Path("/dev/full").open("w") as full:
        code, _, errors = _ended(tmp_path, "sys.exit(0)", stdout=full.fileno())
    assert code == 120
    assert "No space left on device" in errors
