"""The contents of objects of libraries that Python cannot take apart, or whose state changes by itself."""

from __future__ import annotations

import inspect
import sys
import weakref
from dataclasses import fields
from typing import Any

from lrbench.study.fingerprint.owner import is_own


def array(thing: Any) -> tuple[str, Any] | None:
    """Return the kind of an array of NumPy, JAX or PyTorch, and its contiguous contents; None for anything else."""
    numpy, jax = sys.modules.get("numpy"), sys.modules.get("jax")
    kind = type(thing)  # an instance may answer to any attribute
    if numpy is None or is_own(kind) or not (hasattr(kind, "__array__") and hasattr(kind, "dtype")):
        return None
    if kind.__module__.startswith("pandas") or isinstance(thing, numpy.ma.MaskedArray):
        return None  # whose index, or mask, is not in the array
    about = [kind.__qualname__, str(thing.dtype), str(getattr(thing, "weak_type", False))]
    if (
        jax is not None
        and isinstance(thing, jax.Array)
        and jax.dtypes.issubdtype(thing.dtype, jax.dtypes.prng_key)
    ):
        thing = jax.random.key_data(thing)
    try:
        found = numpy.asarray(thing)
        return f"{' '.join(about)} {found.shape}", numpy.ascontiguousarray(found)
    except Exception:  # such as a tracer of JAX, which has no contents
        return None


def content(thing: Any) -> list[Any] | None:
    """Return the contents of an object that a library created; None for anything else."""
    found = None
    for content_of in (_of_jax, _wrapped, _of_linen, _of_nnx):
        found = content_of(thing) if found is None else found
    return found


def _wrapped(thing: Any) -> list[Any] | None:
    if isinstance(thing, weakref.ref):
        return [thing()]
    if is_own(type(thing)) or inspect.getattr_static(thing, "__wrapped__", None) is None:
        return None
    # Such as what functools.lru_cache returns; its dunder attributes belong to the wrapped function.
    state = getattr(thing, "__dict__", {})
    return [thing.__wrapped__, {name: state[name] for name in sorted(state) if not name.startswith("__")}]


def _of_jax(thing: Any) -> list[Any] | None:
    jax = sys.modules.get("jax")
    if jax is None:
        return None
    if isinstance(thing, jax.tree_util.PyTreeDef):
        return [thing.node_data(), thing.children()]
    if type(thing).__name__ in {"PjitFunction", "PmapFunction"}:
        return [thing.__wrapped__]  # they also record the line of its definition
    if isinstance(thing, jax.Device | jax.sharding.Sharding | jax.sharding.Mesh):
        return [str(thing)]
    return None


def _of_linen(thing: Any) -> list[Any] | None:
    linen = sys.modules.get("flax.linen")
    if linen is not None and isinstance(thing, linen.Module):  # which counts its instances
        own = {each.name: getattr(thing, each.name) for each in fields(thing) if each.name != "parent"}
        return [own, *([] if thing.scope is None else [dict(thing.variables)])]
    return None


def _of_nnx(thing: Any) -> list[Any] | None:
    nnx = sys.modules.get("flax.nnx")
    if nnx is not None and isinstance(thing, nnx.Variable):
        return [thing.get_value(), thing.get_metadata()]
    if nnx is not None and isinstance(thing, nnx.Module):
        return list(nnx.split(thing))
    return None
