"""Four fake CPU devices, strict numerics, and caches of our own, set before JAX starts."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from tests.helpers.paths import ROOT

# Shared by all tests and kept between runs, so that data sets and compiled programs are made once.
_CACHE = ROOT / ".pytest_cache" / "xdg"
os.environ["XDG_CACHE_HOME"] = str(_CACHE)
os.environ["JAX_NUM_CPU_DEVICES"] = "4"
os.environ.setdefault("JAX_PLATFORMS", "cpu")
# Programs of tests are compiled far longer than they run: XLA's older and quicker way of making code for fused operations
# halves that. JAX_DISABLE_MOST_OPTIMIZATIONS=0 XLA_FLAGS= tests programs as users run them.
os.environ.setdefault("JAX_DISABLE_MOST_OPTIMIZATIONS", "1")
# ruff: noqa: E402 -- what follows starts JAX, which reads the environment set here
from tests.helpers import xla_flags

if "XLA_FLAGS" not in os.environ:
    # jaxlib 0.12 has the newer way alone.
    os.environ["XLA_FLAGS"] = xla_flags.known(
        "--xla_cpu_use_fusion_emitters=false --xla_cpu_parallel_codegen_split_count=1"
    )

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
