"""Nothing waits for ever: decompositions of many matrices, and the line about a call that takes far too long."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jax import lax
from jax.sharding import Mesh, PartitionSpec
from jax.sharding import NamedSharding as Sharding

import lrbench as lb
from lrbench.engine import decompositions, watchdog
from lrbench.engine.engine import Engine
from lrbench.engine.lane_batch import LaneBatch
from lrbench.optimizers.layerwise import galore
from lrbench.study.grid import of_study
from lrbench.study.spec import read
from tests.helpers.paths import ROOT

DECOMPOSITIONS: dict[str, Callable[[jax.Array], Any]] = {
    "cholesky": lambda m: jnp.linalg.cholesky(m @ m.T + jnp.eye(5)),
    "eig": lambda m: jnp.abs(jnp.linalg.eig(m)[0]).sort(),
    "eigh": lambda m: jnp.linalg.eigh(m + m.T)[0],
    "hessenberg": jax.scipy.linalg.hessenberg,
    "lu": jnp.linalg.det,
    "qr": lambda m: jnp.linalg.qr(m)[1],
    "schur": lambda m: jnp.abs(jax.scipy.linalg.schur(m)[0]),
    "svd": lambda m: jnp.linalg.svd(m)[1],
    "triangular_solve": lambda m: jnp.linalg.solve(m, jnp.ones(5)),
    "tridiagonal": lambda m: lax.linalg.tridiagonal(m + m.T)[1],
    "tridiagonal_solve": lambda m: lax.linalg.tridiagonal_solve(m[0], m[1] + 9, m[2], m[:, :2]),
}


def _matrices(*leading: int) -> jax.Array:
    return jnp.asarray(np.random.default_rng(0).normal(size=(*leading, 5, 5)), jnp.float32)


@pytest.mark.parametrize("name", DECOMPOSITIONS)
def test_a_decomposition_of_many_is_a_loop_over_them(name: str) -> None:
    each: Any = jax.vmap(DECOMPOSITIONS[name])
    compiled, looped = decompositions.compile_program(each, _matrices(3), platform="cpu")
    assert name in looped
    # 1e-5: XLA may compile the products beside it otherwise.
    for found, one in zip(compiled(_matrices(3)), _matrices(3), strict=True):
        np.testing.assert_allclose(found, DECOMPOSITIONS[name](one), rtol=1e-4, atol=1e-5)


def _user(state: jax.Array) -> jax.Array:
    """Gradient steps on eigenvalues of two axes of matrices, in a loop, in a branch: as a study's program has them."""

    def loss(matrix: jax.Array) -> jax.Array:
        pair = jnp.stack([matrix, 2 * matrix])
        values = jax.vmap(lambda m: jnp.linalg.eigvalsh(m + m.T)[-1])(pair)
        return values.sum() + jnp.linalg.solve(matrix + 9 * jnp.eye(5), jnp.ones(5)).sum()

    step: Any = jax.vmap(lambda m: m - 0.01 * jax.grad(jax.checkpoint(loss))(m))
    moved: Any = lax.fori_loop(0, 3, lambda _, m: step(m), state)
    return lax.cond(state.sum() > 1e9, lambda m: m, lambda m: moved, state)


def test_loops_branches_and_derivatives_are_looked_into() -> None:
    mesh = Mesh(np.array(jax.devices()[:2]), ("device",))
    over: Any = PartitionSpec("device")
    mapped = jax.shard_map(_user, mesh=mesh, in_specs=over, out_specs=over, check_vma=False)
    given = jax.device_put(_matrices(6), Sharding(mesh, over))
    compiled, looped = decompositions.compile_program(mapped, given, platform="cpu")
    assert looped == ("eigh", "lu", "triangular_solve")
    np.testing.assert_allclose(compiled(given), _user(_matrices(6)), rtol=1e-4, atol=1e-5)
    calls = re.findall(r"custom_call @lapack[^\n]*: \(tensor<([\dx]*)xf32", _lowered(mapped, given))
    assert len(calls) >= 3
    assert {shape.count("x") for shape in calls} == {1}


