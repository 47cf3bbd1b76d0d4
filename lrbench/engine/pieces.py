"""The pieces of a pack: all its runs at once or, where memory is short, some at a time; each with its checkpoints."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from lrbench.engine.snapshot import Snapshot, SnapshotStore

WORTH_SAVING = 5.0
"""Seconds of training since the last checkpoint that are worth another one when training is interrupted."""


@dataclass
class Piece:
    """The runs of a pack from `start` on that are on the devices at once, and when they are saved.

    In a pack of more than one piece, each but the last is saved once it is completed.

    Args:
        checkpoints: where they are saved; `None` for nowhere.
        start: the index of the first run in the pack.
        key: what a checkpoint must have been written for.
        stopping: returns whether training is to be interrupted.
        last: whether the pack has no further piece.
        snapshot: the checkpoint that training continues from, if there is one.
        saved_at: the seconds of training and evaluating at the last checkpoint.
    """

    checkpoints: SnapshotStore | None
    start: int
    key: Mapping[str, Any]
    stopping: Callable[[], bool]
    last: bool = True
    snapshot: Snapshot | None = None
    saved_at: float = 0.0

    def load(self, most: int) -> None:
        """Load the last checkpoint, unless it has more than `most` runs."""
        snapshot = self.checkpoints.load(self.start, self.key) if self.checkpoints else None
        if snapshot is not None and snapshot.runs <= most:
            self.snapshot = snapshot
            self.saved_at = snapshot.seconds["train"] + snapshot.seconds["evaluate"]

    def due(self, seconds: Mapping[str, float], *, completed: bool) -> bool:
        """Return whether it is time for a checkpoint; called after every segment."""
        if self.checkpoints is None or completed:
            return self.checkpoints is not None and not self.last
        now = seconds["train"] + seconds["evaluate"]
        every = min(self.checkpoints.every, WORTH_SAVING) if self.stopping() else self.checkpoints.every
        if now - self.saved_at < every:
            return False
        self.saved_at = now
        return True

    def save(self, snapshot: Snapshot) -> None:
        """Write a checkpoint."""
        if self.checkpoints is not None:
            self.checkpoints.save(self.start, self.key, snapshot)

    def check(self, *, completed: bool) -> None:
        """Raise `KeyboardInterrupt` if training is to be interrupted after this segment, unless it completes the pack."""
        if self.stopping() and not (completed and self.last):
            raise KeyboardInterrupt
