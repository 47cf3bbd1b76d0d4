"""The first two parameters."""

from __future__ import annotations

import jax
from jaxtyping import Array, Float

from lrbench.probes._view import View


def first_coordinate(view: View) -> Float[Array, ""]:
    """Return the first parameter: w₁, for contour plots of objectives of two coordinates.

    Cost: none.
    """
    return _coordinate(view, 0)


def second_coordinate(view: View) -> Float[Array, ""]:
    """Return the second parameter: w₂, or w₁ if there is only one.

    Cost: none.
    """
    return _coordinate(view, 1)


def _coordinate(view: View, index: int) -> Float[Array, ""]:
    first = jax.tree.leaves(view.parameters)[0].reshape(-1)
    return first[min(index, first.size - 1)]
