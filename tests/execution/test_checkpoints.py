"""Checkpoints of packs that are not finished: training goes on from them bit for bit, and no damaged or foreign one is used."""

from __future__ import annotations

import io
import random
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lrbench.engine import snapshot
from lrbench.engine.engine import Engine
from lrbench.engine.snapshot import Snapshot
from lrbench.execution.checkpoints import Checkpoints
from lrbench.results.places import FolderPlace
from lrbench.results.trained import Trained
from lrbench.study.grid import of_study
from lrbench.study.spec import read

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


def _half(folder: Path, engine: Engine, stop: int | None = None) -> tuple[Trained, list[str], list[int]]:
    """Train the only pack of a study with a checkpoint after every segment; `stop` raises after so many moves."""
    said: list[str] = []
    moves: list[int] = []
    (pack,) = engine.grid.packs([1000])

    def moved(runs: int, steps: int) -> None:
        moves.append(steps)
        if len(moves) == stop:
            raise _Stop

    kept = Checkpoints(FolderPlace(folder), pack.pack_id, 1e-9, said.append)
    return engine.run(pack, 1000, moved, kept), said, moves


def _engine(**changes: Any) -> Engine:
    study = read({**HALF, **changes}, trust=True)
    return Engine(study, of_study(study))


@pytest.fixture(scope="module")
def engine() -> Engine:
    return _engine()


@pytest.fixture(scope="module")
def whole(engine: Engine, tmp_path_factory: pytest.TempPathFactory) -> Trained:
    (pack,) = engine.grid.packs([1000])
    return engine.run(pack, 1000)


def _same(found: Trained, expected: Trained) -> None:
    for name, values in expected.curves.items():
        np.testing.assert_array_equal(found.curves[name], values, name)
        assert found.curves[name].dtype == values.dtype
    np.testing.assert_array_equal(found.diverged_step, expected.diverged_step)
    np.testing.assert_array_equal(found.stopped_step, expected.stopped_step)
    assert found.saved_lane_steps == expected.saved_lane_steps
    assert found.stopped_lane_steps == expected.stopped_lane_steps


def test_half_a_pack_goes_on_where_it_was(engine: Engine, whole: Trained, tmp_path: Path) -> None:
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


def test_half_a_pack_goes_on_in_the_order_of_its_examples(tmp_path: Path) -> None:
    """In the second epoch, of a fixed order."""
    problem = {"name": "breast_cancer_logistic", "order": "fixed", "batch_size": 60}
    engine = _engine(problem=[problem], schedule="constant", race=False)
    (pack,) = engine.grid.packs([1000])
    with pytest.raises(_Stop):
        _half(tmp_path, engine, 6)
    found, said, _ = _half(tmp_path, engine)
    assert said == []
    assert engine.problems[0].data.examples // 60 < 12  # steps of an epoch, and where it stopped
    _same(found, engine.run(pack, 1000))


def _kept(folder: Path) -> list[Path]:
    return list((folder / "checkpoints").glob("*/0-*.npz"))


