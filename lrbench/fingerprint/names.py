"""What a function names: the globals that it reads, and the modules that it imports while it runs."""

from __future__ import annotations

import contextlib
import dis
import importlib
import importlib.util
import types
from collections.abc import Iterator, Mapping
from typing import Any

from lrbench.fingerprint.owner import in_a_home, is_own

_LOAD_GLOBAL = {"LOAD_GLOBAL", "LOAD_NAME", "LOAD_FROM_DICT_OR_GLOBALS"}
_LOAD_ATTRIBUTE = {"LOAD_ATTR", "LOAD_METHOD"}
_MISSING: Any = object()


def globals_of(function: types.FunctionType) -> Iterator[tuple[str, Any]]:
    """Give the globals that a function, and the functions in it, name: of a module, only what is taken from it."""
    names = function.__globals__
    for path in sorted(set(_paths(function.__code__))):
        value, rest = _looked_up(path, names)
        if value is _MISSING:
            continue  # built into Python, or not there yet
        taken = isinstance(value, types.ModuleType) and not is_own(value)
        yield f"global {'.'.join(path)}", (value.__name__, rest) if taken else value
    for module, attribute in sorted(set(_imports(function.__code__, names.get("__package__") or ""))):
        yield f"import {module} {attribute}", getattr(_imported(module), attribute, _imported(module))


def _paths(code: types.CodeType) -> Iterator[tuple[str, ...]]:
    """Give what a function names: a global, or what it takes from it, such as ("jnp", "exp")."""
    path: tuple[str, ...] = ()
    for each in dis.get_instructions(code):
        if each.opname == "EXTENDED_ARG":
            continue
        if path and each.opname in _LOAD_ATTRIBUTE:
            path = *path, each.argval
            continue
        if path:
            yield path
        path = (each.argval,) if each.opname in _LOAD_GLOBAL else ()
    for inner in _inner(code):
        yield from _paths(inner)


def _imports(code: types.CodeType, package: str) -> Iterator[tuple[str, str]]:
    """Give what a function imports while it runs: a module, and one of the names taken from it, or "" for all of it."""
    seen: list[Any] = []
    for each in dis.get_instructions(code):
        if each.opname == "IMPORT_NAME":
            level, names = seen[-2:]
            with contextlib.suppress(ImportError):
                module = (
                    importlib.util.resolve_name("." * level + each.argval, package) if level else each.argval
                )
                yield from ((module, name) for name in names or ("",))
        elif each.opname in {"LOAD_CONST", "LOAD_SMALL_INT"}:
            seen.append(each.argval)
    for inner in _inner(code):
        yield from _imports(inner, package)


def _imported(name: str) -> Any:
    """Return a module that a function imports: the user's own, or the name of another one, which is not imported for this."""
    try:
        spec = importlib.util.find_spec(name.partition(".")[0])
        own = spec is not None and spec.has_location and spec.origin and not in_a_home(spec.origin)
        return importlib.import_module(name) if own else name
    except Exception:  # then the function cannot import it either
        return name


def _inner(code: types.CodeType) -> Iterator[types.CodeType]:
    return (constant for constant in code.co_consts if isinstance(constant, types.CodeType))


def _looked_up(path: tuple[str, ...], names: Mapping[str, Any]) -> tuple[Any, str]:
    """Return what a path leads to, and the names that are left at the first thing that is no module of the user's."""
    value = names.get(path[0], _MISSING)
    for number, name in enumerate(path[1:], 1):
        if not isinstance(value, types.ModuleType):
            break
        inner = vars(value).get(name, _MISSING)
        if not (is_own(value) or is_own(inner)):
            return value, ".".join(path[number:])
        value = inner
    return value, ""
