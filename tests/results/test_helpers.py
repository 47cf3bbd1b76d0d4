"""Further processes: what they return comes in order, what they cannot do is done here, and none is left behind."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable, Iterator

import pytest

from lrbench.results import helpers
from lrbench.results.helpers import HelperPool

HERE = f"{__name__}:prepare"


def prepare() -> None:
    """Nothing is needed."""


def _square(common: int, number: int) -> tuple[int, int]:
    time.sleep(0.02 * (number % 3))
    return common + number**2, os.getpid()


def _fails_there(parent: int, number: int) -> int:
    if os.getpid() != parent:
        raise ValueError(number)
    return number


def _ends_there(parent: int, number: int) -> int:
    if os.getpid() != parent:
        os.kill(os.getpid(), signal.SIGKILL)
    return number


def _loaded(common: None) -> set[str]:
    return {name.partition(".")[0] for name in sys.modules}


def _large(common: bytes, byte: int) -> tuple[bytes, int]:
    return bytes([byte]) * 3_000_000, len(common)


@pytest.fixture(scope="module")
def pool() -> Iterator[HelperPool]:
    with HelperPool(2, HERE) as found:
        found.start()
        yield found
    assert [helper.process.poll() for helper in found.running] == [0, 0]


def test_what_helpers_return_comes_in_order(pool: HelperPool) -> None:
    given: list[int] = []

    def tasks() -> Iterator[tuple[int]]:
        for number in range(20):
            given.append(number)
            yield (number,)

    found = []
    for value, process in pool.each(_square, 100, tasks()):
        found.append((value, process))
        assert len(given) - len(found) < 2 + 4 + 1
    assert [value for value, _ in found] == [100 + number**2 for number in range(20)]
    assert {process for _, process in found} == {helper.process.pid for helper in pool.running}


def test_without_helpers_this_process_does_the_same() -> None:
    checked: list[bool] = []
    found = list(helpers.ALONE.each(_square, 1, [(2,), (3,)], lambda: checked.append(True)))
    assert found == [(5, os.getpid()), (10, os.getpid())]
    assert len(checked) == 2


def test_large_arguments_and_answers_arrive_whole(pool: HelperPool) -> None:
    found = list(pool.each(_large, b"x" * 5_000_000, [(1,), (2,)]))
    assert found == [(b"\1" * 3_000_000, 5_000_000), (b"\2" * 3_000_000, 5_000_000)]


def test_what_fails_in_a_helper_is_done_here(pool: HelperPool) -> None:
    assert list(pool.each(_fails_there, os.getpid(), [(1,), (2,)])) == [1, 2]
    with pytest.raises(ValueError, match="7"):
        list(pool.each(_fails_there, -1, [(7,)]))
    assert [helper.process.poll() for helper in pool.running] == [None, None]


def test_what_a_dead_helper_leaves_is_done_here() -> None:
    with HelperPool(2, HERE) as mortal:
        mortal.start()
        assert list(mortal.each(_ends_there, os.getpid(), [(number,) for number in range(9)])) == list(
            range(9)
        )
        assert list(mortal.each(_square, 0, [(2,)])) == [(4, os.getpid())]
    assert [helper.process.poll() for helper in mortal.running] == [-signal.SIGKILL] * 2


def test_an_exception_of_the_check_ends_the_work(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(helpers, "SECONDS", 0.001)
    checks = iter(range(5))

    def check() -> None:
        if next(checks) == 4:
            raise KeyboardInterrupt

    waiting = HelperPool(1, HERE)
    waiting.start()
    with pytest.raises(KeyboardInterrupt):
        list(_within(waiting, check))
    assert waiting.running[0].process.poll() == 0


def _within(pool: HelperPool, check: Callable[[], None]) -> Iterator[tuple[int, int]]:
    with pool:
        yield from pool.each(_square, 0, [(2,)] * 1000, check)


def test_what_makes_tables_is_imported_without_jax() -> None:
    with HelperPool(1, "lrbench.results.building.workers:prepare") as others:
        others.start()
        (found,) = others.each(_loaded, None, [()])
    assert "pyarrow" in found
    # This module itself imports pytest there, and nothing of JAX.
    assert not found & {"jax", "jaxlib", "optax", "matplotlib"}
