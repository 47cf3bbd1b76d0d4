"""Networks combined with data: problems of which entries are variants."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from lrbench.datasets.data import Split
from lrbench.errors import ProblemError
from lrbench.metrics.accuracy import accuracy
from lrbench.metrics.classification import auc, f1
from lrbench.metrics.regression import r2
from lrbench.nets import convolutions
from lrbench.nets.cnn import Network
from lrbench.nets.convolutions import Convolution
from lrbench.nets.layers import Params, cross_entropy, dense_stack, positive
from lrbench.nets.mup import Parametrisation, scaled
from lrbench.problems._constants import of_labels, of_numbers
from lrbench.problems._problem import Batch, Form, Init, Problem, Score

MANY_LABELS: Mapping[str, Score] = {"accuracy": accuracy}
TWO_LABELS: Mapping[str, Score] = {"accuracy": accuracy, "f1": f1, "auc": auc}
"""The metrics of a classifier whose labels are the absence and the presence of something."""


def classifier(
    name: str,
    parts: Split,
    hidden: Sequence[int],
    labels: int,
    batch_size: int | None,
    gain: float = 2.0,
    parametrisation: Parametrisation = "standard",
    metrics: Mapping[str, Score] = MANY_LABELS,
    weights: Float[np.ndarray, " label"] | None = None,
) -> Problem:
    """Return a fully connected softmax classifier of flat inputs as a problem; `weights` are those of the labels in its loss."""
    positive(hidden=hidden)
    sizes = [parts.train[0].shape[1], *hidden, labels]
    init, apply, factors = scaled(dense_stack(sizes, gain), sizes, parametrisation)

    return softmax(name, init, apply, parts, batch_size, metrics, weights, gradient_factors=factors)


def softmax(
    name: str,
    init: Init,
    scores: Callable[..., Array],
    parts: Split,
    batch_size: int | None,
    metrics: Mapping[str, Score] = MANY_LABELS,
    weights: Float[np.ndarray, " label"] | None = None,
    **more: Any,
) -> Problem:
    """Return a softmax classifier as a problem; `scores` of parameters and inputs are [label, example], `more` is for `Problem`."""

    def predict(params: Params, batch: Batch) -> Array:
        found: Array = scores(params, batch[0]).T
        return found

    def loss(params: Params, batch: Batch, key: Array) -> Array:
        del key
        return cross_entropy(scores(params, batch[0]), batch[1], weights)

    return Problem(
        name,
        init,
        loss,
        parts.data,
        predict,
        metrics,
        batch_size,
        constant_loss=of_labels(parts, weights),
        **more,
    )


def regression(name: str, parts: Split, hidden: Sequence[int], batch_size: int | None) -> Problem:
    """Return a fully connected regression of one number on flat inputs as a problem; its last layer is initialised with zeros."""
    positive(hidden=hidden)
    start, apply = dense_stack([parts.train[0].shape[1], *hidden, 1])

    def init(key: Array) -> Params:
        layers = start(key)
        return [*layers[:-1], jax.tree.map(jnp.zeros_like, layers[-1])]

    def predict(params: Params, batch: Batch) -> Array:
        found: Array = apply(params, batch[0])[0]
        return found

    def loss(params: Params, batch: Batch, key: Array) -> Array:
        del key
        return jnp.mean(jnp.square(predict(params, batch) - batch[1]))

    constant = of_numbers(parts)
    return Problem(name, init, loss, parts.data, predict, {"r2": r2}, batch_size, constant_loss=constant)


def balanced(labels: Int[np.ndarray, " example"], classes: int) -> Float[np.ndarray, " label"]:
    """Return a weight for each label, 1 / its frequency; 1 on average, and 0 for a label that no example has.

    >>> balanced(np.array([0, 0, 0, 1]), 2)
    array([0.667, 2. ])
    """
    counts = np.bincount(labels, minlength=classes)
    return len(labels) / np.count_nonzero(counts) * np.where(counts > 0, 1 / np.maximum(counts, 1), 0)


def convolutional_classifier(
    name: str,
    parts: Split,
    network: Network,
    batch_size: int | None,
    weights: Float[np.ndarray, " label"] | None = None,
) -> Problem:
    """Return a convolutional softmax classifier of flat images as a problem; `weights` are those of the labels in its loss."""
    if not network.channels:
        raise ProblemError("channels = []: give the output channels of at least one convolution")
    positive(channels=network.channels)
    _ = network.features
    forms = {form: _form(network, convolve, weights) for form, convolve in convolutions.FORMS.items()}
    own = next(iter(forms.values()))
    return Problem(
        name,
        network.init,
        own.loss,
        parts.data,
        own.predict,
        MANY_LABELS,
        batch_size,
        forms=forms,
        constant_loss=of_labels(parts, weights),
    )


def _form(network: Network, convolve: Convolution, weights: np.ndarray | None) -> Form:
    """Return loss and predictions for one implementation of convolution."""
    scores: Callable[[Params, Array], Array] = functools.partial(network.scores, convolve)

    def loss(params: Params, batch: Batch, key: Array) -> Array:
        del key
        return cross_entropy(scores(params, batch[0]), batch[1], weights)

    def predict(params: Params, batch: Batch) -> Array:
        return scores(params, batch[0]).T

    return Form(loss, predict)
