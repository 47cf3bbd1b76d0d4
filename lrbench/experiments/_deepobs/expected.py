"""The loss that gradient descent and momentum end at on the noisy quadratic, in expectation over all orders of the examples, in closed form."""

from __future__ import annotations

from functools import cached_property
from typing import NamedTuple

import numpy as np

from lrbench.analysis.groups import Floats
from lrbench.datasets import deepobs

BATCH, PER_EPOCH = 128, 7


class Noisy:
    """The noisy quadratic in the directions of its curvature: each of them is a problem of its own."""

    @cached_property
    def curvature(self) -> Floats:
        """The eigenvalues [direction], ascending."""
        return self._eigen[0]

    @cached_property
    def _eigen(self) -> tuple[Floats, Floats]:
        values, vectors = np.linalg.eigh(deepobs.curvature())
        return values, vectors

    @cached_property
    def _examples(self) -> tuple[Floats, Floats]:
        train, test = deepobs.examples()
        return train @ self._eigen[1], test @ self._eigen[1]

    @property
    def largest(self) -> float:
        """λ_max."""
        return float(self.curvature[-1])

    @property
    def start(self) -> float:
        """The test loss of w = (1, …, 1)."""
        return self._loss(np.square(self._eigen[1].sum(axis=0) - self._examples[1].mean(axis=0)))

    @property
    def least(self) -> float:
        """The least test loss: that of the mean of the tested examples."""
        return 0.5 * float(self.curvature @ self._examples[1].var(axis=0))

    def _loss(self, squares: Floats) -> float:
        """The test loss where the squared distances [direction] from the mean of the tested examples are these."""
        return self.least + 0.5 * float(self.curvature @ squares)

    def losses(self, rate: float, momentum: float, epochs: int) -> tuple[float, float]:
        """The expected test loss after so many epochs: of a fixed order, and of reshuffled ones; infinite where w grows beyond all numbers.

        With the response k(τ) of w to a batch τ steps ago, w = w₀'s remainder + Σ k·x̄ over the batches. The means x̄ of batches of B out of N examples,
        drawn without replacement, have the variance S²(1/B − 1/N) and the covariance −S²/N within an epoch. A fixed order repeats the same seven means, so that
        their responses add up before they are squared; reshuffled, the epochs are independent.
        """
        (train, test), steps = self._examples, epochs * PER_EPOCH
        with np.errstate(over="ignore", invalid="ignore"):
            response = _response(self.curvature, rate, momentum, steps)
            of_batch = response.batch[::-1].reshape(epochs, PER_EPOCH, -1)
            remainder = response.start * self._eigen[1].sum(axis=0)
            bias = remainder + train.mean(axis=0) * of_batch.sum(axis=(0, 1)) - test.mean(axis=0)
            variance = train.var(axis=0, ddof=1)
            found = [
                self._loss(np.square(bias) + variance * _spread(each, len(train)))
                for each in (of_batch.sum(axis=0, keepdims=True), of_batch)
            ]
        fixed, reshuffled = (value if np.isfinite(value) else np.inf for value in found)
        return fixed, reshuffled

    def periods(self, rate: float, momentum: float) -> Floats:
        """The steps [direction] in which w swings once around its minimum; infinite where it does not swing."""
        cosine = (1 + momentum - rate * self.curvature) / (2 * np.sqrt(momentum))
        angle = np.arccos(np.clip(cosine, -1, 1))
        return np.divide(2 * np.pi, angle, out=np.full_like(angle, np.inf), where=angle > 0)


class _Response(NamedTuple):
    """How w depends on what came before."""

    batch: Floats  # [τ, direction] on the mean of the batch τ + 1 steps ago
    start: Floats  # [direction] on where it started


def _response(curvature: Floats, rate: float, momentum: float, steps: int) -> _Response:
    """V ← β·v + λ·(w − x̄); w ← w − η·v."""
    batch = np.empty((steps, len(curvature)))
    position, velocity = rate * curvature, -curvature  # after a batch mean of 1 alone
    start, falling = np.ones_like(curvature), np.zeros_like(curvature)
    for step in range(steps):
        batch[step] = position
        velocity = momentum * velocity + curvature * position
        position = position - rate * velocity
        falling = momentum * falling + curvature * start
        start = start - rate * falling
    return _Response(batch, start)


def _spread(responses: Floats, examples: int) -> Floats:
    """The variance [direction] over orders of Σ k·x̄, for examples of variance 1; the responses are [independent order, batch, direction]."""
    own = np.square(responses).sum(axis=1) / BATCH
    together = np.square(responses.sum(axis=1)) / examples
    spread: Floats = (own - together).sum(axis=0)
    return spread
