"""What is trained, and what its problems and optimizers are called."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import pandas as pd

from lrbench.study import catalog

RATES = {"min": 1e-4, "max": 10.0}
"""The range of all learning rates: five decades."""
LANES = 128
"""The lanes of a chunk: all of a line, with the default rates and seeds."""
EVALUATIONS = 50
"""How often a run is evaluated; it has to hold what it reached over the last tenth of them."""
PROBLEM_VARIANTS: Mapping[str, list[dict[str, Any]]] = {
    "ill_conditioned": [{"condition": [1e4, 1e6]}, {"condition": 1e4, "rotated": True}]
}
"""What a problem is tried with in place of its defaults."""
OPTIMIZER_VARIANTS: Mapping[str, list[dict[str, Any]]] = {
    "sgd": [{"momentum": [0.0, 0.9]}, {"momentum": 0.9, "nesterov": True}]
}
"""What an optimizer is tried with in place of its defaults."""
MEMORIES = (0.9, 0.99, 0.999)
"""The values of b₂ on Adam's counterexample."""


def matrix(
    problems: Iterable[str], optimizers: Iterable[str], rates: int, seeds: int, steps: int
) -> dict[str, Any]:
    """Return the study of all problems and optimizers."""
    return _study("matrix", rates, seeds, steps) | {
        "problem": _each(problems, PROBLEM_VARIANTS),
        "optimizer": _each(optimizers, OPTIMIZER_VARIANTS),
    }


def counterexample(rates: int, seeds: int, steps: int) -> dict[str, Any]:
    """Return the study of Adam and AMSGrad on Adam's counterexample, with memories of several lengths."""
    return _study("counterexample", rates, seeds, steps) | {
        "problem": "rare_gradients",
        "optimizer": [{"name": name, "b2": list(MEMORIES)} for name in ("adam", "amsgrad")],
    }


def names(runs: pd.DataFrame) -> pd.DataFrame:
    """Return the runs with short names of their problems and optimizers, as tables and pictures have them."""
    problem, optimizer = runs["problem"].astype(str), runs["optimizer"].astype(str)
    if "problem_condition" in runs:
        conditions = [f" {value:.0e}".replace("e+0", "e") for value in runs["problem_condition"].fillna(0)]
        given = pd.Series(conditions, runs.index)
        turned = _true(runs["problem_rotated"]).map({True: " rotated", False: ""})
        problem = problem.where(runs["problem_condition"].isna(), problem + given + turned)
    if "optimizer_momentum" in runs:
        heavy = (optimizer == "sgd") & (runs["optimizer_momentum"] > 0)
        nesterov = heavy & _true(runs["optimizer_nesterov"])
        optimizer = optimizer.mask(heavy, "sgd, momentum").mask(nesterov, "sgd, nesterov")
    return runs.assign(problem=problem, optimizer=optimizer)


def optima(problems: Iterable[str]) -> dict[str, float]:
    """Return the minimum of each problem; 0 where it is not known, which then says how low the loss itself is to be."""
    made = {name: catalog.get("problem", name).load()() for name in dict.fromkeys(problems)}
    return {name: problem.optimum or 0.0 for name, problem in made.items()}


def _study(name: str, rates: int, seeds: int, steps: int) -> dict[str, Any]:
    return {
        "name": name,
        "steps": steps,
        "evaluate_every": max(1, steps // EVALUATIONS),
        "seeds": seeds,
        "objective": "train_loss",
        "probes": [],
        # Hundreds of small programs: timing chunk sizes for each would take longer than training.
        "lanes_per_chunk": LANES,
        "learning_rate": RATES | {"num": rates},
    }


def _true(column: pd.Series) -> pd.Series:
    """Return where a column of switches is on; runs that have no such switch are off."""
    return column.astype("boolean").fillna(value=False).astype(bool)


def _each(names: Iterable[str], variants: Mapping[str, list[dict[str, Any]]]) -> list[dict[str, Any]]:
    return [{"name": name} | variant for name in names for variant in variants.get(name, [{}])]
