"""Convolutions along curves, as one matrix product each, which is fast under `vmap` over weights."""

from __future__ import annotations

import jax.numpy as jnp

from lrbench.nets.layers import Params, Sequences


def convolve(layer: Params, curves: Sequences, stride: int, padding: int) -> Sequences:
    """Return b + x ∗ K with weights K [output, channel, x]; the kernel moves by `stride` over curves with zeros around them.

    The points that each output reads are copied beside each other, and the product of these copies is one for all points: under
    `vmap` over kernels it remains a matrix product, where a convolution would become a grouped one, slow on a CPU.
    """
    outputs, _, wide = layer["weight"].shape
    points = length(curves.shape[1], wide, stride, padding)
    padded = jnp.pad(curves, ((0, 0), (padding, padding), (0, 0)))
    patches = [padded[:, x : x + stride * (points - 1) + 1 : stride] for x in range(wide)]
    weights = layer["weight"].transpose(0, 2, 1).reshape(outputs, -1)
    flat = jnp.concatenate(patches).reshape(weights.shape[1], -1)
    return (weights @ flat + layer["bias"]).reshape(outputs, points, -1)


def length(points: int, wide: int, stride: int, padding: int) -> int:
    """Return how many points a convolution makes of so many.

    >>> length(40, 5, stride=2, padding=1), length(1, 3, stride=2, padding=1)
    (19, 1)
    """
    return (points + 2 * padding - wide) // stride + 1
