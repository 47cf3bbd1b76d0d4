"""How the progress of a study is shown in a notebook: one line with a bar, which is redrawn, and needs no extension of Jupyter."""

from __future__ import annotations

import html
import sys
import time
from typing import Any

from lrbench.errors import counted, escaped
from lrbench.execution.listener import Listener

_SECONDS = 0.2
"""How often it is redrawn at most: each time is a message to the browser."""


class NotebookBar(Listener):
    """A bar with what is trained, how fast, and how long that will take; at the end how long it took."""

    def __init__(self) -> None:
        """Show nothing until training begins."""
        self._handle: Any = None
        self._runs = 0
        self._total = self._done = self._began = self._drawn = self._first = 0.0
        self._what = ""

    def begin(self, runs: int, steps: int, stage: str) -> None:
        """Draw the bar; one line is for all stages."""
        self._began = time.monotonic()
        self._first = self._first or self._began
        self._runs += runs
        self._total, self._done = float(steps), 0.0
        self._what = f"{stage}: {counted(runs, 'run')}" if stage else counted(runs, "run")
        self._draw("starting")

    def compiling(self, what: str) -> None:
        """Show what is being compiled in place of the pace."""
        self._draw(f"compiling {what}")

    def advance(self, runs: int, steps: int) -> None:
        """Move the bar, unless it was drawn a moment ago."""
        self._done += runs * steps
        now = time.monotonic()
        if self._done and now - self._drawn >= _SECONDS:
            pace = self._done / (now - self._began)
            left = (self._total - self._done) / pace
            self._draw(f"{pace:,.0f} model-steps/s, about {counted(round(left), 'second')} left")

    def end(self) -> None:
        """Say how long all stages so far took, or how far this one came."""
        taken = f"{time.monotonic() - self._first:.1f} s"
        if self._done >= self._total:
            self._draw(f"trained {counted(self._runs, 'run')} in {taken}", bar=False)
        else:
            self._draw(f"ended after {taken}")

    def _draw(self, text: str, *, bar: bool = True) -> None:
        from IPython.display import display

        share = self._done / self._total
        text = escaped(f"{self._what}, {share:.0%}, {text}" if bar else text)
        drawn = f'<progress max="1" value="{share:.3f}"></progress> ' if bar else ""
        shown = {"text/html": drawn + html.escape(text), "text/plain": text}
        self._drawn = time.monotonic()
        if self._handle is None:
            self._handle = display(shown, raw=True, display_id=True)
        else:
            self._handle.update(shown, raw=True)


def default_listener() -> Listener:
    """Return what shows the progress of a call from Python: a bar in a notebook, and elsewhere warnings alone."""
    ipython = sys.modules.get("IPython")  # a notebook has imported it
    shell = ipython.get_ipython() if ipython is not None else None
    return NotebookBar() if hasattr(shell, "kernel") else Listener()
