"""Models of the user's tables, and the function for data frames."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Literal

import jax.numpy as jnp
from jaxtyping import Array, Float

from lrbench.datasets import files, user_tables, validation
from lrbench.datasets.numerals import Decimal
from lrbench.datasets.targets import Task
from lrbench.datasets.user_tables import Prepared, Reading
from lrbench.datasets.validation import Valid
from lrbench.errors import DataError
from lrbench.problems._models import MANY_LABELS, TWO_LABELS, balanced, classifier, regression
from lrbench.problems._problem import Batch, Problem
from lrbench.study.metric import Metric

Weights = Literal["none", "balanced"]


def tabular(
    frame: Any,
    *,
    target: str,
    task: Task = "auto",
    hidden: tuple[int, ...] = (64, 64),
    inputs: Sequence[str] = (),
    ignore: Sequence[str] = (),
    categories: Sequence[str] = (),
    decimal: Decimal = "auto",
    valid: Valid = "auto",
    class_weights: Weights = "none",
    split_seed: int = 0,
    batch_size: int = 32,
    name: str = "frame",
) -> Problem:
    """Return a problem from a data frame: a network that predicts one of its columns from the others.

    The model and the way that columns become inputs are those of `tabular_mlp`; `hidden=()` is `tabular_linear`.

    Args:
        frame: of pandas, polars, or anything else that Arrow can read.
        target: the column to predict.
        task: as of `tabular_mlp`, like all that follow, except `name`.
        hidden: widths of the hidden layers.
        inputs: the columns that are used.
        ignore: columns that are not used.
        categories: columns whose numbers are names.
        decimal: the decimal sign of numbers that are texts.
        valid: which rows are for validation: a fraction, or the name of a column.
        class_weights: "balanced" weights the loss of an example by 1 / frequency of its class.
        split_seed: determines which rows a fraction draws.
        batch_size: rows in a minibatch; 0 means all of them.
        name: of the problem, in tables.

    Raises:
        DataError: in one line that names the column.

    >>> import pyarrow as pa
    >>> table = pa.table({"area": list(range(20)), "price": [2.5 * area for area in range(20)]})
    >>> tabular(table, target="price", hidden=()).data.examples
    16
    """
    if validation.is_file(valid):
        raise DataError(
            f"frame: valid = {valid!r}: must be a fraction or the name of a column, or append those rows"
        )
    reading = Reading(
        target, task, tuple(inputs), tuple(ignore), tuple(categories), decimal, valid, split_seed
    )
    columns = files.of_frame(frame, decimal, reading.unread)
    return network(
        name, user_tables.of_columns(columns, {}, reading, "frame"), hidden, batch_size, class_weights
    )


def network(
    name: str, prepared: Prepared, hidden: Sequence[int], batch_size: int, class_weights: Weights
) -> Problem:
    """Return a network on a prepared table as a problem.

    Raises:
        DataError: if classes are to be weighted, and there are none.
    """
    size = within(batch_size, len(prepared.parts.train[1]))
    if prepared.classes:
        gain = 2.0 if hidden else 1.0
        metrics = TWO_LABELS if prepared.classes == 2 else MANY_LABELS
        weights = balanced(prepared.parts.train[1], prepared.classes) if class_weights == "balanced" else None
        problem = classifier(
            name, prepared.parts, hidden, prepared.classes, size, gain, metrics=metrics, weights=weights
        )
        return replace(problem, notes=prepared.notes)
    if class_weights != "none":
        raise DataError(
            f"class_weights = {class_weights!r}: the target is a number; only classes have weights"
        )

    def absolute_error(predictions: Array, batch: Batch) -> Float[Array, ""]:
        # In the units of the target.
        return prepared.deviation * jnp.mean(jnp.abs(predictions - batch[1]))

    problem = regression(name, prepared.parts, hidden, size)
    metric = Metric(absolute_error, mean=True)
    return replace(problem, metrics={"absolute_error": metric, **problem.metrics}, notes=prepared.notes)


def within(batch_size: int, examples: int) -> int | None:
    """Return the batch size; a file with fewer examples is one minibatch."""
    return batch_size if batch_size and batch_size < examples else None
