"""Metrics of regressions: each takes the predictions for a whole set, and the set `(inputs, targets)`."""

import jax.numpy as jnp
from jaxtyping import Array, Float

from lrbench.study.metric import metric


@metric(larger=True, bound=1.0)
def r2(predictions: Float[Array, " example"], batch: tuple[Array, Array]) -> Float[Array, ""]:
    """Return the share of the targets' variance that the predictions explain: R² = 1 − Σ(y − ŷ)² / Σ(y − ȳ)², ȳ their mean.

    It is 0 for a constant prediction of the mean, and missing where all targets are the same.

    Source: scikit-learn's r2_score.
    """
    targets = batch[1]
    spread = jnp.sum(jnp.square(targets - jnp.mean(targets)))
    left = jnp.sum(jnp.square(targets - predictions))
    return jnp.where(spread > 0, 1 - left / spread, jnp.nan)
