"""The data of DeepOBS's noisy quadratic: its curvature, its examples, and the order in which TensorFlow 1 shuffled them for the published runs."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from lrbench.datasets.data import Arrays

PUBLISHED = Path(__file__).parent / "arrays" / "deepobs_quadratic_deep.csv"
"""What 108 runs of 100 epochs ended at: three optimizers, 36 learning rates."""
DIMENSION, NOISE = 100, 0.6
_TRAIN, _TEST, _EXAMPLES, _TESTED = 42, 43, 1000, 896
"""The seeds of the examples, how many there are, and how many are tested: seven batches of 128, the others dropped."""
_SEED, _OPERATION = 42, 2
"""The seeds of TensorFlow's shuffle: that of the runs, and the number of the operation in the graph, which is its second seed."""
_WORD = 0xFFFFFFFF
_MULTIPLIERS, _INCREMENTS, _ROUNDS = (0xD2511F53, 0xCD9E8D57), (0x9E3779B9, 0xBB67AE85), 10


def curvature() -> np.ndarray:
    """Return the matrix [coordinate, coordinate]: 90 eigenvalues from (0, 1) and 10 from (30, 60), rotated.

    The rotation is uniform: it grows by a coordinate at a time, each time with a reflection that takes the first axis to a random direction.

    Source: Schneider, Balles & Hennig, DeepOBS, ICLR 2019; Diaconis & Shahshahani, The subgroup algorithm for generating uniform
        random variables, Probability in the Engineering and Informational Sciences 1 (1987).
    """
    random = np.random.RandomState(42)
    steep = DIMENSION // 10
    spectrum = np.append(random.uniform(0, 1, DIMENSION - steep), random.uniform(30, 60, steep))
    angle = 2 * np.pi * random.uniform()
    rotation = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    for size in range(3, DIMENSION + 1):
        normal = random.normal(size=size)
        normal /= -np.linalg.norm(normal)
        normal[0] += 1
        normal /= np.linalg.norm(normal)
        grown = np.eye(size)
        grown[1:, 1:] = rotation
        rotation = grown - 2 * np.outer(normal, normal @ grown)
    # The sign of the rotation, which makes its determinant 1, makes no difference here.
    return (rotation.T * spectrum) @ rotation


def examples() -> Arrays:
    """Return the training examples [example, coordinate] in the order of the published runs, and the tested ones."""
    train, test = (
        np.random.RandomState(seed).normal(0.0, NOISE, (_EXAMPLES, DIMENSION)).astype(np.float32)
        for seed in (_TRAIN, _TEST)
    )
    return train[shuffled(_EXAMPLES, _SEED, _OPERATION)], test[:_TESTED]


def shuffled(count: int, seed: int, operation: int) -> np.ndarray:
    """Return the order [example] in which TensorFlow 1 yields a data set that fits into its shuffle buffer, whenever its iterator starts.

    The two seeds draw two more, for each iterator; a shuffle then exchanges each example with one that is left, as Fisher and Yates do.

    Args:
        count: of examples.
        seed: of the graph.
        operation: the seed of the operation.

    Source: `ShuffleDatasetOp` of TensorFlow 1.
    """
    own = words(seed, operation)
    random = words(next(own), next(own))
    order = np.arange(count)
    for place in range(count):
        other = place + next(random) % (count - place)
        order[[place, other]] = order[[other, place]]
    return order


def words(seed: int, second: int) -> Iterator[int]:
    """Yield random words of 32 bits: Philox 4×32 with ten rounds, in TensorFlow's use of its two seeds.

    Source: Salmon et al., Parallel random numbers: as easy as 1, 2, 3, SC 2011.
    """
    block = 0
    while True:
        counter = (*_halves(block), *_halves(second))
        yield from philox(counter, _halves(seed))
        block += 1


def philox(counter: tuple[int, int, int, int], key: tuple[int, int]) -> tuple[int, int, int, int]:
    """Return the four random words that a counter and a key give."""
    a, b, c, d = counter
    for _ in range(_ROUNDS):
        left, right = (factor * word for factor, word in zip(_MULTIPLIERS, (a, c), strict=True))
        a, b, c, d = (right >> 32) ^ b ^ key[0], right & _WORD, (left >> 32) ^ d ^ key[1], left & _WORD
        key = ((key[0] + _INCREMENTS[0]) & _WORD, (key[1] + _INCREMENTS[1]) & _WORD)
    return a, b, c, d


def _halves(number: int) -> tuple[int, int]:
    """Return the lower and the upper 32 bits of a number."""
    return number & _WORD, (number >> 32) & _WORD
