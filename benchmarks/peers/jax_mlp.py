"""W1 as one pure function in JAX and optax: `jax_single` calls it model by model, `jax_vmap` batches it."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import optax

from benchmarks.peers import common

Weights = dict[str, jax.Array]


def initial_weights() -> Weights:
    """The weights that every peer of W1 starts from."""
    return {name: jnp.asarray(value) for name, value in common.mlp_weights().items()}


def loss(weights: Weights, images: jax.Array, labels: jax.Array) -> jax.Array:
    """Mean softmax cross-entropy of the 64-64-10 ReLU net."""
    hidden = jax.nn.relu(images @ weights["w1"] + weights["b1"])
    logits = hidden @ weights["w2"] + weights["b2"]
    losses: jax.Array = optax.softmax_cross_entropy_with_integer_labels(logits, labels)
    return losses.mean()


def train(
    rate: jax.Array, weights: Weights, batches: jax.Array, images: jax.Array, labels: jax.Array
) -> Weights:
    """Weights after one step of Adam for each row of `batches` [step, 64], in one scan."""
    optimizer = optax.adam(rate)

    def step(
        carry: tuple[Weights, optax.OptState], batch: jax.Array
    ) -> tuple[tuple[Weights, optax.OptState], None]:
        weights, state = carry
        gradients = jax.grad(loss)(weights, images[batch], labels[batch])
        updates, state = optimizer.update(gradients, state)
        return (optax.apply_updates(weights, updates), state), None

    (weights, _), _ = jax.lax.scan(step, (weights, optimizer.init(weights)), batches)
    return weights
