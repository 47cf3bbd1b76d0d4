"""What optimizers share that change another one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
import optax

from lrbench.study import catalog, requires


def base_of(name: str) -> Callable[..., Any]:
    """Return an optimizer of the catalogue that can be wrapped: one that needs the gradient alone.

    Raises:
        StudyError: if there is none of that name, with the nearest one.
        ValueError: if it asks for more, is evaluated elsewhere, or wraps another one itself.
    """
    entry = catalog.get("optimizer", name)
    make = entry.load()
    if "base" in entry.parameters or requires.asked(make) != requires.BY_DEFAULT or requires.evaluation(make):
        raise ValueError(
            f"base = {name!r}: must be an optimizer that needs the gradient alone, such as sgd or adam"
        )
    return make


def counted(transformation: optax.GradientTransformation) -> optax.GradientTransformationExtraArgs:
    """Return a chain of optax whose first part counts by the step of the run, which it has to ask for.

    A count of its own is an array with one number a lane, and a condition on it computes both its branches for all
    of them; on a number that lanes share it is a branch.
    """
    inner = optax.with_extra_args_support(transformation)

    def update(gradient: Any, state: Any, params: Any = None, *, step: Any, **more: Any) -> tuple[Any, Any]:
        first, *rest = state
        shared = first._replace(count=jnp.asarray(step, jnp.int32))
        return inner.update(gradient, (shared, *rest), params, **more)

    return optax.GradientTransformationExtraArgs(inner.init, update)
