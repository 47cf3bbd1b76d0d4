"""The runs that answers are judged on: for each problem a dense grid of rates with many seeds, and range tests."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import lrbench as lb
from benchmarks.process import say

PER_DECADE = 6
"""Rates per decade of what is trained; a study that is drawn from it has every second one, so that `refine` finds the others."""
RATES = 31
_RANGES = {"sgd": (0.00215443469, 215.443469), "adaptive": (1e-4, 10.0)}
FINDER_STEPS, FINDER_SEEDS = 100, 10
_FINDER_RANGE = {"min": 1e-7, "max": 10.0, "num": 9}
"""fastai's: 100 iterations from 1e-7 to 10."""


class Sizes(NamedTuple):
    """How much of a problem is trained."""

    steps: int
    evaluate_every: int
    """A multiple of this is steps / 1.2, at which bands by pace look."""
    seeds: int
    lion: bool = True
    """Whether Lion is one of the optimizers: eight lines, else six."""
    parameters: Mapping[str, Any] = MappingProxyType({})


PROBLEMS = {
    "diabetes_linear": Sizes(240, 10, 100),
    "house_prices": Sizes(240, 10, 100),
    "breast_cancer_logistic": Sizes(240, 10, 100),
    "digits_softmax": Sizes(240, 10, 100),
    "matrix_factorization": Sizes(480, 20, 100),
    "deep_linear": Sizes(480, 20, 100),
    "chebyshev_mlp": Sizes(480, 20, 60),
    "spirals_mlp": Sizes(480, 20, 60),
    "digits_mlp": Sizes(360, 15, 60),
    "digits_autoencoder": Sizes(240, 10, 60, lion=False),
    "mnist1d_mlp": Sizes(240, 10, 60, lion=False),
    "digits_cnn": Sizes(120, 20, 60, lion=False, parameters={"channels": [4, 8], "batch_size": 32}),
    "digits_vae": Sizes(240, 10, 60, lion=False),
    "quadratic_deep": Sizes(240, 10, 60, lion=False),
}
"""In the order of their cost."""


def halves() -> tuple[list[str], list[str]]:
    """The problems on which rules may be tuned, and those on which they are reported: every second one by name."""
    names = sorted(PROBLEMS)
    return names[0::2], names[1::2]


def grids(problem: str) -> Iterator[dict[str, Any]]:
    """The two studies of a problem: gradient descent has larger rates than the adaptive optimizers."""
    size = PROBLEMS[problem]
    optimizers: dict[str, Any] = {
        "sgd": [{"name": "sgd", "momentum": [0.0, 0.9]}],
        "adaptive": ["adam", "lion"] if size.lion else ["adam"],
    }
    for group, (low, high) in _RANGES.items():
        yield {
            "name": f"{problem}-{group}",
            "steps": size.steps,
            "evaluate_every": size.evaluate_every,
            "seeds": size.seeds,
            "probes": [],
            "problem": [{"name": problem, **size.parameters}],
            "optimizer": optimizers[group],
            "schedule": ["constant", "warmup_cosine"],
            "learning_rate": {"min": low, "max": high, "num": RATES},
        }


def range_tests(problem: str) -> dict[str, Any]:
    """The study that `lrbench find` is given."""
    first, second = grids(problem)
    return {
        "name": problem,
        "steps": FINDER_STEPS,
        "seeds": FINDER_SEEDS,
        "problem": first["problem"],
        "optimizer": [*first["optimizer"], *second["optimizer"]],
        "learning_rate": _FINDER_RANGE,
    }


def collect(folder: Path, problems: Sequence[str]) -> None:
    """Train everything that is missing; interrupted, it goes on where it was."""
    for problem in problems:
        for study in grids(problem):
            say(study["name"])
            lb.run(study, out=folder / study["name"], report=False)
        say(f"{problem}: range tests")
        lb.find(range_tests(problem), out=folder / f"{problem}_find")
