"""Ctrl-C and SIGTERM on the command line: work that saves stops without losing anything, and every command ends within two seconds.

A handler that raises can raise anywhere: in a callback of the garbage collector, which swallows it, or in the middle of
an import. And Python runs handlers between two instructions of its main thread, so never while XLA computes. The
handlers here do nothing; Python writes the number of every signal into a pipe, which a thread reads.

This module is imported before all others, so it imports little.
"""

from __future__ import annotations

import atexit
import os
import select
import signal
import threading
import time

CODE = 130
PATIENCE = 1.2
"""Seconds that work has to save, from the first signal to the end of the process."""
TOGETHER = 0.3
"""Signals within so many seconds are one request: `timeout` and others signal a process, and then its group."""
SIGNALS = signal.SIGINT, signal.SIGTERM
LINE = "lrbench: interrupted; finished packs are saved; the same command goes on from there"
_CLEAR = "\x1b[?25h\r\x1b[K"
"""Shows the cursor of a terminal, and clears the line of a progress bar."""


class Interrupt:
    """Whether the user wants the command to stop: one that checks has `PATIENCE` seconds, any other ends at once.

    A second signal ends either at once, unless it comes together with the first.
    """

    def __init__(self) -> None:
        """Leave signals alone until `catch`."""
        self._came = threading.Event()
        self._checked = False
        self._ending = threading.Lock()

    def catch(self) -> None:
        """Catch signals from now on, also in a background job, for which a shell ignores them."""
        read, write = os.pipe()
        os.set_blocking(write, False)
        signal.set_wakeup_fd(write, warn_on_full_buffer=False)
        for number in SIGNALS:
            signal.signal(number, _nothing)
        threading.Thread(target=self._watch, args=(read,), name="interrupt", daemon=True).start()
        # Registered first and so called last: after it modules are torn down, and Python would drop the handlers.
        atexit.register(_ignore)

    def stopping(self) -> bool:
        """Return whether a signal has come; whoever checks once is given time to save."""
        self._checked = True
        return self._came.is_set()

    def end(self) -> None:
        """End the process with one line, whatever its threads are doing; unfinished files are still temporary."""
        self._ending.acquire()  # never released: of two callers, the first ends the process
        try:
            text = f"{_CLEAR if os.isatty(2) else ''}{LINE}\n"
            os.write(2, text.encode())
        finally:
            os._exit(CODE)

    def _watch(self, pipe: int) -> None:
        """Wait for a signal, give the work time to save, and end the process."""
        _wait(pipe, None)
        self._came.set()
        if self._checked:
            time.sleep(min(TOGETHER, PATIENCE))
            while select.select([pipe], [], [], 0)[0]:
                os.read(pipe, 1)
            _wait(pipe, PATIENCE - TOGETHER)
        self.end()


def _wait(pipe: int, seconds: float | None) -> None:
    """Wait for one of the signals, at most for some seconds."""
    until = None if seconds is None else time.monotonic() + seconds
    while True:
        left = None if until is None else max(0.0, until - time.monotonic())
        if not select.select([pipe], [], [], left)[0] or os.read(pipe, 1)[0] in SIGNALS:
            return


def _nothing(*_: object) -> None:
    """Handle a signal by doing nothing: its number is in the pipe."""


def _ignore() -> None:
    """Ignore signals while Python shuts down: the command is done."""
    for number in SIGNALS:
        signal.signal(number, signal.SIG_IGN)
