"""The forms that PyTorch runs a function in, for the peers that have both, and training by its implementations of Adam."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import torch
from torch import nn

Model = TypeVar("Model", bound=nn.Module)

FORMS = ("eager", "compiled")
ADAM_VARIANTS: dict[str, dict[str, Any]] = {
    "for_loop": {"foreach": False, "fused": False},
    "foreach": {"foreach": True},
    "fused": {"fused": True},
}


def in_form(form: str, function: Callable[..., Any]) -> Callable[..., Any]:
    """The function as it is, or compiled by `torch.compile`, which needs a C++ compiler on a CPU."""
    if form not in FORMS:
        raise ValueError(f"form is {form!r}; it must be one of {', '.join(FORMS)}")
    if form == "eager":
        return function
    # A part left to eager PyTorch, or a program compiled anew for each step, would be another peer than the row says.
    return torch.compile(function, fullgraph=True)


def train(
    model: Model,
    loss: Callable[..., torch.Tensor],
    inputs: torch.Tensor,
    labels: torch.Tensor,
    batches: list[torch.Tensor],
    rate: float,
    adam: str,
) -> Model:
    """The model after one step of an implementation of Adam for each minibatch."""
    optimizer = torch.optim.Adam(model.parameters(), lr=rate, **ADAM_VARIANTS[adam])
    for batch in batches:
        optimizer.zero_grad(set_to_none=True)
        loss(model, inputs[batch], labels[batch]).backward()
        optimizer.step()
    return model
