"""What experiments are asked for by name: the check of the names, and the optimizers that several of them know."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from lrbench.errors import StudyError
from lrbench.study import catalog

OPTIMIZERS: Mapping[str, Mapping[str, Any]] = {
    "sgd": {"name": "sgd"},
    "momentum": {"name": "sgd", "momentum": 0.9},
    "adam": {"name": "adam"},
}
"""Optimizers as a study has them, by the names that experiments have for them."""


def require_known(parameter: str, given: Iterable[str], known: Iterable[str]) -> None:
    """Check the names that a parameter of an experiment was given; the parameter is the plural of what they name.

    >>> require_known("models", ["mlp", "cn"], ["cnn", "mlp"])
    Traceback (most recent call last):
    ...
    lrbench.errors.StudyError: models: unknown model 'cn'; allowed: cnn, mlp; did you mean 'cnn'?
    """
    allowed = list(known)
    for name in given:
        if name not in allowed:
            raise StudyError(f"{parameter}: {catalog.unknown(parameter.removesuffix('s'), name, allowed)}")
