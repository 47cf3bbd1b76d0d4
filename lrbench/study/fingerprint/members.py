"""The contents of a class: its methods and constants, and the fields of a dataclass."""

from __future__ import annotations

import enum
import functools
import inspect
import types
from dataclasses import fields, is_dataclass
from typing import Any

from lrbench.study.fingerprint.owner import is_own

_OF_EVERY_CLASS = frozenset({"__dict__", "__weakref__", "_abc_impl", "__annotate__", "__annotate_func__"})
"""Attributes that every class has."""
_OF_NAMED_TUPLES = frozenset(
    {"_make", "_replace", "_asdict", "__replace__", "__getnewargs__", "__repr__", "__new__"}
)
_DESCRIPTORS = (types.FunctionType, staticmethod, classmethod, property, functools.cached_property)


def members(kind: type) -> dict[str, Any]:
    """Return the methods and constants of a class by name, without those that Python generates."""
    if isinstance(kind, enum.EnumType):
        return _of_enumeration(kind)
    return {
        name: value
        for name, value in vars(kind).items()
        if name not in _OF_EVERY_CLASS
        and not isinstance(value, types.GetSetDescriptorType)
        and (not name.startswith("__") or callable(value) or hasattr(value, "__get__"))
        and not _is_generated(kind, name, value)
    }


def fields_of(kind: type) -> list[Any]:
    """Return the fields of a dataclass, or of a class of attrs, in order, with their settings."""
    if is_dataclass(kind):
        return [(f.name, f.default, f.default_factory, f.init, dict(f.metadata)) for f in fields(kind)]
    return [(a.name, a.default, a.converter) for a in vars(kind).get("__attrs_attrs__", ())]


def is_cache(kind: type, name: str) -> bool:
    """Return whether an attribute of an instance is a cached property, computed from other attributes."""
    return isinstance(inspect.getattr_static(kind, str(name), None), functools.cached_property)


def _of_enumeration(kind: Any) -> dict[str, Any]:
    """Return the members of an enumeration, aliases too, and its methods; Python adds others in each version."""
    named = [(name, member.value) for name, member in kind.__members__.items()]
    others = {
        name: value
        for name, value in vars(kind).items()
        if name not in kind.__members__ and not name.startswith("_") and not isinstance(value, enum.property)
    }
    written = {n: v for n, v in vars(kind).items() if isinstance(v, _DESCRIPTORS) and is_own(_function(v))}
    return {"members": named, **others, **written}


def _function(value: Any) -> Any:
    """Return the function behind a method or property."""
    return getattr(value, "__func__", getattr(value, "fget", getattr(value, "func", value)))


def _is_generated(kind: type, name: str, value: Any) -> bool:
    """Return whether Python or attrs generated an attribute: it follows from the fields, and differs between versions."""
    if issubclass(kind, tuple) and hasattr(kind, "_fields"):
        own = is_own(_function(value)) and _function(value).__code__.co_qualname.startswith(kind.__qualname__)
        return name in kind._fields or (name in _OF_NAMED_TUPLES and not own)
    function = _function(value)
    code = getattr(inspect.unwrap(function) if callable(function) else function, "__code__", None)
    if code is None:
        return False
    attrs = hasattr(kind, "__attrs_attrs__") and code.co_filename.startswith("<attrs ")
    return attrs or (
        is_dataclass(kind) and (code.co_qualname.startswith("__create_fn__") or name == "__replace__")
    )
