"""Landscapes that each make one thing hard: a saddle, a plateau, a cliff, a badly conditioned valley.

All are deterministic and have minimum 0, so that a run solves one whose loss is at most 0.01, say, and stays there.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from lrbench.errors import ProblemError
from lrbench.nets.layers import Params, positive
from lrbench.problems._problem import Batch, Problem

_WALL = 0.01
"""The width of the cliff's wall."""


def saddle(*, offset: float = 1e-3) -> Problem:
    """A saddle between two minima, approached along its ridge: the gradient vanishes there, and progress stops.

    Formula: loss = ½ w₁² + ¼ (w₂² − 1)²;  saddle ¼ at (0, 0), minima 0 at (0, ±1);
        start w₁ from U(−1.5, 1.5), w₂ from U(−offset, offset)

    Args:
        offset: how far from the ridge w₂ = 0 runs start at most; on the ridge itself the gradient leads into the saddle.

    Source: Dauphin et al., Identifying and attacking the saddle point problem, arXiv:1406.2572.
    """
    if not 0 <= offset <= 1:
        raise ProblemError(f"offset = {offset}: must be from 0 to 1")

    def init(key: Array) -> Params:
        return jax.random.uniform(key, (2,), minval=-1.0) * jnp.array([1.5, offset])

    def loss(params: Params, batch: Batch, key: Array) -> Array:
        del batch, key
        return 0.5 * jnp.square(params[0]) + 0.25 * jnp.square(jnp.square(params[1]) - 1)

    return Problem("saddle", init, loss, optimum=0.0, box=((-1.6, 1.6), (-1.6, 1.6)))


def monkey_saddle(*, offset: float = 1e-3) -> Problem:
    """A saddle whose curvature vanishes too: three valleys lead down from it, but second-order methods see none of them.

    Formula: loss = x³ − 3xy² + (x² + y²)² + 27/256;  a saddle of curvature 0 at the origin, minima 0 at distance ¾ in
        the directions of 60°, 180° and 300°;  start x from U(0.5, 1), y from U(−offset, offset)

    Args:
        offset: how far from the ridge y = 0 runs start at most.

    Source: Anandkumar & Ge, Efficient approaches for escaping higher order saddle points, arXiv:1602.05908.
    """
    if not 0 <= offset <= 1:
        raise ProblemError(f"offset = {offset}: must be from 0 to 1")

    def init(key: Array) -> Params:
        low = jnp.array([0.5, -offset])
        return jax.random.uniform(key, (2,), minval=low, maxval=jnp.array([1.0, offset]))

    def loss(params: Params, batch: Batch, key: Array) -> Array:
        del batch, key
        x, y = params[0], params[1]
        return x**3 - 3 * x * y**2 + jnp.square(x**2 + y**2) + 27 / 256

    return Problem("monkey_saddle", init, loss, optimum=0.0, box=((-1.2, 1.2), (-1.2, 1.2)))


def plateau(*, distance: float = 4.0) -> Problem:
    """A bowl in a plain on which the gradient almost vanishes; runs start on the plain.

    Formula: loss = 1 − exp(−‖w‖² / 2) of two coordinates;  minimum 0 at the origin;  start ±distance in each
        coordinate, plus U(−0.25, 0.25); at distance 4 the gradient is about 4e-7

    Args:
        distance: of the start from the minimum, in each coordinate.

    Source: Hochreiter, The vanishing gradient problem, Int. J. of Uncertainty 6 (1998).
    """
    if distance <= 0:
        raise ProblemError(f"distance = {distance}: must be positive")

    def init(key: Array) -> Params:
        side, place = jax.random.split(key)
        return distance * jax.random.rademacher(side, (2,)) + jax.random.uniform(
            place, (2,), minval=-0.25, maxval=0.25
        )

    def loss(params: Params, batch: Batch, key: Array) -> Array:
        del batch, key
        return 1 - jnp.exp(-0.5 * jnp.sum(jnp.square(params)))  # the slope of expm1 has not the precision

    side = distance + 0.5
    return Problem("plateau", init, loss, optimum=0.0, box=((-side, side), (-side, side)))


def cliff(*, height: float = 10.0) -> Problem:
    """A gentle slope that ends at a steep wall, with the minimum below: the gradient of the wall throws runs far away.

    Formula: loss = ½ height (1 + tanh(x / 0.01)) + 0.05 (x + 2)² + ½ y²;  minimum 0 at (−2, 0);
        start x from U(0.5, 1.5), y from U(−1, 1); the gradient is 0.4 at most on the slope, 50 · height in the wall

    Args:
        height: of the wall.

    Source: Pascanu, Mikolov & Bengio, On the difficulty of training recurrent neural networks, arXiv:1211.5063.
    """
    if height < 0:
        raise ProblemError(f"height = {height}: must be 0 or more")

    def init(key: Array) -> Params:
        return jax.random.uniform(key, (2,), minval=jnp.array([0.5, -1.0]), maxval=jnp.array([1.5, 1.0]))

    def loss(params: Params, batch: Batch, key: Array) -> Array:
        del batch, key
        x, y = params[0], params[1]
        return height * jax.nn.sigmoid(2 * x / _WALL) + 0.05 * jnp.square(x + 2) + 0.5 * jnp.square(y)

    return Problem("cliff", init, loss, optimum=0.0, box=((-4.0, 2.0), (-2.0, 2.0)))


