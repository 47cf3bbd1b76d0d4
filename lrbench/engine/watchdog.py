"""Reports a call of a program that takes far longer than expected while it is still running: it may never end."""

from __future__ import annotations

import contextlib
import math
import threading
import time
from collections.abc import Callable, Iterator

LEAST_SECONDS = 60.0
"""A shorter call is never reported."""
FACTOR = 10.0
"""A call is reported once it takes so many times the expected time."""


class Watchdog:
    """Watches the calls of a pack from a thread of its own, because the thread that waits for a call cannot report it.

    Args:
        notify: is called with the line.
        advice: what the user can do.
    """

    def __init__(self, notify: Callable[[str], None], advice: str) -> None:
        """Watch nothing yet."""
        self._notify, self._advice = notify, advice
        self._call = "", 0.0, 0.0, math.inf

    @contextlib.contextmanager
    def pack(self, name: str) -> Iterator[None]:
        """Watch the calls inside the context; at most one is reported."""
        over = threading.Event()
        thread = threading.Thread(target=self._watch, args=(name, over), name="watchdog", daemon=True)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()

    @contextlib.contextmanager
    def call(self, doing: str, expected: float) -> Iterator[None]:
        """Report the call inside the context if it takes far longer than `expected` seconds; 0 if it was never timed."""
        began = time.monotonic()
        self._call = doing, expected, began, began + max(LEAST_SECONDS, FACTOR * expected)
        try:
            yield
        finally:
            self._call = "", 0.0, 0.0, math.inf

    def _watch(self, name: str, over: threading.Event) -> None:
        while not over.wait(LEAST_SECONDS / 60):
            doing, expected, began, late = self._call
            if (now := time.monotonic()) >= late:
                before = f"it was timed at {expected:.2g} s" if expected else "it was never timed before"
                self._notify(
                    f"{name}: {doing} has taken {now - began:.0f} s so far; {before}; {self._advice}"
                )
                return
