"""W1 as PyTorch's own batching does it: torch.func.vmap over the weights of an ensemble, Adam by hand.

torch.optim knows no rate per model, so Adam works on the stacked tensors with one rate a model, by the same
`torch._foreach_*` operations as torch.optim's foreach implementation. All models share the minibatch, as in
lrbench.
"""

from __future__ import annotations

import math

import torch
from torch.func import grad, vmap
from torch.nn import functional

from benchmarks.peers import common

BETA_1, BETA_2, EPS = 0.9, 0.999, 1e-8
Weights = dict[str, torch.Tensor]


def torch_vmap(models: int = 256, steps: int = 200, threads: int = 2, repeats: int = 3) -> common.Timing:
    """Train `models` digits MLPs together with torch.func.vmap and a stacked Adam."""
    torch.set_num_threads(threads)
    train = common.digits()
    images, labels = torch.from_numpy(train.images), torch.from_numpy(train.labels).long()
    batches = list(torch.from_numpy(common.minibatches(len(labels), steps)).long())
    rates = torch.from_numpy(common.learning_rates(models))

    def call() -> Weights:
        return _train(_stacked(models), rates, images, labels, batches)

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
        detail={"models": models},
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
    weights: Weights,
    rates: torch.Tensor,
    images: torch.Tensor,
    labels: torch.Tensor,
    batches: list[torch.Tensor],
) -> Weights:
    gradient = vmap(grad(_loss), in_dims=(0, None, None))
    parameters = list(weights.values())
    inverse_rates = [1 / rates.reshape(-1, *[1] * (value.ndim - 1)) for value in parameters]
    first_moments = [torch.zeros_like(value) for value in parameters]
    second_moments = [torch.zeros_like(value) for value in parameters]
    for step, batch in enumerate(batches, start=1):
        gradients = gradient(weights, images[batch], labels[batch])
        _adam(parameters, list(gradients.values()), first_moments, second_moments, inverse_rates, step)
    return weights


def _adam(
    parameters: list[torch.Tensor],
    gradients: list[torch.Tensor],
    first_moments: list[torch.Tensor],
    second_moments: list[torch.Tensor],
    inverse_rates: list[torch.Tensor],
    step: int,
) -> None:
    """One Adam step in place: θ ← θ − rate · m̂ / (√v̂ + eps), the rate folded into the denominator."""
    torch._foreach_lerp_(first_moments, gradients, 1 - BETA_1)
    torch._foreach_mul_(second_moments, BETA_2)
    torch._foreach_addcmul_(second_moments, gradients, gradients, 1 - BETA_2)
    denominators = list(torch._foreach_sqrt(second_moments))
    torch._foreach_div_(denominators, math.sqrt(1 - BETA_2**step))
    torch._foreach_add_(denominators, EPS)
    torch._foreach_mul_(denominators, inverse_rates)
    torch._foreach_addcdiv_(parameters, first_moments, denominators, -1 / (1 - BETA_1**step))


if __name__ == "__main__":
    common.main(torch_vmap, "torch", "numpy")
