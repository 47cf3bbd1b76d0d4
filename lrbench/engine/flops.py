"""Floating-point operations of a function, counted from its trace; nothing is compiled or run."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

import jax


def count(function: Callable[..., Any], *arguments: Any) -> float:
    """Return the approximate number of floating-point operations of a function: its products, and one for each number computed.

    A scan counts once for each iteration, of the branches of a condition the longest counts, and a loop of unknown length
    counts once.

    Args:
        function: a function of arrays.
        arguments: arrays, or their shapes and types.

    Example:
        >>> count(lambda a: a @ a, jax.ShapeDtypeStruct((10, 10), "float32"))
        2000.0
    """
    return _count(jax.make_jaxpr(function)(*arguments).jaxpr)


def _count(jaxpr: Any) -> float:
    return sum(map(_of_equation, jaxpr.eqns), 0.0)


def _of_equation(equation: Any) -> float:
    outputs = sum(math.prod(getattr(out.aval, "shape", ())) for out in equation.outvars)
    inner = [_count(jaxpr) for jaxpr in _inside(equation.params)]
    match equation.primitive.name:
        case "dot_general":
            (contracted, _), _ = equation.params["dimension_numbers"]
            return 2.0 * outputs * math.prod(equation.invars[0].aval.shape[axis] for axis in contracted)
        case "conv_general_dilated":
            kernel = equation.invars[1].aval.shape
            channels = kernel[equation.params["dimension_numbers"].rhs_spec[0]]
            return 2.0 * outputs * math.prod(kernel) / channels
        case "scan":
            return float(equation.params["length"]) * sum(inner)
        case "cond":
            return max(inner)
        case _:
            return sum(inner) if inner else float(outputs)


def _inside(params: dict[str, Any]) -> Iterator[Any]:
    """Yield the traces inside an equation: bodies of loops, branches, functions."""
    for value in params.values():
        for each in value if isinstance(value, tuple | list) else (value,):
            found = getattr(each, "jaxpr", each)
            if hasattr(found, "eqns"):
                yield found
