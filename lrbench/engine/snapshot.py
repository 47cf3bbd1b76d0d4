"""What a checkpoint of a pack holds, and what has to be equal to go on from it; where it is stored is not the engine's business."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, Protocol

import jax
import numpy as np
import optax

from lrbench import machine
from lrbench.study.grid import Grid, Pack
from lrbench.study.spec import Study
from lrbench.study.stages import GRID


class Snapshot(NamedTuple):
    """The state of some runs of a pack between two segments, in their order in the pack.

    Args:
        runs: how many there are.
        seconds: compiling, training and evaluating them so far.
        lanes: what `LaneBatch.snapshot` returned.
        rows: for each evaluation so far, name → value of each run.
    """

    runs: int
    seconds: Mapping[str, float]
    lanes: Mapping[str, np.ndarray]
    rows: Sequence[Mapping[str, np.ndarray]]


class SnapshotStore(Protocol):
    """Stores snapshots of one pack; `every` is the seconds of training between two of them."""

    every: float

    def load(self, start: int, key: Mapping[str, Any]) -> Snapshot | None:
        """Return the snapshot of the runs from the pack's `start`-th on, if it is undamaged and has the same key."""

    def save(self, start: int, key: Mapping[str, Any], snapshot: Snapshot) -> None:
        """Store this snapshot in place of the one before."""


def key(study: Study, grid: Grid, pack: Pack) -> dict[str, Any]:
    """Return what must be equal to go on from a snapshot: the runs in their order, and all that results depend on.

    Chunks and devices may differ, unless the study is deterministic.
    """
    ids = np.ascontiguousarray(grid.run_ids[pack.runs])
    return {
        "runs": hashlib.blake2b(ids.tobytes(), digest_size=16).hexdigest(),
        "probes": list(study.probes),
        "first_hits": study.first_hits,
        "race": study.race and pack.stage == GRID,
        "deterministic": [study.lanes_per_chunk] if study.deterministic else False,
        "versions": [machine.version("lrbench"), jax.__version__, optax.__version__],
    }
