"""Convolutions and pooling in the forms that are fast under `vmap` over weights, on one device or another.

Arrays are [channel, row, column, example]: the examples stand innermost, so that shifting an image by a pixel moves
whole runs of memory.
"""

from __future__ import annotations

from collections.abc import Callable

import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float

Images = Float[Array, "channel row column example"]
Kernel = Float[Array, "output channel y x"]
Convolution = Callable[[Images, Kernel], Images]


def slices(images: Images, kernel: Kernel) -> Images:
    """Convolve by one matrix product with all shifted copies of the images.

    `vmap` over kernels stays a matrix product: on a CPU, eight times as fast as the grouped convolution that
    `lax.conv_general_dilated` becomes.
    """
    outputs, channels, high, wide = kernel.shape
    rows, columns = images.shape[1] - high + 1, images.shape[2] - wide + 1
    shifted = [images[:, y : y + rows, x : x + columns] for y in range(high) for x in range(wide)]
    patches = jnp.concatenate(shifted).reshape(high * wide * channels, -1)
    weights = kernel.transpose(0, 2, 3, 1).reshape(outputs, -1)
    return (weights @ patches).reshape(outputs, rows, columns, -1)


def grouped(images: Images, kernel: Kernel) -> Images:
    """Convolve by XLA's own convolution; `vmap` over kernels makes it a grouped one."""
    return lax.conv_general_dilated(
        images, kernel, (1, 1), "VALID", dimension_numbers=("CHWN", "OIHW", "CHWN")
    )


FORMS: dict[str, Convolution] = {"slices": slices, "grouped": grouped}
"""The first is the one that is right on most devices."""


def pad(images: Images, kernel: tuple[int, int]) -> Images:
    """Put zeros around the images, so that a kernel of odd sides leaves their size as it is."""
    return jnp.pad(images, ((0, 0), *((side // 2, side // 2) for side in kernel), (0, 0)))


def max_pool(images: Images, window: tuple[int, int] = (2, 2)) -> Images:
    """Take the largest of every 2 × 2 pixels; an odd last row or column is left out, as in PyTorch.

    The gradient of a maximum over axes is elementwise; that of XLA's windowed reduction goes window by window.
    """
    channels, rows, columns, examples = images.shape
    high, wide = window
    even = images[:, : rows // high * high, : columns // wide * wide]
    return even.reshape(channels, rows // high, high, columns // wide, wide, examples).max((2, 4))
