"""How lanes per chunk are chosen: the rule, what is measured and cached; and what happens when memory runs out."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lrbench import machine
from lrbench.engine import device_memory, lanes_per_chunk, tuner, tuning_cache
from lrbench.engine.engine import Engine
from lrbench.engine.lane_batch import LaneBatch
from lrbench.engine.programs import Turns
from lrbench.engine.tuning_cache import Tuning, TuningCache
from lrbench.errors import ProblemError
from lrbench.study.grid import of_study
from lrbench.study.spec import read


@given(start=st.sampled_from([1, 2, 8, 64]), best=st.integers(-3, 9), most=st.sampled_from([64, 1024]))
def test_the_fastest_size_of_a_valley_is_found(start: int, best: int, most: int) -> None:
    def seconds(tuning: Tuning) -> float:
        assert 1 <= tuning.lanes_per_chunk <= most
        return 1.0 + abs(math.log2(tuning.lanes_per_chunk) - best)

    found = tuner.in_chunks(Tuning(start, options="wide_vectors"), seconds, most)
    assert found.choice == (min(most, 2 ** max(0, best)), "", "wide_vectors")


def test_a_size_that_is_hardly_faster_is_not_worth_a_change() -> None:
    start = Tuning(8)
    assert tuner.in_chunks(start, lambda tuning: 1.0 - 0.001 * tuning.lanes_per_chunk, 64) is start
    assert tuner.in_chunks(start, lambda tuning: math.inf if tuning.lanes_per_chunk > 8 else 1.0, 64) is start


@given(most=st.integers(1, 64), lanes=st.integers(1, 300), seeds=st.integers(1, 6), devices=st.integers(1, 8))
def test_chunks_fit_the_grid(most: int, lanes: int, seeds: int, devices: int) -> None:
    size = lanes_per_chunk.with_fewest_empty_lanes(most, [(lanes, seeds)], devices)
    assert most / 2 <= size <= most or size == 1
    assert lanes_per_chunk.with_fewest_empty_lanes(16, [(48, 1)], 1) == 16
    assert lanes_per_chunk.with_fewest_empty_lanes(16, [(28, 1)], 2) == 14


@given(
    most=st.integers(1, 256),
    least=st.integers(1, 16),
    shapes=st.lists(st.tuples(st.integers(1, 300), st.integers(1, 10)), min_size=1, max_size=3),
    devices=st.integers(1, 8),
)
def test_a_large_chunk_does_not_train_many_empty_lanes(
    most: int, least: int, shapes: list[tuple[int, int]], devices: int
) -> None:
    def trained(size: int) -> int:
        return sum(-(-seeds * -(-lanes // size) // devices) * size for lanes, seeds in shapes)

    size = lanes_per_chunk.fitting(most, least, shapes, devices)
    small = lanes_per_chunk.with_fewest_empty_lanes(min(most, least), shapes, devices)
    assert small <= size <= most
    assert trained(size) <= 1.1 * trained(small)
    large = lanes_per_chunk.with_fewest_empty_lanes(most, shapes, devices)
    assert size == large or trained(large) > 1.1 * trained(small)


def test_small_states_get_few_lanes_unless_all_fits_into_cache(
    table: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both problems have a state of a few KiB; that with wide activations gets the few lanes that fit into the cache with them."""
    monkeypatch.setattr(machine, "level_2_bytes", lambda: 2**21)
    rates = {"learning_rate": {"min": 0.01, "max": 1.0, "num": 600}}

    def lanes(problem: Any, **more: Any) -> int:
        engine, grid = _engine({**table, **rates, "problem": [problem], **more})
        chosen: int = engine.describe(grid.programs[0])["lanes_per_chunk"]
        return chosen

    wide = {"name": "digits_cnn"}
    narrow = "digits_softmax"
    assert lanes(narrow) == 60
    assert 2 <= lanes(wide) <= 4
    assert lanes(narrow, deterministic=True) == lanes_per_chunk.MANY
    assert lanes(narrow, learning_rate={"min": 0.01, "max": 1.0, "num": 64}) <= 16
    monkeypatch.setattr(machine, "level_2_bytes", lambda: 0)
    assert lanes(narrow) <= 16


