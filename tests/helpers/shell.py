"""A shell that types what a reader types, and kills what hangs."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from collections.abc import Mapping
from pathlib import Path

LATE = 124
"""The exit code of a command that was killed after its limit, as of `timeout`."""


class Shell:
    """A shell in a folder: activating an environment lasts until its end."""

    def __init__(self, folder: Path, environment: Mapping[str, str], seconds: float) -> None:
        """In a folder and an environment; a command that takes longer than so many seconds is killed."""
        self._folder = folder
        self._environment = dict(environment)
        self._seconds = seconds
        self._before: list[str] = []

    def type(self, command: str) -> tuple[int, str]:
        """Run a command, with the processes that it starts; return its exit code and what is seen."""
        if command.startswith(". "):  # the shell itself changes
            self._before.append(command)
        process = subprocess.Popen(
            ["bash", "-c", "\n".join((*self._before, command))],
            cwd=self._folder,
            env=self._environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        try:
            seen, _ = process.communicate(timeout=self._seconds)
        except subprocess.TimeoutExpired:
            _kill(process)
            return LATE, f"{process.communicate()[0]}\nnot done after {self._seconds:g} s: {command}"
        except BaseException:
            _kill(process)
            raise
        return process.returncode, seen


def _kill(process: subprocess.Popen[str]) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
