"""Models for the user's own data: tables as CSV, Parquet or NPZ, images as NPZ."""

from __future__ import annotations

from typing import Literal

from lrbench.datasets import user_images, user_tables
from lrbench.datasets.user_tables import Reading
from lrbench.nets.cnn import Network
from lrbench.problems._models import balanced, convolutional_classifier
from lrbench.problems._problem import File, Problem
from lrbench.problems._tables import network, within
from lrbench.study.catalog import history


@history(revision=2)  # texts that are numbers, identifiers
def tabular_linear(
    *,
    data: File,
    target: str = "",
    task: Literal["auto", "regression", "classification"] = "auto",
    inputs: tuple[str, ...] = (),
    ignore: tuple[str, ...] = (),
    categories: tuple[str, ...] = (),
    decimal: Literal["auto", ".", ","] = "auto",
    valid: float | File = "auto",
    class_weights: Literal["none", "balanced"] = "none",
    split_seed: int = 0,
    batch_size: int = 32,
) -> Problem:
    """Linear or softmax regression of one column of your own table on the others.

    Formula: ŷ = x·w + b, loss = mean (ŷ − y)², y of mean 0 and deviation 1;  or p = softmax(x·W + b), loss = mean −log p[y]

    Numbers, booleans and texts (one input for each distinct text) are inputs, standardised on the training part; a missing
    number is replaced by the mean, and an additional input marks it. docs/own-data.md has the details.

    Args:
        data: a CSV, Parquet or NPZ file, relative to the study file.
        target: the column to predict; may be left out if there is one called y, target, targets, label or labels.
        task: "auto" is a classification if the target is text or boolean, or has two whole numbers, or the whole numbers 0 to k − 1, k
            at most 20 and each in ten rows on average.
        inputs: the columns that are used; left out, all but the target and identifiers.
        ignore: columns that are not used.
        categories: columns whose numbers are names.
        decimal: the decimal sign of numbers that are texts; "auto" finds it.
        valid: which rows are for validation: a fraction, a file, or the name of a column of true and false, 1 and 0, or train and valid;
            "auto" are those of arrays such as `x_test` in an NPZ, or a fraction of 0.2.
        class_weights: "balanced" weights the loss of an example by 1 / frequency of its class, 1 on average.
        split_seed: determines which rows a fraction draws.
        batch_size: rows in a minibatch; 0 means all of them.

    Metrics: accuracy (classification), f1 (two labels), auc (two labels), absolute_error (regression), r2 (regression)

    Source: Legendre (1805); Berkson, Journal of the American Statistical Association 39 (1944).
    """
    reading = Reading(target, task, inputs, ignore, categories, decimal, valid, split_seed)
    prepared = user_tables.prepare(data, reading)
    return network("tabular_linear", prepared, (), batch_size, class_weights)


@history(revision=2)  # texts that are numbers, identifiers
def tabular_mlp(
    *,
    data: File,
    target: str = "",
    task: Literal["auto", "regression", "classification"] = "auto",
    hidden: tuple[int, ...] = (64, 64),
    inputs: tuple[str, ...] = (),
    ignore: tuple[str, ...] = (),
    categories: tuple[str, ...] = (),
    decimal: Literal["auto", ".", ","] = "auto",
    valid: float | File = "auto",
    class_weights: Literal["none", "balanced"] = "none",
    split_seed: int = 0,
    batch_size: int = 32,
) -> Problem:
    """Fully connected ReLU network that predicts one column of your own table from the others.

    Formula: h = relu(W·h + b), a layer for each of `hidden`;  ŷ = w·h + b, loss = mean (ŷ − y)², y of mean 0 and
        deviation 1;  or p = softmax(W·h + b), loss = mean −log p[y]

    The table is read as by `tabular_linear`.

    Args:
        data: a CSV, Parquet or NPZ file, relative to the study file.
        target: the column to predict; may be left out if there is one called y, target, targets, label or labels.
        task: "auto" is a classification if the target is text or boolean, or has two whole numbers, or the whole numbers 0 to k − 1, k
            at most 20 and each in ten rows on average.
        hidden: widths of the hidden layers.
        inputs: the columns that are used; left out, all but the target and identifiers.
        ignore: columns that are not used.
        categories: columns whose numbers are names.
        decimal: the decimal sign of numbers that are texts; "auto" finds it.
        valid: which rows are for validation: a fraction, a file, or the name of a column of true and false, 1 and 0, or train and valid;
            "auto" are those of arrays such as `x_test` in an NPZ, or a fraction of 0.2.
        class_weights: "balanced" weights the loss of an example by 1 / frequency of its class, 1 on average.
        split_seed: determines which rows a fraction draws.
        batch_size: rows in a minibatch; 0 means all of them.

    Metrics: accuracy (classification), f1 (two labels), auc (two labels), absolute_error (regression), r2 (regression)

    Source: Gorishniy et al., Revisiting Deep Learning Models for Tabular Data, arXiv:2106.11959.
    """
    reading = Reading(target, task, inputs, ignore, categories, decimal, valid, split_seed)
    prepared = user_tables.prepare(data, reading)
    return network("tabular_mlp", prepared, hidden, batch_size, class_weights)


@history(added=("inputs", "target", "valid", "class_weights", "split_seed"))
def image_cnn(
    *,
    data: File,
    channels: tuple[int, ...] = (16, 32),
    inputs: str = "",
    target: str = "",
    valid: float | File = "auto",
    class_weights: Literal["none", "balanced"] = "none",
    split_seed: int = 0,
    batch_size: int = 64,
) -> Problem:
    """Convolutional layers with pooling and a dense layer, on your own images.

    Formula: h = relu(pool(x ∗ K + b)), a layer for each of `channels`;  p = softmax(h·W + b);  loss = mean −log p[y];
        ∗ a 3×3 convolution that keeps the size, pool the maximum over 2×2

    Args:
        data: an NPZ file, relative to the study file, with arrays of images [image, row, column] or [image, row, column, channel] and of
            labels, numbers or texts.
        channels: output channels of the convolutions.
        inputs: the array of the images; may be left out if there is one called images, x, data, inputs or features.
        target: the array of the labels; may be left out if there is one called y, target, targets, label or labels.
        valid: which images are for validation: a fraction, a file, or the name of an array of true and false, 1 and 0, or train and
            valid; "auto" are those of arrays such as `x_test`, or a fraction of 0.2.
        class_weights: "balanced" weights the loss of an example by 1 / frequency of its class, 1 on average.
        split_seed: determines which images a fraction draws.
        batch_size: images in a minibatch; 0 means all of them.

    Metrics: accuracy

    Source: LeCun et al., Proc. IEEE 86 (1998).
    """
    parts, shape, labels = user_images.images(data, inputs, target, valid, split_seed)
    network = Network(shape, channels, labels)
    size = within(batch_size, len(parts.train[1]))
    weights = balanced(parts.train[1], labels) if class_weights == "balanced" else None
    return convolutional_classifier("image_cnn", parts, network, size, weights)
