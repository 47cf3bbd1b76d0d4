"""Normalisation: over the minibatch, over groups of channels, over features. The first axis is the channel."""

from __future__ import annotations

import jax.numpy as jnp
from jaxtyping import Array, Float

from lrbench.nets.layers import Images, Params

EPSILON = 1e-5
"""Added to variances, as in PyTorch."""
MOMENTUM = 0.1
"""The weight of a minibatch in the running averages, as in PyTorch."""


def norm_init(channels: int) -> Params:
    """Return a scale of one and a shift of zero for each channel."""
    return {"scale": jnp.ones((channels, 1)), "shift": jnp.zeros((channels, 1))}


def running_init(channels: int) -> Params:
    """Return running averages before the first minibatch: mean 0, variance 1."""
    return {"mean": jnp.zeros((channels, 1)), "variance": jnp.ones((channels, 1))}


def batch_norm(params: Params, running: Params, images: Images, training: bool) -> tuple[Images, Params]:
    """Return γ (z − mean) / √(variance + ε) + β for each channel, and the running averages.

    Mean and variance are those of the minibatch in training, the running averages otherwise. The running variance is the
    unbiased one, as in PyTorch.
    """
    flat = images.reshape(images.shape[0], -1)
    if not training:
        return _scaled(params, flat, running["mean"], running["variance"]).reshape(images.shape), running
    mean, variance = jnp.mean(flat, axis=1, keepdims=True), jnp.var(flat, axis=1, keepdims=True)
    count = flat.shape[1]
    present = {"mean": mean, "variance": variance * (count / max(1, count - 1))}
    after = {name: (1 - MOMENTUM) * running[name] + MOMENTUM * present[name] for name in present}
    return _scaled(params, flat, mean, variance).reshape(images.shape), after


def group_norm(params: Params, images: Images, groups: int) -> Images:
    """Return each image normalised over groups of its channels; 0 groups only scale and shift."""
    channels, rows, columns, examples = images.shape
    if groups:
        grouped = images.reshape(groups, -1, examples)
        mean, variance = jnp.mean(grouped, axis=1, keepdims=True), jnp.var(grouped, axis=1, keepdims=True)
        images = ((grouped - mean) / jnp.sqrt(variance + EPSILON)).reshape(images.shape)
    flat = images.reshape(channels, -1)
    return (params["scale"] * flat + params["shift"]).reshape(channels, rows, columns, examples)


def layer_norm(params: Params, hidden: Float[Array, "feature ..."]) -> Float[Array, "feature ..."]:
    """Return each position normalised over its features."""
    flat = hidden.reshape(hidden.shape[0], -1)
    mean, variance = jnp.mean(flat, axis=0, keepdims=True), jnp.var(flat, axis=0, keepdims=True)
    return _scaled(params, flat, mean, variance).reshape(hidden.shape)


def _scaled(params: Params, flat: Array, mean: Array, variance: Array) -> Array:
    return params["scale"] * (flat - mean) / jnp.sqrt(variance + EPSILON) + params["shift"]
