"""The processes that a process has started, and which of them do not end; where there is a `/proc`."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterable
from pathlib import Path

Process = tuple[int, int]
"""Its number and when it started, which together are never another's."""
PATIENCE = 20
"""Seconds after which whatever still runs is left behind; what Ray itself leaves runs for 60."""


def family(parent: int) -> set[Process]:
    """Return the processes that a process has started, those that they have, and so on."""
    parents, found, numbers = _processes(), set[Process](), {parent}
    while more := {each for each, by in parents.items() if by in numbers} - found:
        found |= more
        numbers |= {number for number, _ in more}
    return found


def name(process: Process) -> str:
    """Return the command line of a process; empty once it has ended."""
    with contextlib.suppress(OSError):
        return Path(f"/proc/{process[0]}/cmdline").read_text()
    return ""


def left(seen: Iterable[Process]) -> list[str]:
    """Wait for processes to end; return the command lines of those that do not."""
    until, waiting = time.monotonic() + PATIENCE, set(seen)
    while (waiting := waiting & {*_processes()}) and time.monotonic() < until:
        time.sleep(0.05)
    return [name(each) for each in waiting]


def _processes() -> dict[Process, int]:
    """Return all processes that have not ended, each with the number of its parent."""
    found = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            state, parent, *more = path.read_text().rpartition(")")[2].split()
            if state != "Z":
                found[int(path.parent.name), int(more[17])] = int(parent)
    return found
