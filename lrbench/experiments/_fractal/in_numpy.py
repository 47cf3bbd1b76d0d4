"""The same runs in NumPy, in double precision: gradients by hand, one array for each quantity, and no JAX."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float

LATE, LIMIT = 20, 1e6
"""Of the score, as in `scored`."""
_TOGETHER = 8
"""So many runs are trained at once, so that their activations stay in cache."""


class Perceptron(NamedTuple):
    """Initial weights and data, shared by all runs, and the activation.

    Args:
        hidden: [hidden unit, input].
        output: [hidden unit].
        inputs: [example, input].
        targets: [example].
        activation: tanh, relu or identity.
    """

    hidden: Float[np.ndarray, "hidden input"]
    output: Float[np.ndarray, " hidden"]
    inputs: Float[np.ndarray, "example input"]
    targets: Float[np.ndarray, " example"]
    activation: str = "tanh"


def scores(
    network: Perceptron,
    hidden_rates: Float[np.ndarray, " run"],
    output_rates: Float[np.ndarray, " run"],
    steps: int,
) -> Float[np.ndarray, " run"]:
    """Return the score of gradient descent at each pair of rates, by the whole curve of its losses."""
    parts = [slice(start, start + _TOGETHER) for start in range(0, len(hidden_rates), _TOGETHER)]
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        return np.concatenate(
            [_score(losses(network, hidden_rates[part], output_rates[part], steps)) for part in parts]
        )


def losses(
    network: Perceptron, hidden_rates: np.ndarray, output_rates: np.ndarray, steps: int
) -> Float[np.ndarray, "run step"]:
    """Return the loss before each step; runs are left out from their first loss on that is not finite."""
    found = np.full((len(hidden_rates), steps), np.inf)
    going = np.arange(len(hidden_rates))
    # [run, input, hidden], so that inputs @ hidden is [run, example, hidden].
    hidden = np.repeat(network.hidden.T[None], len(going), axis=0)
    output = np.repeat(network.output[None], len(going), axis=0)
    for step in range(steps):
        loss, by_hidden, by_output = gradients(network, hidden, output)
        found[going, step] = loss
        hidden -= hidden_rates[going][:, None, None] * by_hidden
        output -= output_rates[going][:, None] * by_output
        if not np.isfinite(loss).all():
            stays = np.isfinite(loss)
            going, hidden, output = going[stays], hidden[stays], output[stays]
        if not len(going):
            break
    return found


def gradients(network: Perceptron, hidden: np.ndarray, output: np.ndarray) -> tuple[Any, Any, Any]:
    """Return the loss of each run, and its gradients by the weights of both layers."""
    inputs, targets = network.inputs, network.targets
    examples, width = inputs.shape
    gain = 1.0 if network.activation == "identity" else math.sqrt(2.0)
    units = np.matmul(inputs, hidden)
    units *= gain / math.sqrt(width)
    if network.activation == "tanh":
        np.tanh(units, out=units)
    elif network.activation == "relu":
        np.maximum(units, 0, out=units)
    residual = np.matmul(units, output[:, :, None])[:, :, 0] / width - targets
    by_prediction = 2 / (examples * width) * residual
    by_output = np.matmul(by_prediction[:, None, :], units)[:, 0]
    # From here on the units are overwritten by the derivative of the loss by what they were applied to.
    if network.activation == "tanh":
        units *= units
        np.subtract(1, units, out=units)
    elif network.activation == "relu":
        np.greater(units, 0, out=units)
    else:
        units.fill(1)
    units *= by_prediction[:, :, None]
    units *= gain / math.sqrt(width) * output[:, None, :]
    return (residual**2).mean(axis=1), np.matmul(inputs.T, units), by_output


def _score(losses: Float[np.ndarray, "run step"]) -> Float[np.ndarray, " run"]:
    """Return −Σv of the relative losses v of a run that has converged, else Σ1/v."""
    finite = np.where(np.isfinite(losses), losses, LIMIT)
    relative = np.minimum(finite / finite[:, :1], LIMIT)
    converged = relative[:, -LATE:].mean(axis=1) < 1
    return np.where(converged, -relative.sum(axis=1), (1 / relative).sum(axis=1))
