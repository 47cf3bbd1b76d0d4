"""Learning rates of the parameters whose paths match a pattern, as named rates of a problem."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import jax

from lrbench.errors import StudyError
from lrbench.nets import parameters
from lrbench.problems import Problem


def named(problem: Problem, keys: Sequence[str], params: Any) -> Problem:
    """Return a problem in which the parameters that a pattern matches have a rate of that name.

    Args:
        problem: whose own names of rates stay as they are.
        keys: the names and the patterns for which the study sets rates.
        params: the problem's parameters, or their shapes.

    Raises:
        StudyError: if a pattern matches no parameter, or one that another key of the study sets, too.
    """
    patterns = [key for key in keys if key not in problem.rate_names]
    names = parameters.paths(params)
    for pattern in patterns:
        if not any(parameters.matches(path, [pattern]) for path in names):
            rates = ", ".join(problem.rate_names) or "none"
            raise StudyError(
                f"learning_rate.{pattern}: {problem.name} has no learning rate of that name, and no parameter that it matches; "
                f"its rates: {rates}; its parameters: {parameters.listed(params)}"
            )
    own = jax.tree.map(lambda _: "", params)
    if problem.rates is not None:
        own = jax.tree.map(lambda name, part: jax.tree.map(lambda _: name, part), problem.rates, params)

    def name(path: str, own: str) -> str:
        found = [*parameters.matches(path, patterns), *([own] if own in keys else [])]
        if len(found) > 1:
            raise StudyError(
                f"learning_rate.{found[0]}: {problem.name}: learning_rate.{found[1]} is also for the parameter {path}; make the "
                "patterns match different parameters"
            )
        return found[0] if found else own

    labels = parameters.by_path(lambda path: path, params)
    return replace(problem, rates=jax.tree.map(name, labels, own))
