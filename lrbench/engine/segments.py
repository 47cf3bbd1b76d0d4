"""The training loop: runs that are on the devices are trained and evaluated segment by segment."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

import jax
import numpy as np

from lrbench.engine.lane_batch import LaneBatch, PendingEvaluation
from lrbench.engine.pieces import Piece
from lrbench.engine.race import Race
from lrbench.engine.snapshot import Snapshot
from lrbench.engine.watchdog import Watchdog

Progress = Callable[[int, int], None]
"""Called with how many runs advanced, and by how many steps."""


@dataclass
class Training:
    """The training of the runs of a piece; while the devices train a segment, the host reads the evaluation before it.

    Args:
        evaluations: the steps after which runs are evaluated, from 0 to the last one.
        lanes: the runs on the devices.
        piece: determines when checkpoints are due.
        watchdog: watches each call of the program.
        progress: called after every segment, and after a restore.
        seconds: time by what it was spent on; `train` and `evaluate` grow.
        pace: seconds of a step of all runs, as timed before; 0 if it never was.
        objective: the name of the loss that a race judges.
        race: decides which runs are stopped; `None` without one.
        compact: whether the remaining runs are compacted after some have ended.
        rows: of each evaluation so far, name → value of each run.
    """

    evaluations: tuple[int, ...]
    lanes: LaneBatch
    piece: Piece
    watchdog: Watchdog
    progress: Progress
    seconds: dict[str, float]
    pace: float
    objective: str
    race: Race | None
    compact: bool
    rows: list[dict[str, np.ndarray]] = field(default_factory=list)
    _pending: PendingEvaluation | None = None

    def restore(self, snapshot: Snapshot) -> None:
        """Continue from a checkpoint: with its runs, evaluations, times and race."""
        self.lanes.restore(snapshot.lanes)
        for name, spent in snapshot.seconds.items():
            self.seconds[name] += spent
        self.rows = [dict(row) for row in snapshot.rows]
        for step, row in zip(self.evaluations, self.rows, strict=False):
            if self.race is not None:
                self.race.update(step, row[self.objective])
        self.progress(self.lanes.runs, 0)
        self.progress(self.lanes.runs, self.evaluations[len(self.rows) - 1])

    def run(self) -> list[dict[str, np.ndarray]]:
        """Train to the last step; return, of each evaluation, name → value of each run.

        Raises:
            KeyboardInterrupt: if training was interrupted.
        """
        done = len(self.rows)
        starts = (0, *self.evaluations)[done:]
        for number, (start, stop) in enumerate(zip(starts, self.evaluations[done:], strict=False), done):
            self._segment(number, start, stop)
        self._read()
        return self.rows

    def _segment(self, number: int, start: int, stop: int) -> None:
        """Train from `start` to `stop` and evaluate there; drop the runs that ended; save a checkpoint if it is due."""
        completed = stop == self.evaluations[-1]
        began = time.perf_counter()
        self._pending = self._train(start, stop)
        trained = time.perf_counter()
        self._evaluate(number, stop, trained - began)
        self._drop(stop, completed)
        self.seconds["train"] += trained - began
        self.seconds["evaluate"] += time.perf_counter() - trained
        self.progress(self.lanes.runs, stop - start)
        if self.piece.due(self.seconds, completed=completed):
            self._read()
            self.piece.save(Snapshot(self.lanes.runs, self.seconds, self.lanes.snapshot(), self.rows))
        self.piece.check(completed=completed)

    def _train(self, start: int, stop: int) -> PendingEvaluation:
        """Start training and the evaluation after it, read the evaluation before, and wait until training is done."""
        # This pack's own pace so far, or what was timed before.
        pace = max(self.pace, self.seconds["train"] / start) if start else self.pace
        with (
            jax.profiler.TraceAnnotation(f"train to step {stop}"),
            self.watchdog.call(f"training to step {stop:,}", pace * (stop - start)),
        ):
            training = self.lanes.train(start, stop)
            evaluation = self.lanes.evaluate(stop)
            self.lanes.prefetch(stop)
            self._read()
            jax.block_until_ready(training)
        return evaluation

    def _evaluate(self, number: int, stop: int, trained: float) -> None:
        """Wait for the evaluation after a segment that trained for so many seconds."""
        # The first evaluation can be compared only with the training before it.
        expected = max(trained, self.seconds["evaluate"] / max(1, number))
        with (
            jax.profiler.TraceAnnotation(f"evaluate at step {stop}"),
            self.watchdog.call(f"evaluating at step {stop:,}", expected),
        ):
            self.lanes.update_diverged()

    def _drop(self, stop: int, completed: bool) -> None:
        """Stop the runs that have lost their race, and compact the others."""
        if self.race is not None and self._pending is not None:
            losses = self.lanes.values(self._pending)[self.objective]
            self.lanes.stop(self.race.update(stop, losses), stop)
        if self.compact and not completed:
            self.lanes.compact()

    def _read(self) -> None:
        """Read the values of the pending evaluation, if there is one."""
        if self._pending is not None:
            self.rows.append(self.lanes.values(self._pending))
            self._pending = None
