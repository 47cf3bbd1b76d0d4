"""lrbench's `mnist_cnn` in one of its forms, all models in one plain vmap with Adam.

"slices" makes a convolution a matrix product for each row of its output; "grouped" leaves it to XLA, and
`vmap` over the weights makes it a grouped convolution. The engine times both where training is long enough; here
they stand side by side, on whatever device JAX has.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import optax

from benchmarks.peers import common
from lrbench.problems.convolutional import mnist_cnn


def jax_forms(models: int = 32, steps: int = 20, repeats: int = 3, form: str = "slices") -> common.Timing:
    """Train `models` CNNs on MNIST together; `form` is "slices" or "grouped"."""
    problem = mnist_cnn(batch_size=common.BATCH_SIZE)
    if form not in problem.forms:
        raise ValueError(f"form is {form!r}; it must be one of {', '.join(problem.forms)}")
    loss = problem.in_form(form).loss
    train = jax.tree.map(jnp.asarray, problem.data.train)
    batches = jnp.asarray(common.minibatches(problem.data.examples, steps))
    key = jax.random.key(0)
    params = problem.init(key)

    def trained(rate: jax.Array) -> optax.Params:
        optimizer = optax.adam(rate)

        def step(
            carry: tuple[optax.Params, optax.OptState], batch: jax.Array
        ) -> tuple[tuple[optax.Params, optax.OptState], None]:
            params, state = carry
            gradients = jax.grad(loss)(params, jax.tree.map(lambda leaf: leaf[batch], train), key)
            updates, state = optimizer.update(gradients, state)
            return (optax.apply_updates(params, updates), state), None

        return jax.lax.scan(step, (params, optimizer.init(params)), batches)[0][0]

    program, rates = jax.jit(jax.vmap(trained)), jnp.asarray(common.learning_rates(models))
    seconds, final = common.measure(lambda: jax.block_until_ready(program(rates)), repeats)
    sample = jax.tree.map(lambda leaf: leaf[: common.LOSS_EXAMPLES], train)
    losses = jax.lax.map(lambda one: loss(one, sample, key), final)
    return common.Timing(
        seconds=common.median(seconds),
        final_losses=tuple(np.asarray(losses).tolist()),
        initial_loss=float(loss(params, sample, key)),
        model_steps=models * steps,
        threads=common.cores(),
        all_seconds=seconds,
        detail={"device": jax.devices()[0].device_kind, "form": form},
    )


if __name__ == "__main__":
    common.main(jax_forms, "jax", "jaxlib", "optax")
