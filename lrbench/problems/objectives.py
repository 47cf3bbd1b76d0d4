"""Objectives with a known optimum, some with a known stability threshold."""

from __future__ import annotations

from typing import Literal

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from lrbench.datasets import deepobs
from lrbench.datasets.data import Data
from lrbench.errors import ProblemError
from lrbench.nets.layers import Params, positive
from lrbench.problems._problem import Batch, Problem
from lrbench.study.catalog import history


def quadratic(*, dimension: int = 10, mu: float = 0.1, lam: float = 1.0) -> Problem:
    """Convex quadratic with a given spectrum, for which the largest stable rate is known.

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
        # Computed inside the trace, so that it has the precision of the study.
        spectrum = jnp.geomspace(mu, lam, dimension) if dimension > 1 else jnp.array([lam])
        return 0.5 * jnp.sum(spectrum * jnp.square(params))

    return Problem("quadratic", init, loss, optimum=0.0)


def parabola(
    *, start: tuple[float, ...] = (-1.0, 10.0, 1.0), target: tuple[float, ...] = (1.0, -1.0, 1.0)
) -> Problem:
    """Sum of squared distances from a point: the easiest objective, on which every working method converges.

    Formula: loss = Σᵢ (wᵢ − tᵢ)²;  minimum 0 at w = t;  all runs start at the same point

    Args:
        start: w initially.
        target: t, the minimum, with as many coordinates.

    Source: the convergence tests of optax, optax/_src/alias_test.py, whose start and target are the defaults.
    """
    if not len(start) == len(target) > 0:
        raise ProblemError(
            f"start = {list(start)}, target = {list(target)}: must have equally many coordinates, 1 or more"
        )

    def init(key: Array) -> Params:
        del key
        return jnp.array(start)

    def loss(params: Params, batch: Batch, key: Array) -> Array:
        del batch, key
        return jnp.sum(jnp.square(params - jnp.array(target, params.dtype)))

    return Problem("parabola", init, loss, optimum=0.0)


@history(added=("draw",))
def quadratic_deep(
    *,
    dimension: int = 100,
    noise: float = 0.6,
    batch_size: int = 128,
    draw: Literal["centred", "deepobs"] = "centred",
) -> Problem:
    """Noisy quadratic with the spectrum of a deep network: most directions flat, a few steep.

    Formula: loss = mean ½ (w − x)ᵀ Q (w − x), x one of 1,000 examples ~ N(0, noise²) of mean 0;  Q is a rotation of a
        spectrum with 90 % of its values in (0, 1) and 10 % in (30, 60);  w = (1, …, 1) initially;  minimum at w = 0

    Args:
        dimension: number of coordinates.
        noise: standard deviation of the examples, which makes gradients noisy.
        batch_size: examples in a minibatch; 0 means all of them.
        draw: "centred", whose examples have the mean 0; or "deepobs", the very spectrum, rotation and examples of DeepOBS, with its 896 test
            examples as validation data. Its examples have the order of the published runs: `order = "given"` trains those.

    Source: Schneider, Balles & Hennig, DeepOBS, ICLR 2019; spectrum: Chaudhari et al., arXiv:1611.01838.
    """
    positive(dimension=dimension)
    if noise < 0:
        raise ProblemError(f"noise = {noise}: must be 0 or more")
    if draw == "deepobs":
        if (dimension, noise) != (deepobs.DIMENSION, deepobs.NOISE):
            raise ProblemError(
                f'dimension = {dimension}, noise = {noise}: must be {deepobs.DIMENSION} and {deepobs.NOISE} with draw = "deepobs"'
            )
        return _quadratic_deep(deepobs.curvature(), Data(*deepobs.examples()), batch_size)
    generator = np.random.Generator(np.random.PCG64(42))
    steep = dimension // 10
    spectrum = np.append(generator.uniform(0, 1, dimension - steep), generator.uniform(30, 60, steep))
    rotation, _ = np.linalg.qr(generator.normal(size=(dimension, dimension)))
    curvature = (rotation * spectrum) @ rotation.T
    examples = noise * generator.normal(size=(1000, dimension))
    examples -= examples.mean(axis=0)
    return _quadratic_deep(curvature, Data(examples), batch_size)


def _quadratic_deep(curvature: np.ndarray, data: Data, batch_size: int) -> Problem:
    """Return the noisy quadratic of a curvature [coordinate, coordinate] and examples [example, coordinate]."""
    centred = data.train - data.train.mean(axis=0, dtype=np.float64)
    optimum = 0.5 * float(np.mean(np.sum(centred @ curvature * centred, axis=1)))

    def init(key: Array) -> Params:
        del key
        return jnp.ones((len(curvature), 1))

    def loss(params: Params, batch: Batch, key: Array) -> Array:
        del key
        apart = params - batch.T
        return 0.5 * jnp.sum(apart * (jnp.asarray(curvature, params.dtype) @ apart)) / batch.shape[0]

    return Problem("quadratic_deep", init, loss, data, batch_size=batch_size or None, optimum=optimum)


def deep_linear(*, width: int = 16, depth: int = 4, gain: float = 1.0) -> Problem:
    """Deep linear network: a product of matrices fitted to a target matrix; linear in its inputs, but not in its weights.

    Formula: loss = ‖W_L ⋯ W₂ W₁ − A‖² / width, the Frobenius norm;  A = QᵀSP with singular values from 1 to 0.1;
        W ~ N(0, gain / width);  minimum 0

    Args:
        width: rows and columns of every matrix.
        depth: L, number of matrices.
        gain: scale of the initial weights; 1 preserves the norm of inputs.

    Source: Saxe, McClelland & Ganguli, arXiv:1312.6120.
    """
    positive(width=width, depth=depth)
    generator = np.random.Generator(np.random.PCG64(0))
    left, right = (np.linalg.qr(generator.normal(size=(width, width)))[0] for _ in range(2))
    target = (left * np.geomspace(1, 0.1, width)) @ right

    def init(key: Array) -> Params:
        return list(jax.random.normal(key, (depth, width, width)) * jnp.sqrt(gain / width))

    def loss(params: Params, batch: Batch, key: Array) -> Array:
        del batch, key
        product = params[0]
        for matrix in params[1:]:
            product = matrix @ product
        return jnp.sum(jnp.square(product - jnp.asarray(target, product.dtype))) / width

    return Problem("deep_linear", init, loss, optimum=0.0)


def matrix_factorization(*, rows: int = 32, columns: int = 24, rank: int = 4, true_rank: int = 8) -> Problem:
    """Factorise a matrix into two thin ones: not convex, yet without a bad local minimum.

    Formula: loss = ‖U Vᵀ − M‖² / (rows · columns), the Frobenius norm;  M of rank r* with singular values
        √(rows · columns) · (1, ½, ¼, …);  minimum Σ_{i > rank} ½^{2(i−1)}, by Eckart and Young

    Args:
        rows: rows of M and U.
        columns: columns of M, rows of V.
        rank: columns of U and V.
        true_rank: r*, the rank of M; if it is at most `rank`, the minimum is 0.

    Source: Eckart & Young, Psychometrika 1 (1936); Koren, Bell & Volinsky, Computer 42 (2009).
    """
    positive(rows=rows, columns=columns, rank=rank, true_rank=true_rank)
    if max(rank, true_rank) > min(rows, columns):
        raise ProblemError(
            f"rank = {rank}, true_rank = {true_rank}: must be at most the smaller of rows = {rows} and columns = {columns}"
        )
    generator = np.random.Generator(np.random.PCG64(0))
    left, right = (np.linalg.qr(generator.normal(size=(n, true_rank)))[0] for n in (rows, columns))
    values = 0.5 ** np.arange(true_rank)
    matrix = np.sqrt(rows * columns) * (left * values) @ right.T

    def init(key: Array) -> Params:
        left, right = jax.random.split(key)
        scale = rank**-0.25  # so that a product's entries have the size of M's
        return {
            "u": scale * jax.random.normal(left, (rows, rank)),
            "v": scale * jax.random.normal(right, (columns, rank)),
        }

    def loss(params: Params, batch: Batch, key: Array) -> Array:
        del batch, key
        product = params["u"] @ params["v"].T
        return jnp.mean(jnp.square(product - jnp.asarray(matrix, product.dtype)))

    optimum = float(np.sum(np.square(values[rank:])))
    return Problem("matrix_factorization", init, loss, optimum=optimum)
