"""A pack half done: what is kept of it, and by whom. Where it is kept is not the engine's business."""

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


class Snapshot(NamedTuple):
    """Runs between two segments, in their order in the pack, wherever they sat.

    Args:
        runs: how many there are.
        seconds: what they took so far.
        lanes: what `Batch.snapshot` gave.
        rows: of each evaluation so far, name → value of each run.
    """

    runs: int
    seconds: Mapping[str, float]
    lanes: Mapping[str, np.ndarray]
    rows: Sequence[Mapping[str, np.ndarray]]


class Keeper(Protocol):
    """Keeps snapshots of one pack; `every` is the seconds of training between two of them."""

    every: float

    def load(self, start: int, key: Mapping[str, Any]) -> Snapshot | None:
        """Return what is kept of the runs from the pack's `start`-th on, if it is sound and of the same key."""

    def save(self, start: int, key: Mapping[str, Any], snapshot: Snapshot) -> None:
        """Keep this in place of what was kept before."""


def key(study: Study, grid: Grid, pack: Pack) -> dict[str, Any]:
    """Return what must be equal for a snapshot to go on from: the runs in their order, and all that moves results.

    Chunks and devices may be others, except where the study is to be deterministic.
    """
    ids = np.ascontiguousarray(grid.run_ids[pack.runs])
    return {
        "runs": hashlib.blake2b(ids.tobytes(), digest_size=16).hexdigest(),
        "probes": list(study.probes),
        "race": study.race,
        "deterministic": [study.lanes_per_chunk] if study.deterministic else False,
        "versions": [machine.version("lrbench"), jax.__version__, optax.__version__],
    }
