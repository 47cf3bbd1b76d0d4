"""Training without lrbench: a network in plain JAX and optax, as one would write it, one run at a time or under vmap.

This is what `lrbench speed` and the benchmarks compare with: a ReLU network of two layers, trained by an optimizer in one scan.
"""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp
import optax
from jax import lax
from jaxtyping import Array, Float, Int

Weights = dict[str, Array]
"""Matrices `w1` and `w2` as [input, output], biases `b1` and `b2`."""


def loss(
    weights: Weights, images: Float[Array, "example pixel"], labels: Int[Array, " example"]
) -> Float[Array, ""]:
    """Return the mean softmax cross-entropy of the network."""
    hidden = jax.nn.relu(images @ weights["w1"] + weights["b1"][None, :])
    logits = hidden @ weights["w2"] + weights["b2"][None, :]
    losses: Array = optax.softmax_cross_entropy_with_integer_labels(logits, labels)
    return losses.mean()


def train(
    rate: Float[Array, ""],
    weights: Weights,
    batches: Int[Array, "step example"],
    images: Float[Array, "example pixel"],
    labels: Int[Array, " example"],
    make: Callable[[Array], optax.GradientTransformation] = optax.adam,
) -> Weights:
    """Return the weights after one step of an optimizer for each row of `batches`, in one scan."""
    optimizer = optax.with_extra_args_support(make(rate))

    def step(
        carry: tuple[Weights, optax.OptState], batch: Array
    ) -> tuple[tuple[Weights, optax.OptState], None]:
        weights, state = carry
        gradients = jax.grad(loss)(weights, images[batch], labels[batch])
        updates, state = optimizer.update(gradients, state, weights)
        return (optax.apply_updates(weights, updates), state), None

    (weights, _), _ = lax.scan(step, (weights, optimizer.init(weights)), batches)
    return weights


def one_at_a_time(
    rates: Float[Array, " run"], weights: Weights, batches: Array, images: Array, labels: Array
) -> Callable[[], list[Weights]]:
    """Return a call that trains a network for each rate, one after another, by one compiled program, and waits."""
    program, each = jax.jit(train), list(rates)

    def call() -> list[Weights]:
        return jax.block_until_ready([program(rate, weights, batches, images, labels) for rate in each])

    return call


def vmapped(
    rates: Float[Array, " run"],
    weights: Weights,
    batches: Int[Array, "*run step example"],
    images: Array,
    labels: Array,
) -> Callable[[], Weights]:
    """Return a call that trains a network for each rate as one vmap over `train`, and waits.

    With [run, step, example] batches every network has its own minibatches; without the first axis they share them.
    """
    own = None if jnp.ndim(batches) == 2 else 0
    program = jax.jit(jax.vmap(train, in_axes=(0, None, own, None, None)))
    return lambda: jax.block_until_ready(program(rates, weights, batches, images, labels))
