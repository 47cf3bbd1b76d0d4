"""A small network whose boundary between convergence and divergence is a fractal."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Literal

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from lrbench.datasets.data import Data
from lrbench.errors import ProblemError
from lrbench.nets.layers import Params
from lrbench.problems._constants import constant_square
from lrbench.problems._problem import Batch, Problem
from lrbench.study.catalog import history

_ACTIVATIONS: dict[str, tuple[Callable[[Array], Array], float]] = {
    "tanh": (jnp.tanh, math.sqrt(2)),
    "relu": (jax.nn.relu, math.sqrt(2)),
    "identity": (lambda x: x, 1.0),
}
"""Each activation, and the gain of what it is applied to."""


@history(revision=2)
def fractal(
    *,
    activation: Literal["tanh", "relu", "identity"] = "tanh",
    width: int = 16,
    samples: int = 272,
    scale: float = 1.0,
    batch_size: int = 0,
) -> Problem:
    """Two layers without biases on random data; each layer may have its own learning rate.

    Formula: h = φ(a · x·W₀ / √n);  ŷ = (h·W₁ / √n) / √n;  loss = mean (ŷ − y)²;  x, y, W ~ N(0, 1), W times `scale`

    The rates are named `hidden` (W₀) and `output` (W₁): `[learning_rate.output]` sets the second one as an axis of its own.

    Args:
        activation: φ; a is √2 for tanh and relu, and 1 for identity.
        width: n, inputs and hidden units.
        samples: examples; the published figures use as many as there are parameters, or 16, or 1.
        scale: factor of the initial weights.
        batch_size: examples in a minibatch; 0 means all of them.

    Source: Sohl-Dickstein, The boundary of neural network trainability is fractal, arXiv:2402.06184.
    """
    if min(width, samples) < 1:
        raise ProblemError(f"width = {width}, samples = {samples}: both must be 1 or more")
    generator = np.random.Generator(np.random.PCG64(0))
    inputs, targets = generator.normal(size=(samples, width)), generator.normal(size=samples)
    (phi, gain), root = _ACTIVATIONS[activation], math.sqrt(width)

    def init(key: Array) -> Params:
        hidden, output = jax.random.split(key)
        return {
            "hidden": scale * jax.random.normal(hidden, (width, width)),
            "output": scale * jax.random.normal(output, (width,)),
        }

    def loss(params: Params, batch: Batch, key: Array) -> Array:
        del key
        x, y = batch
        # Weights are [output, input] and activations [feature, example], as in _models.dense_stack.
        hidden = phi(gain / root * (params["hidden"] @ x.T))
        return jnp.mean(jnp.square(params["output"] @ hidden / width - y))

    return Problem(
        "fractal",
        init,
        loss,
        Data((inputs, targets)),
        batch_size=batch_size or None,
        rates={"hidden": "hidden", "output": "output"},
        constant_loss=constant_square(targets, targets),
    )
