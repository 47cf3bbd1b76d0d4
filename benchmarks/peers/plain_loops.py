"""Twelve optimizers on the digits in plain JAX, as one would write it: a loop over optimizers, each a compiled vmap over one scan.

It takes the steps of `workloads.twelve`, evaluates each run once, after its last step, and prints the best rates; it writes nothing, and
knows no bands, seeds of its own or intervals. What is timed is the whole process.
"""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax

from benchmarks import workloads
from benchmarks.peers import common
from lrbench.engine import plain_jax


def main() -> None:
    """Train all runs; print the loss and the rate of the best run of each optimizer."""
    study = workloads.twelve()
    common.start_jax_on_cpu()
    train = common.digits()
    images, labels = jnp.asarray(train.images), jnp.asarray(train.labels)
    rates = jnp.asarray(np.geomspace(1e-4, 1e-1, study["learning_rate"]["num"]), jnp.float32)
    seeds = range(study["seeds"])
    weights = [
        {name: jnp.asarray(value) for name, value in common.mlp_weights(seed).items()} for seed in seeds
    ]
    batches = [jnp.asarray(common.minibatches(len(train.labels), study["steps"], seed)) for seed in seeds]
    evaluate = jax.jit(jax.vmap(plain_jax.loss, in_axes=(0, None, None)))
    for name in study["optimizer"]:
        each = functools.partial(plain_jax.train, make=getattr(optax, name))
        program = jax.jit(jax.vmap(each, in_axes=(0, None, None, None, None)))
        found = np.zeros(len(rates))
        for own, order in zip(weights, batches, strict=True):
            trained = program(rates, own, order, images, labels)
            found += np.asarray(evaluate(trained, images, labels)) / len(seeds)
        best = int(np.nanargmin(found))
        print(f"{name}: {found[best]:.3g} at {float(rates[best]):.2g}")


if __name__ == "__main__":
    main()
