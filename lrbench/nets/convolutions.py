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
Convolution = Callable[[Images, Kernel, bool], Images]
"""(images, kernel, padded) → images; padded with zeros, images keep their size, and the kernel has odd sides."""


@functools.partial(jax.custom_vjp, nondiff_argnums=(2,))
def slices(images: Images, kernel: Kernel, padded: bool) -> Images:
    """Convolve by matrix products, one for each row of the output.

    Under `vmap` over kernels they remain matrix products: on a CPU, many times as fast as the grouped convolution that
    `lax.conv_general_dilated` becomes. The shifted copies of the images that a row's product reads fit into a core's cache;
    those of all rows together do not, and are written and read as slowly as they are multiplied.
    """
    return _slices_forward(images, kernel, padded)[0]


def _slices_forward(images: Images, kernel: Kernel, padded: bool) -> tuple[Images, tuple[Array, Kernel]]:
    outputs, channels, high, wide = kernel.shape
    by_row = (_pad(images, kernel) if padded else images).swapaxes(0, 1)
    rows, columns = by_row.shape[0] - high + 1, by_row.shape[2] - wide + 1
    shifted = jnp.concatenate([by_row[:, :, x : x + columns] for x in range(wide)], axis=1)
    weights = kernel.transpose(0, 2, 3, 1).reshape(outputs, -1)

    def row(index: Array) -> Array:
        patches = lax.dynamic_slice_in_dim(shifted, index, high)
        return (weights @ patches.reshape(high * wide * channels, -1)).reshape(outputs, columns, -1)

    return lax.map(row, jnp.arange(rows)).swapaxes(0, 1), (shifted, kernel)


