"""The loss of the best constant prediction, against one found by direct optimisation."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from scipy import optimize, special

import lrbench as lb
from lrbench.errors import ProblemError
from lrbench.problems import Problem, _constants
from lrbench.study import catalog
from tests.helpers import examples

KNOWN = [name for name in catalog.names("problem") if examples.problem(name).constant_loss is not None]


def _targets(problem: Problem, part: Any) -> np.ndarray:
    found = part if not isinstance(part, tuple) else part[1]
    return np.asarray(found)[:, 1:].reshape(-1) if problem.name.startswith("char") else np.asarray(found)


def _loss(problem: Problem, targets: np.ndarray, labels: int) -> Callable[[np.ndarray], float]:
    """The loss of a constant for some targets: of scores of labels, of a number, or of the pixels of an image."""
    if labels:
        share = np.bincount(targets, minlength=labels) / len(targets)
        return lambda constant: float(special.logsumexp(constant) - share @ constant)
    columns = targets.reshape(len(targets), -1).astype(np.float64)
    mean, square = columns.mean(axis=0), np.square(columns).mean(axis=0)
    if problem.name == "digits_vae":
        return lambda constant: float((np.logaddexp(0, constant) - mean * constant).sum())
    return lambda constant: float((square - 2 * constant * mean + np.square(constant)).sum())


@pytest.mark.slow
@pytest.mark.parametrize("name", KNOWN)
def test_no_constant_that_is_fitted_does_better(name: str) -> None:
    """Optimised on the training targets, a constant comes to the loss that the problem states on those of the evaluation."""
    problem = examples.problem(name)
    data = problem.data
    train = _targets(problem, data.train)
    evaluated = _targets(problem, data.valid) if data.valid is not None else train
    labels = 1 + max(int(train.max()), int(evaluated.max())) if np.issubdtype(train.dtype, np.integer) else 0
    size = labels or (train.shape[1] if train.ndim > 1 else 1)
    found = optimize.minimize(_loss(problem, train, labels), np.zeros(size), tol=1e-6).x
    assert problem.constant_loss == pytest.approx(_loss(problem, evaluated, labels)(found), rel=2e-3)


def test_data_with_a_loss_have_a_constant_one() -> None:
    without = {name for name in catalog.names("problem") if examples.problem(name).data.examples} - set(KNOWN)
    assert without == {"quadratic_deep"}  # it predicts nothing


def test_what_training_never_saw_makes_the_constant_infinite() -> None:
    assert _constants.constant_entropy(np.array([0, 0]), np.array([0, 1])) is None
    assert _constants.constant_shares(np.array([[0.0]]), np.array([[0.5]])) is None
    assert _constants.constant_shares(np.array([[0.0]]), np.array([[0.0]])) == 0


def _problem(**more: Any) -> Problem:
    x = np.zeros((4, 1), np.float32)
    return lb.problem(
        init=lambda key: x[0], loss=lambda *given: 0.0, predict=lambda *given: x, valid=x, **more
    )


def test_the_headline_is_the_first_metric_unless_another_is_named() -> None:
    metrics = {"error": lambda *given: 0.0, "f1": lb.Metric(lambda *given: 0.0, larger=True)}
    assert list(_problem(metrics=metrics).measures) == ["error", "f1"]
    assert list(_problem(metrics=metrics, headline="f1").measures) == ["f1", "error"]
    assert _problem(metrics=metrics).curves == ("train_loss", "valid_loss", "valid_error", "valid_f1")
    assert _problem().curves == ("train_loss", "valid_loss")


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"headline": "f2"}, "headline: unknown metric 'f2'; allowed: f1; did you mean 'f1'?"),
        (
            {"constant_loss": float("inf")},
            "constant_loss = inf: must be finite; leave it out where it is not known",
        ),
    ],
)
def test_a_mistake_is_one_line(more: dict[str, Any], message: str) -> None:
    with pytest.raises(ProblemError) as caught:
        _problem(metrics={"f1": lambda *given: 0.0}, **more)
    assert str(caught.value) == message


@pytest.mark.parametrize("name", catalog.names("problem"))
def test_the_docstring_names_the_metrics_and_the_headline_first(name: str) -> None:
    named, found = list(catalog.get("problem", name).measures), list(examples.problem(name).measures)
    assert [each for each in named if each in found] == found
    assert found or not named
