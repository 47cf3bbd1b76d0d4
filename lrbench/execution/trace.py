"""A trace of training for Perfetto and TensorBoard: what each core or GPU does, operation by operation."""

from __future__ import annotations

import threading
from pathlib import Path

from lrbench.execution.listener import Listener
from lrbench.results import safe_files

FOLDER = "profile"
"""The folder of traces in a results folder."""
SECONDS = 0.5
"""The length of a trace, divided by the number of devices: a core records up to 300,000 operations a second, each of which
takes 50 bytes of the trace and 20 µs to write."""


class TracingListener(Listener):
    """Traces the first moments of training, without the compiling before it, and passes everything on.

    The trace is ended by a clock and not by a segment's end: its size is bounded, however long a segment is.
    """

    def __init__(self, inner: Listener, folder: Path) -> None:
        """Pass on to `inner`, and trace into a results folder, which must have no links where traces are written."""
        safe_files.refuse_links(folder, FOLDER)
        self._inner, self._folder = inner, folder / FOLDER
        self._clock: threading.Timer | None = None
        self._lock = threading.Lock()
        self._tracing = False
        self.path: Path | None = None
        """The file for Perfetto, once training is over."""

    def notify(self, text: str) -> None:
        """Pass it on."""
        self._inner.notify(text)

    def warn(self, text: str) -> None:
        """Pass it on."""
        self._inner.warn(text)

    def begin(self, runs: int, steps: int, stage: str) -> None:
        """Pass it on."""
        self._inner.begin(runs, steps, stage)

    def compiling(self, what: str) -> None:
        """Pass it on."""
        self._inner.compiling(what)

    def advance(self, runs: int, steps: int) -> None:
        """Begin to trace once the first pack is compiled and evaluated at step 0, and pass it on."""
        if self._clock is None:
            self._start()
        self._inner.advance(runs, steps)

    def end(self) -> None:
        """End the trace if training was over first, wait until it is written, and pass it on."""
        if self._clock is not None:
            self._clock.cancel()
            self._stop()
            self._clock.join()
        self._inner.end()

    def stopping(self) -> bool:
        """Pass it on."""
        return self._inner.stopping()

    def _start(self) -> None:
        import jax

        options = jax.profiler.ProfileOptions()
        options.python_tracer_level = 0  # every call of a Python function would be an event
        jax.profiler.start_trace(self._folder, create_perfetto_trace=True, profiler_options=options)
        self._tracing = True
        self._clock = threading.Timer(SECONDS / jax.local_device_count(), self._stop)
        self._clock.start()

    def _stop(self) -> None:
        import jax

        with self._lock:  # the clock and the end of training may come together
            if not self._tracing:
                return
            self._tracing = False
            try:
                jax.profiler.stop_trace()
            except Exception as error:  # a trace that cannot be written (a full disk) must not cost the study
                self.warn(f"{self._folder}: no trace was written: {' '.join(str(error).split())}")
                return
            found = self._folder.glob("plugins/profile/*/perfetto_trace.json.gz")
            self.path = max(found, key=lambda path: path.stat().st_mtime, default=None)
