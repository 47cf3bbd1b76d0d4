"""The studies that the claims are judged by, as study tables."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

PLAIN, ADAM = "sgd(momentum=0)", "adam"
"""Labels of optimizers of the studies `families` and `schedules`."""

SEEDS = {"wells": 400, "scale": 5, "families": 3, "longer": 1, "equal_loss": 8, "schedules": 8}
"""How many seeds each study has, unless another number is set; `step` has one run for each rate. `longer` are all `families_…`."""

LONGER = "families_"
"""How the names of the studies of longer runs begin; their steps follow."""

_STEP_PROBES = ["gradient_norm", "update_norm", "first_coordinate", "second_coordinate"]
_SIZES: dict[str, dict[str, Any]] = {
    "digits_cnn": {"channels": [4, 8], "batch_size": 32},
    "char_transformer": {"context": 8, "width": 16, "heads": 2, "layers": 1, "batch_size": 16},
}
"""Parameters that keep a problem of the study `families` small."""


def studies(
    steps: int,
    seeds: int | None,
    lengths: Iterable[int],
    families: Iterable[str],
    schedules: Iterable[str],
) -> list[dict[str, Any]]:
    """Return the studies, each as the table of a study file.

    Args:
        steps: of every run, except those of `step`, which take one, of `equal_loss`, which take four times as many, and of `families_…`.
        seeds: of every study but `step`; None: the numbers in `SEEDS`.
        lengths: steps of the studies `families_…`.
        families: problems of the study `families`, and of `families_…`.
        schedules: problems of the studies `schedules` and `equal_loss`.
    """
    count = {name: own if seeds is None else seeds for name, own in SEEDS.items()}
    problems, networks = list(families), list(schedules)
    return [
        _step(),
        _wells(steps, count["wells"]),
        _scale(steps, count["scale"]),
        _families(steps, count["families"], problems),
        *(_longer(length, count["longer"], problems) for length in dict.fromkeys(lengths)),
        _equal_loss(4 * steps, count["equal_loss"], networks),
        _schedules(steps, count["schedules"], networks),
    ]


def _step() -> dict[str, Any]:
    """One step of gradient descent on one sale: with the gradient of the squared error, and with the one often stated."""
    return {
        "name": "step",
        "steps": 1,
        "seeds": 1,
        "precision": "float64",
        "objective": "train_loss",
        "problem": {"name": "one_sale", "linear": [True, False]},
        "optimizer": "sgd",
        "learning_rate": {"values": [0.001, 0.1]},
        "probes": _STEP_PROBES,
    }


def _wells(steps: int, seeds: int) -> dict[str, Any]:
    """Two wells, of which the shallower one is a local optimum, in which all runs start: which rates leave it?"""
    return {
        "name": "wells",
        "steps": steps,
        "evaluate_every": max(1, steps // 20),
        "seeds": seeds,
        "problem": {"name": "double_well", "well": "shallower"},
        "optimizer": "sgd",
        "learning_rate": {"min": 1e-5, "max": 1.0, "num": 31},
        "probes": _STEP_PROBES,
    }


def _scale(steps: int, seeds: int) -> dict[str, Any]:
    """The price of a house from its area, in standard deviations, and in square feet and dollars."""
    return {
        "name": "scale",
        "steps": steps,
        "evaluate_every": max(1, steps // 30),
        "seeds": seeds,
        "problem": {"name": "house_prices", "standardised": [True, False]},
        "optimizer": "sgd",
        "learning_rate": {"min": 1e-12, "max": 10.0, "num": 53},
    }


def _families(steps: int, seeds: int, problems: Iterable[str]) -> dict[str, Any]:
    """Families of models, from a line to a transformer, with four optimizers."""
    return {
        "name": "families",
        "steps": steps,
        "evaluate_every": max(1, steps // 20),
        "seeds": seeds,
        "problem": [{"name": name, **_SIZES.get(name, {})} for name in problems],
        "optimizer": [{"name": "sgd", "momentum": [0.0, 0.9]}, {"name": "adam"}, {"name": "rmsprop"}],
        "learning_rate": {"min": 1e-5, "max": 10.0, "num": 13},
    }


def _longer(steps: int, seeds: int, problems: Iterable[str]) -> dict[str, Any]:
    """The families with Adam alone, for which the usual rates are meant, trained for longer."""
    return {
        **_families(steps, seeds, problems),
        "name": f"{LONGER}{steps}",
        "optimizer": {"name": "adam"},
        "probes": [],
    }


def _equal_loss(steps: int, seeds: int, problems: Iterable[str]) -> dict[str, Any]:
    """Networks trained until rates have passed the same training loss, evaluated often enough to tell where."""
    return {
        "name": "equal_loss",
        "steps": steps,
        "evaluate_every": max(1, steps // 120),
        "seeds": seeds,
        "problem": list(problems),
        "optimizer": [{"name": "sgd", "momentum": 0.9}, {"name": "adam"}],
        "learning_rate": {"min": 1e-4, "max": 1.0, "num": 9},
        "probes": [],
    }


def _schedules(steps: int, seeds: int, problems: Iterable[str]) -> dict[str, Any]:
    """Every usual schedule with every kind of optimizer."""
    return {
        "name": "schedules",
        "steps": steps,
        "evaluate_every": max(1, steps // 30),
        "seeds": seeds,
        "problem": list(problems),
        "optimizer": [{"name": "sgd", "momentum": [0.0, 0.9]}, {"name": "adam"}],
        "schedule": [
            {"name": "constant"},
            {"name": "step", "step_size": [30, 100], "gamma": 0.1},
            {"name": "exponential", "final": 0.01},
            {"name": "linear"},
            {"name": "cosine"},
            {"name": "reduce_on_plateau", "factor": 0.1, "patience": 2},
            {"name": "warmup_constant", "warmup": 0.1},
            {"name": "warmup_cosine", "warmup": 0.1},
        ],
        "learning_rate": {"min": 1e-3, "max": 10.0, "num": 9},
    }
