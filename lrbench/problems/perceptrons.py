"""Multi-layer perceptrons on handwritten digits, two spirals and a polynomial."""

from __future__ import annotations

from typing import Literal

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from lrbench.datasets import bundled
from lrbench.datasets.data import Data, split
from lrbench.errors import ProblemError
from lrbench.nets.layers import Params, dense_stack, positive
from lrbench.problems._constants import constant_square
from lrbench.problems._models import classifier
from lrbench.problems._problem import Batch, Problem
from lrbench.study.catalog import history


@history(revision=2)  # muP corrects Adam's ε
def digits_mlp(
    *,
    hidden: tuple[int, ...] = (64,),
    batch_size: int = 64,
    parametrisation: Literal["standard", "mup_sgd", "mup_adam"] = "standard",
) -> Problem:
    """Fully connected ReLU network on 1,797 handwritten digits of 8×8 pixels.

    Formula: h = relu(x·W₁ + b₁);  p = softmax(h·W₂ + b₂);  loss = mean −log p[y]

    Args:
        hidden: widths of the hidden layers.
        batch_size: images in a minibatch; 0 means all of them.
        parametrisation: how initial weights and steps depend on the widths. `standard` is He's initialisation and one rate
            for all layers; with muP, the best rate is that of width 64, whatever the width: `mup_sgd` for gradient descent
            with or without momentum, `mup_adam` for Adam and others whose step does not scale with the gradient
            (arXiv:2203.03466).

    Metrics: accuracy

    Source: UCI optical recognition of handwritten digits.
    """
    return classifier(
        "digits_mlp",
        split(*bundled.digits()),
        hidden,
        10,
        batch_size or None,
        parametrisation=parametrisation,
    )


def mnist_mlp(*, hidden: tuple[int, ...] = (128,), batch_size: int = 64) -> Problem:
    """Fully connected ReLU network on 5,000 MNIST digits of 28×28 pixels.

    Formula: h = relu(x·W₁ + b₁);  p = softmax(h·W₂ + b₂);  loss = mean −log p[y]

    Args:
        hidden: widths of the hidden layers.
        batch_size: images in a minibatch; 0 means all of them.

    Metrics: accuracy

    Source: LeCun, Cortes & Burges; 5,000 images, 500 of each digit.
    """
    return classifier("mnist_mlp", split(*bundled.mnist()), hidden, 10, batch_size or None)


def spirals_mlp(
    *,
    hidden: tuple[int, ...] = (32, 32),
    points: int = 500,
    turns: float = 1.5,
    noise: float = 0.02,
    batch_size: int = 64,
) -> Problem:
    """Fully connected ReLU network that classifies the points of two intertwined spirals.

    Formula: x = r·(cos φ, sin φ) + noise, φ = 2π · turns · r + π·y, r ~ U(0.1, 1);  p = softmax(network(x));
        loss = mean −log p[y];  half of the points are for validation

    Args:
        hidden: widths of the hidden layers.
        points: points of each spiral.
        turns: number of turns of a spiral.
        noise: standard deviation of the points from their spiral.
        batch_size: points in a minibatch; 0 means all of them.

    Metrics: accuracy

    Source: Lang & Witbrock, Learning to tell two spirals apart (1988).
    """
    if points < 2:
        raise ProblemError(f"points = {points}: must be 2 or more")
    generator = np.random.Generator(np.random.PCG64(0))
    labels = np.repeat(np.arange(2, dtype=np.int32), points)
    radius = generator.uniform(0.1, 1, 2 * points)
    angle = 2 * np.pi * turns * radius + np.pi * labels
    positions = radius[:, None] * np.stack([np.cos(angle), np.sin(angle)], axis=1)
    positions += noise * generator.normal(size=positions.shape)
    parts = split(positions, labels, every=2)
    return classifier("spirals_mlp", parts, hidden, 2, batch_size or None)


def chebyshev_mlp(*, degree: int = 5, points: int = 20, hidden: tuple[int, ...] = (64, 64)) -> Problem:
    """Fully connected tanh network that fits a Chebyshev polynomial, by full-batch training on a few points.

    Formula: h = tanh(W·h + b), a layer for each of `hidden`;  ŷ = W·h + b;  loss = mean (ŷ − T_k(x))², x evenly spaced
        from −1 to 1;  T_k(cos φ) = cos kφ;  W ~ N(0, 1 / fan-in)

    Args:
        degree: k, the degree of the polynomial.
        points: number of examples.
        hidden: widths of the hidden layers.

    Source: Cohen et al., Gradient descent on neural networks typically occurs at the edge of stability, arXiv:2103.00065.
    """
    positive(degree=degree, points=points, hidden=hidden)
    positions = np.linspace(-1, 1, points)[:, None]
    targets = np.cos(degree * np.arccos(positions[:, 0]))
    init, apply = dense_stack([1, *hidden, 1], gain=1.0, activation=jnp.tanh)

    def loss(params: Params, batch: Batch, key: Array) -> Array:
        del key
        return jnp.mean(jnp.square(apply(params, batch[0])[0] - batch[1]))

    constant = constant_square(targets, targets)
    return Problem("chebyshev_mlp", init, loss, Data((positions, targets)), constant_loss=constant)
