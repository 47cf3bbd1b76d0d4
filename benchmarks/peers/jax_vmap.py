"""W1 in plain JAX, batched the obvious way: one `vmap` over the whole training function, on one device.

By default the models differ in their rate alone and share the minibatch (as lrbench's lanes of one seed do);
`minibatch="own"` gives every model its own, which is what `vmap` over seeds makes of it.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks.peers import common, jax_mlp


def jax_vmap(
    models: int = 256, steps: int = 200, repeats: int = 3, minibatch: str = "shared"
) -> common.Timing:
    """Train `models` digits MLPs in one vmapped, compiled scan."""
    common.start_jax_on_cpu()
    train = common.digits()
    images, labels = jnp.asarray(train.images), jnp.asarray(train.labels)
    rates = jnp.asarray(common.learning_rates(models))
    weights = jax_mlp.initial_weights()
    if minibatch == "shared":
        batch_axis, table = None, common.minibatches(len(train.labels), steps)
    elif minibatch == "own":
        tables = [common.minibatches(len(train.labels), steps, seed) for seed in range(models)]
        batch_axis, table = 0, np.stack(tables)
    else:
        raise ValueError(f"minibatch is {minibatch!r}; it must be 'shared' or 'own'")
    program = jax.jit(jax.vmap(jax_mlp.train, in_axes=(0, None, batch_axis, None, None)))
    batches = jnp.asarray(table)
    seconds, trained = common.measure(
        lambda: jax.block_until_ready(program(rates, weights, batches, images, labels)), repeats
    )
    sample = images[: common.LOSS_EXAMPLES], labels[: common.LOSS_EXAMPLES]
    final = jax.vmap(jax_mlp.loss, in_axes=(0, None, None))(trained, *sample)
    return common.Timing(
        seconds=common.median(seconds),
        final_losses=tuple(np.asarray(final).tolist()),
        initial_loss=float(jax_mlp.loss(weights, *sample)),
        model_steps=models * steps,
        threads=common.cores(),
        all_seconds=seconds,
        detail={"devices": 1, "lanes": models, "minibatch": minibatch},
    )


if __name__ == "__main__":
    common.main(jax_vmap, "jax", "jaxlib", "optax", "numpy")
