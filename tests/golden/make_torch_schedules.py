"""Writes torch_schedules.json: the rates of PyTorch's schedulers at the learning rate 1.

`python tests/golden/make_torch_schedules.py`, with PyTorch (`make bench` installs it); the tests read the file alone, so
this one imports PyTorch only where it uses it.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

FILE = Path(__file__).with_name("torch_schedules.json")
STEPS = 40
CASES: list[tuple[str, dict[str, Any]]] = [
    ("StepLR", {"step_size": 7, "gamma": 0.3}),
    ("StepLR", {"step_size": 1, "gamma": 0.9}),
    ("MultiStepLR", {"milestones": [10, 30], "gamma": 0.1}),
    ("MultiStepLR", {"milestones": [1, 13, 39], "gamma": 0.5}),
    ("ExponentialLR", {"gamma": 0.9}),
    ("CosineAnnealingLR", {"T_max": 40, "eta_min": 0.0}),
    ("CosineAnnealingLR", {"T_max": 16, "eta_min": 0.1}),
    ("CosineAnnealingWarmRestarts", {"T_0": 10, "T_mult": 1, "eta_min": 0.0}),
    ("CosineAnnealingWarmRestarts", {"T_0": 3, "T_mult": 2, "eta_min": 0.05}),
    ("OneCycleLR", {"pct_start": 0.3, "anneal_strategy": "cos", "three_phase": False}),
    (
        "OneCycleLR",
        {"pct_start": 0.13, "anneal_strategy": "linear", "three_phase": False, "div_factor": 10.0},
    ),
    ("OneCycleLR", {"pct_start": 0.4, "anneal_strategy": "cos", "three_phase": True}),
    (
        "OneCycleLR",
        {"pct_start": 0.25, "anneal_strategy": "linear", "three_phase": True, "final_div_factor": 100.0},
    ),
    ("CyclicLR", {"base_lr": 0.1, "step_size_up": 5, "step_size_down": 5, "mode": "triangular"}),
    ("CyclicLR", {"base_lr": 0.0, "step_size_up": 3, "step_size_down": 9, "mode": "triangular2"}),
    (
        "CyclicLR",
        {"base_lr": 0.2, "step_size_up": 4, "step_size_down": 6, "mode": "exp_range", "gamma": 0.97},
    ),
    ("LinearLR", {"start_factor": 0.25, "end_factor": 1.0, "total_iters": 8}),
    ("LinearLR", {"start_factor": 1.0, "end_factor": 0.1, "total_iters": 40}),
    ("PolynomialLR", {"power": 1.0, "total_iters": 40}),
    ("PolynomialLR", {"power": 2.5, "total_iters": 30}),
]
PLATEAUS: list[dict[str, Any]] = [
    {"factor": 0.1, "patience": 2, "threshold": 1e-4, "threshold_mode": "rel", "cooldown": 0, "min_lr": 0.0},
    {"factor": 0.5, "patience": 0, "threshold": 0.0, "threshold_mode": "rel", "cooldown": 0, "min_lr": 0.01},
    {"factor": 0.3, "patience": 1, "threshold": 0.05, "threshold_mode": "abs", "cooldown": 2, "min_lr": 0.0},
    {"factor": 0.9, "patience": 3, "threshold": 0.1, "threshold_mode": "rel", "cooldown": 4, "min_lr": 0.5},
]
# Falls, rests, jumps up, is not a number, falls again, and creeps.
LOSSES = [
    *(2.0, 1.5, 1.2, 1.21, 1.2, 1.1999, 1.3, 1.2, 1.1, 1.12, 1.09, 1.15, 3.0, float("nan"), 2.0, 1.5),
    *(
        1.08,
        0.9,
        0.7,
        0.69,
        0.685,
        0.684,
        0.69,
        0.69,
        0.69,
        0.69,
        0.69,
        0.69,
        0.69,
        0.5,
        0.49,
        0.48,
        0.47,
        0.46,
    ),
    *(0.46, 0.46, 0.46, 0.46, 0.46, 0.46),
]


def rates(name: str, params: dict[str, Any]) -> list[float]:
    import torch
    from torch.optim import lr_scheduler

    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    own = {"OneCycleLR": {"max_lr": 1.0, "total_steps": STEPS, "cycle_momentum": False}}
    own["CyclicLR"] = {"max_lr": 1.0, "cycle_momentum": False}
    scheduler = getattr(lr_scheduler, name)(optimizer, **params, **own.get(name, {}))
    found = [optimizer.param_groups[0]["lr"]]
    while len(found) < STEPS:
        optimizer.step()
        scheduler.step()
        found.append(optimizer.param_groups[0]["lr"])
    return [float(f"{float(rate):.9g}") for rate in found]


def plateau(params: dict[str, Any]) -> list[float]:
    import torch
    from torch.optim import lr_scheduler

    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    scheduler = lr_scheduler.ReduceLROnPlateau(optimizer, eps=0.0, **params)
    found = []
    for loss in LOSSES:
        scheduler.step(loss)
        found.append(optimizer.param_groups[0]["lr"])
    return [float(f"{rate:.9g}") for rate in found]


def text(cases: list[dict[str, Any]]) -> str:
    """Return a JSON list with a line per case; no number is null, as JSON has it."""
    return "[\n" + ",\n".join(json.dumps(case) for case in cases).replace("NaN", "null") + "\n]"


if __name__ == "__main__":
    import torch

    schedules = text(
        [{"name": name, "params": params, "rates": rates(name, params)} for name, params in CASES]
    )
    plateaus = text([{"params": params, "rates": plateau(params)} for params in PLATEAUS])
    losses = json.dumps(LOSSES).replace("NaN", "null")
    head = f'"torch": "{torch.__version__.split("+")[0]}", "steps": {STEPS}, "losses": {losses}'
    FILE.write_text(f'{{{head},\n"schedules": {schedules},\n"plateaus": {plateaus}}}\n', encoding="utf-8")
