"""The largest eigenvalue of a symmetric operator, by Lanczos iterations."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.flatten_util import ravel_pytree
from jax.scipy.linalg import eigh_tridiagonal
from jaxtyping import Array, Float, PyTree

ITERATIONS = 24
"""Enough for four digits of a network's largest eigenvalue, which is well separated from the others."""


def largest(
    apply: Callable[[PyTree[Array]], PyTree[Array]], like: PyTree[Array], iterations: int = ITERATIONS
) -> Float[Array, ""]:
    """Return the largest eigenvalue of a symmetric linear operator, from below; NaN if it is not finite.

    The vectors are neither stored nor reorthogonalised: rounding then repeats eigenvalues that were found already, and does
    not change the largest (Paige, 1972). So memory does not grow with the iterations.

    Args:
        apply: the operator, from and to pytrees like `like`.
        like: a pytree with the shapes and types of the operator's arguments.
        iterations: how often the operator is applied.

    Example:
        >>> float(largest(lambda v: jnp.array([1.0, 3.0, -5.0]) * v, jnp.ones(3)))
        3.0

    Source: Lanczos, Journal of Research of the National Bureau of Standards 45 (1950).
    """
    flat, unravel = ravel_pytree(like)
    # The same start for all runs and evaluations, so that curves are comparable.
    start = jax.random.normal(jax.random.key(0, impl="threefry2x32"), flat.shape, flat.dtype)
    tiny = 8 * float(np.finfo(flat.dtype).eps)
    zero = jnp.zeros((), flat.dtype)

    def iterate(carry: Any, _: None) -> Any:
        vector, before, length, scale, first, alive = carry
        product = ravel_pytree(apply(unravel(vector)))[0]
        diagonal = jnp.sum(vector * product)
        rest = product - diagonal * vector - length * before
        after = jnp.sqrt(jnp.sum(jnp.square(rest)))
        first = jnp.where(scale < 0, diagonal, first)
        scale = jnp.maximum(scale, jnp.abs(diagonal) + after)
        # Once all directions are exhausted, the rest of the matrix repeats a value between the eigenvalues.
        row = jnp.where(alive, diagonal, first)
        alive = alive & (after > tiny * scale)
        after = jnp.where(alive, after, 0)
        following = jnp.where(alive, rest / jnp.where(alive, after, 1), 0)
        return (following, vector, after, scale, first, alive), (row, after)

    unit = start / jnp.sqrt(jnp.sum(jnp.square(start)))
    begin = unit, jnp.zeros_like(unit), zero, zero - 1, zero, jnp.bool_(True)
    _, (rows, beside) = lax.scan(iterate, begin, None, iterations)
    finite = jnp.isfinite(rows).all() & jnp.isfinite(beside).all()
    last = iterations - 1, iterations - 1
    # By bisection, in XLA itself: LAPACK's solvers of a batch of matrices share a pool of threads with the program that
    # calls them, and may deadlock.
    found = eigh_tridiagonal(
        jnp.where(finite, rows, 0),
        jnp.where(finite, beside[:-1], 0),
        eigvals_only=True,
        select="i",
        select_range=last,
    )
    return jnp.where(finite, found[0], jnp.nan)
