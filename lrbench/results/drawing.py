"""Who draws plots and the report: this process, and for commands further ones, which import what they need while runs are trained.

A helper is this Python with the same modules, which is told the results folder and then names, a line each, and answers each
with a byte once that is written. It ends with whoever started it, however that ends: nothing comes from its standard input any more.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Callable
from pathlib import Path
from queue import Empty, SimpleQueue

from lrbench import machine
from lrbench.results import pictures
from lrbench.results.results import Results
from lrbench.study import catalog

MOST_HELPERS = 3
SHARED_ROWS = 1_000_000
"""With more rows of curves, this process draws alone: each of several would hold all of them in memory."""
_PROGRAM = "import sys; sys.path[:] = {path!r}; from lrbench.results.drawing import serve; serve(sys.argv[1])"
_WRITTEN, _FAILED = b"+", b"-"
_PATIENCE = 30.0
"""Seconds in which a helper is to end by itself: on a busy machine, one that has just been started takes many."""
_SECONDS = 0.1
"""How often this process looks whether it is to stop while it waits for others."""


class Helpers(contextlib.ExitStack):
    """Processes that draw beside this one: one for each further core; they end with the context.

    Args:
        folder: the results folder.
        rows: about how many rows the table of curves will have.
    """

    def __init__(self, folder: Path, rows: int) -> None:
        """Start nothing yet."""
        super().__init__()
        self._folder = folder
        self._most = min(machine.cores() - 1, MOST_HELPERS) if rows <= SHARED_ROWS and sys.executable else 0
        self._processes: list[subprocess.Popen[bytes]] = []

    def start(self) -> None:
        """Start them, unless they are; one that cannot be started is done without."""
        while len(self._processes) < self._most:
            program = _PROGRAM.format(path=sys.path)
            try:
                process = subprocess.Popen(
                    [sys.executable, "-P", "-c", program, str(self._folder)],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    bufsize=0,
                    process_group=0,  # Ctrl-C is for this process, which then ends them
                )
            except OSError:
                return
            self._processes.append(process)
            self.callback(_end, process)

    def draw(self, left: deque[str], done: SimpleQueue[tuple[str, bool]]) -> None:
        """Let each take names from the left until none is left or it fails; `done` receives each, and whether it is written."""
        for process in self._processes:
            threading.Thread(target=_ask, args=(process, left, done), daemon=True).start()


def write_all(
    results: Results, check: Callable[[], None] = lambda: None, helpers: Helpers | None = None
) -> None:
    """Write every plot that has something to show as PNG and SVG, and the report.

    What a helper could not write, this process tries again, so that an error is the same without helpers.

    Args:
        results: whose plots.
        check: called after every plot; what it raises ends the writing.
        helpers: processes that share the work, if it is not too large.
    """
    left, done = deque(pictures.names()), SimpleQueue[tuple[str, bool]]()
    missing = len(left)
    if helpers is not None and pictures.rows(results, "curves") <= SHARED_ROWS:
        helpers.draw(left, done)
    while missing:
        try:
            name = left.pop()
        except IndexError:
            try:
                name, written = done.get(timeout=_SECONDS)
            except Empty:
                check()
                continue
            if written:
                missing -= 1
                continue
        pictures.write(results, name)
        missing -= 1
        check()


def _ask(process: subprocess.Popen[bytes], left: deque[str], done: SimpleQueue[tuple[str, bool]]) -> None:
    """Let a helper write one after another."""
    written = True
    while written:
        try:
            name = left.popleft()
        except IndexError:
            return
        written = False
        with contextlib.suppress(OSError):  # it has ended
            if process.stdin and process.stdout:
                process.stdin.write(f"{name}\n".encode())
                written = process.stdout.read(1) == _WRITTEN
        done.put((name, written))


def _end(process: subprocess.Popen[bytes]) -> None:
    """Let a helper end, by itself if it can."""
    with process, contextlib.suppress(OSError):  # of what was not sent to one that has ended
        if process.stdin:
            process.stdin.close()
        try:
            process.wait(_PATIENCE)
        except subprocess.TimeoutExpired:
            process.kill()


def serve(folder: str) -> None:
    """Draw what is asked for, until the process that asks has ended.

    Args:
        folder: the results folder; nothing is read of it before the first question.
    """
    os.nice(5)  # whoever trains goes first, where cores are few
    answers = os.dup(1)
    os.dup2(2, 1)  # what a library prints is no answer
    asked: SimpleQueue[str] = SimpleQueue()
    imported = threading.Event()
    threading.Thread(target=_listen, args=(asked, imported), daemon=True).start()
    try:
        for entry in catalog.names("plot"):
            catalog.get("plot", entry).load()
    finally:
        imported.set()
    results = Results(Path(folder))
    while True:
        name = asked.get()
        try:
            pictures.write(results, name)
        except Exception:
            os.write(answers, _FAILED)  # who asks will try, and see why
        else:
            os.write(answers, _WRITTEN)


def _listen(asked: SimpleQueue[str], imported: threading.Event) -> None:
    """Receive names; end the process when no more can come: at once, but never while matplotlib holds the lock of its cache of fonts."""
    for line in sys.stdin.buffer:
        asked.put(line.decode().strip())
    imported.wait()
    os._exit(0)
