"""Says so when a call of a program takes far longer than it was timed at, while it is still running: it may never end."""

from __future__ import annotations

import contextlib
import math
import threading
import time
from collections.abc import Callable, Iterator

LEAST_SECONDS = 60.0
"""A call that is shorter is never worth a line."""
FACTOR = 10.0
"""A call is late once it takes so many times what it was timed at."""


class Watch:
    """Watches the calls of a pack, in a thread of its own: the one that waits for a call that hangs can say nothing.

    Args:
        say: takes the line.
        advice: what the person can do.
    """

    def __init__(self, say: Callable[[str], None], advice: str) -> None:
        """Nothing is watched yet."""
        self._say, self._advice = say, advice
        self._call = "", 0.0, 0.0, math.inf

    @contextlib.contextmanager
    def pack(self, name: str) -> Iterator[None]:
        """Watch the calls made within; at most one line is said."""
        over = threading.Event()
        thread = threading.Thread(target=self._look, args=(name, over), name="watch", daemon=True)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()

    @contextlib.contextmanager
    def call(self, doing: str, timed: float) -> Iterator[None]:
        """Say so if what is done within takes far longer than `timed` seconds; 0 if it was never timed."""
        began = time.monotonic()
        self._call = doing, timed, began, began + max(LEAST_SECONDS, FACTOR * timed)
        try:
            yield
        finally:
            self._call = "", 0.0, 0.0, math.inf

    def _look(self, name: str, over: threading.Event) -> None:
        while not over.wait(LEAST_SECONDS / 60):
            doing, timed, began, late = self._call
            if (now := time.monotonic()) >= late:
                before = f"it was timed at {timed:.2g} s" if timed else "it was never timed before"
                self._say(f"{name}: {doing} has taken {now - began:.0f} s so far; {before}; {self._advice}")
                return
