"""W1 in plain JAX, one model at a time: `jit` of a `scan` over the steps, on one device.

Shows what compiling alone gives, before any batching; the compiled program is called once a model. The training
itself is `lrbench.engine.plain_jax`, which `lrbench speed` times as well.
"""

from __future__ import annotations

import jax.numpy as jnp

from benchmarks.peers import common
from lrbench.engine import plain_jax


def jax_single(models: int = 8, steps: int = 200, repeats: int = 5) -> common.Timing:
    """Train `models` digits MLPs one at a time with a compiled scan."""
    common.start_jax_on_cpu()
    train = common.digits()
    images, labels = jnp.asarray(train.images), jnp.asarray(train.labels)
    batches = jnp.asarray(common.minibatches(len(train.labels), steps))
    weights = {name: jnp.asarray(value) for name, value in common.mlp_weights().items()}
    rates = jnp.asarray(common.learning_rates(models))
    call = plain_jax.one_at_a_time(rates, weights, batches, images, labels)
    seconds, trained = common.measure(call, repeats)
    sample = images[: common.LOSS_EXAMPLES], labels[: common.LOSS_EXAMPLES]
    return common.Timing(
        seconds=common.median(seconds),
        final_losses=tuple(float(plain_jax.loss(final, *sample)) for final in trained),
        initial_loss=float(plain_jax.loss(weights, *sample)),
        model_steps=models * steps,
        threads=common.cores(),
        all_seconds=seconds,
        detail={"devices": 1},
    )


if __name__ == "__main__":
    common.main(jax_single, "jax", "jaxlib", "optax", "numpy")
