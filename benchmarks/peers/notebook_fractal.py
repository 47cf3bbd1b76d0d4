"""The fractal experiment as its published notebook runs it: one vmapped step, called from a Python loop.

The net is 16-16-1 with tanh and no biases, h = tanh(√2 · xW₀/√16), y = (hW₁/√16)/√16, on 272 standard normal
examples, mean squared error, full-batch gradient descent with one rate for each layer, every lane from the
same weights (Sohl-Dickstein, arXiv:2402.06184). Here in float32 on one device, because what P5 compares is
the way of running it: 4,096 lanes that leave the cache and come back at every step. The cost of a step is
constant, so few steps do.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks.peers import common

WIDTH = 16
EXAMPLES = 272
LOG_RATES = (-3.0, 6.0)
"""The opening view of the paper's picture: both axes, log10."""


class Weights(NamedTuple):
    """Both layers, 272 numbers."""

    hidden: jax.Array
    """[16, 16]"""
    output: jax.Array
    """[16, 1]"""


def notebook_fractal(lanes: int = 4096, steps: int = 20, repeats: int = 3) -> common.Timing:
    """Gradient descent on a square grid of `lanes` pairs of rates, one call of the vmapped step at a time."""
    common.start_jax_on_cpu()
    side = math.isqrt(lanes)
    if side * side != lanes:
        raise ValueError(f"lanes is {lanes}; it must be a square number: the two rates span a grid")
    rates = jnp.asarray(np.logspace(*LOG_RATES, side), jnp.float32)
    hidden_rates, output_rates = (axis.ravel() for axis in jnp.meshgrid(rates, rates))
    inputs, targets, weights = _experiment(jax.random.key(0))
    stacked = jax.tree.map(lambda leaf: jnp.broadcast_to(leaf, (lanes, *leaf.shape)), weights)
    step = jax.jit(jax.vmap(_step, in_axes=(0, 0, 0, None, None)))

    def call() -> list[jax.Array]:
        current = stacked
        losses: list[jax.Array] = []
        for _ in range(steps):
            current, loss = step(current, hidden_rates, output_rates, inputs, targets)
            losses.append(loss)
        jax.block_until_ready((current, losses))
        return losses

    seconds, losses = common.measure(call, repeats)
    return common.Timing(
        seconds=common.median(seconds),
        final_losses=tuple(np.asarray(losses[-1]).tolist()),
        initial_loss=float(losses[0][0]),
        model_steps=lanes * steps,
        threads=common.cores(),
        all_seconds=seconds,
        detail={"devices": 1, "lanes": lanes, "precision": "float32"},
    )


def _experiment(key: jax.Array) -> tuple[jax.Array, jax.Array, Weights]:
    keys = jax.random.split(key, 4)
    inputs = jax.random.normal(keys[0], (EXAMPLES, WIDTH))
    targets = jax.random.normal(keys[1], (EXAMPLES, 1))
    weights = Weights(jax.random.normal(keys[2], (WIDTH, WIDTH)), jax.random.normal(keys[3], (WIDTH, 1)))
    return inputs, targets, weights


def _loss(weights: Weights, inputs: jax.Array, targets: jax.Array) -> jax.Array:
    hidden = jnp.tanh(math.sqrt(2 / WIDTH) * (inputs @ weights.hidden))
    return jnp.mean((hidden @ weights.output / WIDTH - targets) ** 2)


def _step(
    weights: Weights, hidden_rate: jax.Array, output_rate: jax.Array, inputs: jax.Array, targets: jax.Array
) -> tuple[Weights, jax.Array]:
    loss, gradients = jax.value_and_grad(_loss)(weights, inputs, targets)
    updated = Weights(
        weights.hidden - hidden_rate * gradients.hidden, weights.output - output_rate * gradients.output
    )
    return updated, loss


if __name__ == "__main__":
    common.main(notebook_fractal, "jax", "jaxlib", "numpy")
