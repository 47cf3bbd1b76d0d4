"""What objects of libraries hold, where Python cannot take them apart, or would find what changes by itself."""

from __future__ import annotations

import sys
import weakref
from dataclasses import fields
from typing import Any


def array(thing: Any) -> Any:
    """Return an array of NumPy, JAX or PyTorch as NumPy's, in one piece; None for anything else."""
    numpy, jax = sys.modules.get("numpy"), sys.modules.get("jax")
    kind = type(thing)  # an object may answer to any name
    if numpy is None or not (hasattr(kind, "__array__") and hasattr(kind, "dtype")):
        return None
    if kind.__module__.startswith("pandas") or isinstance(thing, numpy.ma.MaskedArray):
        return None  # whose index, or mask, is not in the array
    if (
        jax is not None
        and isinstance(thing, jax.Array)
        and jax.dtypes.issubdtype(thing.dtype, jax.dtypes.prng_key)
    ):
        thing = jax.random.key_data(thing)
    try:
        return numpy.ascontiguousarray(thing)
    except Exception:  # such as a tracer of JAX, which has no content
        return None


def content(thing: Any) -> list[Any] | None:
    """Return the content of an object that a library makes; None for anything else."""
    found = None
    for content_of in (_of_jax, _wrapped, _of_linen, _of_nnx):
        found = content_of(thing) if found is None else found
    return found


def _wrapped(thing: Any) -> list[Any] | None:
    if isinstance(thing, weakref.ref):
        return [thing()]
    if callable(thing) and hasattr(
        thing, "__wrapped__"
    ):  # such as what jax.jit and functools.lru_cache return
        state = getattr(thing, "__dict__", {})
        return [
            thing.__wrapped__,
            {name: value for name, value in state.items() if not name.startswith("__")},
        ]
    return None


def _of_jax(thing: Any) -> list[Any] | None:
    jax = sys.modules.get("jax")
    if jax is not None and isinstance(thing, jax.tree_util.PyTreeDef):
        return [thing.node_data(), thing.children()]
    if (
        jax is not None and type(thing).__name__ == "PjitFunction"
    ):  # which notes the line that its function stands on
        return [thing.__wrapped__]
    return None


def _of_linen(thing: Any) -> list[Any] | None:
    linen = sys.modules.get("flax.linen")
    if linen is not None and isinstance(thing, linen.Module):  # which counts its instances
        return [{each.name: getattr(thing, each.name) for each in fields(thing) if each.name != "parent"}]
    return None


def _of_nnx(thing: Any) -> list[Any] | None:
    nnx = sys.modules.get("flax.nnx")
    if nnx is not None and isinstance(thing, nnx.Variable):
        return [thing.get_value(), thing.get_metadata()]
    if nnx is not None and isinstance(thing, nnx.Module):
        return list(nnx.split(thing))
    return None
