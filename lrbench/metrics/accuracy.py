"""The share of correct predictions."""

import jax.numpy as jnp
from jaxtyping import Array, Float

from lrbench.study.metric import metric


@metric(larger=True, bound=1.0, mean=True)
def accuracy(predictions: Float[Array, "example label"], batch: tuple[Array, Array]) -> Float[Array, ""]:
    """Return the share of examples whose highest score is that of the target: mean(argmax(ŷ) = y).

    Source: scikit-learn's accuracy_score.
    """
    targets = batch[1]
    return jnp.mean(jnp.argmax(predictions, axis=-1) == targets, dtype=predictions.dtype)
