"""What goes wrong around a study: processes that end, disks that are full, files that rot, functions that raise.

docs/faults.md names these tests; whatever happens, the same command goes on, and its tables are those of a study that
nothing disturbed, byte for byte.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lrbench import checkpoints
from lrbench.engine.pack import Curves, Engine
from lrbench.engine.race import Race
from lrbench.grid import of_study
from lrbench.study import read

# ---- half a pack ----

HALF = {
    "name": "half",
    "steps": 24,
    "evaluate_every": 3,
    "seeds": 2,
    "problem": ["breast_cancer_logistic"],
    "optimizer": [{"name": "adam", "b1": [0.8, 0.9]}],
    "schedule": ["constant", "reduce_on_plateau"],
    # Some runs diverge, at different steps, and those that do not race.
    "learning_rate": {"values": [1e-5, 1e-3, 1e-2, 0.1, 1.0, 1e18, 1e20, 1e25, 1e30]},
    "probes": ["gradient_norm"],
    "lanes_per_chunk": 3,
    "race": True,
}


class _Stop(Exception):
    pass


def _half(folder: Path, engine: Engine, stop: int | None = None) -> tuple[Curves, list[str], list[int]]:
    """Train the only pack of a study with a checkpoint after every segment; `stop` raises after so many moves."""
    said: list[str] = []
    moves: list[int] = []
    (pack,) = engine.grid.packs([1000])

    def moved(runs: int, steps: int) -> None:
        moves.append(steps)
        if len(moves) == stop:
            raise _Stop

    keeper = checkpoints.Folder(folder, pack.pack_id, 1e-9, said.append)
    return engine.run(pack, 1000, moved, keeper), said, moves


def _engine(**changes: Any) -> Engine:
    study = read({**HALF, **changes}, trust=True)
    return Engine(study, of_study(study))


@pytest.fixture(scope="module")
def engine() -> Engine:
    return _engine()


@pytest.fixture(scope="module")
def whole(engine: Engine, tmp_path_factory: pytest.TempPathFactory) -> Curves:
    (pack,) = engine.grid.packs([1000])
    return engine.run(pack, 1000)


def _same(found: Curves, expected: Curves) -> None:
    for name, values in expected.curves.items():
        np.testing.assert_array_equal(found.curves[name], values, name)
        assert found.curves[name].dtype == values.dtype
    np.testing.assert_array_equal(found.diverged_step, expected.diverged_step)
    np.testing.assert_array_equal(found.stopped_step, expected.stopped_step)
    assert found.saved_lane_steps == expected.saved_lane_steps
    assert found.stopped_lane_steps == expected.stopped_lane_steps


def test_half_a_pack_goes_on_where_it_was(engine: Engine, whole: Curves, tmp_path: Path) -> None:
    """Bit for bit, with runs that diverged and gave up their places, a race, and rates that hang on the losses."""
    assert len(np.unique(whole.diverged_step)) > 2
    assert np.isfinite(whole.stopped_step).any()
    for stop in (3, 5, 7):
        with pytest.raises(_Stop):
            _half(tmp_path, engine, stop)
    found, said, moves = _half(tmp_path, engine)
    assert said == []
    # Every stop lost the segment after the last checkpoint.
    assert sum(moves) == HALF["steps"]
    assert moves[0] == 0
    assert moves[1] >= 9
    _same(found, whole)
