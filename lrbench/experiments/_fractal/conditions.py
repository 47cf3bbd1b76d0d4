"""What is trained: the six conditions of the paper, and four optimizers with which it did not."""

from __future__ import annotations

from typing import Any, NamedTuple

_HERE = "lrbench.experiments._fractal"
_BY_LAYER = "rate of the input layer", "rate of the output layer"
_WIDE = -3.0, 6.0
"""The paper's opening view, log₁₀ of both axes."""
PUBLISHED = 1.17, 1.98
"""The least and the greatest dimension that the paper reports for its six conditions."""


class Condition(NamedTuple):
    """A network, its data and its optimizer, and the two axes of its picture.

    Args:
        title: in pictures.
        problem: parameters of `scored`.
        optimizer: as a study has it.
        x, y: log₁₀ of the first and the last value of each axis in the opening view.
        axes: what they are.
        published: whether the paper has it.
    """

    title: str
    problem: dict[str, Any]
    optimizer: dict[str, Any]
    x: tuple[float, float] = _WIDE
    y: tuple[float, float] = _WIDE
    axes: tuple[str, str] = _BY_LAYER
    published: bool = True

    @property
    def scales(self) -> bool:
        """Whether the first axis is the scale of the initial weights, and the rate is the same in both layers."""
        return self.axes != _BY_LAYER


_SGD = {"name": "sgd"}
CONDITIONS = {
    "tanh": Condition("tanh, full batch", {}, _SGD),
    "minibatch": Condition("tanh, minibatches of 16", {"batch_size": 16}, _SGD),
    "relu": Condition("ReLU, full batch", {"activation": "relu"}, _SGD),
    "identity": Condition("identity, 16 samples", {"activation": "identity", "samples": 16}, _SGD),
    "single": Condition("tanh, a single sample", {"samples": 1}, _SGD),
    "scale": Condition(
        "tanh, initial scale",
        {"skip": 1},
        {"name": f"{_HERE}.rescaled:rescaled"},
        x=(-3.0, 3.0),
        axes=("scale of the initial weights", "rate of both layers"),
    ),
    "momentum": Condition("tanh, momentum 0.9", {}, {"name": "sgd", "momentum": 0.9}, published=False),
    "adam": Condition("tanh, Adam", {}, {"name": "adam"}, published=False),
    "muon": Condition("tanh, Muon", {}, {"name": "muon"}, published=False),
    "lion": Condition("tanh, Lion", {}, {"name": "lion"}, published=False),
}
