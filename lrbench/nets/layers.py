"""Layers, stacks of them, and their losses, as plain functions of parameter pytrees."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, PyTree

from lrbench.errors import ProblemError

Params: TypeAlias = PyTree[Array]
"""The parameters of a model: a pytree of arrays."""
Images = Float[Array, "channel row column example"]
Sequences = Float[Array, "feature position example"]


def weights(key: Array, shape: Sequence[int], gain: float = 2.0) -> dict[str, Array]:
    """Return the weights [output, input, ...] and the biases [output, 1] of a layer.

    Weights are normal with variance gain / fan-in (He et al., arXiv:1502.01852, for gain = 2), biases zero.
    """
    fan_in = math.prod(shape[1:])
    return {
        "weight": jax.random.normal(key, shape) * math.sqrt(gain / fan_in),
        "bias": jnp.zeros((shape[0], 1)),
    }


def uniform_weights(key: Array, shape: Sequence[int], fan_in: int | None = None) -> dict[str, Array]:
    """Return the weights [output, input, ...] and the biases [output, 1] of a layer, all uniform in ±1 / √fan-in, as in PyTorch.

    >>> {name: leaf.shape for name, leaf in uniform_weights(jax.random.key(0), (25, 1, 5)).items()}
    {'weight': (25, 1, 5), 'bias': (25, 1)}
    """
    bound = 1 / math.sqrt(fan_in or math.prod(shape[1:]))
    shapes = {"weight": tuple(shape), "bias": (shape[0], 1)}
    keys = jax.random.split(key, len(shapes))
    return {
        name: jax.random.uniform(each, shapes[name], minval=-bound, maxval=bound)
        for name, each in zip(shapes, keys, strict=True)
    }


def dense(layer: Params, hidden: Float[Array, "input ..."]) -> Float[Array, "output ..."]:
    """Return W·h + b, a product over the first axis, as one matrix product."""
    flat = hidden.reshape(hidden.shape[0], -1)
    return (layer["weight"] @ flat + layer["bias"]).reshape(-1, *hidden.shape[1:])


def dense_stack(
    sizes: Sequence[int], gain: float = 2.0, activation: Callable[[Array], Array] = jax.nn.relu
) -> tuple[Any, Any]:
    """Return (init, apply) of fully connected layers with ReLU or another activation between them.

    Weights are [output, input] and activations [feature, example]: the weights of many lanes are then the rows of one tall
    matrix, and neither the wide products nor the gradients require a transposition. On a CPU, a step of digits_mlp takes
    two thirds of the time of one with x·W.
    """

    def init(key: Array) -> Params:
        keys = jax.random.split(key, len(sizes) - 1)
        return [weights(k, (m, n), gain) for k, n, m in zip(keys, sizes[:-1], sizes[1:], strict=True)]

    def apply(params: Params, inputs: Float[Array, "example feature"]) -> Float[Array, "output example"]:
        hidden = inputs.T
        for layer in params[:-1]:
            hidden = activation(dense(layer, hidden))
        return dense(params[-1], hidden)

    return init, apply


def cross_entropy(
    scores: Float[Array, "label example"],
    labels: Int[Array, " example"],
    weights: Float[np.ndarray, " label"] | None = None,
) -> Float[Array, ""]:
    """Return the mean over examples of −w[label] · log softmax(scores)[label]; without `weights`, w = 1.

    The label's score is selected by a product with a one-hot matrix: the gradient of indexing is a scatter, which XLA
    computes one element at a time on a CPU.
    """
    hot = jax.nn.one_hot(labels, scores.shape[0], dtype=scores.dtype, axis=0)
    entropy = jax.nn.logsumexp(scores, axis=0) - jnp.sum(scores * hot, axis=0)
    return jnp.mean(entropy if weights is None else entropy * (jnp.asarray(weights, scores.dtype) @ hot))


def next_token_entropy(
    scores: Float[Array, "token position example"], tokens: Int[Array, "example position"]
) -> Float[Array, ""]:
    """Return the cross-entropy of a token at every position, in nats per token."""
    return cross_entropy(scores.reshape(scores.shape[0], -1), tokens.T.reshape(-1))


MOST_LAYERS = 1000
"""Each layer has its own arrays and code; tracing and compiling more takes hours and gigabytes."""
_COUNTS = ("layers", "depth", "blocks")
"""The parameters that count layers."""


def positive(**sizes: int | Sequence[int]) -> None:
    """Check that sizes are 1 or more, and that there are not too many layers.

    Raises:
        ProblemError: naming the first invalid one.
    """
    for name, size in sizes.items():
        found = [size] if isinstance(size, int) else list(size)
        layers = len(found) if not isinstance(size, int) else size if name in _COUNTS else 1
        if layers > MOST_LAYERS:
            raise ProblemError(f"{name}: {layers:,} layers; at most {MOST_LAYERS:,} are allowed")
        if any(each < 1 for each in found):
            given = size if isinstance(size, int) else found
            raise ProblemError(
                f"{name} = {given}: {'' if isinstance(size, int) else 'every width '}must be 1 or more"
            )
