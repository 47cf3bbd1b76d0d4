"""What optimizers that wrap another one share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
import optax

from lrbench.study import catalog, requires


def base_of(name: str) -> Callable[..., Any]:
    """Return an optimizer of the catalogue that can be wrapped: one that requires only the gradient.

    Raises:
        StudyError: if there is none of that name, with the nearest name.
        ValueError: if it requires more, is evaluated at other parameters, or wraps another one itself.
    """
    entry = catalog.get("optimizer", name)
    make = entry.load()
    if "base" in entry.parameters or requires.asked(make) != requires.BY_DEFAULT or requires.evaluation(make):
        raise ValueError(
            f"base = {name!r}: must be an optimizer that requires only the gradient, such as sgd or adam"
        )
    return make


def counted(transformation: optax.GradientTransformation) -> optax.GradientTransformationExtraArgs:
    """Return a chain of optax whose first part takes its count from the step of the run, which has to be declared.

    A count of its own is an array with one number per lane, and a condition on it computes both branches for all lanes; a
    condition on a number that lanes share is a real branch.
    """
    inner = optax.with_extra_args_support(transformation)

    def update(gradient: Any, state: Any, params: Any = None, *, step: Any, **more: Any) -> tuple[Any, Any]:
        first, *rest = state
        shared = first._replace(count=jnp.asarray(step, jnp.int32))
        return inner.update(gradient, (shared, *rest), params, **more)

    return optax.GradientTransformationExtraArgs(inner.init, update)
