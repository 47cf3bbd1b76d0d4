"""What work a function is, counted from its trace: nothing is compiled or run."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

import jax


def flops(function: Callable[..., Any], *arguments: Any) -> float:
    """Return the floating-point operations of a function, about: its products, and one for each number it makes.

    A scan counts as often as it turns; of branches, the longest counts; a loop whose end is not known counts once.

    Args:
        function: of arrays.
        arguments: arrays, or their shapes and types.

    Example:
        >>> flops(lambda a: a @ a, jax.ShapeDtypeStruct((10, 10), "float32"))
        2000.0
    """
    return _count(jax.make_jaxpr(function)(*arguments).jaxpr)


def _count(jaxpr: Any) -> float:
    return sum(map(_of_equation, jaxpr.eqns), 0.0)


def _of_equation(equation: Any) -> float:
    made = sum(math.prod(getattr(out.aval, "shape", ())) for out in equation.outvars)
    inner = [_count(jaxpr) for jaxpr in _inside(equation.params)]
    match equation.primitive.name:
        case "dot_general":
            (contracted, _), _ = equation.params["dimension_numbers"]
            return 2.0 * made * math.prod(equation.invars[0].aval.shape[axis] for axis in contracted)
        case "conv_general_dilated":
            kernel = equation.invars[1].aval.shape
            outputs = kernel[equation.params["dimension_numbers"].rhs_spec[0]]
            return 2.0 * made * math.prod(kernel) / outputs
        case "scan":
            return float(equation.params["length"]) * sum(inner)
        case "cond":
            return max(inner)
        case _:
            return sum(inner) if inner else float(made)


def _inside(params: dict[str, Any]) -> Iterator[Any]:
    """Return the traces within an equation: bodies of loops, branches, functions."""
    for value in params.values():
        for each in value if isinstance(value, tuple | list) else (value,):
            found = getattr(each, "jaxpr", each)
            if hasattr(found, "eqns"):
                yield found
