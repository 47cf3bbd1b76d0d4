"""W1 in plain JAX, one model at a time: `jit` of a `scan` over the steps, on one device.

Shows what compiling alone gives, before any batching; the compiled program is called once a model.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp

from benchmarks.peers import common, jax_mlp


def jax_single(models: int = 8, steps: int = 200, repeats: int = 5) -> common.Timing:
    """Train `models` digits MLPs one at a time with a compiled scan."""
    common.start_jax_on_cpu()
    train = common.digits()
    images, labels = jnp.asarray(train.images), jnp.asarray(train.labels)
    batches = jnp.asarray(common.minibatches(len(train.labels), steps))
    rates = list(jnp.asarray(common.learning_rates(models)))
    weights = jax_mlp.initial_weights()
    program = jax.jit(jax_mlp.train)

    def call() -> list[jax_mlp.Weights]:
        trained = [program(rate, weights, batches, images, labels) for rate in rates]
        jax.block_until_ready(trained)
        return trained

    seconds, trained = common.measure(call, repeats)
    sample = images[: common.LOSS_EXAMPLES], labels[: common.LOSS_EXAMPLES]
    return common.Timing(
        seconds=common.median(seconds),
        final_losses=tuple(float(jax_mlp.loss(final, *sample)) for final in trained),
        initial_loss=float(jax_mlp.loss(weights, *sample)),
        model_steps=models * steps,
        threads=common.cores(),
        all_seconds=seconds,
        detail={"devices": 1},
    )


if __name__ == "__main__":
    common.main(jax_single, "jax", "jaxlib", "optax", "numpy")
