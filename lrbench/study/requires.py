"""What an optimizer requires of its run beyond the gradient, and where its runs are evaluated.

Both are declared at the optimizer, by a decorator; the engine knows no optimizer by name.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from lrbench.errors import StudyError
from lrbench.study.catalog import unknown

OFFERED: Mapping[str, str] = {
    "value": "the loss of the minibatch at the parameters",
    "grad": "its gradient, before any clipping",
    "value_fn": "parameters → loss of the same minibatch",
    "obj_fn": "the same function, under the name that optax's second-order optimizers use",
    "grad_fn": "(parameters, anything) → gradient of that loss",
    "example_grads": "the gradient of each example of the minibatch; it has one leading axis more than `grad`",
    "step": "the number of steps taken before; one number for all lanes, so that a condition on it is a branch",
    "key": "a random key of the step, the same for all runs of a seed",
}
"""Every extra argument of `update`, under the name that optax uses if it has one."""
BY_DEFAULT = ("value", "grad", "value_fn", "obj_fn", "grad_fn", "step")
"""What an optimizer that declares nothing receives: arguments that cost nothing unless they are used."""
BY_PART = ("value", "step")
"""Arguments that are also defined for a part of the parameters, so that they are allowed with named rates."""
_LOSSES = ("value_fn", "obj_fn", "grad_fn", "example_grads")

Make = TypeVar("Make", bound=Callable[..., Any])


def asks(*names: str) -> Callable[[Make], Make]:
    """Declare which extra arguments the `update` of an optimizer receives; by default, those that cost nothing.

    Args:
        names: any of `OFFERED`.

    Raises:
        StudyError: if there is no such argument, with the nearest one.

    >>> @asks("value")
    ... def polyak(learning_rate): ...
    >>> asked(polyak)
    ('value',)
    """
    for name in names:
        if name not in OFFERED:
            raise StudyError(unknown("argument of update", name, list(OFFERED)))

    def declare(make: Make) -> Make:
        make.asks = names  # type: ignore[attr-defined]  # mypy knows no attributes of functions
        return make

    return declare


def evaluated_at(where: Callable[[Any, Any], Any]) -> Callable[[Make], Make]:
    """Declare that runs are evaluated at parameters other than those at which the gradient is taken.

    Args:
        where: (optimizer's state, parameters) → the parameters to evaluate.

    >>> @evaluated_at(lambda state, params: state.average)
    ... def averaged(learning_rate): ...
    """

    def declare(make: Make) -> Make:
        make.evaluated_at = where  # type: ignore[attr-defined]  # as above
        return make

    return declare


def asked(make: Callable[..., Any]) -> tuple[str, ...]:
    """Return the extra arguments that an optimizer's `update` receives."""
    return getattr(make, "asks", BY_DEFAULT)


def computes_losses(make: Callable[..., Any]) -> bool:
    """Return whether an optimizer declares arguments by which its `update` computes losses or gradients itself."""
    names = asked(make)
    return names != BY_DEFAULT and not {*names}.isdisjoint(_LOSSES)


def evaluation(make: Callable[..., Any]) -> Callable[[Any, Any], Any] | None:
    """Return the function that an optimizer declared by `evaluated_at`, `None` if it declared none."""
    return getattr(make, "evaluated_at", None)


def whole(make: Callable[..., Any]) -> str:
    """Return what an optimizer requires that is defined for all parameters together alone, "" if nothing."""
    declared = [name for name in getattr(make, "asks", ()) if name not in BY_PART]
    return ", ".join(declared) or ("an evaluation at other parameters" if evaluation(make) else "")
