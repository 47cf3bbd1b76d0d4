"""Writes torch_mnist1d.json: what the models of MNIST-1D give in PyTorch. `python tests/golden/make_torch_mnist1d.py`, where torch is installed.

The models are the published ones, made of PyTorch's own layers, in float64; weights and curves are those of `weights_of` and `curves`.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

PATH = Path(__file__).with_name("torch_mnist1d.json")


def curves() -> np.ndarray:
    """Return three curves of 40 points."""
    return np.sin(np.arange(120.0) ** 1.3).reshape(3, 40)


def weights_of(number: int, *shape: int) -> np.ndarray:
    """Return the array of a model of that number, in PyTorch's order of them."""
    size = int(np.prod(shape))
    return (0.3 * np.sin(1.7 * np.arange(size) + number)).reshape(shape)


def outputs() -> dict[str, list[list[float]]]:
    """Return the scores of each model: [curve, label]."""
    import torch
    from torch import nn

    x = torch.from_numpy(curves())

    def filled(*layers: Any) -> None:
        arrays = [array for layer in layers for array in layer.double().parameters()]
        for number, array in enumerate(arrays):
            array.data = torch.from_numpy(weights_of(number, *array.shape))

    linear = nn.Linear(40, 10)
    filled(linear)
    first, second, third = nn.Linear(40, 100), nn.Linear(100, 100), nn.Linear(100, 10)
    filled(first, second, third)
    state = first(x).relu()
    mlp = third(state + second(state).relu())
    convolutions = [
        nn.Conv1d(into, 25, wide, stride=2, padding=1) for into, wide in ((1, 5), (25, 3), (25, 3))
    ]
    out = nn.Linear(125, 10)
    filled(*convolutions, out)
    state = x[:, None]
    for convolution in convolutions:
        state = convolution(state).relu()
    cnn = out(state.flatten(1))
    gru, out = nn.GRU(1, 6, batch_first=True, bidirectional=True), nn.Linear(480, 10)
    filled(gru, out)
    read = out(gru(x[..., None])[0].flatten(1))
    found = {"mnist1d_softmax": linear(x), "mnist1d_mlp": mlp, "mnist1d_cnn": cnn, "mnist1d_gru": read}
    return {name: np.round(scores.detach().numpy(), 8).tolist() for name, scores in found.items()}


if __name__ == "__main__":
    PATH.write_text(json.dumps(outputs()) + "\n", encoding="utf-8")
