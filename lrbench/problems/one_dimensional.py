"""MNIST-1D: ten kinds of curves, shifted, scaled, sheared and blurred; small enough for a CPU, hard enough to distinguish models.

The data, the models and their initial weights are the published ones.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from lrbench.datasets import mnist1d
from lrbench.datasets.mnist1d import LABELS, LENGTH
from lrbench.errors import ProblemError
from lrbench.nets import curves, recurrent
from lrbench.nets.layers import Params, dense, positive, uniform_weights
from lrbench.problems._models import softmax
from lrbench.problems._problem import Init, Problem
from lrbench.study.catalog import history

_ACTIVATIONS = {"relu": jax.nn.relu, "tanh": jnp.tanh}
_KERNELS, _PADDING, _STRIDE = (5, 3), 1, 2
"""Points of the first convolution's kernel and of those of all others; and how all of them move."""

Scores = Callable[[Params, Float[Array, "point example"]], Float[Array, "label example"]]


def mnist1d_softmax(*, samples: int = 5000, batch_size: int = 100) -> Problem:
    """Softmax regression on MNIST-1D: 40 points of a curve, ten kinds of curves; 410 parameters.

    Formula: p = softmax(W·x + b);  loss = mean −log p[y];  convex

    Args:
        samples: number of curves generated, a fifth of which are for validation.
        batch_size: curves in a minibatch; 0 means all of them.

    Metrics: accuracy

    Source: Greydanus & Kobak, Scaling Down Deep Learning with MNIST-1D, arXiv:2011.14439 (`LinearBase` of its repository).
    """

    def init(key: Array) -> Params:
        return uniform_weights(key, (LABELS, LENGTH))

    return _problem("mnist1d_softmax", init, dense, samples, batch_size)


@history(revision=2)  # the published data, residual connections and initial weights
def mnist1d_mlp(
    *,
    hidden: tuple[int, ...] = (100, 100),
    activation: Literal["relu", "tanh"] = "relu",
    samples: int = 5000,
    batch_size: int = 100,
) -> Problem:
    """Fully connected residual network on MNIST-1D: 40 points of a curve, ten kinds of curves; 15,210 parameters.

    Formula: h₁ = relu(W₁·x + b₁);  hᵢ = hᵢ₋₁ + relu(Wᵢ·hᵢ₋₁ + bᵢ), a layer for each of `hidden`;
        p = softmax(W·h + b);  loss = mean −log p[y];  hᵢ₋₁ is not added where layer i has another width

    Args:
        hidden: widths of the hidden layers.
        activation: relu, or tanh in its place.
        samples: number of curves generated, a fifth of which are for validation.
        batch_size: curves in a minibatch; 0 means all of them.

    Metrics: accuracy

    Source: Greydanus & Kobak, Scaling Down Deep Learning with MNIST-1D, arXiv:2011.14439 (`MLPBase` of its repository; with
        `hidden = [50]`, tanh and a batch of 50, the network of its notebook on metalearning a learning rate).
    """
    positive(hidden=hidden)
    sizes = [LENGTH, *hidden, LABELS]
    active = _ACTIVATIONS[activation]

    def init(key: Array) -> Params:
        keys = jax.random.split(key, len(sizes) - 1)
        return [uniform_weights(k, (m, n)) for k, n, m in zip(keys, sizes[:-1], sizes[1:], strict=True)]

    def scores(params: Params, inputs: Array) -> Array:
        state = inputs
        for index, layer in enumerate(params[:-1]):
            found = active(dense(layer, state))
            state = state + found if index > 0 and found.shape == state.shape else found
        return dense(params[-1], state)

    return _problem("mnist1d_mlp", init, scores, samples, batch_size)