def _lowered(function: Any, *given: Any) -> str:
    """Return the program that would be compiled, as text."""
    texts: list[str] = []
    lower = jax.stages.Traced.lower

    def kept(self: Any, **options: Any) -> Any:
        lowered = lower(self, **options)
        texts.append(lowered.as_text())
        return lowered

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(jax.stages.Traced, "lower", kept)
        decompositions.compile_program(function, *given, platform="cpu")
    assert "@lapack" in texts[0]
    return texts[0]


def test_what_needs_no_loop_is_compiled_as_it_is() -> None:
    """One matrix, none, or another kind of device."""
    for function, given, platform in (
        (jnp.linalg.svd, _matrices(), "cpu"),
        (jax.vmap(jnp.linalg.svd), _matrices(1), "cpu"),
        (lambda m: m @ m, _matrices(3), "cpu"),
        (jax.vmap(jnp.linalg.svd), _matrices(3), "gpu"),
    ):
        assert decompositions.compile_program(function, given, platform=platform)[1] == ()


@pytest.mark.parametrize("lanes", [8, 16])
def test_galore_decomposes_lane_by_lane(lanes: int) -> None:
    params = _matrices(lanes)

    def step(rate: jax.Array, weights: jax.Array) -> jax.Array:
        optimizer = galore(rate, rank=2)  # type: ignore[arg-type]
        return optimizer.update(weights, optimizer.init(weights), weights)[0]  # type: ignore[return-value]

    many: Any = jax.vmap(step)
    assert not decompositions.compile_program(many, jnp.ones(lanes), params, platform="cpu")[1]


def _eigenvalue(weights: Any, batch: Any, key: Any) -> jax.Array:
    """The largest eigenvalue of each of two matrices, and what keeps them small."""
    top = jax.vmap(lambda m: jnp.linalg.eigh(m + m.T)[0][-1])(weights["m"])
    return jnp.sum(jnp.square(weights["m"])) + jnp.sum(top) / 10


def _turned(learning_rate: Any, *, share: float = 0.5) -> optax.GradientTransformation:
    """Step along what is orthogonal in each gradient."""

    def one(gradient: jax.Array) -> jax.Array:
        left, _, right = jnp.linalg.svd(gradient, full_matrices=False)
        return -learning_rate * (gradient + share * left @ right)

    return optax.GradientTransformation(
        lambda params: (), lambda gradient, state, params=None: (jax.tree.map(one, gradient), state)
    )


def test_decompositions_of_own_code_are_told_of_once_and_give_the_same_numbers() -> None:
    start = {"m": jnp.stack([jnp.diag(jnp.arange(1.0, 4.0)) + 0.1 * n for n in range(2)])}
    problem = lb.problem(name="mine", init=lambda key: start, loss=_eigenvalue)
    rates = [0.01, 0.03, 0.1, 0.2]
    table = {"name": "own", "steps": 5, "evaluate_every": 5, "seeds": 1, "learning_rate": {"values": rates}}
    study = read({**table, "problem": [problem], "optimizer": [lb.Optimizer(_turned)]}, trust=True)
    grid = of_study(study)
    said: list[str] = []
    engine = Engine(study, grid, 2, said.append)
    packs = list(grid.packs([2]))
    assert len(packs) == 2
    found = np.concatenate([engine.run(pack, 2).curves["train_loss"][:, -1] for pack in packs])
    assert said == [
        "eigh, svd: computed for one matrix after another, because jaxlib on a CPU may deadlock on many at once; the "
        "results are the same"
    ]
    for rate, loss in zip(rates, found, strict=True):
        optimizer, weights = _turned(rate), start
        for _ in range(5):
            gradient = jax.grad(_eigenvalue)(weights, None, None)
            weights = optax.apply_updates(weights, optimizer.update(gradient, ())[0])
        assert loss == pytest.approx(float(_eigenvalue(weights, None, None)), rel=1e-4)


