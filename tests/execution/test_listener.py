"""What a call from Python shows of a study: warnings, by Python's logging, and nothing else."""

from __future__ import annotations

import logging
from typing import Any

import jax
import jax.numpy as jnp
import pytest

import lrbench as lb


def _eigenvalue(weights: Any, batch: Any, key: Any) -> jax.Array:
    """The largest eigenvalue of each of two matrices, which XLA on a CPU decomposes by LAPACK."""
    top = jax.vmap(lambda m: jnp.linalg.eigh(m + m.T)[0][-1])(weights)
    return jnp.sum(jnp.square(weights)) + jnp.sum(top) / 10


def test_a_sweep_from_python_warns_of_decompositions(caplog: pytest.LogCaptureFixture) -> None:
    problem = lb.problem(
        name="eigenvalue", init=lambda key: jnp.ones((2, 3, 3)) + 0.1 * jnp.eye(3)[None], loss=_eigenvalue
    )
    lb.sweep(problem, optimizers="sgd", learning_rates=[0.01, 0.1], seeds=1, steps=2)
    (record,) = caplog.records
    assert (record.name, record.levelno) == ("lrbench", logging.WARNING)
    assert record.getMessage().startswith("eigh: computed for one matrix after another")


def test_a_sweep_from_python_is_silent(capfd: pytest.CaptureFixture[str]) -> None:
    lb.sweep("quadratic", optimizers="sgd", learning_rates=[0.1], seeds=1, steps=2)
    assert capfd.readouterr() == ("", "")
