"""Convolutional networks of images and of curves."""

from __future__ import annotations

import math
from dataclasses import dataclass

import jax
from jaxtyping import Array, Float

from lrbench.errors import ProblemError
from lrbench.nets import convolutions
from lrbench.nets.convolutions import Convolution, Images
from lrbench.nets.layers import Params, dense, weights


@dataclass(frozen=True)
class Network:
    """Convolutions, each followed by pooling and ReLU, and a dense layer.

    Args:
        shape: channels, rows and columns of an image, which is given flat.
        channels: output channels of each convolution.
        labels: how many classes there are.
        kernel: rows and columns of a convolution's kernel.
        padded: whether zeros around the images keep their size in a convolution.
        curves: whether images are curves of one row, of which pairs are pooled rather than squares.
    """

    shape: tuple[int, int, int]
    channels: tuple[int, ...]
    labels: int
    kernel: tuple[int, int] = (3, 3)
    padded: bool = True
    curves: bool = False

    @property
    def _window(self) -> tuple[int, int]:
        return (1, 2) if self.curves else (2, 2)

    def init(self, key: Array) -> Params:
        """Return the layers' weights."""
        keys = jax.random.split(key, len(self.channels) + 1)
        sizes = zip(self.channels, (self.shape[0], *self.channels), strict=False)
        shapes: list[tuple[int, ...]] = [(out, into, *self.kernel) for out, into in sizes]
        shapes.append((self.labels, self.features))
        return [weights(k, each) for k, each in zip(keys, shapes, strict=True)]

    @property
    def features(self) -> int:
        """How many numbers the dense layer sees.

        Raises:
            ProblemError: if pooling leaves nothing of the images.
        """
        sides = list(self.shape[1:])
        for _ in self.channels:
            for axis in (0, 1):
                lost = 0 if self.padded else self.kernel[axis] - 1
                sides[axis] = (sides[axis] - lost) // self._window[axis]
        if min(sides) < 1:
            raise ProblemError(
                f"channels = {list(self.channels)}: images of {self.shape[1]}×{self.shape[2]} are too small for so many "
                "layers; leave some out"
            )
        return self.channels[-1] * math.prod(sides)

    def scores(
        self, convolve: Convolution, params: Params, images: Float[Array, "example pixel"]
    ) -> Float[Array, "label example"]:
        """Return the score of every label."""
        hidden = images.T.reshape(*self.shape, -1)
        for index, layer in enumerate(params[:-1]):
            hidden = self._cut(convolutions.pad(hidden, self.kernel) if self.padded else hidden)
            if self.curves:
                pooled = convolutions.pool_pairs(convolve(hidden, layer["weight"]))
            elif index == 0 and convolve is convolutions.slices:
                pooled = convolutions.first_layer(hidden, layer["weight"])
            else:
                pooled = convolutions.max_pool(convolve(hidden, layer["weight"]))
            # Biases and ReLU commute with the maximum over pixels, and are cheaper after it.
            hidden = jax.nn.relu(pooled + layer["bias"][..., None, None])
        return dense(params[-1], hidden.reshape(-1, hidden.shape[-1]))

    def _cut(self, hidden: Images) -> Images:
        """Return images without an odd last row and column of what a convolution gives, which pooling leaves out."""
        sides = zip(hidden.shape[1:3], self.kernel, self._window, strict=True)
        rows, columns = ((side - k + 1) // w * w + k - 1 for side, k, w in sides)
        return hidden[:, :rows, :columns]
