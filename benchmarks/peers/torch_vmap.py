"""W1 as PyTorch's own batching does it: torch.func.vmap over the weights of an ensemble, Adam by hand.

torch.optim knows no rate per model, so Adam works on the stacked tensors with one rate a model, by the same
`torch._foreach_*` operations as torch.optim's foreach implementation. All models share the minibatch, as in
lrbench. In the compiled form `torch.compile` makes one program of a whole step, gradients and Adam.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch.func import grad, vmap
from torch.nn import functional

from benchmarks.peers import common, torch_forms

BETA_1, BETA_2, EPS = 0.9, 0.999, 1e-8
Weights = dict[str, torch.Tensor]


def torch_vmap(
    models: int = 256, steps: int = 200, threads: int = 2, repeats: int = 3, form: str = "eager"
) -> common.Timing:
    """Train `models` digits MLPs together with torch.func.vmap and a stacked Adam; `form` is "eager" or "compiled"."""
    torch.set_num_threads(threads)
    step = torch_forms.in_form(form, _step)
    train = common.digits()
    images, labels = torch.from_numpy(train.images), torch.from_numpy(train.labels).long()
    batches = list(torch.from_numpy(common.minibatches(len(labels), steps)).long())
    rates = torch.from_numpy(common.learning_rates(models))

    def call() -> Weights:
        return _train(step, _stacked(models), rates, images, labels, batches)

    seconds, trained = common.measure(call, repeats)
    sample = slice(common.LOSS_EXAMPLES)
    final = vmap(_loss, in_dims=(0, None, None))(trained, images[sample], labels[sample])
    initial = _loss({name: value[0] for name, value in _stacked(1).items()}, images[sample], labels[sample])
    return common.Timing(
        seconds=common.median(seconds),
        final_losses=tuple(final.tolist()),
        initial_loss=initial.item(),
        model_steps=models * steps,
        threads=threads,
        all_seconds=seconds,
        detail={"models": models, "form": form},
    )


def _stacked(models: int) -> Weights:
    """The initial weights with a leading model axis."""
    return {
        name: torch.from_numpy(value).expand(models, *value.shape).clone()
        for name, value in common.mlp_weights().items()
    }


def _loss(weights: Weights, images: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    hidden = functional.relu(images @ weights["w1"] + weights["b1"])
    return functional.cross_entropy(hidden @ weights["w2"] + weights["b2"], labels)


@torch.no_grad()
def _train(
    step: Callable[..., None],
    weights: Weights,
    rates: torch.Tensor,
    images: torch.Tensor,
    labels: torch.Tensor,
    batches: list[torch.Tensor],
) -> Weights:
    parameters = list(weights.values())
    first_moments = [torch.zeros_like(value) for value in parameters]
    second_moments = [torch.zeros_like(value) for value in parameters]
    for number, batch in enumerate(batches, start=1):
        # Tensors: `torch.compile` would compile a step anew for each number.
        scales = (1 - BETA_1**number) / rates
        correction = torch.tensor(math.sqrt(1 - BETA_2**number))
        step(weights, images[batch], labels[batch], first_moments, second_moments, scales, correction)
    return weights


def _step(
    weights: Weights,
    images: torch.Tensor,
    labels: torch.Tensor,
    first_moments: list[torch.Tensor],
    second_moments: list[torch.Tensor],
    scales: torch.Tensor,
    correction: torch.Tensor,
) -> None:
    """One step of Adam in place: θ ← θ − rate · m̂ / (√v̂ + eps); `scales` are 1 / rate, for m instead of m̂."""
    gradients = list(vmap(grad(_loss), in_dims=(0, None, None))(weights, images, labels).values())
    parameters = list(weights.values())
    torch._foreach_lerp_(first_moments, gradients, 1 - BETA_1)
    torch._foreach_mul_(second_moments, BETA_2)
    torch._foreach_addcmul_(second_moments, gradients, gradients, 1 - BETA_2)
    denominators = list(torch._foreach_sqrt(second_moments))
    torch._foreach_div_(denominators, correction)
    torch._foreach_add_(denominators, EPS)
    torch._foreach_mul_(denominators, [scales.reshape(-1, *[1] * (each.ndim - 1)) for each in parameters])
    torch._foreach_addcdiv_(parameters, first_moments, denominators, -1)


if __name__ == "__main__":
    common.main(torch_vmap, "torch", "numpy")
