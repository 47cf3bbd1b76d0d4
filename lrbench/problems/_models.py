"""Models and losses that several problems share, as plain functions of parameter pytrees."""

from __future__ import annotations

from collections.abc import Sequence

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, Int

from lrbench.errors import ProblemError
from lrbench.metrics import accuracy
from lrbench.problems._data import Split
from lrbench.problems._problem import Batch, Params, Problem


def dense_stack(sizes: Sequence[int], gain: float = 2.0) -> tuple:  # type: ignore[type-arg]
    """Return (init, apply) of fully connected layers with ReLU between them.

    Weights are normal with variance gain / fan-in (He et al., arXiv:1502.01852, for gain = 2), biases zero.
    """

    def init(key: Array) -> Params:
        keys = jax.random.split(key, len(sizes) - 1)
        return [
            {"weight": jax.random.normal(k, (n, m)) * jnp.sqrt(gain / n), "bias": jnp.zeros(m)}
            for k, n, m in zip(keys, sizes[:-1], sizes[1:], strict=True)
        ]

    def apply(params: Params, inputs: Float[Array, "example feature"]) -> Float[Array, "example output"]:
        for layer in params[:-1]:
            inputs = jax.nn.relu(inputs @ layer["weight"] + layer["bias"][None])
        return inputs @ params[-1]["weight"] + params[-1]["bias"][None]

    return init, apply


def cross_entropy(scores: Float[Array, "example label"], labels: Int[Array, " example"]) -> Float[Array, ""]:
    """Return the mean over examples of −log softmax(scores)[label]."""
    return optax.softmax_cross_entropy_with_integer_labels(scores, labels).mean()


def classifier(
    name: str, parts: Split, hidden: Sequence[int], labels: int, batch_size: int | None, gain: float = 2.0
) -> Problem:
    """Return a fully connected softmax classifier of flat inputs as a problem."""
    if any(width < 1 for width in hidden):
        raise ProblemError(f"hidden = {list(hidden)}: every width must be 1 or more")
    init, apply = dense_stack([parts.train[0].shape[1], *hidden, labels], gain)

    def predict(params: Params, batch: Batch) -> Array:
        scores: Array = apply(params, batch[0])
        return scores

    def loss(params: Params, batch: Batch, key: Array) -> Array:
        del key
        return cross_entropy(predict(params, batch), batch[1])

    return Problem(name, init, loss, parts.data, predict, {"accuracy": accuracy}, batch_size)
