"""A bowl whose gradient is random: noise of several kinds, flipped signs, coordinates that are seldom seen.

The bowl is ½ Σ λᵢ wᵢ² of ten coordinates, λ log-spaced in [0.1, 1], and losses are its own, without noise. Runs start from N(0, 1).
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from lrbench.errors import ProblemError
from lrbench.problems._faults import DIMENSION, faulty_bowl, not_negative, share
from lrbench.problems._problem import Problem


def additive_noise(*, scale: float = 0.3) -> Problem:
    """Normal noise on every gradient of a bowl: with a constant rate, the final loss is proportional to the rate.

    Formula: loss = ½ Σ λᵢ wᵢ²;  the optimizer sees λᵢ wᵢ + σ εᵢ, ε ~ N(0, 1);  minimum 0.  Gradient descent at a small rate η
        ends near η σ² n / 4, n = 10

    Args:
        scale: σ, the standard deviation of the noise.

    Source: Robbins & Monro, A stochastic approximation method, Ann. Math. Statist. 22 (1951).
    """
    not_negative(scale=scale)
    return faulty_bowl(
        "additive_noise", lambda gradient, key: gradient + scale * jax.random.normal(key, gradient.shape)
    )


def multiplicative_noise(*, scale: float = 3.0) -> Problem:
    """Noise proportional to the gradient of a bowl: it vanishes at the minimum, but lowers the largest stable rate.

    Formula: loss = ½ Σ λᵢ wᵢ²;  the optimizer sees λᵢ wᵢ (1 + σ εᵢ), ε ~ N(0, 1);  minimum 0.  Gradient descent converges in
        mean square iff η < 2 / (1 + σ²)

    Args:
        scale: σ, the standard deviation of the noise, divided by the gradient.

    Source: Ma, Bassily & Belkin, The power of interpolation, arXiv:1712.06559.
    """
    not_negative(scale=scale)
    return faulty_bowl(
        "multiplicative_noise",
        lambda gradient, key: gradient * (1 + scale * jax.random.normal(key, gradient.shape)),
    )


def heavy_tailed_noise(*, scale: float = 0.05, tail: float = 1.5) -> Problem:
    """Noise of infinite variance on every gradient of a bowl, as from rare extreme examples.

    Formula: loss = ½ Σ λᵢ wᵢ²;  the optimizer sees λᵢ wᵢ + σ sᵢ (uᵢ^(−1/α) − 1), s = ±1, u ~ U(0, 1): symmetric Pareto noise, whose
        variance is infinite for α ≤ 2;  minimum 0

    Args:
        scale: σ, the scale of the noise.
        tail: α, above 1, so that the noise has a mean.

    Source: Zhang et al., Why are adaptive methods good for attention models?, arXiv:1912.03194.
    """
    not_negative(scale=scale)
    if tail <= 1:
        raise ProblemError(f"tail = {tail}: must be above 1")

    def fault(gradient: Array, key: Array) -> Array:
        side, size = jax.random.split(key)
        smallest = np.finfo(gradient.dtype).tiny
        chance = jax.random.uniform(size, gradient.shape, minval=smallest, maxval=1.0)
        signs = jax.random.rademacher(side, gradient.shape, gradient.dtype)
        return gradient + scale * signs * (chance ** (-1 / tail) - 1)

    return faulty_bowl("heavy_tailed_noise", fault)


def flipped_gradients(*, probability: float = 0.35) -> Problem:
    """A bowl whose gradient points the wrong way at random steps.

    Formula: loss = ½ Σ λᵢ wᵢ²;  the optimizer sees the gradient, or with probability p its negative;  minimum 0

    Args:
        probability: p, from 0 to 1; from ½ on, the gradient misleads more often than not.

    Source: Blanchard et al., Machine learning with adversaries: Byzantine tolerant gradient descent, arXiv:1703.02757.
    """
    share(probability=probability)
    return faulty_bowl(
        "flipped_gradients",
        lambda gradient, key: jnp.where(jax.random.bernoulli(key, probability), -gradient, gradient),
    )


def sparse_gradients(*, rarest: float = 0.02) -> Problem:
    """A bowl whose coordinates get gradients with different frequencies, as embeddings of rare and common words do.

    Formula: loss = ½ Σ λᵢ wᵢ²;  the optimizer sees λᵢ wᵢ with probability pᵢ, else 0;  p log-spaced from `rarest`, of the flattest
        coordinate, to 1;  minimum 0

    Args:
        rarest: the probability with which the flattest coordinate is seen.

    Source: Duchi, Hazan & Singer, Adaptive subgradient methods, JMLR 12 (2011).
    """
    share(rarest=rarest)
    if rarest == 0:
        raise ProblemError("rarest = 0: must be above 0, or the coordinate is never seen")

    def fault(gradient: Array, key: Array) -> Array:
        seen = jax.random.bernoulli(key, jnp.geomspace(rarest, 1.0, DIMENSION))
        return jnp.where(seen, gradient, 0)

    return faulty_bowl("sparse_gradients", fault)
