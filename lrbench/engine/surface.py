"""The loss surface of an objective of two coordinates, for plots."""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from lrbench.engine import decompositions, seeds
from lrbench.problems import Problem

POINTS = 81
"""Points along each coordinate."""


class Surface(NamedTuple):
    """Losses over a rectangle of the two coordinates."""

    first: Float[np.ndarray, " column"]
    second: Float[np.ndarray, " row"]
    loss: Float[np.ndarray, "row column"]


def surface(problem: Problem) -> Surface:
    """Return the loss of a problem with a box at evenly spaced points of the box, on all of its data."""
    assert problem.box is not None
    first, second = (np.linspace(low, high, POINTS) for low, high in problem.box)
    key = seeds.key(seeds.noise([0])[0])
    data = jax.tree.map(jnp.asarray, problem.data.train)
    params, state = problem.split(problem.init(key))
    flat, structure = jax.tree.flatten(params)
    shape = flat[0].shape

    def loss(point: jax.Array) -> jax.Array:
        at = jax.tree.unflatten(structure, [point.reshape(shape)])
        return problem.evaluation_loss(at, state, data, key)

    points = jnp.asarray(np.stack(np.meshgrid(first, second), axis=-1).reshape(-1, 2), flat[0].dtype)
    platform = jax.default_backend()
    each, _ = decompositions.compile_program(jax.vmap(loss), points, platform=platform)
    found = each(points)
    return Surface(first, second, np.asarray(found, np.float64).reshape(POINTS, POINTS))
