"""Racing: which runs of a pack cannot become good any more, judged from their losses so far and from where their schedule goes.

Runs race within a line: the runs of one optimizer variant, schedule, seed and named rates, which differ by learning
rate alone. The leader of a line is its run with the least loss ℓ now, and the bar is ℓ_leader + ε(ℓ₀ − ℓ_leader).
From a quarter of the steps on, and once its schedule has had its peak, a run is stopped when, at `PATIENCE` evaluations
in a row, it is out of reach: even falling at `HOPE` times its mean pace over the last quarter of its steps so far, it
would not come down to the bar. The pace is that of a step or that of a unit of learning rate, whichever promises more.
And

- it is too slow: its rate is below the leader's; or
- it is too large: its rate is above the leader's, its loss is above ℓ₀ and has not fallen since the evaluation before,
  and its schedule stays at its peak. Where the rate still decays, such a run recovers once it is small enough.

The leader and its two neighbours are never stopped, so that the best rate and the edges of its band are trained whole.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float, Int

from lrbench.engine.schedule_table import Table

START = 0.25
"""The share of the steps before which no run is stopped."""
PATIENCE = 3
"""Evaluations in a row at which a run must look lost."""
HOPE = 2.0
"""How many times its own pace a run is granted."""
BAR = 0.1
"""ε: twice the share within which a run is good, because good is measured against all seeds, and one may be easier."""
STAYS = 0.999
"""A factor of at least so much of the peak is the peak."""


class Race:
    """The losses of a pack's runs so far, and which of them look lost."""

    def __init__(
        self,
        line: Int[np.ndarray, " run"],
        rate: Float[np.ndarray, " run"],
        row: Int[np.ndarray, " run"],
        schedules: Table,
    ) -> None:
        """Begin a race.

        Args:
            line: the line that each run belongs to.
            rate: each run's learning rate.
            row: each run's schedule, as a row of the table.
            schedules: the factors of each step, and which schedules depend on the losses.
        """
        # Runs in the order of line and rate: neighbours on the grid stand side by side.
        self._order = np.lexsort((rate, line))
        _, starts = np.unique(line[self._order], return_index=True)
        self._lines = np.split(self._order, starts[1:])
        shapes = np.asarray(schedules.shapes, dtype=np.float64)
        self._rate, self._row, self._steps = rate, row, shapes.shape[1]
        self._sum = np.pad(np.cumsum(shapes, axis=1), ((0, 0), (1, 0)))
        self._peak = shapes.argmax(axis=1)
        low = (shapes < STAYS * shapes.max(axis=1, keepdims=True))[:, ::-1]
        self._stays = np.where(low.any(axis=1), self._steps - low.argmax(axis=1), 0)
        if schedules.rules is not None:  # when they reduce a rate is not known
            self._stays[np.isfinite(schedules.rules.patience)] = self._steps
        self._lost = np.zeros(len(line), dtype=np.int64)
        self._at: list[int] = []
        self._losses: list[np.ndarray] = []

    def lost(self, at: int, loss: Float[np.ndarray, " run"]) -> Bool[np.ndarray, " run"]:
        """Take the losses after `at` steps, NaN for runs that are out; return the runs to be stopped now."""
        self._at.append(at)
        self._losses.append(np.asarray(loss, dtype=np.float64))
        if at < START * self._steps or at >= self._steps:
            return np.zeros(len(loss), dtype=bool)
        initial, before, now = self._losses[0], self._losses[-2], self._losses[-1]
        hoped = now - HOPE * self._fall()
        exploding = (now > initial) & (now >= before) & (self._stays <= at)[self._row]
        passed = (self._peak < at)[self._row]
        looks = np.zeros(len(loss), dtype=bool)
        for runs in self._lines:
            if not np.isfinite(now[runs]).any():
                continue
            leader = int(np.nanargmin(now[runs]))
            best = now[runs[leader]]
            bar = best + BAR * np.maximum(initial[runs] - best, 0.0)
            slower = self._rate[runs] < self._rate[runs[leader]]
            out = passed[runs] & (hoped[runs] > bar) & (slower | exploding[runs])
            out[max(0, leader - 1) : leader + 2] = False
            looks[runs] = out & np.isfinite(now[runs])
        self._lost = np.where(looks, self._lost + 1, 0)
        return self._lost >= PATIENCE

    def _fall(self) -> Float[np.ndarray, " run"]:
        """Return what each run's loss would still fall by at its pace over the last quarter of its steps so far, at least 0."""
        at = self._at[-1]
        began = int(np.searchsorted(self._at, 0.75 * at, side="right")) - 1
        began = min(max(began, 0), len(self._at) - 2)
        fallen = np.maximum(self._losses[began] - self._losses[-1], 0.0)
        start = self._at[began]
        taken, left = self._sum[:, at] - self._sum[:, start], self._sum[:, -1] - self._sum[:, at]
        by_rate = np.divide(left, taken, out=np.zeros_like(left), where=taken > 0)
        more: Float[np.ndarray, " row"] = np.maximum(by_rate, (self._steps - at) / (at - start))
        return fallen * more[self._row]
