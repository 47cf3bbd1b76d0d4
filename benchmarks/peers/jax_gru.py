"""`mnist1d_gru` in plain JAX: the GRU as one would write it, in one `vmap` over the whole training, on one device."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import optax

from benchmarks.peers import common

Weights = dict[str, jax.Array]


def jax_gru(models: int = 32, steps: int = 50, repeats: int = 2) -> common.Timing:
    """Train `models` GRUs on MNIST-1D in one vmapped, compiled scan."""
    common.start_jax_on_cpu()
    train = common.mnist1d()
    curves, labels = jnp.asarray(train.images), jnp.asarray(train.labels)
    batches = jnp.asarray(common.minibatches(len(train.labels), steps))
    weights = {name: jnp.asarray(value) for name, value in common.gru_weights().items()}

    def trained(rate: jax.Array) -> Weights:
        optimizer = optax.adam(rate)

        def step(
            carry: tuple[Weights, optax.OptState], batch: jax.Array
        ) -> tuple[tuple[Weights, optax.OptState], None]:
            weights, state = carry
            gradients = jax.grad(_loss)(weights, curves[batch], labels[batch])
            updates, state = optimizer.update(gradients, state)
            return (optax.apply_updates(weights, updates), state), None

        return jax.lax.scan(step, (weights, optimizer.init(weights)), batches)[0][0]

    program, rates = jax.jit(jax.vmap(trained)), jnp.asarray(common.learning_rates(models))
    seconds, final = common.measure(lambda: jax.block_until_ready(program(rates)), repeats)
    sample = curves[: common.LOSS_EXAMPLES], labels[: common.LOSS_EXAMPLES]
    losses = jax.jit(jax.vmap(_loss, in_axes=(0, None, None)))(final, *sample)
    return common.Timing(
        seconds=common.median(seconds),
        final_losses=tuple(np.asarray(losses).tolist()),
        initial_loss=float(_loss(weights, *sample)),
        model_steps=models * steps,
        threads=common.cores(),
        all_seconds=seconds,
        detail={"devices": 1, "lanes": models},
    )


def _loss(weights: Weights, curves: jax.Array, labels: jax.Array) -> jax.Array:
    def step(hidden: jax.Array, point: jax.Array) -> tuple[jax.Array, None]:
        r, z, n = jnp.split(point[:, None] @ weights["w"] + weights["b"][None], 3, axis=-1)
        of_r, of_z, of_n = jnp.split(hidden @ weights["u"] + weights["c"][None], 3, axis=-1)
        keep = jax.nn.sigmoid(z + of_z)
        hidden = (1 - keep) * jnp.tanh(n + jax.nn.sigmoid(r + of_r) * of_n) + keep * hidden
        return hidden, None

    start = jnp.zeros((len(curves), common.GRU_WIDTH))
    hidden, _ = jax.lax.scan(step, start, curves.T)
    logits = hidden @ weights["v"] + weights["d"][None]
    return optax.softmax_cross_entropy_with_integer_labels(logits, labels).mean()


if __name__ == "__main__":
    common.main(jax_gru, "jax", "jaxlib", "optax", "numpy")