def ill_conditioned(*, condition: float = 1e6, dimension: int = 10, rotated: bool = False) -> Problem:
    """Convex quadratic in which all directions, however flat, contribute equally to the initial loss: the cost of conditioning alone.

    Formula: loss = ½ Σ λᵢ vᵢ², v = Q w, λ log-spaced in [1/√κ, √κ];  minimum 0;  start vᵢ = ±nᵢ / √λᵢ, nᵢ from
        U(0.5, 1.5).  Gradient descent needs a rate below 2/√κ, and about κ/4 · log(ℓ₀/ℓ) steps

    Args:
        condition: κ, the largest curvature by the smallest.
        dimension: number of coordinates.
        rotated: whether Q is a random rotation, the same for all runs, which no rate per coordinate can undo; otherwise it is
            the identity.

    Source: Nesterov, Introductory Lectures on Convex Optimization (2004).
    """
    positive(dimension=dimension)
    if condition < 1:
        raise ProblemError(f"condition = {condition}: must be 1 or more")
    spectrum = np.geomspace(condition**-0.5, condition**0.5, dimension)
    normal = np.random.Generator(np.random.PCG64(0)).normal(size=(dimension, dimension))
    rotation = np.linalg.qr(normal)[0] if rotated else np.eye(dimension)
    # Rows are scaled, so that a step computes no tiny difference of large numbers.
    scaled = np.sqrt(spectrum)[:, None] * rotation

    def init(key: Array) -> Params:
        side, place = jax.random.split(key)
        size = jax.random.uniform(place, (dimension,), minval=0.5, maxval=1.5)
        along = jax.random.rademacher(side, (dimension,)) * size / jnp.sqrt(jnp.asarray(spectrum, size.dtype))
        return jnp.asarray(rotation.T, size.dtype) @ along

    def loss(params: Params, batch: Batch, key: Array) -> Array:
        del batch, key
        return 0.5 * jnp.sum(jnp.square(jnp.asarray(scaled, params.dtype) @ params))

    return Problem("ill_conditioned", init, loss, optimum=0.0)


def rosenbrock_chain(*, dimension: int = 10) -> Problem:
    """Rosenbrock's valley in many dimensions: in its valley, each coordinate is the square of the one before.

    Formula: loss = Σᵢ 100 (wᵢ₊₁ − wᵢ²)² + (1 − wᵢ)²;  minimum 0 at (1, …, 1), and from four coordinates on a local one
        near (−1, 1, …, 1);  start in [−1, 1] in each coordinate

    Args:
        dimension: number of coordinates, 2 or more.

    Source: Shang & Qiu, A note on the extended Rosenbrock function, Evolutionary Computation 14 (2006).
    """
    if dimension < 2:
        raise ProblemError(f"dimension = {dimension}: must be 2 or more")

    def init(key: Array) -> Params:
        return jax.random.uniform(key, (dimension,), minval=-1.0)

    def loss(params: Params, batch: Batch, key: Array) -> Array:
        del batch, key
        first, second = params[:-1], params[1:]
        return jnp.sum(100 * jnp.square(second - jnp.square(first)) + jnp.square(1 - first))

    return Problem("rosenbrock_chain", init, loss, optimum=0.0)


def narrow_well(*, width: float = 0.05) -> Problem:
    """A wide bowl with a narrow well at its bottom: the rate that crosses the bowl is too large for the well.

    Formula: loss = ½ · 0.1 ‖w‖² + 1 − exp(−‖w‖² / 2s²) of two coordinates;  minimum 0 at the origin, of curvature
        0.1 + 1/s², 0.1 outside;  start in [−1.5, 1.5] in each coordinate

    Args:
        width: s, the width of the well.

    Source: Keskar et al., On large-batch training: generalization gap and sharp minima, arXiv:1609.04836.
    """
    if width <= 0:
        raise ProblemError(f"width = {width}: must be positive")

    def init(key: Array) -> Params:
        return jax.random.uniform(key, (2,), minval=-1.5, maxval=1.5)

    def loss(params: Params, batch: Batch, key: Array) -> Array:
        del batch, key
        square = jnp.sum(jnp.square(params))
        return 0.05 * square + 1 - jnp.exp(-0.5 * square / width**2)

    return Problem("narrow_well", init, loss, optimum=0.0, box=((-1.5, 1.5), (-1.5, 1.5)))


def absolute_value(*, dimension: int = 10) -> Problem:
    """A convex objective with a kink at its minimum: the gradient does not become small there.

    Formula: loss = Σᵢ |wᵢ| / n;  minimum 0 at the origin, gradient ±1/n until there;  start in [−1, 1] in each coordinate

    Args:
        dimension: n, number of coordinates.

    Source: Shor, Minimization Methods for Non-Differentiable Functions (1985).
    """
    positive(dimension=dimension)

    def init(key: Array) -> Params:
        return jax.random.uniform(key, (dimension,), minval=-1.0)

    def loss(params: Params, batch: Batch, key: Array) -> Array:
        del batch, key
        return jnp.mean(jnp.abs(params))

    return Problem("absolute_value", init, loss, optimum=0.0)


def deep_chain(*, depth: int = 10) -> Problem:
    """A product of scalars that should be 1, as in a deep network: gradients vanish at the start and explode beyond the solution.

    Formula: loss = (w₁ w₂ ⋯ w_L − 1)²;  minimum 0, of curvature 2L at (1, …, 1);  start in [0.4, 0.8] in each coordinate

    Args:
        depth: L, number of factors.

    Source: Shamir, Exponential convergence time of gradient descent for one-dimensional deep linear networks, arXiv:1809.08587.
    """
    positive(depth=depth)

    def init(key: Array) -> Params:
        return jax.random.uniform(key, (depth,), minval=0.4, maxval=0.8)

    def loss(params: Params, batch: Batch, key: Array) -> Array:
        del batch, key
        return jnp.square(jnp.prod(params) - 1)

    return Problem("deep_chain", init, loss, optimum=0.0)
