"""Metrics of classifiers that no mean over batches gives: each takes the scores of a whole set, and the set `(inputs, targets)`."""

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float, Int

from lrbench.study.metric import metric


@metric(larger=True, bound=1.0)
def f1(predictions: Float[Array, "example label"], batch: tuple[Array, Array]) -> Float[Array, ""]:
    """Return F1, 2TP / (2TP + FP + FN): for two labels, that of label 1; for more, the mean over those that occur.

    An example is predicted to have the label of its highest score. A label occurs if it is a target or a prediction.

    Source: scikit-learn's f1_score, with average="binary" and "macro".
    """
    labels = predictions.shape[-1]
    true = _one_hot(batch[1], predictions)
    found = _one_hot(jnp.argmax(predictions, axis=-1), predictions)
    hits, both = jnp.sum(true * found, axis=0), jnp.sum(true + found, axis=0)
    each = jnp.where(both > 0, 2 * hits / jnp.maximum(both, 1), 0)
    return each[1] if labels == 2 else jnp.sum(each) / jnp.sum(both > 0)


@metric(larger=True, bound=1.0)
def auc(predictions: Float[Array, "example label"], batch: tuple[Array, Array]) -> Float[Array, ""]:
    """Return the area under the ROC curve: how often a positive example has a higher score than a negative one; a tie counts half.

    Formula: P(s > s') + ½ P(s = s');  s the log-odds of the label, of a positive and a negative example

    With two labels, label 1 is positive; with more it is the mean over labels of each against the rest. A label that all
    examples have, or none, does not count; if none counts, the area is missing.

    Source: Hanley & McNeil, Radiology 143 (1982); scikit-learn's roc_auc_score, with multi_class="ovr".
    """
    labels = predictions.shape[-1]
    counted = [1] if labels == 2 else range(labels)
    areas = jnp.stack([_area(_log_odds(predictions, label), batch[1] == label) for label in counted])
    return jnp.nanmean(areas)


def _one_hot(labels: Array, like: Array) -> Array:
    return jax.nn.one_hot(labels, like.shape[-1], dtype=like.dtype)


def _log_odds(scores: Float[Array, "example label"], label: int) -> Float[Array, " example"]:
    """Return log p/(1 − p) of a label, which orders examples as p does, and also where p rounds to 1."""
    others = jnp.delete(scores, label, axis=-1)
    return scores[:, label] - jax.nn.logsumexp(others, axis=-1)


def _area(score: Float[Array, " example"], positive: Array) -> Float[Array, ""]:
    """Return the area from the ranks: (mean rank of the positives − (P + 1)/2) / N, ties sharing their mean rank."""
    keys = _keys(score)
    ordered = jnp.sort(keys)
    below, upto = (jnp.searchsorted(ordered, keys, side=side) for side in ("left", "right"))
    rank = (below + upto + 1).astype(score.dtype) / 2
    many = jnp.sum(positive, dtype=score.dtype)
    rest = score.shape[0] - many
    mean = jnp.sum(jnp.where(positive, rank, 0)) / many
    return jnp.where((many > 0) & (rest > 0), (mean - (many + 1) / 2) / rest, jnp.nan)


def _keys(score: Float[Array, " example"]) -> Int[Array, " example"]:
    """Return whole numbers in the order of the scores, from their bits: on a CPU, XLA sorts them five times as fast."""
    whole = {2: jnp.int16, 4: jnp.int32, 8: jnp.int64}[score.dtype.itemsize]
    bits = lax.bitcast_convert_type(score, whole)
    least = -(2 ** (8 * score.dtype.itemsize - 1))
    return jnp.where(bits < 0, least - bits, bits)
