"""A study from Python, as the arguments of one call instead of a file."""

from __future__ import annotations

import operator
import os
import shutil
import tempfile
import weakref
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from lrbench.errors import StudyError
from lrbench.execution.execute import execute, run
from lrbench.execution.trainable_results import TrainableResults
from lrbench.study import catalog, spec
from lrbench.study.learning_rates import Rates

_WORDS = {
    "problem": "problems",
    "optimizer": "optimizers",
    "schedule": "schedules",
    "learning_rate": "learning_rates",
    "lr": "learning_rates",
}
"""The keys of study files, and the name of a rate in optax and PyTorch, and which argument each is."""


def sweep(
    problems: Any = None,
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
        problems: names, `Problem("digits_mlp", hidden=[[64], [128]])`, or problems of your own.
        optimizers: names, `Optimizer(...)`, or functions learning rate → optax transformation.
        learning_rates: "auto", which finds the range of each line; or the rates, such as `logspace(1e-5, 10, 100)`; or a dict as in a study file,
            `{"min": 1e-5, "max": 10, "num": 100}`; or a dict of these by the name of a rate, such as `{"": [0.1, 1], "output": [0.01, 0.1]}`, where
            `""` are those of all parameters without a rate of their own.
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
    _refuse_other_words(problems, more)
    table = {
        "name": "sweep",
        "steps": _whole(steps),
        "seeds": list(map(_whole, seeds))
        if isinstance(seeds, Iterable) and not isinstance(seeds, str)
        else _whole(seeds),
        "problem": problems,
        "optimizer": optimizers,
        "schedule": schedules,
        "learning_rate": _axes(learning_rates),
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


def _refuse_other_words(problems: Any, more: Mapping[str, Any]) -> None:
    """Refuse arguments that there are not, the keys of a study file first, each with the one to use."""
    for key, value in more.items():
        if key in _WORDS:
            raise StudyError(f"sweep: takes {_WORDS[key]}=, not {key}=: {_WORDS[key]}={value!r}")
        if key not in spec.Study.model_fields:
            allowed = [_WORDS.get(name, name) for name in spec.Study.model_fields]
            raise StudyError(f"sweep: {catalog.unknown('argument', key, [*allowed, 'out', 'report'])}")
    if problems is None:
        raise StudyError(
            'sweep: problems: missing; give a name, such as "digits_mlp", or a problem of your own'
        )


def _whole(value: Any) -> Any:
    """Return a whole number of NumPy or JAX, or one such as 1e3, as an `int`, and any other value as it is."""
    if isinstance(value, float) and value.is_integer():
        return int(value)
    try:
        return operator.index(value)
    except TypeError:
        return value


def _axes(given: Any) -> Any:
    """Return learning rates as a study file writes them."""
    if isinstance(given, str) and given == "auto":
        return given
    if not isinstance(given, Mapping):
        return _axis(given)
    if "" in given:
        rest = given[""]
        named = {name: _axis(rates) for name, rates in given.items() if name}
        return ({} if isinstance(rest, str) and rest == "auto" else _axis(rest)) | named
    if given.keys().isdisjoint(Rates.model_fields):
        raise StudyError(
            f'sweep: learning_rates = {given!r}: must also have a key "", for the rates of all other parameters; '
            "or be a range, with min, max and num"
        )
    return {
        name: _axis(rates) if isinstance(rates, Mapping) else rates for name, rates in _axis(given).items()
    }


def _axis(given: Any) -> dict[str, Any]:
    """Return one axis as a study file writes it."""
    if isinstance(given, Mapping):
        return {**given, **_axis(given["values"])} if "values" in given else dict(given)
    try:
        return {"values": np.asarray(given, dtype=float).reshape(-1).tolist()}
    except (TypeError, ValueError) as error:
        raise StudyError(
            f'sweep: learning_rates = {given!r}: must be "auto", rates such as lb.logspace(1e-5, 10, 100), '
            'or a dict such as {"min": 1e-5, "max": 10, "num": 100}'
        ) from error
