"""What the repository of MNIST-1D prints: the accuracies of its models, how many parameters they have, and its best rate."""

from __future__ import annotations

from typing import NamedTuple

RATE, BATCH_SIZE, STEPS = 0.01, 100, 6000
"""Adam's rate, and what its models are trained with."""
EVERY = 1000
"""Steps between two lines of its log."""
BEST_RATE, LEAST_LOSS = 0.62, 1.716
"""Of its notebook on metalearning a learning rate: the rate of gradient descent that it finds, and the mean training loss at it; of one seed."""


class Model(NamedTuple):
    """A model, and what is printed of it."""

    problem: str
    name: str
    parameters: int
    quickstart: tuple[float, ...]
    """Accuracy on the 1,000 test curves in percent, every 1,000 steps, in the notebook `quickstart`; of one seed."""
    benchmark: tuple[float, ...]
    """The same in the notebook `mnist1d-classification`."""
    readme: int
    """The accuracy that the README's table states, rounded to a percent."""

    @property
    def last(self) -> tuple[float, float]:
        """The accuracies after the last step, in both notebooks."""
        return self.quickstart[-1], self.benchmark[-1]


MODELS = (
    Model(
        "mnist1d_softmax",
        "logistic regression",
        410,
        (31.9, 31.9, 31.5, 31.4, 31.6, 31.5),
        (32.1, 32.0, 31.6, 31.3, 31.5, 31.5),
        32,
    ),
    Model(
        "mnist1d_mlp",
        "MLP",
        15_210,
        (59.6, 62.1, 63.5, 64.2, 64.1, 64.6),
        (60.9, 64.7, 65.6, 65.2, 65.7, 65.1),
        68,
    ),
    Model(
        "mnist1d_cnn",
        "CNN",
        5_210,
        (90.3, 90.4, 89.8, 91.5, 92.3, 92.3),
        (87.9, 90.8, 90.6, 92.2, 91.9, 92.3),
        94,
    ),
    Model(
        "mnist1d_gru",
        "GRU",
        5_134,
        (89.9, 91.4, 90.4, 90.8, 92.0, 92.1),
        (86.1, 86.5, 89.2, 90.3, 89.9, 89.1),
        91,
    ),
)
