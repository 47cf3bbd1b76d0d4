"""The studies that are measured, as tables such as a study file holds."""

from __future__ import annotations

from typing import Any

from benchmarks.peers import common

Table = dict[str, Any]

FRACTAL_RATES = {"min": 1e-3, "max": 1e6}
"""The opening view of the fractal paper's picture, for both layers."""
SEEDS = 4
"""Of the studies that grow: a row of the summary is one rate, over these."""

_MLP = common.IMAGE_PIXELS * common.HIDDEN_UNITS, common.HIDDEN_UNITS * common.CLASSES
_CNN = 26 * 26 * 16 * 9, 10 * 10 * 32 * 144 + 800 * common.CLASSES
_GRU = 40 * 3 * common.GRU_WIDTH, 40 * 3 * common.GRU_WIDTH**2 + common.GRU_WIDTH * common.CLASSES
FLOP = {
    name: 2.0 * common.BATCH_SIZE * (2 * first + 3 * rest)
    for name, (first, rest) in {"w1": _MLP, "cnn": _CNN, "gru": _GRU}.items()
}
"""The floating-point operations of the matrix products of one model-step of a study, by its name.

An example takes one product forward in each layer and two backward, but in the first layer one: nobody needs the
gradient of the inputs. Of the second convolution's outputs, 11 × 11, pooling reads 10 × 10.
"""


def w1(models: int = 256, steps: int = 200) -> Table:
    """W1: `models` rates of Adam on `digits_mlp` (64-64-10, batch 64), all of one seed."""
    return _trained_once("w1", "digits_mlp", steps, {"values": common.learning_rates(models).tolist()})


def cnn(models: int = 32, steps: int = 20) -> Table:
    """P4: `models` rates of Adam on the convolutional net that `torch_cnn` has, all of one seed."""
    problem = {"name": "mnist_cnn", "batch_size": common.BATCH_SIZE}
    return _trained_once("cnn", problem, steps, {"values": common.learning_rates(models).tolist()})


def gru(models: int = 32, steps: int = 50) -> Table:
    """`models` rates of Adam on the GRU that `torch_gru` has, which reads in one direction to the end, all of one seed."""
    problem = {
        "name": "mnist1d_gru",
        "batch_size": common.BATCH_SIZE,
        "width": common.GRU_WIDTH,
        "bidirectional": False,
        "read": "last",
    }
    return _trained_once("gru", problem, steps, {"values": common.learning_rates(models).tolist()})


def mnist1d(problem: str, models: int, steps: int) -> Table:
    """`models` rates of Adam on a published model of MNIST-1D with its batch of 100, one of them alone at the published rate."""
    rates = common.learning_rates(models).tolist() if models > 1 else [0.01]
    return _trained_once(f"{problem}_{models}", {"name": problem}, steps, {"values": rates})


def fractal(side: int = 64, steps: int = 50) -> Table:
    """P5: `side` rates of the hidden layer × `side` rates of the output layer, full batch, plain sgd."""
    rates = FRACTAL_RATES | {"num": side}
    return _trained_once("fractal", "fractal", steps, rates | {"output": rates}, "sgd")


def quadratic(runs: int = 10_000, steps: int = 100) -> Table:
    """P6: sgd on the quadratic, where training costs next to nothing and everything else shows."""
    return {
        "name": "quadratic",
        "steps": steps,
        "seeds": SEEDS,
        "problem": "quadratic",
        "optimizer": "sgd",
        "learning_rate": {"min": 1e-3, "max": 10.0, "num": runs // SEEDS},
    }


def digits(runs: int, steps: int = 100) -> Table:
    """P7: sgd on `digits_softmax`, from small studies to large ones by the number of rates."""
    every = max(1, steps // 2)
    return quadratic(runs, steps) | {"name": "digits", "evaluate_every": every, "problem": "digits_softmax"}


def twelve(steps: int = 300) -> Table:
    """P12: so many optimizers on `digits_mlp` that nearly all of the time is compiling."""
    optimizers = "sgd adam adamw adamax nadam lion adabelief adagrad rmsprop yogi lamb novograd".split()
    return {
        "name": "twelve",
        "steps": steps,
        "evaluate_every": steps // 10,
        "seeds": 2,
        "problem": "digits_mlp",
        "optimizer": optimizers,
        "learning_rate": {"min": 1e-4, "max": 1e-1, "num": 11},
    }


def houses(runs: int, steps: int = 500) -> Table:
    """P8: sgd on `house_prices`, likewise."""
    every = max(1, steps // 5)
    return quadratic(runs, steps) | {"name": "houses", "evaluate_every": every, "problem": "house_prices"}


def _trained_once(
    name: str, problem: str | Table, steps: int, rates: Table, optimizer: str = "adam"
) -> Table:
    """A study of one seed that is evaluated before the first step and after the last alone."""
    return {
        "name": name,
        "steps": steps,
        "evaluate_every": steps,
        "seeds": 1,
        "problem": [problem],
        "optimizer": [optimizer],
        "learning_rate": rates,
    }
