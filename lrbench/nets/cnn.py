"""Convolutional networks for images."""

from __future__ import annotations

import math
from dataclasses import dataclass

import jax
from jaxtyping import Array, Float

from lrbench.errors import ProblemError
from lrbench.nets import convolutions
from lrbench.nets.convolutions import Convolution
from lrbench.nets.layers import Images, Params, dense, weights

_POOLED = 2
"""Rows and columns of a square whose maximum is taken."""


@dataclass(frozen=True)
class Network:
    """Convolutions, each followed by pooling and ReLU, then a dense layer.

    Args:
        shape: channels, rows and columns of an image; inputs are flat.
        channels: output channels of each convolution.
        labels: how many classes there are.
        kernel: rows and columns of a convolution's kernel.
        padded: whether images are padded with zeros, so that a convolution preserves their size.
    """

    shape: tuple[int, int, int]
    channels: tuple[int, ...]
    labels: int
    kernel: tuple[int, int] = (3, 3)
    padded: bool = True

    def init(self, key: Array) -> Params:
        """Return the layers' weights."""
        keys = jax.random.split(key, len(self.channels) + 1)
        sizes = zip(self.channels, (self.shape[0], *self.channels), strict=False)
        shapes: list[tuple[int, ...]] = [(out, into, *self.kernel) for out, into in sizes]
        shapes.append((self.labels, self.features))
        return [weights(k, each) for k, each in zip(keys, shapes, strict=True)]

    @property
    def features(self) -> int:
        """The number of inputs of the dense layer.

        Raises:
            ProblemError: if pooling reduces the images to nothing.
        """
        sides = list(self.shape[1:])
        for _ in self.channels:
            for axis in (0, 1):
                lost = 0 if self.padded else self.kernel[axis] - 1
                sides[axis] = (sides[axis] - lost) // _POOLED
        if min(sides) < 1:
            raise ProblemError(
                f"channels = {list(self.channels)}: images of {self.shape[1]}×{self.shape[2]} are too small for so many "
                "layers; use fewer"
            )
        return self.channels[-1] * math.prod(sides)

    def scores(
        self, convolve: Convolution, params: Params, images: Float[Array, "example pixel"]
    ) -> Float[Array, "label example"]:
        """Return the score of every label."""
        hidden = images.T.reshape(*self.shape, -1)
        for index, layer in enumerate(params[:-1]):
            hidden, kernel = hidden if self.padded else self._crop(hidden), layer["weight"]
            if index == 0:
                pooled = convolutions.first_layer(convolve, hidden, kernel, self.padded)
            else:
                pooled = convolutions.max_pool(convolve(hidden, kernel, self.padded))
            # Biases and ReLU commute with the maximum over pixels, and are cheaper after it.
            hidden = jax.nn.relu(pooled + layer["bias"][..., None, None])
        return dense(params[-1], hidden.reshape(-1, hidden.shape[-1]))

    def _crop(self, hidden: Images) -> Images:
        """Return images without the rows and columns whose convolution pooling would drop: an odd last one."""
        sides = zip(hidden.shape[1:3], self.kernel, strict=True)
        rows, columns = ((side - k + 1) // _POOLED * _POOLED + k - 1 for side, k in sides)
        return hidden[:, :rows, :columns]
