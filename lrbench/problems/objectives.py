"""Objectives without data, whose optimum and thresholds are known."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jaxtyping import Array

from lrbench.errors import ProblemError
from lrbench.problems._problem import Batch, Params, Problem


def quadratic(*, dimension: int = 10, mu: float = 0.1, lam: float = 1.0) -> Problem:
    """Convex quadratic with a given spectrum, on which the largest stable rate is known.

    Formula: loss = ½ Σ λᵢ wᵢ², λ log-spaced in [μ, λ]. Gradient descent converges iff η < 2/λ; heavy ball with
        momentum β iff η < 2(1+β)/λ; Nesterov iff η < 2(1+β)/(λ(1+2β)).

    Args:
        dimension: number of coordinates.
        mu: smallest curvature μ.
        lam: largest curvature λ.

    Source: Nesterov, Introductory Lectures on Convex Optimization (2004); Polyak (1964).
    """
    if dimension < 1:
        raise ProblemError(f"dimension = {dimension}: must be 1 or more")
    if not 0 < mu <= lam:
        raise ProblemError(f"mu = {mu}, lam = {lam}: curvatures must be positive, and mu at most lam")

    def init(key: Array) -> Params:
        return jax.random.normal(key, (dimension,))

    def loss(params: Params, batch: Batch, key: Array) -> Array:
        del batch, key
        # Made inside the trace, so that it has the precision of the study.
        spectrum = jnp.geomspace(mu, lam, dimension) if dimension > 1 else jnp.array([lam])
        return 0.5 * jnp.sum(spectrum * jnp.square(params))

    return Problem("quadratic", init, loss, optimum=0.0)
