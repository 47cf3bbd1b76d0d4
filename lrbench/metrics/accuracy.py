"""Metrics of classifiers: each takes a model's predictions for a batch `(inputs, targets)`, and the batch."""

import jax.numpy as jnp
from jaxtyping import Array, Float


def accuracy(predictions: Float[Array, "example label"], batch: tuple[Array, Array]) -> Float[Array, ""]:
    """Return the share of examples whose highest score is that of the target: mean(argmax(ŷ) = y).

    Source: scikit-learn's accuracy_score.
    """
    targets = batch[1]
    return jnp.mean(jnp.argmax(predictions, axis=-1) == targets, dtype=predictions.dtype)
