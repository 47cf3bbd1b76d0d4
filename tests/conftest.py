"""Four fake CPU devices, strict numerics, and caches of our own, set before JAX starts."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from tests.helpers import environment

environment.set_up()
# ruff: noqa: E402 -- JAX reads the environment as it is imported
import jax
import pytest
from hypothesis import settings

from lrbench.engine.engine import Engine
from lrbench.results.trained import Trained
from lrbench.study.grid import of_study
from lrbench.study.spec import read

# A shared machine stalls now and then; a slow example is no failure.
settings.register_profile("lrbench", deadline=None)
settings.load_profile("lrbench")
jax.config.update("jax_numpy_rank_promotion", "raise")


@pytest.fixture(autouse=True, scope="module")
def _forget() -> Iterator[None]:
    """Let go of what JAX traced for a file of tests: going through it would make every collection of garbage slow."""
    yield
    jax.clear_caches()


@pytest.fixture(autouse=True)
def _no_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run every test in a folder of its own, so that none writes into the checkout."""
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def table() -> dict[str, Any]:
    """A small study of a deterministic problem."""
    return {
        "name": "small",
        "steps": 10,
        "evaluate_every": 4,
        "seeds": 2,
        "problem": ["quadratic"],
        "optimizer": ["sgd"],
        "learning_rate": {"min": 0.01, "max": 10.0, "num": 4},
    }


@pytest.fixture
def train() -> Callable[..., tuple[Engine, dict[str, Trained]]]:
    """Train every pack of a study; returns the engine and the curves by run_id order of the grid."""

    def trained(asked: dict[str, Any], devices: int | None = None, lanes_per_pack: int = 1000) -> Any:
        study = read(asked, trust=True)
        grid = of_study(study)
        engine = Engine(study, grid, devices)
        capacities = [lanes_per_pack] * len(grid.programs)
        return engine, [engine.run(pack, lanes_per_pack) for pack in grid.packs(capacities)]

    return trained
