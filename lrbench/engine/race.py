"""Racing: which runs of a pack cannot become good any more, judged from their losses so far.

Runs race within a line: the runs of one optimizer variant, schedule, seed and named rates, which differ by learning
rate alone. The leader of a line is its run with the least loss ℓ now; a final loss is good at most at
ℓ_leader + ε(ℓ₀ − ℓ_leader). From a quarter of the steps on, a run is stopped when, at `PATIENCE` evaluations in a row,

- it is too slow: its rate is below the leader's, and even falling at `HOPE` times its mean pace over the last quarter
  of its steps so far, ℓ(t) − HOPE · pace · (T − t), it would not become good; or
- it is too large: its rate is above the leader's, and its loss is still above ℓ₀.

The leader and its two neighbours are never stopped, so that the best rate and the edges of its band are trained whole.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float, Int

START = 0.25
"""The share of the steps before which no run is stopped."""
PATIENCE = 2
"""Evaluations in a row at which a run must look lost."""
HOPE = 2.0
"""How many times its own pace a slow run is granted."""
GOOD = 0.05
"""ε: a run is good within this share of the way from the initial to the best loss."""


class Race:
    """The losses of a pack's runs so far, and which of them look lost."""

    def __init__(self, line: Int[np.ndarray, " run"], rate: Float[np.ndarray, " run"], steps: int) -> None:
        """Begin a race.

        Args:
            line: the line that each run belongs to.
            rate: each run's learning rate.
            steps: optimizer steps of a whole run.
        """
        # Runs in the order of line and rate: neighbours on the grid stand side by side.
        self._order = np.lexsort((rate, line))
        _, starts = np.unique(line[self._order], return_index=True)
        self._lines = np.split(self._order, starts[1:])
        self._rate, self._steps = rate, steps
        self._lost = np.zeros(len(line), dtype=np.int64)
        self._at: list[int] = []
        self._losses: list[np.ndarray] = []

    def lost(self, at: int, loss: Float[np.ndarray, " run"]) -> Bool[np.ndarray, " run"]:
        """Take the losses after `at` steps, NaN for runs that are out; return the runs to be stopped now."""
        self._at.append(at)
        self._losses.append(np.asarray(loss, dtype=np.float64))
        if at < START * self._steps or at >= self._steps:
            return np.zeros(len(loss), dtype=bool)
        now, initial = self._losses[-1], self._losses[0]
        hoped = now - HOPE * self._pace() * (self._steps - at)
        looks = np.zeros(len(loss), dtype=bool)
        for runs in self._lines:
            if not np.isfinite(now[runs]).any():
                continue
            leader = int(np.nanargmin(now[runs]))
            best = now[runs[leader]]
            bar = best + GOOD * np.maximum(initial[runs] - best, 0.0)
            slower = self._rate[runs] < self._rate[runs[leader]]
            out = np.where(slower, hoped[runs] > bar, now[runs] > initial[runs])
            out[max(0, leader - 1) : leader + 2] = False
            looks[runs] = out & np.isfinite(now[runs])
        self._lost = np.where(looks, self._lost + 1, 0)
        return self._lost >= PATIENCE

    def _pace(self) -> Float[np.ndarray, " run"]:
        """Return the mean fall of each run's loss per step over the last quarter of its steps so far, at least 0."""
        began = int(np.searchsorted(self._at, 0.75 * self._at[-1], side="right")) - 1
        began = min(max(began, 0), len(self._at) - 2)
        fallen = self._losses[began] - self._losses[-1]
        return np.maximum(fallen / (self._at[-1] - self._at[began]), 0.0)
