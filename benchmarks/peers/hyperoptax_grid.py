"""W1 as hyperoptax does it: its `GridSearch` over the rates, of the training function of `jax_vmap`.

hyperoptax puts `vmap` over `n_parallel` rates and `scan` over the rest, on one device. The whole search is one
compiled program; its settings are how many rates are trained together, and it gets the fastest. It wants one number
from each run: the loss on a minibatch, whose cost does not show. The losses that are compared come from a second
search, on the sample that all peers have, outside the timed part.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks.peers import common
from lrbench.engine import plain_jax

TOGETHER = (8, 32, 256)
"""The settings of `n_parallel` that are tried."""
PROBE_ROUNDS = 2


def hyperoptax_grid(models: int = 256, steps: int = 200, repeats: int = 3) -> common.Timing:
    """Train `models` digits MLPs in one grid search."""
    common.start_jax_on_cpu()
    try:
        import hyperoptax
    except ImportError as error:
        raise SystemExit(f"hyperoptax cannot be imported: {error}") from error
    train = common.digits()
    images, labels = jnp.asarray(train.images), jnp.asarray(train.labels)
    batches = jnp.asarray(common.minibatches(len(train.labels), steps))
    weights = {name: jnp.asarray(value) for name, value in common.mlp_weights().items()}
    space = {"rate": hyperoptax.DiscreteSpace(tuple(common.learning_rates(models).tolist()))}

    def search(together: int, examples: int) -> Callable[[], np.ndarray]:
        """A call that returns the loss of every run on so many examples."""

        def loss(key: jax.Array, point: dict[str, jax.Array]) -> jax.Array:
            del key
            trained = plain_jax.train(point["rate"], weights, batches, images, labels)
            return plain_jax.loss(trained, images[:examples], labels[:examples])

        state, grid = hyperoptax.GridSearch.init(space, n_parallel=together)

        @jax.jit
        def program(state: Any, key: jax.Array) -> jax.Array:
            return grid.optimize_scan(state, key, loss, models // together)[1][1]

        return lambda: np.asarray(program(state, jax.random.key(0))).reshape(-1)

    choices = {together for together in TOGETHER if models % together == 0} or {models}
    calls = {str(together): search(together, common.BATCH_SIZE) for together in sorted(choices)}
    choice = common.fastest(calls, PROBE_ROUNDS)
    seconds, _ = common.measure(calls[choice], repeats)
    final = search(int(choice), common.LOSS_EXAMPLES)()
    sample = images[: common.LOSS_EXAMPLES], labels[: common.LOSS_EXAMPLES]
    return common.Timing(
        seconds=common.median(seconds),
        final_losses=tuple(final.tolist()),
        initial_loss=float(plain_jax.loss(weights, *sample)),
        model_steps=models * steps,
        threads=common.cores(),
        all_seconds=seconds,
        detail={"devices": 1, "together": int(choice)},
    )


if __name__ == "__main__":
    common.main(hyperoptax_grid, "hyperoptax", "jax", "jaxlib", "optax", "numpy")
