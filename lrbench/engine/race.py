"""Racing: which runs of a pack can no longer become good, judged by their losses so far and by the rest of their schedule.

Runs race in groups: the runs of one optimizer, schedule, seed and named rates, which differ by learning rate alone. The
leader of a group is its run with the lowest loss ℓ now, and the bar is ℓ_leader + ε(ℓ₀ − ℓ_leader). From a quarter of the
steps on, and once its schedule has passed its peak, a run is stopped when, at `PATIENCE` consecutive evaluations, the
bar is out of reach: even at `HOPE` times its mean rate of decrease over the last quarter of its steps so far, its loss
would not reach the bar. The rate of decrease is per step or per unit of learning rate, whichever predicts the lower
loss. And

- it is too slow: its rate is below the leader's; or
- it is too large: its rate is above the leader's, its loss is above ℓ₀ and has not fallen since the evaluation before,
  and its schedule stays at its peak. Where the rate still decays, such a run recovers once the rate is small enough.

The leader and its two neighbours are never stopped, so that the best rate and the edges of its band are trained to the
end.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float, Int

from lrbench.engine.schedule_table import ScheduleTable

START = 0.25
"""The share of the steps before which no run is stopped."""
PATIENCE = 3
"""Consecutive evaluations at which the bar must be out of reach."""
HOPE = 2.0
"""How many times its own rate of decrease a run is credited with."""
BAR = 0.1
"""ε: twice the share within which a run is good, because good is measured against all seeds, and one may be easier."""
STAYS = 0.999
"""A factor of at least so much of the peak is the peak."""


class Race:
    """The losses of a pack's runs so far, and which runs to stop."""

    def __init__(
        self,
        group: Int[np.ndarray, " run"],
        rate: Float[np.ndarray, " run"],
        row: Int[np.ndarray, " run"],
        schedules: ScheduleTable,
    ) -> None:
        """Start a race.

        Args:
            group: the group that each run races in.
            rate: each run's learning rate.
            row: each run's schedule, as a row of the table.
            schedules: the factors of each step, and which schedules depend on the losses.
        """
        # Runs in the order of group and rate: neighbours on the grid are adjacent.
        self._order = np.lexsort((rate, group))
        _, starts = np.unique(group[self._order], return_index=True)
        self._groups = np.split(self._order, starts[1:])
        shapes = np.asarray(schedules.shapes, dtype=np.float64)
        self._rate, self._row, self._steps = rate, row, shapes.shape[1]
        self._sum = np.pad(np.cumsum(shapes, axis=1), ((0, 0), (1, 0)))
        self._peak = shapes.argmax(axis=1)
        low = (shapes < STAYS * shapes.max(axis=1, keepdims=True))[:, ::-1]
        self._stays = np.where(low.any(axis=1), self._steps - low.argmax(axis=1), 0)
        if schedules.rules is not None:  # when they reduce a rate is not known
            self._stays[np.isfinite(schedules.rules.patience)] = self._steps
        self._lost = np.zeros(len(group), dtype=np.int64)
        self._at: list[int] = []
        self._losses: list[np.ndarray] = []

    def update(self, at: int, loss: Float[np.ndarray, " run"]) -> Bool[np.ndarray, " run"]:
        """Add the losses after `at` steps, NaN for runs that ended; return the runs to be stopped now."""
        self._at.append(at)
        self._losses.append(np.asarray(loss, dtype=np.float64))
        if at < START * self._steps or at >= self._steps:
            return np.zeros(len(loss), dtype=bool)
        initial, before, now = self._losses[0], self._losses[-2], self._losses[-1]
        hoped = now - HOPE * self._fall()
        exploding = (now > initial) & (now >= before) & (self._stays <= at)[self._row]
        passed = (self._peak < at)[self._row]
        looks = np.zeros(len(loss), dtype=bool)
        for runs in self._groups:
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
        """Return how far each run's loss would still fall at its rate over the last quarter of its steps so far, at least 0."""
        at = self._at[-1]
        began = int(np.searchsorted(self._at, 0.75 * at, side="right")) - 1
        began = min(max(began, 0), len(self._at) - 2)
        fallen = np.maximum(self._losses[began] - self._losses[-1], 0.0)
        start = self._at[began]
        taken, left = self._sum[:, at] - self._sum[:, start], self._sum[:, -1] - self._sum[:, at]
        by_rate = np.divide(left, taken, out=np.zeros_like(left), where=taken > 0)
        more: Float[np.ndarray, " row"] = np.maximum(by_rate, (self._steps - at) / (at - start))
        return fallen * more[self._row]
