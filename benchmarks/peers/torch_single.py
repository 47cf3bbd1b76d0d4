"""W1 as most people run it: PyTorch, one model after the other, eager or with its loss under `torch.compile`.

The cost of a run does not depend on how many there are, so a few models stand for the 256 of P1. One compiled
function serves all of them: their weights are its arguments.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import nn
from torch.nn import functional

from benchmarks.peers import common, torch_forms

PROBE_STEPS = 50


def torch_single(
    models: int = 4,
    steps: int = 200,
    threads: int = 1,
    repeats: int = 3,
    adam: str = "fastest",
    form: str = "eager",
) -> common.Timing:
    """Train `models` digits MLPs one at a time with nn.Module and torch.optim.Adam.

    `adam` is PyTorch's implementation ("for_loop", "foreach", "fused"), or "fastest": the quickest of them
    here. `form` is "eager" or "compiled".
    """
    torch.set_num_threads(threads)
    loss = torch_forms.in_form(form, _loss)
    train = common.digits()
    images, labels = torch.from_numpy(train.images), torch.from_numpy(train.labels).long()
    batches = list(torch.from_numpy(common.minibatches(len(labels), steps)).long())
    rates = [float(rate) for rate in common.learning_rates(models)]

    def call(variant: str, rates: list[float], batches: list[torch.Tensor]) -> list[nn.Module]:
        return [torch_forms.train(_model(), loss, images, labels, batches, rate, variant) for rate in rates]

    def probe(variant: str) -> Callable[[], Any]:
        return lambda: call(variant, [1e-3], batches[:PROBE_STEPS])

    if adam == "fastest":
        adam = common.fastest({variant: probe(variant) for variant in torch_forms.ADAM_VARIANTS})
    seconds, trained = common.measure(lambda: call(adam, rates, batches), repeats)
    return common.Timing(
        seconds=common.median(seconds),
        final_losses=tuple(_final(model, images, labels) for model in trained),
        initial_loss=_final(_model(), images, labels),
        model_steps=models * steps,
        threads=threads,
        all_seconds=seconds,
        detail={"adam": adam, "form": form},
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


def _loss(model: nn.Module, images: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    return functional.cross_entropy(model(images), labels)


def _final(model: nn.Module, images: torch.Tensor, labels: torch.Tensor) -> float:
    with torch.no_grad():
        sample = slice(common.LOSS_EXAMPLES)
        return _loss(model, images[sample], labels[sample]).item()


if __name__ == "__main__":
    common.main(torch_single, "torch", "numpy")