def _slices_backward(padded: bool, saved: tuple[Array, Kernel], gradient: Images) -> tuple[Images, Kernel]:
    shifted, kernel = saved
    outputs, channels, high, wide = kernel.shape
    above, left = (high // 2, wide // 2) if padded else (0, 0)
    rows, columns = shifted.shape[0] - 2 * above, shifted.shape[2]
    # A row of the images is in the products of `high` rows of the output, the last of them with the kernel's first row.
    beside = high - 1 - above
    gradients = jnp.pad(gradient.swapaxes(0, 1), ((beside, beside), (0, 0), (0, 0), (0, 0)))
    weights = kernel[:, :, ::-1].transpose(3, 1, 2, 0).reshape(wide * channels, -1)

    def row(total: Array, index: Array) -> tuple[Array, Array]:
        near = lax.dynamic_slice_in_dim(gradients, index, high).reshape(high * outputs, -1)
        copies = lax.dynamic_index_in_dim(shifted, above + index, keepdims=False)
        of_copies = (weights @ near).reshape(wide, channels, columns, -1)
        return total + copies.reshape(wide * channels, -1) @ near.T, of_copies

    start = jnp.zeros((wide * channels, high * outputs), kernel.dtype)
    of_kernel, of_shifted = lax.scan(row, start, jnp.arange(rows))
    of_kernel = of_kernel.reshape(wide, channels, high, outputs)[:, :, ::-1].transpose(3, 1, 2, 0)
    zero = jnp.zeros((), kernel.dtype)
    back = [
        lax.pad(of_shifted[:, x], zero, ((0, 0, 0), (0, 0, 0), (x - left, wide - 1 - x - left, 0), (0, 0, 0)))
        for x in range(wide)
    ]
    return functools.reduce(jnp.add, back).swapaxes(0, 1), of_kernel


slices.defvjp(_slices_forward, _slices_backward)


def grouped(images: Images, kernel: Kernel, padded: bool) -> Images:
    """Convolve by XLA's own convolution, which becomes a grouped one under `vmap` over kernels."""
    return lax.conv_general_dilated(
        images, kernel, (1, 1), "SAME" if padded else "VALID", dimension_numbers=("CHWN", "OIHW", "CHWN")
    )


FORMS: dict[str, Convolution] = {"slices": slices, "grouped": grouped}
"""The first is the fastest on most devices."""


def first_layer(convolve: Convolution, images: Images, kernel: Kernel, padded: bool) -> Images:
    """Convolve data and take the maximum over 2 × 2 pixels, without a gradient for the images."""
    images = lax.stop_gradient(images)
    if convolve is not slices:
        return max_pool(convolve(images, kernel, padded))
    _, _, high, wide = kernel.shape
    images = _pad(images, kernel) if padded else images
    rows, columns = (images.shape[1] - high + 1) // 2, (images.shape[2] - wide + 1) // 2
    # The four pixels of a square are four outputs of a convolution whose kernel is larger by one, and moves by two.
    larger = [jnp.pad(kernel, ((0, 0), (0, 0), (y, 1 - y), (x, 1 - x))) for y in (0, 1) for x in (0, 1)]
    weights = jnp.stack(larger).transpose(0, 1, 3, 4, 2).reshape(4, len(kernel), -1)
    by_row = images.swapaxes(0, 1)
    shifted = [
        by_row[y : y + 2 * rows : 2, :, x : x + 2 * columns : 2]
        for y in range(high + 1)
        for x in range(wide + 1)
    ]
    return _largest_product(weights, jnp.concatenate(shifted, axis=1)).swapaxes(0, 1)


@jax.custom_vjp
def _largest_product(
    weights: Float[Array, "4 output patch"], patches: Float[Array, "row patch column example"]
) -> Float[Array, "row output column example"]:
    """Return the elementwise maximum of four products; equal maxima share the gradient.

    The products are made row by row, and again in the gradient, so that they never leave the cache.
    """
    return _largest_product_forward(weights, patches)[0]


def _largest_product_forward(weights: Array, patches: Array) -> tuple[Array, tuple[Array, Array]]:
    found = lax.map(lambda row: functools.reduce(jnp.maximum, _products(weights, row)), patches)
    return found, (weights, patches)


def _largest_product_backward(saved: tuple[Array, Array], gradient: Array) -> tuple[Array, None]:
    weights, patches = saved

    def row(total: Array, inputs: tuple[Array, Array]) -> tuple[Array, None]:
        patches, gradient = inputs
        products = _products(weights, patches)
        # Not the maximum of the forward pass, whose products may be rounded in another way: equality would fail.
        largest = functools.reduce(jnp.maximum, products)
        share = gradient / _count(products, largest)
        each = [jnp.where(product == largest, share, 0) for product in products]
        of_products = jnp.stack(each).reshape(4 * len(largest), -1)
        return total + of_products @ patches.reshape(len(patches), -1).T, None

    start = jnp.zeros((4 * weights.shape[1], weights.shape[2]), weights.dtype)
    of_weights, _ = lax.scan(row, start, (patches, gradient))
    return of_weights.reshape(weights.shape), None


_largest_product.defvjp(_largest_product_forward, _largest_product_backward)


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


def _pad(images: Images, kernel: Kernel) -> Images:
    """Pad images with zeros, so that a kernel with odd sides preserves their size."""
    return jnp.pad(images, ((0, 0), *((side // 2, side // 2) for side in kernel.shape[2:]), (0, 0)))


def _products(
    weights: Float[Array, "4 output patch"], patches: Float[Array, "patch column example"]
) -> tuple[Array, ...]:
    flat = patches.reshape(len(patches), -1)
    return tuple((each @ flat).reshape(-1, *patches.shape[1:]) for each in weights)


def _quarters(images: Images) -> tuple[Images, ...]:
    return tuple(images[:, down::2, right::2] for down in (0, 1) for right in (0, 1))


def _count(quarters: tuple[Array, ...], largest: Array) -> Array:
    """Return how many of the pixels that are pooled together equal the maximum."""
    return functools.reduce(jnp.add, [(quarter == largest).astype(largest.dtype) for quarter in quarters])
