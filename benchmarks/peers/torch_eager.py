"""W1 as most people run it: PyTorch eager, one model after the other.

The cost of a run does not depend on how many there are, so a few models stand for the 256 of P1.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import nn
from torch.nn import functional

from benchmarks.peers import common

ADAM_VARIANTS: dict[str, dict[str, Any]] = {
    "for_loop": {"foreach": False, "fused": False},
    "foreach": {"foreach": True},
    "fused": {"fused": True},
}
PROBE_STEPS = 50


def torch_eager(
    models: int = 4, steps: int = 200, threads: int = 1, repeats: int = 3, adam: str = "fastest"
) -> common.Timing:
    """Train `models` digits MLPs one at a time with nn.Module and torch.optim.Adam.

    `adam` is PyTorch's implementation ("for_loop", "foreach", "fused"), or "fastest": the quickest of them
    here.
    """
    torch.set_num_threads(threads)
    train = common.digits()
    images, labels = torch.from_numpy(train.images), torch.from_numpy(train.labels).long()
    batches = list(torch.from_numpy(common.minibatches(len(labels), steps)).long())
    rates = [float(rate) for rate in common.learning_rates(models)]

    def call(variant: str, rates: list[float], batches: list[torch.Tensor]) -> list[nn.Module]:
        return [_train(images, labels, batches, rate, **ADAM_VARIANTS[variant]) for rate in rates]

    def probe(variant: str) -> Callable[[], Any]:
        return lambda: call(variant, [1e-3], batches[:PROBE_STEPS])

    if adam == "fastest":
        adam = common.fastest({variant: probe(variant) for variant in ADAM_VARIANTS})
    seconds, trained = common.measure(lambda: call(adam, rates, batches), repeats)
    return common.Timing(
        seconds=common.median(seconds),
        final_losses=tuple(_loss(model, images, labels) for model in trained),
        initial_loss=_loss(_model(), images, labels),
        model_steps=models * steps,
        threads=threads,
        all_seconds=seconds,
        detail={"adam": adam},
    )


def _model() -> nn.Module:
    weights = {name: torch.from_numpy(value) for name, value in common.mlp_weights().items()}
    first = nn.Linear(common.IMAGE_PIXELS, common.HIDDEN_UNITS)
    last = nn.Linear(common.HIDDEN_UNITS, common.CLASSES)
    with torch.no_grad():
        first.weight.copy_(weights["w1"].T)
        first.bias.copy_(weights["b1"])
        last.weight.copy_(weights["w2"].T)
        last.bias.copy_(weights["b2"])
    return nn.Sequential(first, nn.ReLU(), last)


def _train(
    images: torch.Tensor, labels: torch.Tensor, batches: list[torch.Tensor], rate: float, **variant: Any
) -> nn.Module:
    model = _model()
    optimizer = torch.optim.Adam(model.parameters(), lr=rate, **variant)
    for batch in batches:
        optimizer.zero_grad(set_to_none=True)
        functional.cross_entropy(model(images[batch]), labels[batch]).backward()
        optimizer.step()
    return model


def _loss(model: nn.Module, images: torch.Tensor, labels: torch.Tensor) -> float:
    with torch.no_grad():
        sample = slice(common.LOSS_EXAMPLES)
        return functional.cross_entropy(model(images[sample]), labels[sample]).item()


if __name__ == "__main__":
    common.main(torch_eager, "torch", "numpy")
