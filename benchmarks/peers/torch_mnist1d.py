"""The models of MNIST-1D in PyTorch eager, as its repository has them, one at a time: of PyTorch's layers, with their initial weights.

The peer gets the faster number of threads, one or all cores, and the fastest form of its optimizer on this machine.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import nn
from torch.nn import functional

from benchmarks.peers import common, torch_forms

BATCH_SIZE, RATE, PROBE_STEPS = 100, 0.01, 5


def torch_mnist1d(problem: str = "mnist1d_mlp", steps: int = 100, repeats: int = 3) -> common.Timing:
    """Train one model, named as the problem of lrbench, with torch.optim.Adam."""
    train = common.mnist1d()
    curves, labels = torch.from_numpy(train.images), torch.from_numpy(train.labels).long()
    indices = common.minibatches(len(labels), steps, size=BATCH_SIZE)
    batches = list(torch.from_numpy(indices).long())

    def run(choice: str, batches: list[torch.Tensor]) -> nn.Module:
        threads, adam = choice.split("/")
        torch.set_num_threads(int(threads))
        return torch_forms.train(_model(problem), _loss, curves, labels, batches, RATE, adam)

    def probe(choice: str) -> Callable[[], Any]:
        return lambda: run(choice, batches[:PROBE_STEPS])

    threads = sorted({1, common.cores()})
    choices = [f"{count}/{adam}" for count in threads for adam in torch_forms.ADAM_VARIANTS]
    choice = common.fastest({choice: probe(choice) for choice in choices})
    seconds, trained = common.measure(lambda: run(choice, batches), repeats)
    return common.Timing(
        seconds=common.median(seconds),
        final_losses=(_final(trained, curves, labels),),
        initial_loss=_final(_model(problem), curves, labels),
        model_steps=steps,
        threads=int(choice.split("/")[0]),
        all_seconds=seconds,
        detail={"fastest": choice.split("/")[1]},
    )


class ResidualMlp(nn.Module):
    """Two hidden layers of 100, of which the second adds to the first."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second, self.out = nn.Linear(40, 100), nn.Linear(100, 100), nn.Linear(100, 10)

    def forward(self, curves: torch.Tensor) -> torch.Tensor:
        """Return the score of every label."""
        state = functional.relu(self.first(curves))
        state = state + functional.relu(self.second(state))
        scores: torch.Tensor = self.out(state)
        return scores


class BidirectionalGru(nn.Module):
    """A GRU of 6 units in each direction, and a dense layer on its states at all points."""

    def __init__(self) -> None:
        super().__init__()
        self.gru, self.out = nn.GRU(1, 6, batch_first=True, bidirectional=True), nn.Linear(480, 10)

    def forward(self, curves: torch.Tensor) -> torch.Tensor:
        """Return the score of every label."""
        states, _ = self.gru(curves[..., None])
        scores: torch.Tensor = self.out(states.flatten(1))
        return scores


def _cnn() -> nn.Module:
    return nn.Sequential(
        nn.Unflatten(1, (1, 40)),
        nn.Conv1d(1, 25, 5, stride=2, padding=1),
        nn.ReLU(),
        nn.Conv1d(25, 25, 3, stride=2, padding=1),
        nn.ReLU(),
        nn.Conv1d(25, 25, 3, stride=2, padding=1),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(125, 10),
    )


MODELS: dict[str, Callable[[], nn.Module]] = {
    "mnist1d_softmax": lambda: nn.Linear(40, 10),
    "mnist1d_mlp": ResidualMlp,
    "mnist1d_cnn": _cnn,
    "mnist1d_gru": BidirectionalGru,
}


def _model(problem: str) -> nn.Module:
    torch.manual_seed(0)
    return MODELS[problem]()


def _loss(model: nn.Module, curves: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    return functional.cross_entropy(model(curves), labels)


def _final(model: nn.Module, curves: torch.Tensor, labels: torch.Tensor) -> float:
    with torch.no_grad():
        sample = slice(common.LOSS_EXAMPLES)
        return _loss(model, curves[sample], labels[sample]).item()


if __name__ == "__main__":
    common.main(torch_mnist1d, "torch", "numpy")
