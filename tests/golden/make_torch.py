"""Writes torch.npz: weights that PyTorch's optimizers reach. `python tests/golden/make_torch.py`, where torch is installed.

The model is the softmax regression of tests/optimizers/test_optimizers.py, in float64: 27 weights after 1, 10 and 50 steps.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

STEPS = (1, 10, 50)
CASES = {
    "sgd": ("SGD", {"lr": 0.1}),
    "sgd_momentum": ("SGD", {"lr": 0.1, "momentum": 0.9}),
    "sgd_nesterov": ("SGD", {"lr": 0.1, "momentum": 0.9, "nesterov": True}),
    "adam": ("Adam", {"lr": 0.01}),
    "adamw": ("AdamW", {"lr": 0.01}),
    "amsgrad": ("Adam", {"lr": 0.01, "amsgrad": True, "eps": 0.0}),
    "adagrad": ("Adagrad", {"lr": 0.01, "eps": 0.0}),
    "rmsprop": ("RMSprop", {"lr": 0.01}),
    "rmsprop_centered": ("RMSprop", {"lr": 0.01, "centered": True, "momentum": 0.9}),
    "adadelta": ("Adadelta", {"lr": 1.0, "weight_decay": 0.01}),
    "nadam": ("NAdam", {"lr": 0.01, "momentum_decay": 1e6}),
    "radam": ("RAdam", {"lr": 0.01, "eps": 0.0}),
    "adamax": ("Adamax", {"lr": 0.01}),
}


def weights(name: str, options: dict[str, float]) -> np.ndarray:
    """Return the weights after each of the steps: [checkpoint, weight], the matrix first."""
    import torch

    inputs = torch.tensor(np.sin(np.arange(48.0) ** 1.5).reshape(6, 8).astype(np.float32)).double()
    labels = torch.arange(6) % 3
    w = (0.1 * torch.cos(torch.arange(24.0))).reshape(8, 3).double().requires_grad_()
    b = torch.zeros(3, dtype=torch.float64, requires_grad=True)
    optimizer = getattr(torch.optim, name)([w, b], **options)
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
