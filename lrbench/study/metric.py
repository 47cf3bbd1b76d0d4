"""What a metric declares beside its function: which of its values are better, how far they go, and how it is evaluated."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from lrbench.errors import StudyError
from lrbench.study.catalog import unknown

_LARGER = ("accuracy", "r2", "f1", "auc")
Function = TypeVar("Function", bound=Callable[..., Any])


def larger_by_name(name: str) -> bool:
    """Return whether a metric that declares nothing is one to raise: an accuracy, R², F1 or AUC by its name.

    >>> larger_by_name("accuracy"), larger_by_name("absolute_error")
    (True, False)
    """
    return name.endswith(_LARGER)


@dataclass(frozen=True)
class Metric:
    """A metric of a problem, with what it declares.

    Args:
        function: (predictions, batch) → scalar.
        larger: whether larger values are better.
        bound: the greatest value that it can have, where larger ones are better; `None` where it is not known.
        mean: whether it is a mean over examples. Such a metric is computed in pieces where there are more examples than an
            evaluation has in memory at once; any other, such as F1, always sees the whole set.

    >>> Metric(lambda predictions, batch: 0.5, larger=True, bound=1.0)(None, None)
    0.5
    """

    function: Callable[[Any, Any], Any]
    larger: bool = False
    bound: float | None = None
    mean: bool = False

    def __call__(self, predictions: Any, batch: Any) -> Any:
        """Return the metric of predictions for a batch."""
        return self.function(predictions, batch)


def metric(
    *, larger: bool = False, bound: float | None = None, mean: bool = False
) -> Callable[[Function], Function]:
    """Declare what a function of the catalogue is as a metric; the arguments are those of `Metric`.

    `lrbench list` reads it from the source.

    >>> @metric(larger=True, bound=1.0)
    ... def share(predictions, batch): ...
    >>> declared("share", share).larger
    True
    """

    def declare(function: Function) -> Function:
        function.metric = Metric(function, larger, bound, mean)  # type: ignore[attr-defined]  # mypy knows no attributes of functions
        return function

    return declare


def declared(name: str, given: Metric | Callable[[Any, Any], Any]) -> Metric:
    """Return a metric with what it declares; a plain function of that name goes by the name.

    >>> declared("valid_accuracy", lambda predictions, batch: 1.0).bound
    1.0
    """
    if isinstance(given, Metric):
        return given
    found = getattr(given, "metric", None)
    if isinstance(found, Metric):
        return found
    larger = larger_by_name(name)
    return Metric(given, larger, bound=1.0 if larger else None)


def check_objective(objective: str, problem: str, curves: Sequence[str]) -> None:
    """Refuse an objective that a problem lacks.

    Args:
        objective: of the study, such as "valid_accuracy".
        problem: the name of the problem.
        curves: its losses and metrics: "train_loss" and, where it has validation data, "valid_loss" and "valid_<metric>".

    Raises:
        StudyError: with what it has, and the nearest one.
    """
    if objective != "auto" and objective not in curves:
        raise StudyError(f"objective: {unknown(f'loss or metric of {problem}', objective, list(curves))}")
