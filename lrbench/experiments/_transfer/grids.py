"""The networks and rates that are trained: one study for each optimizer and for what grows, width or depth."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

KINDS: Mapping[str, str] = {"standard": "standard", "mup_adam": "muP", "mup_sgd": "muP"}
"""The parametrisations of `digits_mlp`, and their names in tables."""
LOWEST: Mapping[str, int] = {"adam": -11, "sgd": -6}
"""Of each optimizer, the power of 2 that is its first rate."""
GROWS = ("width", "depth")


def study(
    optimizer: str, grows: str, hidden: Sequence[Sequence[int]], rates: int, steps: int, seeds: int
) -> dict[str, Any]:
    """Return the study of one optimizer, and of networks that grow in width or depth."""
    return {
        "name": f"{grows}_{optimizer}",
        "steps": steps,
        "evaluate_every": steps,
        "seeds": seeds,
        "objective": "train_loss",
        "probes": [],
        "optimizer": optimizer,
        "learning_rate": {"values": [2.0 ** (LOWEST[optimizer] + step) for step in range(rates)]},
        "problem": {
            "name": "digits_mlp",
            "hidden": [list(each) for each in hidden],
            "parametrisation": ["standard", f"mup_{optimizer}"],
        },
    }
