"""W1 in plain JAX, batched the obvious way: one `vmap` over the whole training function, on one device.

By default the models differ in their rate alone and share the minibatch (as lrbench's lanes of one seed do);
`minibatch="own"` gives every model its own, which is what `vmap` over seeds makes of it. The
training itself is `lrbench.engine.plain_jax`, which `lrbench speed` times as well.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks.peers import common
from lrbench.engine import plain_jax


def jax_vmap(
    models: int = 256, steps: int = 200, repeats: int = 3, minibatch: str = "shared"
) -> common.Timing:
    """Train `models` digits MLPs in one vmapped, compiled scan."""
    common.start_jax_on_cpu()
    train = common.digits()
    images, labels = jnp.asarray(train.images), jnp.asarray(train.labels)
    rates = jnp.asarray(common.learning_rates(models))
    weights = {name: jnp.asarray(value) for name, value in common.mlp_weights().items()}
    if minibatch == "shared":
        table = common.minibatches(len(train.labels), steps)
    elif minibatch == "own":
        table = np.stack([common.minibatches(len(train.labels), steps, seed) for seed in range(models)])
    else:
        raise ValueError(f"minibatch is {minibatch!r}; it must be 'shared' or 'own'")
    call = plain_jax.vmapped(rates, weights, jnp.asarray(table), images, labels)
    seconds, trained = common.measure(call, repeats)
    sample = images[: common.LOSS_EXAMPLES], labels[: common.LOSS_EXAMPLES]
    final = jax.vmap(plain_jax.loss, in_axes=(0, None, None))(trained, *sample)
    return common.Timing(
        seconds=common.median(seconds),
        final_losses=tuple(np.asarray(final).tolist()),
        initial_loss=float(plain_jax.loss(weights, *sample)),
        model_steps=models * steps,
        threads=common.cores(),
        all_seconds=seconds,
        detail={"devices": 1, "lanes": models, "minibatch": minibatch},
    )


if __name__ == "__main__":
    common.main(jax_vmap, "jax", "jaxlib", "optax", "numpy")
