"""A study from Python, as the arguments of one call instead of a file."""

from __future__ import annotations

import os
import shutil
import tempfile
import weakref
from collections.abc import Mapping
from typing import Any

import numpy as np

from lrbench.errors import StudyError
from lrbench.execution.execute import execute, run
from lrbench.execution.trainable_results import TrainableResults
from lrbench.study import spec


def sweep(
    problems: Any,
    *,
    optimizers: Any = "adam",
    learning_rates: Any = "auto",
    schedules: Any = "constant",
    seeds: Any = 3,
    steps: int = 1000,
    out: str | os.PathLike[str] | None = None,
    report: bool = False,
    **more: Any,
) -> TrainableResults:
    """Train a grid of runs from Python.

    Args:
        problems: names, `Problem` objects, or tables such as `{"name": "digits_mlp", "hidden": [[64], [128]]}`.
        optimizers: names, `Optimizer(...)`, or functions learning rate → optax transformation.
        learning_rates: "auto", which finds the range of each line; or the rates, such as `logspace(1e-5, 10, 100)`; or a dict of rates by name, such as
            `{"": [0.1, 1], "output": [0.01, 0.1]}`, where `""` are those of all parameters without a rate of their own.
        schedules: names, `Schedule(...)`, or functions steps → optax schedule of peak 1, or optax schedules.
        seeds: a count, a list, or "enough", which adds fresh seeds until the lines are told apart.
        steps: optimizer steps of every run.
        out: results folder; by default a temporary one, which is removed with the results.
        report: whether plots and the report are written too.
        **more: any other key of a study: name, evaluate_every, confirm, refine, budget, precision, objective, target, probes.

    Raises:
        StudyError: naming the key that is wrong.

    >>> results = sweep("quadratic", optimizers="sgd", learning_rates=[1.0, 3.0], seeds=1, steps=20)
    >>> list(results.runs["verdict"])
    ['good', 'diverged']
    """
    named = dict(learning_rates) if isinstance(learning_rates, Mapping) else {"": learning_rates}
    if "" not in named:
        raise StudyError(
            f'sweep: learning_rates = {named!r}: must also have a key "", for the rates of all other parameters'
        )
    axes = {
        name: {}
        if isinstance(rates, str) and rates == "auto" and not name
        else {"values": np.asarray(rates, dtype=float).reshape(-1).tolist()}
        for name, rates in named.items()
    }
    table = {
        "name": "sweep",
        "steps": steps,
        "seeds": seeds if isinstance(seeds, int | str) else [int(seed) for seed in seeds],
        "problem": problems,
        "optimizer": optimizers,
        "schedule": schedules,
        "learning_rate": axes.pop("") | axes,
        **more,
    }
    checked = spec.check(table, "sweep", trust=True)
    if out is not None:
        return run(checked, out, report=report)
    folder = tempfile.mkdtemp(prefix="lrbench-")
    finished = execute(checked, folder, report=report)
    weakref.finalize(finished.results, shutil.rmtree, folder, ignore_errors=True)
    if finished.failures:
        raise StudyError(f"sweep: {finished.failures[0].error}")
    return finished.results
