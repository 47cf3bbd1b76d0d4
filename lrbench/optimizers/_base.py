"""The optimizer that another one wraps, by its name."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from lrbench import catalog, needs


def base_of(name: str) -> Callable[..., Any]:
    """Return an optimizer of the catalogue that can be wrapped: one that needs the gradient alone.

    Raises:
        StudyError: if there is none of that name, with the nearest one.
        ValueError: if it asks for more, is evaluated elsewhere, or wraps another one itself.
    """
    entry = catalog.get("optimizer", name)
    make = entry.load()
    if "base" in entry.parameters or needs.asked(make) != needs.BY_DEFAULT or needs.evaluation(make):
        raise ValueError(
            f"base = {name!r}: must be an optimizer that needs the gradient alone, such as sgd or adam"
        )
    return make
