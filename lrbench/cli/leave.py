"""The end of a command's process: at once, where Python would first take every module apart, for half a second with JAX and pandas.

This module is imported before all others, so it imports little.
"""

from __future__ import annotations

import atexit
import os
import sys
from typing import Any


class Leave:
    """Ends the process once Python has waited for its threads and called what others registered with `atexit`.

    Only what comes after that is left out: modules and objects are not torn down. Files that nobody closed are flushed here instead.
    A process whose end something else was to see first, such as a measurement of coverage, ends as Python ends it.
    """

    def __init__(self) -> None:
        """Register this first, so that it is called last."""
        self.code: int | None = None
        """The exit code of the command once it is done; `None` if it is not, or has failed as a bug does."""
        if not atexit._ncallbacks():  # what was registered before is called after
            atexit.register(self._now)

    def _now(self) -> None:
        if self.code is None:
            return
        try:
            flush(sys.stdout, sys.stderr)
        except (OSError, ValueError):
            return  # Python reports it, and changes the exit code
        os._exit(self.code)


def flush(*streams: Any) -> None:
    """Flush these streams, and all open files, whose owner may count on Python to do so.

    Raises:
        OSError, ValueError: of these streams; what becomes of other files Python does not report either.
    """
    import contextlib
    import gc
    import io

    kinds = io.TextIOWrapper, io.BufferedWriter, io.BufferedRandom
    for file in [each for each in gc.get_objects() if type(each) in kinds]:
        if file not in streams:
            with contextlib.suppress(OSError, ValueError):
                file.flush()
    for stream in streams:
        if stream is not None:
            stream.flush()
