"""`mnist1d_gru` in PyTorch, one model at a time: its own `nn.GRU`, or the same equations point by point.

The eager peer gets the faster of the two. `torch.compile` does not look into `nn.GRU`, so that the compiled one is
the equations point by point, which it unrolls. Either gets the fastest form of Adam on this machine.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import nn
from torch.nn import functional

from benchmarks.peers import common, torch_forms

PROBE_STEPS = 5
Loss = Callable[[nn.ModuleDict, torch.Tensor, torch.Tensor], torch.Tensor]


def torch_gru(
    models: int = 3, steps: int = 50, threads: int = 1, repeats: int = 1, form: str = "eager"
) -> common.Timing:
    """Train `models` GRUs on MNIST-1D one at a time with torch.optim.Adam; `form` is "eager" or "compiled"."""
    torch.set_num_threads(threads)
    train = common.mnist1d()
    curves, labels = torch.from_numpy(train.images), torch.from_numpy(train.labels).long()
    batches = list(torch.from_numpy(common.minibatches(len(labels), steps)).long())
    rates = [float(rate) for rate in common.learning_rates(models)]
    by_points = torch_forms.in_form(form, _loss_by_points)
    losses: dict[str, Loss] = {"points": lambda model, *batch: by_points(*batch, *model.parameters())}
    if form == "eager":
        losses["nn.GRU"] = _loss

    def run(choice: str, rates: list[float], batches: list[torch.Tensor]) -> list[nn.ModuleDict]:
        cell, adam = choice.split("/")
        return [
            torch_forms.train(_model(), losses[cell], curves, labels, batches, rate, adam) for rate in rates
        ]

    def probe(choice: str) -> Callable[[], Any]:
        return lambda: run(choice, [1e-3], batches[:PROBE_STEPS])

    choices = [f"{cell}/{adam}" for cell in losses for adam in torch_forms.ADAM_VARIANTS]
    choice = common.fastest({choice: probe(choice) for choice in choices})
    seconds, trained = common.measure(lambda: run(choice, rates, batches), repeats)
    return common.Timing(
        seconds=common.median(seconds),
        final_losses=tuple(_final(model, curves, labels) for model in trained),
        initial_loss=_final(_model(), curves, labels),
        model_steps=models * steps,
        threads=threads,
        all_seconds=seconds,
        detail={"form": form, "fastest": choice},
    )


def _model() -> nn.ModuleDict:
    weights = {name: torch.from_numpy(value) for name, value in common.gru_weights().items()}
    gru = nn.GRU(1, common.GRU_WIDTH, batch_first=True)
    out = nn.Linear(common.GRU_WIDTH, common.CLASSES)
    with torch.no_grad():
        gru.weight_ih_l0.copy_(weights["w"].T)
        gru.bias_ih_l0.copy_(weights["b"])
        gru.weight_hh_l0.copy_(weights["u"].T)
        gru.bias_hh_l0.copy_(weights["c"])
        out.weight.copy_(weights["v"].T)
        out.bias.copy_(weights["d"])
    return nn.ModuleDict({"gru": gru, "out": out})


def _loss(model: nn.ModuleDict, curves: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    hidden, _ = model["gru"](curves[..., None])
    return functional.cross_entropy(model["out"](hidden[:, -1]), labels)


def _loss_by_points(
    curves: torch.Tensor,
    labels: torch.Tensor,
    of_input: torch.Tensor,
    of_hidden: torch.Tensor,
    input_bias: torch.Tensor,
    hidden_bias: torch.Tensor,
    out: torch.Tensor,
    out_bias: torch.Tensor,
) -> torch.Tensor:
    """The same without `nn.GRU`; the parameters in the order in which the model has them."""
    hidden = curves.new_zeros(len(curves), common.GRU_WIDTH)
    for gates in functional.linear(curves.T[..., None], of_input, input_bias):
        r, z, n = gates.chunk(3, dim=-1)
        of_r, of_z, of_n = functional.linear(hidden, of_hidden, hidden_bias).chunk(3, dim=-1)
        keep = torch.sigmoid(z + of_z)
        hidden = (1 - keep) * torch.tanh(n + torch.sigmoid(r + of_r) * of_n) + keep * hidden
    return functional.cross_entropy(functional.linear(hidden, out, out_bias), labels)


def _final(model: nn.ModuleDict, curves: torch.Tensor, labels: torch.Tensor) -> float:
    with torch.no_grad():
        sample = slice(common.LOSS_EXAMPLES)
        return _loss(model, curves[sample], labels[sample]).item()


if __name__ == "__main__":
    common.main(torch_gru, "torch", "numpy")
