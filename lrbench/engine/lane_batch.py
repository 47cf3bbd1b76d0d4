"""The runs of a pack on the devices, as lanes of chunks: which are trained, which were dropped, and their snapshots."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from lrbench.engine import devices, layout, seeds, xla_program
from lrbench.engine.lane import Hyper, State
from lrbench.engine.layout import Layout
from lrbench.engine.xla_functions import Call, Replicated
from lrbench.engine.xla_program import CompiledProgram
from lrbench.study.ladder import NEVER

WORTH_COMPACTING = 0.9
"""Lanes are compacted when the most chunks of a device fall to this share: moving the state has a cost too."""


class PendingEvaluation(NamedTuple):
    """An evaluation whose values may still be computing, and the layout of its runs.

    Args:
        values: name → value in each lane.
        layout: which run is in which lane.
        step: how many steps the runs had taken.
    """

    values: Mapping[str, Array]
    layout: Layout
    step: int


class LaneBatch:
    """The runs of a pack on their devices.

    Runs that are no longer finite or were stopped are dropped after an evaluation, and the others are compacted, so that
    dead lanes cost nothing; the compiled program takes any number of chunks, so that nothing is compiled again.
    """

    def __init__(self, compiled: CompiledProgram, hyper: Hyper, seed: Int[np.ndarray, " run"]) -> None:
        """Put runs on the devices; `hyper` has one value per run, `seed` is each run's seed."""
        self._compiled = compiled
        unique, index = np.unique(seed, return_inverse=True)
        self._seeds = [int(value) for value in unique]
        self._seed_index = index
        self._run_hyper = hyper
        self._bad_step = np.full(len(seed), -1, np.int32)
        self._stopped_step = np.full(len(seed), np.nan)
        kept: Any = compiled.state.first_hits
        self._first_hits = (
            None if kept is None else np.full((len(seed), kept.step.shape[-1]), NEVER, np.int32)
        )
        self._arrange(np.arange(len(seed)))
        replicated = devices.replicated(compiled.mesh)
        of_seed = compiled.initial.of(self._seeds), seeds.noise(self._seeds)
        self._replicated = Replicated(
            compiled.data, compiled.schedules, *jax.device_put(self._padded(of_seed), replicated)
        )
        self._state: Any = jax.tree.map(
            lambda leaf: jax.device_put(np.zeros(leaf.shape, leaf.dtype), leaf.sharding), compiled.state
        )
        self._fresh = True
        self._prefetched: tuple[int, Any] | None = None
        self._examples: tuple[int, Any] | None = None
        self.saved_steps = 0
        """Steps that runs would have taken after they were dropped."""
        self.saved_by_stopping = 0
        """Those of them that are due to runs having been stopped."""

    def _arrange(self, runs: Int[np.ndarray, " run"]) -> None:
        """Give each run a lane, and put its hyper-parameters there."""
        compiled = self._compiled
        arranged = layout.arrange(self._seed_index[runs], compiled.mesh.size, compiled.size)
        # The last entry is for empty lanes, −1: also where no run is left at all.
        self._layout = arranged._replace(runs=np.append(runs, -1)[arranged.runs])
        # An empty lane trains a copy of its neighbour, whose result is discarded.
        self._filled = np.where(self._layout.runs >= 0, self._layout.runs, self._layout.runs[:, :1].clip(0))
        values = jax.tree.map(lambda each: each[self._filled], self._run_hyper)
        sharded = devices.sharded(compiled.mesh)
        self._hyper = jax.device_put(devices.cast(values), sharded)
        self._chunks = jax.device_put((self._layout.seeds, self._layout.counts), sharded)

    def stop(self, runs: Bool[np.ndarray, " run"], step: int) -> None:
        """Stop runs after `step` steps: later values are not recorded."""
        now = runs & np.isnan(self._stopped_step) & (self._bad_step < 0)
        self._stopped_step[now] = step

    def compact(self) -> None:
        """Drop the runs that are stopped or no longer finite, if the busiest device then has less work."""
        alive = np.flatnonzero((self._bad_step < 0) & np.isnan(self._stopped_step))
        before = self._layout
        needed = layout.chunks_per_device(
            self._seed_index[alive], self._compiled.mesh.size, self._compiled.size.lanes
        )
        if needed > WORTH_COMPACTING * before.counts.max():
            return
        self._read_first_hits()  # of those that are dropped
        lane_of = np.zeros(len(self._bad_step), dtype=np.intp)
        lane_of[before.runs[before.runs >= 0]] = np.flatnonzero(before.runs.reshape(-1) >= 0)
        self._arrange(alive)
        source = lane_of[self._filled]
        self._state = jax.tree.map(
            lambda leaf: jax.device_put(_by_lane(leaf)[source], leaf.sharding), self._state
        )

    def state(self, run: int) -> State:
        """Return the state of a run that has a lane, as NumPy arrays."""
        (lane,) = np.flatnonzero(self._layout.runs.reshape(-1) == run)
        state: State = jax.tree.map(lambda leaf: _by_lane(leaf)[lane], self._state)
        return state

    def snapshot(self) -> dict[str, np.ndarray]:
        """Return the state of the runs in their order, whatever their chunks and devices.

        `placed` are those that have a lane; the others were dropped, and have no state any more.
        """
        used = self._layout.runs >= 0
        order = np.argsort(self._layout.runs[used])
        leaves = jax.tree.leaves(self._state)
        state = {f"state{n}": np.asarray(leaf)[used][order] for n, leaf in enumerate(leaves)}
        self._read_first_hits()
        if self._first_hits is not None:
            state["first_hits"] = self._first_hits.copy()
        return {
            "placed": self._layout.runs[used][order],
            "bad_step": self._bad_step.copy(),
            "stopped_step": self._stopped_step.copy(),
            "saved": np.array([self.saved_steps, self.saved_by_stopping]),
            **state,
        }

    def restore(self, snapshot: Mapping[str, np.ndarray]) -> None:
        """Continue from a snapshot of the same runs."""
        self._bad_step, self._stopped_step = snapshot["bad_step"].copy(), snapshot["stopped_step"].copy()
        self.saved_steps, self.saved_by_stopping = (int(count) for count in snapshot["saved"])
        self._fresh = False
        if self._first_hits is not None:
            self._first_hits = snapshot["first_hits"].copy()
        placed = snapshot["placed"]
        self._arrange(placed)
        if not len(placed):
            return
        leaves, structure = jax.tree.flatten(self._state)
        # The position of each lane's run among those that are placed.
        source = np.searchsorted(placed, self._filled).clip(max=len(placed) - 1)
        values = [
            jax.device_put(snapshot[f"state{n}"].astype(leaf.dtype, copy=False)[source], leaf.sharding)
            for n, leaf in enumerate(leaves)
        ]
        self._state = jax.tree.unflatten(structure, values)

    def train(self, start: int, stop: int) -> Any:
        """Take the steps from `start` up to `stop`; return at once, with arrays that are ready when training is done."""
        dropped = np.ones(len(self._bad_step), dtype=bool)
        dropped[self._layout.runs[self._layout.runs >= 0]] = False
        self.saved_steps += int(dropped.sum()) * (stop - start)
        self.saved_by_stopping += int((dropped & np.isfinite(self._stopped_step)).sum()) * (stop - start)
        self._load_examples(start)
        self._state = self._compiled.train(*self._inputs(start, stop))
        self._fresh = False
        return self._state

    def evaluate(self, step: int) -> PendingEvaluation:
        """Evaluate runs after `step` steps; return at once, before the values are computed."""
        self._state, values = self._compiled.evaluate(*self._inputs(step, step))
        return PendingEvaluation(values, self._layout, step)

    def prefetch(self, start: int) -> None:
        """Draw the examples of the segment from `start` on, while the devices compute."""
        compiled = self._compiled
        order = seeds.orders(compiled.recipe.problem, self._seeds, start, compiled.size.segment + 1)
        self._prefetched = start, jax.device_put(self._padded(order), devices.replicated(compiled.mesh))

    def update_diverged(self) -> None:
        """Wait for the devices, and record the runs that are no longer finite."""
        used = self._layout.runs >= 0
        runs = self._layout.runs[used]
        going = np.isnan(self._stopped_step[runs])
        self._bad_step[runs[going]] = np.asarray(self._state.bad_step)[used][going]

    def values(self, pending: PendingEvaluation) -> dict[str, Float[np.ndarray, " run"]]:
        """Return each run's losses, metrics and probes at an evaluation, NaN for those that are not finite or were stopped."""
        used = (pending.layout.runs >= 0) & ~(self._stopped_step < pending.step)[pending.layout.runs]
        runs = pending.layout.runs[used]
        values = {}
        for name, leaf in pending.values.items():
            values[name] = np.full(len(self._bad_step), np.nan, dtype=leaf.dtype)
            values[name][runs] = np.asarray(leaf)[used]
        return values

    @property
    def runs(self) -> int:
        """How many runs there are, dropped ones included."""
        return len(self._bad_step)

    @property
    def diverged_step(self) -> Float[np.ndarray, " run"]:
        """The first step of each run with a non-finite loss, NaN if there is none."""
        return np.where(self._bad_step < 0, np.nan, self._bad_step)

    @property
    def first_hits(self) -> Int[np.ndarray, "run rung"] | None:
        """The step at which each run first met each rung, among those that steps began with; `None` if lanes keep none."""
        self._read_first_hits()
        if self._first_hits is None:
            return None
        # A run that was stopped goes on until its lane is dropped.
        return np.where(self._first_hits > self._stopped_step[:, None], NEVER, self._first_hits)

    @property
    def stopped_step(self) -> Float[np.ndarray, " run"]:
        """The step after which each run was stopped, NaN if it was not."""
        return self._stopped_step

    def _inputs(self, start: int, stop: int) -> tuple[Any, Hyper, Any, Replicated, Call]:
        """Return what the programs take for the steps from `start` up to `stop`."""
        assert self._examples is not None
        first, examples = self._examples
        call = xla_program.call(first, start, stop, self._fresh, examples)
        return self._state, self._hyper, self._chunks, self._replicated, call

    def _read_first_hits(self) -> None:
        """Read the first hits of the runs that have a lane."""
        if self._first_hits is not None:
            used = self._layout.runs >= 0
            self._first_hits[self._layout.runs[used]] = np.asarray(self._state.first_hits.step)[used]

    def _load_examples(self, start: int) -> None:
        """Use the examples of the segment from `start` on; draw them if they were not prefetched."""
        if self._prefetched is None or self._prefetched[0] != start:
            self.prefetch(start)
        self._examples = self._prefetched

    def _padded(self, tree: Any) -> Any:
        """Repeat the last seed to the number of seeds that the program was compiled for."""
        rest = self._compiled.size.seeds - len(self._seeds)
        return jax.tree.map(lambda leaf: np.concatenate([leaf, np.repeat(leaf[-1:], rest, axis=0)]), tree)


def _by_lane(leaf: Array) -> np.ndarray:
    """Return an array [device × chunk, lane, ...] as [lane, ...]; it may be empty, and then has no axis of unknown length."""
    values = np.asarray(leaf)
    return values.reshape(math.prod(values.shape[:2]), *values.shape[2:])
