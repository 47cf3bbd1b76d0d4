"""The forms that PyTorch runs a function in, for the peers that have both, and its implementations of Adam."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

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
