"""Convolutions and pooling in forms that are fast under `vmap` over weights, on different devices.

Arrays are [channel, row, column, example]: the examples are innermost, so that shifting an image by a pixel moves
contiguous memory.
"""

from __future__ import annotations

import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float

from lrbench.nets.layers import Images

Kernel = Float[Array, "output channel y x"]
Convolution = Callable[[Images, Kernel], Images]


@jax.custom_vjp
def slices(images: Images, kernel: Kernel) -> Images:
    """Convolve by one matrix product with all shifted copies of the images.

    Under `vmap` over kernels it remains a matrix product: on a CPU, eight times as fast as the grouped convolution that
    `lax.conv_general_dilated` becomes. The gradient accumulates the shifted copies one by one, in place; XLA would pad each
    of them and add them all, element by element.
    """
    return _slices_forward(images, kernel)[0]


def _slices_forward(images: Images, kernel: Kernel) -> tuple[Images, tuple[Array, Array, Images, Kernel]]:
    outputs, _, high, wide = kernel.shape
    rows, columns = images.shape[1] - high + 1, images.shape[2] - wide + 1
    shifted = [images[:, y : y + rows, x : x + columns] for y in range(high) for x in range(wide)]
    patches = jnp.concatenate(shifted).reshape(kernel[0].size, -1)
    weights = kernel.transpose(0, 2, 3, 1).reshape(outputs, -1)
    found = (weights @ patches).reshape(outputs, rows, columns, -1)
    return found, (patches, weights, images, kernel)


def _slices_backward(saved: tuple[Array, Array, Images, Kernel], gradient: Images) -> tuple[Images, Kernel]:
    patches, weights, images, kernel = saved
    outputs, channels, high, wide = kernel.shape
    _, rows, columns, _ = gradient.shape
    flat = gradient.reshape(outputs, -1)
    of_kernel = (flat @ patches.T).reshape(outputs, high, wide, channels).transpose(0, 3, 1, 2)
    of_patches = (weights.T @ flat).reshape(high, wide, channels, rows, columns, -1)
    of_images = jnp.zeros_like(images)
    for y in range(high):
        for x in range(wide):
            of_images = of_images.at[:, y : y + rows, x : x + columns].add(of_patches[y, x])
    return of_images, of_kernel


slices.defvjp(_slices_forward, _slices_backward)


def grouped(images: Images, kernel: Kernel) -> Images:
    """Convolve by XLA's own convolution, which becomes a grouped one under `vmap` over kernels."""
    return lax.conv_general_dilated(
        images, kernel, (1, 1), "VALID", dimension_numbers=("CHWN", "OIHW", "CHWN")
    )


FORMS: dict[str, Convolution] = {"slices": slices, "grouped": grouped}
"""The first is the fastest on most devices."""


def first_layer(images: Images, kernel: Kernel) -> Images:
    """Convolve data and take the maximum over 2 × 2 pixels, without a gradient for the images.

    The four pixels of a square are four products, so that neither the maximum nor its gradient has to select every second
    pixel of an array.
    """
    outputs, channels, high, wide = kernel.shape
    rows, columns = (images.shape[1] - high + 1) // 2, (images.shape[2] - wide + 1) // 2
    weights = kernel.transpose(0, 2, 3, 1).reshape(outputs, -1)

    def quarter(down: int, right: int) -> Array:
        shifted = [
            images[:, down + y : down + y + 2 * rows : 2, right + x : right + x + 2 * columns : 2]
            for y in range(high)
            for x in range(wide)
        ]
        return weights @ lax.stop_gradient(jnp.concatenate(shifted).reshape(high * wide * channels, -1))

    found = _largest(*(quarter(down, right) for down in (0, 1) for right in (0, 1)))
    return found.reshape(outputs, rows, columns, -1)


@jax.custom_vjp
def max_pool(images: Images) -> Images:
    """Take the maximum over 2 × 2 pixels; an odd last row or column is dropped, as in PyTorch.

    Equal maxima share the gradient, which is elementwise; that of XLA's windowed maximum is computed window by window, and
    that of selecting every second pixel is a scatter.
    """
    return _pool_forward(images)[0]


def _pool_forward(images: Images) -> tuple[Images, tuple[Images, Images]]:
    _, rows, columns, _ = images.shape
    even = images[:, : rows // 2 * 2, : columns // 2 * 2]
    largest = functools.reduce(jnp.maximum, _quarters(even))
    return largest, (images, largest)


def _pool_backward(saved: tuple[Images, Images], gradient: Images) -> tuple[Images]:
    images, largest = saved
    channels, rows, columns, examples = largest.shape
    even = images[:, : 2 * rows, : 2 * columns]
    share = gradient / _count(_quarters(even), largest)
    squares = even.reshape(channels, rows, 2, columns, 2, examples)
    is_largest = squares == largest[:, :, None, :, None]
    found = jnp.where(is_largest, share[:, :, None, :, None], 0).reshape(even.shape)
    rest = [(0, whole - part) for whole, part in zip(images.shape, even.shape, strict=True)]
    return (jnp.pad(found, rest),)


max_pool.defvjp(_pool_forward, _pool_backward)


def pool_pairs(images: Images) -> Images:
    """Take the maximum over pairs of columns, for curves; an odd last column is dropped."""
    even = images[:, :, : images.shape[2] // 2 * 2]
    return _largest(even[:, :, 0::2], even[:, :, 1::2])


def pad(images: Images, kernel: tuple[int, int]) -> Images:
    """Pad images with zeros, so that a kernel with odd sides preserves their size."""
    return jnp.pad(images, ((0, 0), *((side // 2, side // 2) for side in kernel), (0, 0)))


@jax.custom_vjp
def _largest(*quarters: Array) -> Array:
    """Return the elementwise maximum; equal maxima share the gradient."""
    return functools.reduce(jnp.maximum, quarters)


def _largest_forward(*quarters: Array) -> tuple[Array, tuple[tuple[Array, ...], Array]]:
    largest = functools.reduce(jnp.maximum, quarters)
    return largest, (quarters, largest)


def _largest_backward(saved: tuple[tuple[Array, ...], Array], gradient: Array) -> tuple[Array, ...]:
    quarters, largest = saved
    share = gradient / _count(quarters, largest)
    return tuple(jnp.where(quarter == largest, share, 0) for quarter in quarters)


_largest.defvjp(_largest_forward, _largest_backward)


def _quarters(images: Images) -> tuple[Images, ...]:
    return tuple(images[:, down::2, right::2] for down in (0, 1) for right in (0, 1))


def _count(quarters: tuple[Array, ...], largest: Array) -> Array:
    """Return how many of the pixels that are pooled together equal the maximum."""
    return functools.reduce(jnp.add, [(quarter == largest).astype(largest.dtype) for quarter in quarters])
