"""Matrix decompositions on a CPU: one matrix after another, so that none can deadlock on jaxlib's threads."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
from jax import lax
from jax.extend import core

_NAMES = frozenset(
    "cholesky eig eigh geqp3 geqrf hessenberg householder_product lu ormqr qr schur svd triangular_solve tridiagonal "
    "tridiagonal_solve".split()
)
"""JAX's primitives that LAPACK computes."""


def compile_program(
    function: Callable[..., Any],
    *arguments: Any,
    platform: str,
    donate: tuple[int, ...] = (),
    options: Mapping[str, Any] | None = None,
) -> tuple[jax.stages.Compiled, tuple[str, ...]]:
    """Compile a function; on a CPU, its decompositions of several matrices at once become loops over the matrices.

    jaxlib hands some of the matrices of a call to the threads that programs run on, and waits for them. Where every such thread
    waits (two devices, or two independent decompositions), none is left to do the work. A single matrix is decomposed by
    the calling thread, with the same result.

    Args:
        function: a function of arrays.
        arguments: arrays, or their shapes and types.
        platform: the platform of the devices that it will run on.
        donate: which arguments may be overwritten.
        options: options of XLA, all of which it must know.

    Returns:
        The compiled function, and the names of the decompositions that became loops.
    """
    traced = jax.jit(function, donate_argnums=donate).trace(*arguments)
    looped: set[str] = set()
    rewritten = _one_by_one(traced.jaxpr, looped) if platform == "cpu" else traced.jaxpr
    if looped:
        flat = core.jaxpr_as_fun(rewritten)
        results = jax.tree.structure(traced.out_info)

        def in_turn(*given: Any) -> Any:
            return jax.tree.unflatten(results, flat(*jax.tree.leaves(given)))

        traced = jax.jit(in_turn, donate_argnums=donate).trace(*arguments)
    return traced.lower().compile(compiler_options=dict(options) if options else None), tuple(sorted(looped))


def _one_by_one(value: Any, looped: set[str]) -> Any:
    """Return a trace, or a parameter of an equation, with each decomposition of several matrices as a loop.

    Anything without one is returned unchanged, the same object, so that XLA still sees which parts are equal. The names of
    the decompositions that become loops are added to `looped`.
    """
    if isinstance(value, core.Jaxpr):
        equations = [_equation(equation, looped) for equation in value.eqns]
        return value.replace(eqns=equations) if _differ(equations, value.eqns) else value
    if isinstance(value, core.ClosedJaxpr):  # from JAX 0.12 on, a `Jaxpr` itself
        inner = _one_by_one(value.jaxpr, looped)
        return value if inner is value.jaxpr else value.replace(jaxpr=inner)
    if isinstance(value, tuple | list):
        each = [_one_by_one(one, looped) for one in value]
        if not _differ(each, value):
            return value
        return type(value)(*each) if hasattr(value, "_fields") else type(value)(each)
    return value


def _differ(new: Sequence[Any], old: Sequence[Any]) -> bool:
    return any(one is not other for one, other in zip(new, old, strict=True))


def _equation(equation: Any, looped: set[str]) -> Any:
    if equation.primitive.name not in _NAMES:
        params = {name: _one_by_one(value, looped) for name, value in equation.params.items()}
        changed = _differ(list(params.values()), list(equation.params.values()))
        return equation.replace(params=params) if changed else equation
    # All operands of a decomposition have the same leading axes, and at least one of them is a matrix behind those.
    axes = max(len(operand.aval.shape) for operand in equation.invars) - 2
    if math.prod(equation.invars[0].aval.shape[:axes]) <= 1:
        return equation
    looped.add(equation.primitive.name)
    loop = _loop(equation, axes)
    return equation.replace(primitive=loop.primitive, params=loop.params)


def _loop(equation: Any, axes: int) -> Any:
    """Return an equation of the same operands and results that loops over the leading axes."""
    operands = [jax.ShapeDtypeStruct(each.aval.shape, each.aval.dtype) for each in equation.invars]

    def each(*matrices: jax.Array) -> Any:
        leading = matrices[0].shape[:axes]
        flat = tuple(operand.reshape(-1, *operand.shape[axes:]) for operand in matrices)
        results = lax.map(lambda one: equation.primitive.bind(*one, **equation.params), flat)
        return jax.tree.map(lambda result: result.reshape(*leading, *result.shape[1:]), results)

    return jax.make_jaxpr(jax.jit(each))(*operands).jaxpr.eqns[0]
