"""Options of every problem: each public function here is one. It is off at its default, and absent unless a study sets it.

Each takes a problem and the option's value, and returns the problem with that option.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

from lrbench.errors import ProblemError
from lrbench.problems._problem import RESHUFFLED, Problem


def order(problem: Problem, order: Literal["reshuffled", "fixed", "given"] = "reshuffled") -> Problem:
    """Order of the examples: "reshuffled" each epoch; "fixed", shuffled once per seed and the same in each epoch; "given", that of the data in each epoch.

    Raises:
        ProblemError: if the problem has no data, or another order of its own.
    """
    if problem.order not in (RESHUFFLED, order):
        raise ProblemError(
            f'order = "{order}": the problem itself has order = "{problem.order}"; leave out one of them'
        )
    return replace(problem, order=order)
