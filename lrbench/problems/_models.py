"""Models and losses that several problems share, as plain functions of parameter pytrees."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from lrbench.errors import ProblemError
from lrbench.metrics import accuracy
from lrbench.problems._data import Split
from lrbench.problems._problem import Batch, Params, Problem


def dense_stack(sizes: Sequence[int], gain: float = 2.0) -> tuple[Any, Any]:
    """Return (init, apply) of fully connected layers with ReLU between them.

    Weights are normal with variance gain / fan-in (He et al., arXiv:1502.01852, for gain = 2), biases zero.

    Weights are [output, input] and activations [feature, example]: the weights of many lanes then stack to the rows of
    one tall matrix, and neither the wide products nor the gradients need to be transposed. On a CPU, a step of
    digits_mlp takes two thirds of the time that x·W takes.
    """

    def init(key: Array) -> Params:
        keys = jax.random.split(key, len(sizes) - 1)
        return [
            {"weight": jax.random.normal(k, (m, n)) * jnp.sqrt(gain / n), "bias": jnp.zeros((m, 1))}
            for k, n, m in zip(keys, sizes[:-1], sizes[1:], strict=True)
        ]

    def apply(params: Params, inputs: Float[Array, "example feature"]) -> Float[Array, "output example"]:
        hidden = inputs.T
        for layer in params[:-1]:
            hidden = jax.nn.relu(layer["weight"] @ hidden + layer["bias"])
        return params[-1]["weight"] @ hidden + params[-1]["bias"]

    return init, apply


def cross_entropy(scores: Float[Array, "label example"], labels: Int[Array, " example"]) -> Float[Array, ""]:
    """Return the mean over examples of −log softmax(scores)[label].

    The label's score is picked by a product with ones and zeros: the gradient of indexing is a scatter, which XLA
    does one element at a time on a CPU.
    """
    chosen = jnp.sum(scores * jax.nn.one_hot(labels, scores.shape[0], dtype=scores.dtype, axis=0), axis=0)
    return jnp.mean(jax.nn.logsumexp(scores, axis=0) - chosen)


def classifier(
    name: str, parts: Split, hidden: Sequence[int], labels: int, batch_size: int | None, gain: float = 2.0
) -> Problem:
    """Return a fully connected softmax classifier of flat inputs as a problem."""
    if any(width < 1 for width in hidden):
        raise ProblemError(f"hidden = {list(hidden)}: every width must be 1 or more")
    init, apply = dense_stack([parts.train[0].shape[1], *hidden, labels], gain)

    def predict(params: Params, batch: Batch) -> Array:
        scores: Array = apply(params, batch[0]).T
        return scores

    def loss(params: Params, batch: Batch, key: Array) -> Array:
        del key
        return cross_entropy(apply(params, batch[0]), batch[1])

    return Problem(name, init, loss, parts.data, predict, {"accuracy": accuracy}, batch_size)
