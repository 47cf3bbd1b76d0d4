"""The names that a function uses: the globals that it reads, and the modules that it imports while it runs."""

from __future__ import annotations

import contextlib
import dis
import importlib
import importlib.util
import types
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePath
from typing import Any

from lrbench.study.fingerprint.owner import in_a_library, is_own

_LOAD_GLOBAL = {"LOAD_GLOBAL", "LOAD_NAME", "LOAD_FROM_DICT_OR_GLOBALS"}
_LOAD_ATTRIBUTE = {"LOAD_ATTR", "LOAD_METHOD"}
_LOCATIONS = {"__file__", "__name__", "__path__", "__spec__"}
_MISSING: Any = object()


def globals_of(function: types.FunctionType) -> Iterator[tuple[str, Any]]:
    """Yield the globals that a function, and the functions in it, use; of a module, only the attributes that are used."""
    names = function.__globals__
    for path in sorted(set(_paths(function.__code__))):
        value, rest = _looked_up(path, names)
        if value is _MISSING:
            continue  # built into Python, or not defined yet
        if path[0] in _LOCATIONS:
            continue  # the location of the code, which may differ between machines
        if isinstance(value, types.ModuleType) and not is_own(value):
            value = value.__name__, rest
        elif isinstance(value, PurePath):
            value = _relative(value, names)
        yield f"global {'.'.join(path)}", value
    for module, attribute in sorted(set(_imports(function.__code__, names.get("__package__") or ""))):
        yield f"import {module} {attribute}", _import_result(module, attribute)


def _relative(path: PurePath, names: Mapping[str, Any]) -> PurePath:
    """Return a path relative to the folder of the code that uses it, if it is below that folder."""
    with contextlib.suppress(ValueError, TypeError):
        return path.relative_to(Path(names["__file__"]).parent) if "__file__" in names else path
    return path


def _paths(code: types.CodeType) -> Iterator[tuple[str, ...]]:
    """Yield the names that a function uses: a global, or an attribute of one, such as ("jnp", "exp")."""
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
    """Yield what a function imports while it runs: a module, and a name imported from it, or "" for the module itself."""
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


def _import_result(module: str, attribute: str) -> Any:
    """Return what a function imports: a whole module of the user's own, or an attribute of it."""
    found = _imported(module)
    if not attribute or isinstance(found, str):
        return found
    value = getattr(found, attribute, None)
    return _imported(f"{module}.{attribute}") if value is None else value


def _imported(name: str) -> Any:
    """Return a module of the user's own; of any other module its name, without importing it."""
    try:
        spec = importlib.util.find_spec(name.partition(".")[0])
        origin = spec and (spec.origin or next(iter(spec.submodule_search_locations or ()), None))
        own = (
            spec is not None and origin not in {None, "built-in", "frozen"} and not in_a_library(str(origin))
        )
        return importlib.import_module(name) if own else name
    except (Exception, SystemExit):  # then the function cannot import it either
        return name


def _inner(code: types.CodeType) -> Iterator[types.CodeType]:
    return (constant for constant in code.co_consts if isinstance(constant, types.CodeType))


def _looked_up(path: tuple[str, ...], names: Mapping[str, Any]) -> tuple[Any, str]:
    """Return the object at a path of names, and the names after the first object that is not a module of the user's."""
    value = names.get(path[0], _MISSING)
    for number, name in enumerate(path[1:], 1):
        if not isinstance(value, types.ModuleType):
            break
        inner = vars(value).get(name, _MISSING)
        if not (is_own(value) or is_own(inner)):
            return value, ".".join(path[number:])
        value = inner
    return value, ""
