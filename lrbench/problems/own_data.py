"""Models for the user's own data: tables as CSV, Parquet or NPZ, images as NPZ."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

import jax.numpy as jnp
from jaxtyping import Array, Float

from lrbench.datasets import user_tables
from lrbench.nets.cnn import Network
from lrbench.problems._models import MANY_LABELS, TWO_LABELS, classifier, convolutional_classifier, regression
from lrbench.problems._problem import Batch, File, Problem
from lrbench.study.metric import Metric


def tabular_linear(
    *,
    data: File,
    target: str,
    task: Literal["auto", "regression", "classification"] = "auto",
    ignore: tuple[str, ...] = (),
    split_seed: int = 0,
    batch_size: int = 32,
) -> Problem:
    """Linear or softmax regression of one column of your own table on the others.

    Formula: ŷ = x·w + b, loss = mean (ŷ − y)², y of mean 0 and deviation 1;  or p = softmax(x·W + b), loss = mean −log p[y]

    Numbers, booleans and texts (one input for each distinct text) are inputs, standardised on the training part; a missing
    number is replaced by the mean, and an additional input marks it. A fifth of the rows is for validation.

    Args:
        data: a CSV, Parquet or NPZ file, relative to the study file.
        target: the column to predict.
        task: "auto" is a classification if the target is text, boolean, or an integer of two values.
        ignore: columns that are not used.
        split_seed: determines which rows are for validation.
        batch_size: rows in a minibatch; 0 means all of them.

    Metrics: accuracy (classification), f1 (two labels), auc (two labels), absolute_error (regression), r2 (regression)

    Source: Legendre (1805); Berkson, Journal of the American Statistical Association 39 (1944).
    """
    prepared = user_tables.prepare(data, target, task, ignore, split_seed)
    return _tabular("tabular_linear", prepared, (), batch_size)


def tabular_mlp(
    *,
    data: File,
    target: str,
    task: Literal["auto", "regression", "classification"] = "auto",
    hidden: tuple[int, ...] = (64, 64),
    ignore: tuple[str, ...] = (),
    split_seed: int = 0,
    batch_size: int = 32,
) -> Problem:
    """Fully connected ReLU network that predicts one column of your own table from the others.

    Formula: h = relu(W·h + b), a layer for each of `hidden`;  ŷ = w·h + b, loss = mean (ŷ − y)², y of mean 0 and
        deviation 1;  or p = softmax(W·h + b), loss = mean −log p[y]

    The table is read as by `tabular_linear`.

    Args:
        data: a CSV, Parquet or NPZ file, relative to the study file.
        target: the column to predict.
        task: "auto" is a classification if the target is text, boolean, or an integer of two values.
        hidden: widths of the hidden layers.
        ignore: columns that are not used.
        split_seed: determines which rows are for validation.
        batch_size: rows in a minibatch; 0 means all of them.

    Metrics: accuracy (classification), f1 (two labels), auc (two labels), absolute_error (regression), r2 (regression)

    Source: Gorishniy et al., Revisiting Deep Learning Models for Tabular Data, arXiv:2106.11959.
    """
    prepared = user_tables.prepare(data, target, task, ignore, split_seed)
    return _tabular("tabular_mlp", prepared, hidden, batch_size)


def image_cnn(*, data: File, channels: tuple[int, ...] = (16, 32), batch_size: int = 64) -> Problem:
    """Convolutional layers with pooling and a dense layer, on your own images.

    Formula: h = relu(pool(x ∗ K + b)), a layer for each of `channels`;  p = softmax(h·W + b);  loss = mean −log p[y];
        ∗ a 3×3 convolution that keeps the size, pool the maximum over 2×2

    Args:
        data: an NPZ file, relative to the study file, with `images` [image, row, column] or [image, row, column, channel]
            and `labels`, numbers or texts; a fifth of the images is for validation.
        channels: output channels of the convolutions.
        batch_size: images in a minibatch; 0 means all of them.

    Metrics: accuracy

    Source: LeCun et al., Proc. IEEE 86 (1998).
    """
    parts, shape, labels = user_tables.images(data)
    network = Network(shape, channels, labels)
    return convolutional_classifier("image_cnn", parts, network, _within(batch_size, len(parts.train[1])))


def _tabular(name: str, prepared: user_tables.Prepared, hidden: Sequence[int], batch_size: int) -> Problem:
    size = _within(batch_size, len(prepared.parts.train[1]))
    if prepared.classes:
        gain = 2.0 if hidden else 1.0
        metrics = TWO_LABELS if prepared.classes == 2 else MANY_LABELS
        return classifier(name, prepared.parts, hidden, prepared.classes, size, gain, metrics=metrics)

    def absolute_error(predictions: Array, batch: Batch) -> Float[Array, ""]:
        # In the units of the target.
        return prepared.deviation * jnp.mean(jnp.abs(predictions - batch[1]))

    problem = regression(name, prepared.parts, hidden, size)
    return replace(problem, metrics={"absolute_error": Metric(absolute_error, mean=True), **problem.metrics})


def _within(batch_size: int, examples: int) -> int | None:
    """Return the batch size; a file with fewer examples is one minibatch."""
    return batch_size if batch_size and batch_size < examples else None
