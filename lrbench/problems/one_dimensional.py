"""MNIST-1D: ten kinds of curves, shifted, scaled, sheared and blurred; small enough for a CPU, hard enough to distinguish models."""

from __future__ import annotations

import jax
from jaxtyping import Array

from lrbench.datasets import mnist1d
from lrbench.datasets.data import split
from lrbench.nets import recurrent
from lrbench.nets.cnn import Network
from lrbench.nets.layers import Params, cross_entropy, dense, positive, weights
from lrbench.problems._constants import of_labels
from lrbench.problems._models import MANY_LABELS, classifier, convolutional_classifier
from lrbench.problems._problem import Batch, Problem

_LABELS = 10


def mnist1d_mlp(
    *, hidden: tuple[int, ...] = (100, 100), samples: int = 5000, batch_size: int = 100
) -> Problem:
    """Fully connected ReLU network on MNIST-1D: 40 points of a curve, ten kinds of curves.

    Formula: h = relu(W·h + b), a layer for each of `hidden`;  p = softmax(W·h + b);  loss = mean −log p[y]

    Args:
        hidden: widths of the hidden layers.
        samples: number of curves generated, a fifth of which are for validation.
        batch_size: curves in a minibatch; 0 means all of them.

    Metrics: accuracy

    Source: Greydanus & Kobak, Scaling Down Deep Learning with MNIST-1D, arXiv:2011.14439.
    """
    parts = split(*mnist1d.generate(samples))
    return classifier("mnist1d_mlp", parts, hidden, _LABELS, batch_size or None)


def mnist1d_cnn(
    *, channels: tuple[int, ...] = (16, 16, 16), samples: int = 5000, batch_size: int = 100
) -> Problem:
    """Convolutions along the curves of MNIST-1D, with pooling, and a dense layer.

    Formula: h = relu(pool(x ∗ K + b)), a layer for each of `channels`;  p = softmax(h·W + b);  loss = mean −log p[y];
        ∗ a convolution with 5 points that keeps the length, pool the maximum of two

    Args:
        channels: output channels of the convolutions; at most five.
        samples: number of curves generated, a fifth of which are for validation.
        batch_size: curves in a minibatch; 0 means all of them.

    Metrics: accuracy

    Source: Greydanus & Kobak, Scaling Down Deep Learning with MNIST-1D, arXiv:2011.14439.
    """
    network = Network((1, 1, mnist1d.LENGTH), channels, _LABELS, kernel=(1, 5), curves=True)
    return convolutional_classifier(
        "mnist1d_cnn", split(*mnist1d.generate(samples)), network, batch_size or None
    )


def mnist1d_gru(*, width: int = 32, samples: int = 5000, batch_size: int = 100) -> Problem:
    """GRU that reads the curves of MNIST-1D point by point, and classifies them at the end.

    Formula: h ← (1 − z) n + z h;  n = tanh(W_n x + r (U_n h + b'_n) + b_n);  r, z = σ(W x + b + U h + b');
        p = softmax(V h + c) after the last point;  loss = mean −log p[y]

    Args:
        width: size of the hidden state.
        samples: number of curves generated, a fifth of which are for validation.
        batch_size: curves in a minibatch; 0 means all of them.

    Metrics: accuracy

    Source: Greydanus & Kobak, arXiv:2011.14439; Cho et al., arXiv:1406.1078.
    """
    positive(width=width)

    def init(key: Array) -> Params:
        first, second = jax.random.split(key)
        return {"gru": recurrent.gru_init(first, 1, width), "out": weights(second, (_LABELS, width), 1.0)}

    def scores(params: Params, batch: Batch) -> Array:
        return dense(params["out"], recurrent.gru(params["gru"], batch[0].T[None])[:, -1])

    def predict(params: Params, batch: Batch) -> Array:
        return scores(params, batch).T

    def loss(params: Params, batch: Batch, key: Array) -> Array:
        del key
        return cross_entropy(scores(params, batch), batch[1])

    parts = split(*mnist1d.generate(samples))
    constant = of_labels(parts)
    size = batch_size or None
    return Problem("mnist1d_gru", init, loss, parts.data, predict, MANY_LABELS, size, constant_loss=constant)
