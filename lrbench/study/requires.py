"""What an optimizer may ask of its run beyond the gradient, and where its runs are evaluated.

Both are declared beside the optimizer, by a decorator; the engine knows no optimizer by name.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from lrbench.errors import StudyError
from lrbench.study.catalog import unknown

OFFERED: Mapping[str, str] = {
    "value": "the minibatch's loss at the parameters",
    "grad": "its gradient, as it is before any clipping",
    "value_fn": "parameters → loss of the same minibatch",
    "obj_fn": "the same function, by the name that optax's second-order optimizers give it",
    "grad_fn": "(parameters, anything) → gradient of that loss",
    "example_grads": "the gradient of each example of the minibatch: a leading axis more than `grad`",
    "step": "how many steps were taken before; one number for all lanes, so that a condition on it is a branch",
    "key": "a random key of the step, the same for all runs of a seed",
}
"""Every extra argument of `update` that there is, under the names that optax uses where it has them."""
BY_DEFAULT = ("value", "grad", "value_fn", "obj_fn", "grad_fn", "step")
"""What an optimizer that declares nothing gets: what costs nothing unless it is used."""
BY_PART = ("value", "step")
"""What holds for a part of the parameters too, so that it goes with rates of their own."""

Make = TypeVar("Make", bound=Callable[..., Any])


def asks(*names: str) -> Callable[[Make], Make]:
    """Declare which extra arguments the `update` of an optimizer gets; without, it is those that cost nothing.

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
    """Declare that runs are evaluated at other parameters than those that the gradient is taken at.

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
    """Return the extra arguments that an optimizer's `update` gets."""
    return getattr(make, "asks", BY_DEFAULT)


def evaluation(make: Callable[..., Any]) -> Callable[[Any, Any], Any] | None:
    """Return what an optimizer declared by `evaluated_at`, `None` if it is evaluated where it stands."""
    return getattr(make, "evaluated_at", None)


def whole(make: Callable[..., Any]) -> str:
    """Return what an optimizer needs that only all parameters together can give, "" if nothing."""
    declared = [name for name in getattr(make, "asks", ()) if name not in BY_PART]
    return ", ".join(declared) or ("an evaluation at other parameters" if evaluation(make) else "")
