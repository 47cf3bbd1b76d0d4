"""Where the parameters are: the first two of them."""

from __future__ import annotations

import jax
from jaxtyping import Array, Float

from lrbench.probes._view import View


def first_coordinate(view: View) -> Float[Array, ""]:
    """Return the first number of the parameters: w₁, for contour plots of objectives of two coordinates.

    Cost: nothing.
    """
    return _coordinate(view, 0)


def second_coordinate(view: View) -> Float[Array, ""]:
    """Return the second number of the parameters: w₂, or w₁ where there is but one.

    Cost: nothing.
    """
    return _coordinate(view, 1)


def _coordinate(view: View, place: int) -> Float[Array, ""]:
    first = jax.tree.leaves(view.parameters)[0].reshape(-1)
    return first[min(place, first.size - 1)]
