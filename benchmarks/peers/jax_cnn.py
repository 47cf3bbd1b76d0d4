"""The net of `torch_cnn` in plain JAX, all models in one vmap, with its convolutions in one of two forms.

"convolution" is `lax.conv_general_dilated`, which `vmap` over the weights turns into a grouped convolution; "slices"
is the same as one matrix product: nine shifted slices of the image, side by side, times the kernel as a matrix.
Which of them is faster depends on the device, and is measured, not assumed.
"""

from __future__ import annotations

from itertools import pairwise

import jax
import jax.numpy as jnp
import numpy as np
import optax

from benchmarks.peers import common

CHANNELS = (1, 16, 32)
KERNEL = 3
FORMS = ("convolution", "slices")
Weights = list[tuple[jax.Array, jax.Array]]


def jax_cnn(models: int = 32, steps: int = 20, repeats: int = 3, form: str = "slices") -> common.Timing:
    """Train `models` CNNs on MNIST with Adam, all together; `form` is "convolution" or "slices"."""
    if form not in FORMS:
        raise ValueError(f"form is {form!r}; it must be one of {', '.join(FORMS)}")
    train = common.mnist()
    side = common.MNIST_PIXELS
    images = jnp.asarray(train.images).reshape(-1, side, side, 1)
    labels = jnp.asarray(train.labels)
    batches = jnp.asarray(common.minibatches(len(labels), steps))
    rates = jnp.asarray(common.learning_rates(models))
    weights = _weights(jax.random.key(0))

    def loss(weights: Weights, batch: jax.Array) -> jax.Array:
        logits = _logits(weights, images[batch], form)
        losses: jax.Array = optax.softmax_cross_entropy_with_integer_labels(logits, labels[batch])
        return losses.mean()

    def trained(rate: jax.Array, weights: Weights) -> Weights:
        optimizer = optax.adam(rate)

        def step(
            carry: tuple[Weights, optax.OptState], batch: jax.Array
        ) -> tuple[tuple[Weights, optax.OptState], None]:
            weights, state = carry
            updates, state = optimizer.update(jax.grad(loss)(weights, batch), state)
            return (optax.apply_updates(weights, updates), state), None

        return jax.lax.scan(step, (weights, optimizer.init(weights)), batches)[0][0]

    program = jax.jit(jax.vmap(trained, in_axes=(0, None)))
    seconds, final = common.measure(lambda: jax.block_until_ready(program(rates, weights)), repeats)
    sample = jnp.arange(common.LOSS_EXAMPLES)
    return common.Timing(
        seconds=common.median(seconds),
        final_losses=tuple(np.asarray(jax.lax.map(lambda one: loss(one, sample), final)).tolist()),
        initial_loss=float(loss(weights, sample)),
        model_steps=models * steps,
        threads=common.cores(),
        all_seconds=seconds,
        detail={"device": jax.devices()[0].device_kind, "form": form},
    )


def _weights(key: jax.Array) -> Weights:
    shapes = [(KERNEL, KERNEL, *pair) for pair in pairwise(CHANNELS)]
    keys = jax.random.split(key, 3)
    layers: Weights = []
    for shape, each in zip([*shapes, (5 * 5 * CHANNELS[-1], common.CLASSES)], keys, strict=True):
        scale = (2 / np.prod(shape[:-1])) ** 0.5
        layers.append((scale * jax.random.normal(each, shape), jnp.zeros(shape[-1])))
    return layers


def _logits(weights: Weights, images: jax.Array, form: str) -> jax.Array:
    *convolutions, (matrix, bias) = weights
    hidden = images
    for kernel, offset in convolutions:
        hidden = _pool(jax.nn.relu(_convolve(hidden, kernel, form) + offset))
    return hidden.reshape(len(images), -1) @ matrix + bias


def _convolve(images: jax.Array, kernel: jax.Array, form: str) -> jax.Array:
    """[example, row, column, in] and [3, 3, in, out] → [example, row − 2, column − 2, out]."""
    if form == "convolution":
        layout = ("NHWC", "HWIO", "NHWC")
        return jax.lax.conv_general_dilated(images, kernel, (1, 1), "VALID", dimension_numbers=layout)
    rows, columns = (size - KERNEL + 1 for size in images.shape[1:3])
    slices = [
        images[:, down : down + rows, across : across + columns]
        for down in range(KERNEL)
        for across in range(KERNEL)
    ]
    return jnp.concatenate(slices, axis=-1) @ kernel.reshape(-1, kernel.shape[-1])


def _pool(images: jax.Array) -> jax.Array:
    """The largest of every 2 × 2, without the last row and column of an odd size."""
    examples, rows, columns, channels = images.shape
    even = images[:, : rows // 2 * 2, : columns // 2 * 2]
    return even.reshape(examples, rows // 2, 2, columns // 2, 2, channels).max(axis=(2, 4))


if __name__ == "__main__":
    common.main(jax_cnn, "jax", "jaxlib", "optax", "mlxtend")