def test_a_checkpoint_that_is_damaged_or_foreign_is_told_of(
    engine: Engine, whole: Trained, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its runs are then trained from the beginning; where one cannot be written a line says so, and training goes on."""
    with pytest.raises(_Stop):
        _half(tmp_path, engine, 4)
    (kept,) = _kept(tmp_path)
    sound, chance, said = kept.read_bytes(), random.Random(0), list[str]()
    again = Checkpoints(FolderPlace(tmp_path), kept.parent.name, 1.0, said.append)
    key = _key(engine)
    snapshot = again.load(0, key)
    assert snapshot
    flipped = bytearray(sound)
    flipped[len(sound) // 2] ^= 1
    for broken in (b"", sound[: len(sound) // 2], bytes(flipped), _pickled(sound), _compressed(sound)):
        kept.parent.mkdir(parents=True, exist_ok=True)
        kept.write_bytes(broken)
        assert again.load(0, key) is None
        (line,) = said
        assert line.startswith(f"{kept}: is damaged (")
        assert line.endswith("; its runs are trained from the beginning")
        assert not kept.exists()
        said.clear()
    for _ in range(200):
        flipped = bytearray(sound)
        flipped[chance.randrange(len(sound))] ^= 1 << chance.randrange(8)
        kept.parent.mkdir(parents=True, exist_ok=True)
        kept.write_bytes(flipped)
        found = again.load(0, key)
        assert found is None or all(
            np.array_equal(found.lanes[name], values, equal_nan=True)
            for name, values in snapshot.lanes.items()
        )
    kept.parent.mkdir(parents=True, exist_ok=True)
    kept.write_bytes(sound)
    said.clear()
    with monkeypatch.context() as other:
        other.setattr(jax, "__version__", "0.0.1")
        trained, said, moves = _half(tmp_path, engine)
    assert said == [
        f"{kept.resolve()}: is of other runs, probes or versions; its runs are trained from the beginning"
    ]
    assert moves == [0, *[3] * 8]
    _same(trained, whole)
    (tmp_path / "none").mkdir()
    (tmp_path / "none" / "checkpoints").touch()
    trained, said, _ = _half(tmp_path / "none", engine)
    assert len(said) == 8
    assert all("no checkpoint was written: " in line for line in said)
    _same(trained, whole)


def _key(engine: Engine) -> dict[str, Any]:
    (pack,) = engine.grid.packs([1000])
    return snapshot.key(engine.study, engine.grid, pack)


def _pickled(data: bytes) -> bytes:
    """Return a checkpoint with an array of Python objects in it, which are not unpickled."""
    file = io.BytesIO()
    with np.load(io.BytesIO(data)) as arrays:
        np.savez(file, **{**arrays, "about": np.array([print], dtype=object)})
    return file.getvalue()


def _compressed(data: bytes) -> bytes:
    file = io.BytesIO()
    with np.load(io.BytesIO(data)) as arrays:
        np.savez_compressed(file, **arrays)
    return file.getvalue()


def test_a_checkpoint_holds_every_type_of_array(tmp_path: Path) -> None:
    """Types of JAX that NumPy's format does not know, arrays without values, numbers without a shape."""
    lanes = {
        "half": np.asarray(jnp.array([1.5, np.nan, -2.0], jnp.bfloat16)),
        "small": np.asarray(jnp.array([0.5, 448.0], jnp.float8_e4m3fn)),
        "none": np.zeros((0, 3), np.float32),
        "number": np.array(3, np.int64),
        "flags": np.array([True, False]),
    }
    kept, said = Checkpoints(FolderPlace(tmp_path), "x", 1.0, list[str]().append), {"train": 2.0}
    kept.save(4, {"a": 1}, Snapshot(2, said, lanes, [{"loss": np.ones(2)}, {"loss": np.zeros(2)}]))
    found = kept.load(4, {"a": 1})
    assert found is not None
    assert kept.load(5, {"a": 1}) is None
    assert (found.runs, found.seconds, len(found.rows)) == (2, said, 2)
    for name, values in lanes.items():
        assert (found.lanes[name].dtype, found.lanes[name].shape) == (values.dtype, values.shape)
        assert found.lanes[name].tobytes() == values.tobytes()
    kept.remove()
    assert not (tmp_path / "checkpoints").exists()


def test_pieces_of_a_pack_are_kept(
    engine: Engine, whole: Trained, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where memory holds half a pack, a piece that is whole is not trained again."""
    (pack,) = engine.grid.packs([1000])
    monkeypatch.setattr(engine.instances, "study", engine.study.model_copy(update={"race": False}))
    program, half = engine.grid.programs[pack.program], len(pack.runs) // 2
    engine.programs.limit(program, half)
    with pytest.raises(_Stop):
        _half(tmp_path, engine, 11)
    engine.programs.limit(program, 1000)
    found, said, moves = _half(tmp_path, engine)
    assert said == []
    assert moves[:5] == [0, 24, 0, 0, 3]
    assert engine.programs.runs_at_once(program, 1000) == half
    assert found.run_ids.tolist() == engine.grid.run_ids[pack.runs].tolist()
    engine.programs.limit(program, 1000)
