"""Problems of modular arithmetic."""

from __future__ import annotations

import numpy as np
from jaxtyping import Array

from lrbench.datasets.data import Split
from lrbench.errors import ProblemError
from lrbench.nets.attention import Transformer
from lrbench.nets.layers import Params, cross_entropy, dense
from lrbench.problems._constants import of_labels
from lrbench.problems._models import MANY_LABELS
from lrbench.problems._problem import Batch, Problem


def modular_addition_transformer(
    *,
    modulus: int = 31,
    train_share: float = 0.7,
    width: int = 32,
    heads: int = 4,
    layers: int = 1,
    batch_size: int = 128,
) -> Problem:
    """Transformer that learns a + b modulo p from part of all sums, and is validated on the others.

    Formula: p = softmax(scores of a transformer at "=" of "a b =");  loss = mean −log p[(a + b) mod p];
        h ← h + attention(N(h));  h ← h + W₂ gelu(W₁ N(h)), N layer normalisation

    With a little weight decay and long training, the validation loss falls long after the training loss ("grokking").

    Args:
        modulus: p; there are p² sums.
        train_share: the share of all sums used for training.
        width: features of a position.
        heads: attention heads; `width` must be a multiple of it.
        layers: number of blocks, each of attention and a hidden layer.
        batch_size: sums in a minibatch; 0 means all of them.

    Metrics: accuracy

    Source: Power et al., arXiv:2201.02177; Nanda et al., arXiv:2301.05217.
    """
    if modulus < 2:
        raise ProblemError(f"modulus = {modulus}: must be 2 or more")
    if not 0 < round(train_share * modulus**2) < modulus**2:
        raise ProblemError(
            f"train_share = {train_share}: must be between 0 and 1, and leave sums for training and validation"
        )
    model = Transformer(modulus + 1, 3, width, heads, layers)

    def scores(params: Params, batch: Batch) -> Array:
        last = model.hidden(params, batch[0])[:, -1]
        return dense(params["out"], last)

    def predict(params: Params, batch: Batch) -> Array:
        return scores(params, batch).T

    def loss(params: Params, batch: Batch, key: Array) -> Array:
        del key
        return cross_entropy(scores(params, batch), batch[1])

    parts = _sums(modulus, train_share)
    return Problem(
        "modular_addition_transformer",
        model.init,
        loss,
        parts.data,
        predict,
        MANY_LABELS,
        batch_size or None,
        constant_loss=of_labels(parts),
    )


def _sums(modulus: int, share: float) -> Split:
    first, second = (axis.reshape(-1) for axis in np.indices((modulus, modulus)))
    tokens = np.stack([first, second, np.full_like(first, modulus)], axis=1).astype(np.int32)
    answers = ((first + second) % modulus).astype(np.int32)
    order = np.random.Generator(np.random.PCG64(0)).permutation(len(answers))
    train, valid = np.split(order, [round(share * len(order))])
    return Split((tokens[train], answers[train]), (tokens[valid], answers[valid]))