def test_lanes_by_state_and_by_cache() -> None:
    assert lanes_per_chunk.by_state(75 * 1024, "cpu") == 8
    assert lanes_per_chunk.by_state(1, "cpu") == 16
    assert lanes_per_chunk.by_state(2**30, "cpu") == 1
    assert lanes_per_chunk.by_state(75 * 1024, "gpu") == 1024
    assert lanes_per_chunk.few(98 * 1024, 2**22) == 16
    assert lanes_per_chunk.few(98 * 1024, 2**19) == lanes_per_chunk.few(98 * 1024, 0) == 8
    assert lanes_per_chunk.few(1, 2**21) == 16
    assert lanes_per_chunk.few(2**30, 2**21) == 2
    assert lanes_per_chunk.by_cache(13 * 1024, 2**21) == 64
    assert lanes_per_chunk.by_cache(1, 2**21) == 256
    assert lanes_per_chunk.by_cache(13 * 1024, 0) == 1


@pytest.mark.parametrize(
    ("levels", "expected"),
    [
        (
            [("1", "Data", "48K", "0"), ("2", "Unified", "2048K", "0"), ("3", "Unified", "9000K", "0-7")],
            2**21,
        ),
        ([("2", "Unified", "1024K", "0,48")], 2**19),
        ([("2", "Unified", "4096K", "0-3,8-11")], 2**19),
        ([("1", "Data", "48K", "0")], 0),
        ([("2", "Unified", "unknown", "0")], 0),
        ([], 0),
    ],
)
def test_the_share_of_a_core_in_the_second_level_of_cache(
    tmp_path: Path, levels: list[tuple[str, ...]], expected: int
) -> None:
    for number, values in enumerate(levels):
        folder = tmp_path / f"index{number}"
        folder.mkdir()
        for name, value in zip(("level", "type", "size", "shared_cpu_list"), values, strict=True):
            (folder / name).write_text(f"{value}\n")
    assert machine.level_2_bytes(tmp_path) == expected


def test_what_was_measured_is_cached(tmp_path: Path) -> None:
    cache, key = TuningCache(tmp_path / "capacity"), {"problem": "a", "device": ["cpu", 2]}
    assert cache.load(key) is None
    found = Tuning(4, "slices", "without_ynn", "measured", 1e-5, 3.0)
    cache.store(key, found)
    assert cache.load(key) == found
    assert cache.load({**key, "device": ["cpu", 4]}) is None


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"capacity": {"lanes": 4}}', "\x00"])
def test_a_damaged_cache_is_ignored(tmp_path: Path, text: str) -> None:
    cache, key = TuningCache(tmp_path), {"problem": "a"}
    cache.store(key, Tuning(4))
    (file,) = tmp_path.glob("*.json")
    file.write_text(text, encoding="utf-8")
    assert cache.load(key) is None
    cache.store(key, Tuning(8))
    assert cache.load(key) == Tuning(8) or math.isnan(cache.load(key).seconds_per_step)  # type: ignore[union-attr]


