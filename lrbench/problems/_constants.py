"""The loss of the best constant prediction: what a model reaches that has learnt nothing of its inputs.

The constant is fitted to the training targets, as a model would be, and its loss is that on the targets of the evaluation. Each returns
`None` where that loss is infinite, because the evaluation has a target that training had not.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Int

from lrbench.datasets.data import Split


def constant_square(
    train: Float[np.ndarray, example * target], valid: Float[np.ndarray, example * target]
) -> float:
    """Return the mean squared error of the mean of the training targets, each number of a target on its own.

    >>> constant_square(np.array([0.0, 2.0]), np.array([1.0, 3.0]))
    2.0
    """
    return float(np.mean(np.square(np.asarray(valid, np.float64) - np.mean(train, axis=0, dtype=np.float64))))


def constant_entropy(
    train: Int[np.ndarray, " example"],
    valid: Int[np.ndarray, " example"],
    weights: Float[np.ndarray, " label"] | None = None,
) -> float | None:
    """Return the cross-entropy of the frequencies of the training labels, each of which counts `weights[label]` times, on average once.

    >>> constant_entropy(np.array([0, 1]), np.array([1, 1, 0])), constant_entropy(np.array([0]), np.array([1]))
    (0.693147, None)
    """
    labels = 1 + max(int(train.max()), int(valid.max()))
    each = np.ones(labels) if weights is None else weights[:labels]
    trained, evaluated = (
        each * np.bincount(part.reshape(-1), minlength=labels) / part.size for part in (train, valid)
    )
    return _entropy(evaluated, trained)


def constant_shares(
    train: Float[np.ndarray, "example target"], valid: Float[np.ndarray, "example target"]
) -> float | None:
    """Return the binary cross-entropy of the means of the training targets, numbers from 0 to 1, summed over those of an example.

    >>> constant_shares(np.array([[0.0], [0.5]]), np.array([[0.25]]))
    0.562335
    """
    chosen, meant = (np.mean(part, axis=0, dtype=np.float64) for part in (train, valid))
    return _entropy(np.concatenate([meant, 1 - meant]), np.concatenate([chosen, 1 - chosen]))


def _entropy(found: Float[np.ndarray, " outcome"], predicted: Float[np.ndarray, " outcome"]) -> float | None:
    """Return −Σ found · log predicted over the outcomes that were found; `None` if one of them was predicted never."""
    some = found > 0
    return -float(np.sum(found[some] * np.log(predicted[some]))) if (predicted[some] > 0).all() else None


def of_labels(parts: Split, weights: Float[np.ndarray, " label"] | None = None) -> float | None:
    """Return `constant_entropy` of the labels of a split."""
    return constant_entropy(parts.train[1], parts.valid[1], weights)


def of_numbers(parts: Split) -> float:
    """Return `constant_square` of the targets of a split."""
    return constant_square(parts.train[1], parts.valid[1])