@history(revision=2)  # the published data, and the published network in place of one that pools
def mnist1d_cnn(
    *, channels: tuple[int, ...] = (25, 25, 25), samples: int = 5000, batch_size: int = 100
) -> Problem:
    """Convolutions of stride 2 along the curves of MNIST-1D, and a dense layer; 5,210 parameters.

    Formula: h = relu(x ∗ K + b), a layer for each of `channels`;  p = softmax(W·h + b);  loss = mean −log p[y];
        ∗ a convolution with 5 points in the first layer and 3 in the others, which moves by two, with a zero before and after

    Args:
        channels: output channels of the convolutions.
        samples: number of curves generated, a fifth of which are for validation.
        batch_size: curves in a minibatch; 0 means all of them.

    Metrics: accuracy

    Source: Greydanus & Kobak, Scaling Down Deep Learning with MNIST-1D, arXiv:2011.14439 (`ConvBase` of its repository).
    """
    if not channels:
        raise ProblemError("channels = []: give the output channels of at least one convolution")
    positive(channels=channels)
    first, rest = _KERNELS
    kernels, length, into = [], LENGTH, 1
    for index, out in enumerate(channels):
        kernels.append((out, into, rest if index else first))
        length, into = curves.length(length, kernels[-1][2], _STRIDE, _PADDING), out

    def init(key: Array) -> Params:
        shapes: list[tuple[int, ...]] = [*kernels, (LABELS, channels[-1] * length)]
        keys = jax.random.split(key, len(shapes))
        return [uniform_weights(k, shape) for k, shape in zip(keys, shapes, strict=True)]

    def scores(params: Params, inputs: Array) -> Array:
        state = inputs[None]
        for layer in params[:-1]:
            state = jax.nn.relu(curves.convolve(layer, state, _STRIDE, _PADDING))
        return dense(params[-1], state.reshape(-1, state.shape[-1]))

    return _problem("mnist1d_cnn", init, scores, samples, batch_size)


@history(
    revision=2
)  # the published data, and the published network in place of a wider one that read its last state
def mnist1d_gru(
    *,
    width: int = 6,
    bidirectional: bool = True,
    read: Literal["all", "last"] = "all",
    samples: int = 5000,
    batch_size: int = 100,
) -> Problem:
    """GRU that reads the curves of MNIST-1D point by point from both ends, and a dense layer on all states; 5,134 parameters.

    Formula: h ← (1 − z) n + z h;  n = tanh(W_n x + r (U_n h + b'_n) + b_n);  r, z = σ(W x + b + U h + b');
        p = softmax(V s + c), s the states after every point in both directions;  loss = mean −log p[y]

    Args:
        width: size of the hidden state of each direction.
        bidirectional: whether a second GRU reads the curve backwards.
        read: the states that the dense layer reads: those at all points, or those after the last one of each direction.
        samples: number of curves generated, a fifth of which are for validation.
        batch_size: curves in a minibatch; 0 means all of them.

    Metrics: accuracy

    Source: Greydanus & Kobak, arXiv:2011.14439 (`GRUBase` of its repository); Cho et al., arXiv:1406.1078.
    """
    positive(width=width)
    ends = {"forward": -1, "backward": 0} if bidirectional else {"forward": -1}
    states = width * len(ends) * (LENGTH if read == "all" else 1)

    def init(key: Array) -> Params:
        *keys, last = jax.random.split(key, len(ends) + 1)
        grus = {name: recurrent.gru_init(k, 1, width) for name, k in zip(ends, keys, strict=True)}
        return grus | {"out": uniform_weights(last, (LABELS, states))}

    def scores(params: Params, inputs: Array) -> Array:
        found = recurrent.grus([params[name] for name in ends], inputs[None])
        if read == "last":
            found = jnp.stack([found[index, :, end] for index, end in enumerate(ends.values())])
        return dense(params["out"], found.reshape(states, -1))

    return _problem("mnist1d_gru", init, scores, samples, batch_size)


def _problem(name: str, init: Init, scores: Scores, samples: int, batch_size: int) -> Problem:
    """Return a softmax classifier of the curves as a problem."""
    return softmax(
        name,
        init,
        lambda params, inputs: scores(params, inputs.T),
        mnist1d.generate(samples),
        batch_size or None,
    )
