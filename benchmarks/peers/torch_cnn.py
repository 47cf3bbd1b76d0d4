"""mnist_cnn in PyTorch eager, one model at a time: the peer of P4.

The net is conv 3x3 to 16 channels, ReLU, max-pool 2, conv 3x3 to 32 channels, ReLU, max-pool 2, dense to 10,
without padding ('valid': 28 → 26 → 13 → 11 → 5, 800 features; `padding="same"`: 28 → 14 → 7, 1,568 features
and more work), batch 64, on the 5,000 MNIST images that lrbench ships. The peer gets the faster of PyTorch's two memory
formats and the fastest form of its optimizer on this machine.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import nn
from torch.nn import functional

from benchmarks.peers import common

FEATURES = {"valid": 5 * 5 * 32, "same": 7 * 7 * 32}
OPTIMIZERS: dict[str, Callable[..., torch.optim.Optimizer]] = {
    "sgd": torch.optim.SGD,
    "adam": torch.optim.Adam,
}
RATES = {"sgd": 0.1, "adam": 1e-3}
FORMATS = {"contiguous": torch.contiguous_format, "channels_last": torch.channels_last}
VARIANTS: dict[str, dict[str, bool]] = {"foreach": {"foreach": True}, "fused": {"fused": True}}
PROBE_STEPS = 10


def torch_cnn(
    models: int = 1,
    steps: int = 100,
    threads: int = 2,
    repeats: int = 3,
    optimizer: str = "adam",
    padding: str = "valid",
) -> common.Timing:
    """Train `models` CNNs on MNIST one at a time with nn.Module and torch.optim."""
    torch.set_num_threads(threads)
    train = common.mnist()
    side = common.MNIST_PIXELS
    images, labels = (
        torch.from_numpy(train.images).reshape(-1, 1, side, side),
        torch.from_numpy(train.labels).long(),
    )
    batches = list(torch.from_numpy(common.minibatches(len(labels), steps)).long())

    def run(choice: str, batches: list[torch.Tensor], models: int = 1) -> list[nn.Module]:
        memory_format, variant = choice.split("/")
        return [
            _train(_model(padding), optimizer, memory_format, variant, images, labels, batches)
            for _ in range(models)
        ]

    def probe(choice: str) -> Callable[[], Any]:
        return lambda: run(choice, batches[:PROBE_STEPS])

    choices = [f"{layout}/{variant}" for layout in FORMATS for variant in VARIANTS]
    choice = common.fastest({choice: probe(choice) for choice in choices})
    seconds, trained = common.measure(lambda: run(choice, batches, models), repeats)
    return common.Timing(
        seconds=common.median(seconds),
        final_losses=tuple(_loss(model, images, labels) for model in trained),
        initial_loss=_loss(_model(padding), images, labels),
        model_steps=models * steps,
        threads=threads,
        all_seconds=seconds,
        detail={"optimizer": optimizer, "padding": padding, "fastest": choice},
    )


def _model(padding: str) -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(1, 16, 3, padding=padding),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(16, 32, 3, padding=padding),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(FEATURES[padding], common.CLASSES),
    )


def _train(
    model: nn.Module,
    optimizer: str,
    memory_format: str,
    variant: str,
    images: torch.Tensor,
    labels: torch.Tensor,
    batches: list[torch.Tensor],
) -> nn.Module:
    layout = FORMATS[memory_format]
    model = model.to(memory_format=layout)  # type: ignore[call-overload]  # missing in the stubs
    updates = OPTIMIZERS[optimizer](model.parameters(), lr=RATES[optimizer], **VARIANTS[variant])
    for batch in batches:
        updates.zero_grad(set_to_none=True)
        logits = model(images[batch].contiguous(memory_format=layout))
        functional.cross_entropy(logits, labels[batch]).backward()
        updates.step()
    return model


def _loss(model: nn.Module, images: torch.Tensor, labels: torch.Tensor) -> float:
    with torch.no_grad():
        sample = slice(common.LOSS_EXAMPLES)
        return functional.cross_entropy(model(images[sample]), labels[sample]).item()


if __name__ == "__main__":
    common.main(torch_cnn, "torch", "numpy")
