"""Who draws plots and the report: this process, and for commands further ones, which import what they need while runs are trained."""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from queue import Empty, SimpleQueue

from lrbench import machine
from lrbench.results import helpers as further
from lrbench.results import pictures
from lrbench.results.helpers import Failed, Helper, HelperPool
from lrbench.results.results import Results
from lrbench.study import catalog

MOST_HELPERS = 3
SHARED_ROWS = 1_000_000
"""With more rows of curves, this process draws alone: each of several would hold all of them in memory."""


class Helpers(HelperPool):
    """Processes that draw beside this one: one for each further core.

    Args:
        folder: the results folder.
        rows: about how many rows the table of curves will have.
    """

    def __init__(self, folder: Path, rows: int) -> None:
        """Start nothing yet."""
        super().__init__(
            min(machine.cores() - 1, MOST_HELPERS) if rows <= SHARED_ROWS else 0, f"{__name__}:prepare"
        )
        self._folder = folder

    def draw(self, left: deque[str], done: SimpleQueue[tuple[str, bool]]) -> None:
        """Let each take names from the left until none is left or it fails; `done` receives each, and whether it is written."""
        for helper in self.running:
            asked = helper, str(self._folder), left, done
            threading.Thread(target=_draw_with, args=asked, daemon=True).start()


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
                name, written = done.get(timeout=further.SECONDS)
            except Empty:
                check()
                continue
            if written:
                missing -= 1
                continue
        pictures.write(results, name)
        missing -= 1
        check()


def _draw_with(helper: Helper, folder: str, left: deque[str], done: SimpleQueue[tuple[str, bool]]) -> None:
    """Let a helper write one after another."""
    written = True
    while written:
        try:
            name = left.popleft()
        except IndexError:
            return
        try:
            helper.call(_draw, (folder, name))
        except Failed:
            written = False
        done.put((name, written))


def prepare() -> None:
    """Import what draws, in a helper."""
    os.nice(5)  # whoever trains goes first, where cores are few
    for entry in catalog.names("plot"):
        catalog.get("plot", entry).load()


def _draw(common: None, folder: str, name: str) -> None:
    """Write a plot or the report, in a helper."""
    pictures.write(_results(folder), name)


@lru_cache(maxsize=1)
def _results(folder: str) -> Results:
    return Results(Path(folder))