# As many devices as the machine has cores, and matrices so large that jaxlib 0.10.2 gives them to its threads: on two
# devices the first three waited for ever.
OWN = """
import jax, jax.numpy as jnp, optax
import lrbench as lb

def top(m):
    return jnp.linalg.eigh(m + m.T)[0][-1]

def turned(learning_rate, *, share: float = 0.1):
    def one(g):
        u, _, v = jnp.linalg.svd(g, full_matrices=False)
        return -learning_rate * (g + share * u @ v)
    return optax.GradientTransformation(lambda p: (), lambda g, s, p=None: (jax.tree.map(one, g), s))

def problem(n, extra):
    start = lambda key: {k: jax.random.normal(key, (n, n)) + k / 9 for k in range(6)}
    loss = lambda w, batch, key: sum(jnp.sum(m * m) + extra(m) for m in w.values())
    return lb.problem(name="mine", init=start, loss=loss)

def sweep(problem, optimizer="sgd"):
    lb.sweep(problem, optimizers=optimizer, learning_rates=lb.logspace(1e-4, 1e-2, 32), seeds=1, steps=20)
"""
HANG = {
    "sharpness and stability": """
import lrbench as lb
study = {"name": "x", "steps": 2, "evaluate_every": 2, "seeds": 1, "problem": "chebyshev_mlp", "optimizer": "sgd",
         "learning_rate": {"min": 0.01, "max": 0.1, "num": 16}, "probes": ["sharpness", "stability"]}
lb.run(study, report=False)
""",
    "eigh in a loss": OWN + "sweep(problem(24, top))",
    "svd in an optimizer": OWN + "sweep(problem(24, jnp.sum), lb.Optimizer(turned))",
    "galore": "import lrbench as lb; lb.sweep('digits_mlp', optimizers='galore', learning_rates=lb.logspace(1e-3, 0.1, 32), seeds=1, steps=4)",
}


def _on_all_cores(code: str, tmp_path: Path, seconds: float) -> None:
    """Run code in a process with JAX as a user has it; one that does not end is killed, and fails the test."""
    ours = ("JAX_NUM_CPU_DEVICES", "JAX_DISABLE_MOST_OPTIMIZATIONS", "XLA_FLAGS")
    environment = {name: value for name, value in os.environ.items() if name not in ours}
    environment |= {"PYTHONPATH": str(ROOT), "JAX_PLATFORMS": "cpu"}
    command = [sys.executable, "-c", code]
    done = subprocess.run(
        command, cwd=tmp_path, env=environment, timeout=seconds, check=False, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.slow
@pytest.mark.timeout(320)
@pytest.mark.parametrize("name", HANG)
def test_decompositions_come_to_an_end(name: str, tmp_path: Path) -> None:
    _on_all_cores(HANG[name], tmp_path, 300)


def test_a_call_that_takes_far_too_long_is_told_of_while_it_runs(
    table: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Once a pack, with what was timed and what can be done."""
    monkeypatch.setattr(watchdog, "LEAST_SECONDS", 0.06)
    study = read(table)
    grid = of_study(study)
    (pack,) = grid.packs([100])
    told = threading.Event()
    said: list[str] = []

    def say(text: str) -> None:
        said.append(text)
        told.set()

    update = LaneBatch.update_diverged
    held: list[bool] = []

    def stuck(self: LaneBatch) -> None:
        held.append(told.wait(20))
        update(self)

    engine = Engine(study, grid, 2, say)
    monkeypatch.setattr(engine.tuner, "pace", lambda program: 1e-9)
    monkeypatch.setattr(LaneBatch, "update_diverged", stuck)
    engine.run(pack, 100)
    assert all(held)
    (line,) = said
    assert re.fullmatch(
        rf"sgd on quadratic \(pack {pack.pack_id}\): evaluating at step 0 has taken \d+ s so far; it was timed at [\d.e-]+ s; "
        r"if it does not end, interrupt it \(Ctrl-C\): completed packs are saved, and the same command with --devices 1 continues",
        line,
    )
    assert not [thread for thread in threading.enumerate() if thread.name == "watchdog"]


@pytest.mark.parametrize(("timed", "lines"), [(0.0, 1), (0.001, 1), (1.0, 0)])
def test_a_call_is_late_after_ten_times_what_it_was_timed_at(
    timed: float, lines: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watchdog, "LEAST_SECONDS", 0.06)
    said: list[str] = []
    watched = watchdog.Watchdog(said.append, "stop it")
    with watched.pack("mine"), watched.call("training", timed):
        time.sleep(0.3)
    assert len(said) == lines
    with watched.pack("mine"):
        for _ in range(30):
            with watched.call("training", 0.0):
                time.sleep(0.005)
    assert len(said) == lines
