"""Writes torch.npz: weights that PyTorch's optimizers reach. `python tests/golden/make_torch.py`, where torch is installed.

The model is the softmax regression of tests/test_optimizers.py, in float64: 27 weights after 1, 10 and 50 steps.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

STEPS = (1, 10, 50)
CASES = {
    "sgd": (torch.optim.SGD, {"lr": 0.1}),
    "sgd_momentum": (torch.optim.SGD, {"lr": 0.1, "momentum": 0.9}),
    "sgd_nesterov": (torch.optim.SGD, {"lr": 0.1, "momentum": 0.9, "nesterov": True}),
    "adam": (torch.optim.Adam, {"lr": 0.01}),
    "adamw": (torch.optim.AdamW, {"lr": 0.01}),
    "amsgrad": (torch.optim.Adam, {"lr": 0.01, "amsgrad": True, "eps": 0.0}),
    "adagrad": (torch.optim.Adagrad, {"lr": 0.01, "eps": 0.0}),
    "rmsprop": (torch.optim.RMSprop, {"lr": 0.01}),
    "rmsprop_centered": (torch.optim.RMSprop, {"lr": 0.01, "centered": True, "momentum": 0.9}),
    "adadelta": (torch.optim.Adadelta, {"lr": 1.0, "weight_decay": 0.01}),
    "nadam": (torch.optim.NAdam, {"lr": 0.01, "momentum_decay": 1e6}),
    "radam": (torch.optim.RAdam, {"lr": 0.01, "eps": 0.0}),
    "adamax": (torch.optim.Adamax, {"lr": 0.01}),
}


def weights(make: type[torch.optim.Optimizer], options: dict[str, float]) -> np.ndarray:
    """Return the weights after each of the steps: [checkpoint, weight], the matrix first."""
    inputs = torch.tensor(np.sin(np.arange(48.0) ** 1.5).reshape(6, 8).astype(np.float32)).double()
    labels = torch.arange(6) % 3
    w = (0.1 * torch.cos(torch.arange(24.0))).reshape(8, 3).double().requires_grad_()
    b = torch.zeros(3, dtype=torch.float64, requires_grad=True)
    optimizer = make([w, b], **options)
    found = []
    for step in range(1, max(STEPS) + 1):
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(inputs @ w + b, labels).backward()
        optimizer.step()
        if step in STEPS:
            found.append(torch.cat([w.detach().flatten(), b.detach()]).numpy())
    return np.array(found, np.float32)


if __name__ == "__main__":
    arrays = {name: weights(*case) for name, case in CASES.items()}
    np.savez_compressed(Path(__file__).with_name("torch.npz"), **arrays)