def test_an_unwritable_cache_costs_nothing(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    cache = TuningCache(tmp_path / "file" / "capacity")
    cache.store({"a": 1}, Tuning(4))
    assert cache.load({"a": 1}) is None


def _engine(table: dict[str, Any]) -> tuple[Engine, Any]:
    study = read(table, trust=True)
    grid = of_study(study)
    return Engine(study, grid), grid


def test_long_training_is_measured_and_the_result_cached(
    table: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The chosen size is one that was timed; the same study on the same machine measures nothing again."""
    monkeypatch.setattr(tuner, "WORTH_MEASURING", 0)
    monkeypatch.setattr(tuning_cache.platformdirs, "user_cache_dir", lambda name: str(tmp_path))
    table["learning_rate"] = {"min": 0.01, "max": 1.0, "num": 16}
    engine, grid = _engine(table)
    (program,) = grid.programs
    assert engine.describe(program)["chunk_chosen"] == "rule"
    (pack,) = grid.packs([100])
    first = engine.run(pack, 100)
    chosen = engine.tuner.tuning(program)
    assert chosen.how == "measured"
    assert 0 < chosen.seconds_per_step < 1
    assert len(engine.programs.compiled) == 1
    again, _ = _engine(table)
    assert again.tuner.tuning(program) == chosen
    assert again.describe(program)["chunk_chosen"] == "measured"
    same = again.run(pack, 100)
    np.testing.assert_allclose(first.curves["train_loss"], same.curves["train_loss"], rtol=1e-5)
    asked, _ = _engine({**table, "lanes_per_chunk": 3})
    assert asked.describe(program)["lanes_per_chunk"] == 3
    assert asked.describe(program)["chunk_chosen"] == "set"


def test_nothing_compiles_while_a_program_is_timed() -> None:
    turns, compiled = Turns(2), threading.Event()

    def compile_program() -> None:
        with turns.compiling():
            compiled.set()

    with turns.compiling(), turns.compiling():
        pass  # two at once
    with turns.timing():
        waiting = threading.Thread(target=compile_program)
        waiting.start()
        assert not compiled.wait(0.05)
    waiting.join(10)
    assert compiled.is_set()


def _with_little_memory(
    monkeypatch: pytest.MonkeyPatch, most_runs: int, say: str = "RESOURCE_EXHAUSTED: Out of memory"
) -> list[int]:
    """Let a device run out of memory above so many runs; returns how many runs each call had."""
    seen: list[int] = []
    train = LaneBatch.train

    def scarce(self: LaneBatch, start: int, stop: int) -> Any:
        runs = len(self.diverged_step)
        seen.append(runs)
        if runs > most_runs:
            raise jax.errors.JaxRuntimeError(say)
        return train(self, start, stop)

    monkeypatch.setattr(LaneBatch, "train", scarce)
    return seen


def test_out_of_memory_halves_until_it_fits(
    train: Callable[..., Any], table: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    _, (expected,) = train(table)
    seen = _with_little_memory(monkeypatch, 3)
    _, (found,) = train(table)
    assert max(seen) == 8
    assert {runs for runs in seen if runs <= 3} == {2}
    assert found.run_ids.tolist() == expected.run_ids.tolist()
    for name, values in expected.curves.items():
        np.testing.assert_allclose(found.curves[name], values, rtol=1e-5, atol=1e-7)
    np.testing.assert_array_equal(found.diverged_step, expected.diverged_step)


def test_a_run_that_does_not_fit_at_all_is_an_error(
    train: Callable[..., Any], table: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    _with_little_memory(monkeypatch, 0)
    with pytest.raises(ProblemError, match=r"^quadratic: one run does not fit into the memory of a device$"):
        train(table)


def test_another_error_of_the_device_is_not_out_of_memory(
    train: Callable[..., Any], table: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    _with_little_memory(monkeypatch, 0, "INTERNAL: broken")
    with pytest.raises(jax.errors.JaxRuntimeError, match="INTERNAL"):
        train(table)


@pytest.mark.slow
def test_a_program_too_large_for_free_memory_is_made_smaller_before_it_runs(
    table: dict[str, Any], train: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """XLA's own count decides: with memory for less than the whole pack, fewer runs are on the devices at once."""
    engine, (expected,) = train(
        {**table, "seeds": 1, "problem": [{"name": "quadratic", "dimension": 10_000}]}
    )
    (program,) = engine.grid.programs
    whole = engine.programs.get(program, 1000).needed_bytes * engine.mesh.size
    monkeypatch.setattr(device_memory, "free_bytes", lambda device: 0.8 * whole)
    small, (found,) = train({**table, "seeds": 1, "problem": [{"name": "quadratic", "dimension": 10_000}]})
    assert small.programs.runs_at_once(program, 1000) < 1000
    assert small.programs.get(program, 1000).needed_bytes * small.mesh.size <= 0.8 * whole
    np.testing.assert_allclose(found.curves["train_loss"], expected.curves["train_loss"], rtol=1e-5)
