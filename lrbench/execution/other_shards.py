"""What shard 0 waits for: the parts of all other shards, or that their packs failed."""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Bool, Int

from lrbench.errors import StoreError, counted
from lrbench.execution import costs
from lrbench.execution.listener import Listener
from lrbench.execution.shard_records import ShardRecords
from lrbench.execution.shards import Patience, Shard, digest, divide, of_share
from lrbench.launchers import Outcome
from lrbench.results import lock
from lrbench.results.folder import ResultsFolder
from lrbench.results.inventory import Inventory
from lrbench.study.grid import Grid

if TYPE_CHECKING:
    from lrbench.engine.engine import Engine

GRACE = 60.0
"""Seconds in which a shard that is started again takes back what it recorded of packs that failed."""
_SAY_AGAIN = 60.0
"""Seconds between two lines that say what is waited for."""
_NAMED = 6
"""So many shards are named in a line."""


@contextlib.contextmanager
def locked_as(shard: Shard | None, store: ResultsFolder, listener: Listener) -> Iterator[bool]:
    """Lock a results folder for writing; of two processes that are shard 0, the second waits for the first to end.

    Yields:
        Whether it is locked; not if the first is at work, or hangs, when the wait is over.

    Raises:
        StoreError: if it cannot be locked.
    """
    patience: Patience | None = None
    with contextlib.ExitStack() as stack:
        while True:
            try:
                stack.enter_context(store.locked())
                break
            except lock.Taken as error:
                if shard is None:
                    raise
                if patience is None:
                    listener.notify(f"{error}: {shard} waits for it")
                    patience = Patience(shard.wait, listener.check, ShardRecords(store.place).activity)
                if not patience.pause():
                    yield False
                    return
        yield True


class OtherShards:
    """All shards but this one, as shard 0 knows them.

    Args:
        shard: shard 0.
        store: the results folder, locked.
        listener: receives the progress.
    """

    def __init__(self, shard: Shard, store: ResultsFolder, listener: Listener) -> None:
        """Note which packs had failed before."""
        self._shard, self._store, self._listener = shard, store, listener
        self._records = ShardRecords(store.place)
        self._old = self._records.stamps()
        self._began = time.monotonic()

    def describe(self, engine: Engine, grid: Grid) -> dict[str, Any]:
        """Return what the manifest says of the shards."""
        return {"count": self._shard.count, "division": digest(grid, costs.of_runs(engine, grid))}

    def shares(
        self, engine: Engine, grid: Grid, wanted: Bool[np.ndarray, " run"]
    ) -> list[Int[np.ndarray, " run"]]:
        """Return the runs of each shard; this one takes back what was recorded of failures of its own."""
        shares = divide(grid, wanted, costs.of_runs(engine, grid), self._shard.count)
        self._records.forget(grid, of_share(grid, shares[self._shard.number]))
        return shares

    def wait(
        self,
        grid: Grid,
        parts: Inventory,
        shares: Sequence[Int[np.ndarray, " run"]],
        missing: Bool[np.ndarray, " run"],
    ) -> tuple[list[Outcome], str]:
        """Wait until runs are completed, or have failed.

        Args:
            grid: of the runs.
            parts: their parts.
            shares: the runs of each shard.
            missing: the runs that are waited for.

        Returns:
            The packs that failed, and what is missing when the wait is over, in words; empty if nothing is.
        """
        self._store.flush()
        patience = Patience(self._shard.wait, self._listener.check, self._records.activity)
        said, before, goes_on = -math.inf, -1, True
        while True:
            try:
                failures, left = self._look(grid, parts, missing, old=not goes_on)
            except StoreError:
                if not (goes_on and self._store.url):
                    raise
                goes_on = patience.pause()  # a network may be down for a while
                continue
            count = int(left.sum())
            if not count:
                self._records.forget(grid, parts.completed())
                return failures, ""
            if not goes_on:
                return failures, self._words(shares, left)
            if time.monotonic() - said >= _SAY_AGAIN:
                said = time.monotonic()
                self._listener.notify(f"waiting for {self._words(shares, left)}")
            if count != before:
                patience.renew()
            before = count
            goes_on = patience.pause()

    def _look(
        self, grid: Grid, parts: Inventory, missing: Bool[np.ndarray, " run"], *, old: bool
    ) -> tuple[list[Outcome], Bool[np.ndarray, " run"]]:
        """Return the packs that failed, and which runs are still missing."""
        self._store.refresh()
        left = missing & ~parts.completed()
        failures = self._failures(grid, left, old=old)
        for failed in failures:
            left[failed.pack.runs] = False
        return failures, left

    def _failures(self, grid: Grid, left: Bool[np.ndarray, " run"], *, old: bool) -> list[Outcome]:
        """Return the packs that failed and have runs that are left; those of before this process began only if `old`, or after a while."""
        old = old or time.monotonic() - self._began > GRACE
        names = [name for name, at in self._records.stamps().items() if old or self._old.get(name) != at]
        return [each for each in self._records.failures(grid, names) if left[each.pack.runs].any()]

    def _words(self, shares: Sequence[Int[np.ndarray, " run"]], left: Bool[np.ndarray, " run"]) -> str:
        """Return how many runs are left of which shards."""
        begun = self._records.begun(self._shard.count) | {0}
        each = [(number, int(left[runs].sum())) for number, runs in enumerate(shares) if left[runs].any()]
        words = [
            f"{counted(runs, 'run')} of shard {number}/{self._shard.count}{'' if number in begun else ' (not begun)'}"
            for number, runs in each[:_NAMED]
        ]
        if others := each[_NAMED:]:
            words.append(f"{sum(runs for _, runs in others):,} of {counted(len(others), 'other shard')}")
        return ", ".join(words)
