"""How the progress of a study is shown: a bar on a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
import time
from typing import TextIO

from lrbench.cli.interrupt import Interrupt
from lrbench.errors import counted, duration, escaped
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


class _Clock:
    """How far a stage is, and how long it takes; the time of compiling is no part of its pace.

    Args:
        runs: how many runs are trained.
        steps: how many steps all of them have together.
    """

    def __init__(self, runs: int = 0, steps: int = 0) -> None:
        """Begin now."""
        self.runs, self.steps, self.done = runs, steps, 0
        self._began, self._compiled = time.monotonic(), 0.0
        self._what, self._since = "", 0.0
        self._taken: float | None = None

    def compiling(self, what: str) -> None:
        """Note that a program is compiled, until training advances."""
        self._what, self._since = what, time.monotonic()

    def advance(self, steps: int) -> None:
        """Count steps that were trained."""
        if self._what:
            self._compiled += time.monotonic() - self._since
            self._what = ""
        self.done += steps

    def end(self) -> None:
        """Stop here."""
        self._taken = self.seconds

    @property
    def complete(self) -> bool:
        """Whether all steps are trained."""
        return 0 < self.steps <= self.done

    @property
    def seconds(self) -> float:
        """From the beginning to now, or to the end."""
        return time.monotonic() - self._began if self._taken is None else self._taken

    def __str__(self) -> str:
        """Say what is going on, for how long, and how long it will be."""
        so_far = f"{duration(self.seconds)} so far"
        if self._taken is not None:
            return f"{'trained' if self.complete else 'ended'} in {self._taken:.1f} s"
        if self._what:
            return f"compiling {escaped(self._what)}, {so_far}"
        if not self.done:
            return so_far
        pace = self.done / max(self.seconds - self._compiled, 1e-3)
        left = max(0, self.steps - self.done) / pace
        return f"about {duration(left)} left, {so_far}, {pace:,.0f} model-steps/s"


class Plain(Quiet):
    """A line when something begins or ends, and one every ten seconds of training."""

    def __init__(self, interrupt: Interrupt, stream: TextIO | None = None, name: str = "") -> None:
        """Write to `stream`, by default standard error; lines begin with the name of this process, if it has one."""
        super().__init__(interrupt)
        self._name = _prefix(name)
        self._stream = stream or sys.stderr
        self._clock = _Clock()
        self._reported = 0.0

    def notify(self, text: str) -> None:
        """Write the line."""
        print(escaped(self._name + text), file=self._stream, flush=True)

    def begin(self, runs: int, steps: int, stage: str) -> None:
        """Write how much there is to train."""
        self._clock, self._reported = _Clock(runs, steps), 0.0
        self.notify(f"{_prefix(stage)}training {counted(runs, 'run')} of {_steps(runs, steps)}")

    def compiling(self, what: str) -> None:
        """Write what is being compiled."""
        self._clock.compiling(what)
        self.notify(f"compiling {what}")

    def advance(self, runs: int, steps: int) -> None:
        """Write the progress, at most every ten seconds."""
        clock = self._clock
        clock.advance(runs * steps)
        if clock.done and clock.seconds - self._reported >= _PLAIN_SECONDS:
            self._reported = clock.seconds
            self.notify(f"{clock.done / clock.steps:4.0%}  {clock}")

    def end(self) -> None:
        """Write how long it took."""
        if self._clock.complete:
            self.notify(f"trained {counted(self._clock.runs, 'run')} in {self._clock.seconds:.1f} s")


class Bar(Quiet):
    """A progress bar with runs, what is going on, the time so far and the time left."""

    def __init__(self, interrupt: Interrupt, name: str = "") -> None:
        """Nothing is drawn until training begins; lines begin with the name of this process, if it has one."""
        super().__init__(interrupt)
        self._name = _prefix(name)
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn
        from rich.table import Column

        self._console = Console(stderr=True)
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=10),
            TextColumn("{task.percentage:>3.0f} %"),
            TextColumn(
                "{task.fields[clock]}",
                markup=False,
                table_column=Column(no_wrap=True, overflow="ellipsis", ratio=1),
            ),
            console=self._console,
        )
        self._clock = _Clock()

    def notify(self, text: str) -> None:
        """Print the line above the bar."""
        self._console.print(escaped(self._name + text), markup=False, highlight=False)

    def begin(self, runs: int, steps: int, stage: str) -> None:
        """Draw the bar."""
        self._clock = _Clock(runs, steps)
        title = f"{self._name}{_prefix(stage)}{counted(runs, 'run')}"
        self._task = self._progress.add_task(title, total=steps, clock=self._clock)
        self._progress.start()

    def compiling(self, what: str) -> None:
        """Show what is being compiled in place of the pace."""
        self._clock.compiling(what)

    def advance(self, runs: int, steps: int) -> None:
        """Move the bar."""
        self._clock.advance(runs * steps)
        self._progress.update(self._task, completed=self._clock.done)

    def end(self) -> None:
        """Leave the bar as it is."""
        self._clock.end()
        self._progress.stop()


def _prefix(name: str) -> str:
    return f"{name}: " if name else ""


def _steps(runs: int, steps: int) -> str:
    """The steps of a run, of all of which there are so many."""
    each = counted(round(steps / runs), "step")
    return f"about {each}" if steps % runs else each


def listener(quiet: bool, interrupt: Interrupt, name: str = "") -> Listener:
    """Return a listener that shows nothing if quiet, else a bar on a terminal, and lines elsewhere.

    Args:
        quiet: whether nothing is shown.
        interrupt: is asked whether the work is to stop.
        name: of this process, if it is one of several.
    """
    if quiet:
        return Quiet(interrupt)
    return Bar(interrupt, name) if sys.stderr.isatty() else Plain(interrupt, name=name)
