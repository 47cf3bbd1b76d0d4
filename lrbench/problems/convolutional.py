"""Convolutional networks on images of handwritten digits."""

from __future__ import annotations

from lrbench.datasets import bundled
from lrbench.datasets.data import split
from lrbench.errors import ProblemError
from lrbench.nets.cnn import Network
from lrbench.problems._models import convolutional_classifier
from lrbench.problems._problem import Problem


def mnist_cnn(*, channels: tuple[int, ...] = (16, 32), batch_size: int = 64) -> Problem:
    """Two convolutional layers with pooling and a dense one, on 5,000 MNIST digits of 28×28 pixels.

    Formula: h = relu(pool(x ∗ K₁ + b₁));  g = relu(pool(h ∗ K₂ + b₂));  p = softmax(g·W + b);  loss = mean −log p[y];
        ∗ a 3×3 convolution without padding, pool the maximum over 2×2

    Args:
        channels: output channels of the two convolutions.
        batch_size: images in a minibatch; 0 means all of them.

    Metrics: accuracy

    Source: LeCun et al., Proc. IEEE 86 (1998); images: 5,000 of MNIST, 500 of each digit.
    """
    if len(channels) != 2 or min(channels) < 1:
        raise ProblemError(f"channels = {list(channels)}: must be two numbers, each 1 or more")
    network = Network((1, 28, 28), channels, 10, padded=False)
    return convolutional_classifier("mnist_cnn", split(*bundled.mnist()), network, batch_size or None)


def digits_cnn(*, channels: tuple[int, ...] = (8, 16), batch_size: int = 64) -> Problem:
    """Convolutional layers with pooling and a dense layer, on 1,797 handwritten digits of 8×8 pixels.

    Formula: h = relu(pool(x ∗ K + b)), a layer for each of `channels`;  p = softmax(h·W + b);  loss = mean −log p[y];
        ∗ a 3×3 convolution that keeps the size, pool the maximum over 2×2

    Args:
        channels: output channels of the convolutions; at most three.
        batch_size: images in a minibatch; 0 means all of them.

    Metrics: accuracy

    Source: LeCun et al., Proc. IEEE 86 (1998); images: UCI optical recognition of handwritten digits.
    """
    network = Network((1, 8, 8), channels, 10)
    return convolutional_classifier("digits_cnn", split(*bundled.digits()), network, batch_size or None)
