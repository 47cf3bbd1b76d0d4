"""How the progress of a study is shown: a bar on a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
import time
from typing import TextIO

from lrbench.cli.interrupt import Interrupt
from lrbench.errors import counted, escaped
from lrbench.execution.listener import Listener

_PLAIN_SECONDS = 10.0


class Quiet(Listener):
    """Shows nothing; a signal stops the work."""

    def __init__(self, interrupt: Interrupt) -> None:
        """Ask `interrupt` whether the work is to stop."""
        self._interrupt = interrupt

    def warn(self, text: str) -> None:
        """Show a warning as any other line."""
        self.notify(text)

    def stopping(self) -> bool:
        """Return whether a signal has come."""
        return self._interrupt.stopping()


class Plain(Quiet):
    """A line when something begins or ends, and one every ten seconds of training."""

    def __init__(self, interrupt: Interrupt, stream: TextIO | None = None) -> None:
        """Write to `stream`, by default standard error."""
        super().__init__(interrupt)
        self._stream = stream or sys.stderr
        self._total = self._done = self._reported = 0.0
        self._runs = 0
        self._began = 0.0

    def notify(self, text: str) -> None:
        """Write the line."""
        print(escaped(text), file=self._stream, flush=True)

    def begin(self, runs: int, steps: int, stage: str) -> None:
        """Write how much there is to train."""
        self._runs, self._total, self._done = runs, float(steps), 0.0
        self._began = self._reported = time.monotonic()
        self.notify(f"{_prefix(stage)}training {counted(runs, 'run')} of {_steps(runs, steps)}")

    def compiling(self, what: str) -> None:
        """Write what is being compiled."""
        self.notify(f"compiling {what}")

    def advance(self, runs: int, steps: int) -> None:
        """Write the progress, at most every ten seconds."""
        self._done += runs * steps
        now = time.monotonic()
        if self._done and now - self._reported >= _PLAIN_SECONDS:
            self._reported = now
            pace = self._done / (now - self._began)
            self.notify(
                f"{self._done / self._total:4.0%}  {pace:,.0f} model-steps/s  "
                f"{(self._total - self._done) / pace:,.0f} s left"
            )

    def end(self) -> None:
        """Write how long it took."""
        if self._total and self._done >= self._total:
            taken = time.monotonic() - self._began
            self.notify(f"trained {counted(self._runs, 'run')} in {taken:.1f} s")


class Bar(Quiet):
    """A progress bar with runs, model-steps per second and time left."""

    def __init__(self, interrupt: Interrupt) -> None:
        """Nothing is drawn until training begins."""
        super().__init__(interrupt)
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

        self._console = Console(stderr=True)
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.percentage:>3.0f} %"),
            TextColumn("{task.fields[pace]}", markup=False),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            console=self._console,
        )
        self._began = 0.0

    def notify(self, text: str) -> None:
        """Print the line above the bar."""
        self._console.print(escaped(text), markup=False, highlight=False)

    def begin(self, runs: int, steps: int, stage: str) -> None:
        """Draw the bar."""
        self._began = time.monotonic()
        self._task = self._progress.add_task(
            f"{_prefix(stage)}{counted(runs, 'run')} × {_steps(runs, steps)}", total=steps, pace=""
        )
        self._progress.start()

    def compiling(self, what: str) -> None:
        """Show what is being compiled in place of the pace."""
        self._progress.update(self._task, pace=f"compiling {escaped(what)}")

    def advance(self, runs: int, steps: int) -> None:
        """Move the bar."""
        self._progress.advance(self._task, runs * steps)
        pace = self._progress.tasks[self._task].completed / (time.monotonic() - self._began)
        self._progress.update(self._task, pace=f"{pace:,.0f} model-steps/s")

    def end(self) -> None:
        """Leave the bar as it is."""
        self._progress.stop()


def _prefix(stage: str) -> str:
    return f"{stage}: " if stage else ""


def _steps(runs: int, steps: int) -> str:
    """The steps of a run, of all of which there are so many."""
    each = counted(round(steps / runs), "step")
    return f"about {each}" if steps % runs else each


def listener(quiet: bool, interrupt: Interrupt) -> Listener:
    """Return a listener that shows nothing if quiet, else a bar on a terminal, and lines elsewhere."""
    if quiet:
        return Quiet(interrupt)
    return Bar(interrupt) if sys.stderr.isatty() else Plain(interrupt)
