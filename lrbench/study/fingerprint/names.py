"""What a function names: the globals that it reads, and the modules that it imports while it runs."""

from __future__ import annotations

import contextlib
import dis
import importlib
import importlib.util
import types
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePath
from typing import Any

from lrbench.study.fingerprint.owner import in_a_home, is_own

_LOAD_GLOBAL = {"LOAD_GLOBAL", "LOAD_NAME", "LOAD_FROM_DICT_OR_GLOBALS"}
_LOAD_ATTRIBUTE = {"LOAD_ATTR", "LOAD_METHOD"}
_OF_THE_PLACE = {"__file__", "__name__", "__path__", "__spec__"}
_MISSING: Any = object()


def globals_of(function: types.FunctionType) -> Iterator[tuple[str, Any]]:
    """Give the globals that a function, and the functions in it, name: of a module, only what is taken from it."""
    names = function.__globals__
    for path in sorted(set(_paths(function.__code__))):
        value, rest = _looked_up(path, names)
        if value is _MISSING:
            continue  # built into Python, or not there yet
        if path[0] in _OF_THE_PLACE:
            continue  # where the code lies, which may be elsewhere on another machine
        if isinstance(value, types.ModuleType) and not is_own(value):
            value = value.__name__, rest
        elif isinstance(value, PurePath):
            value = _beside(value, names)
        yield f"global {'.'.join(path)}", value
    for module, attribute in sorted(set(_imports(function.__code__, names.get("__package__") or ""))):
        yield f"import {module} {attribute}", _taken(module, attribute)


def _beside(path: PurePath, names: Mapping[str, Any]) -> PurePath:
    """Return a path below the folder of the code that names it as relative to that folder."""
    with contextlib.suppress(ValueError, TypeError):
        return path.relative_to(Path(names["__file__"]).parent) if "__file__" in names else path
    return path


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


def _taken(module: str, attribute: str) -> Any:
    """Return what a function imports: the whole of a module of the user's own, or what it takes from it."""
    found = _imported(module)
    if not attribute or isinstance(found, str):
        return found
    taken = getattr(found, attribute, None)
    return _imported(f"{module}.{attribute}") if taken is None else taken


def _imported(name: str) -> Any:
    """Return a module of the user's own, or the name of another one, which is not imported for this."""
    try:
        spec = importlib.util.find_spec(name.partition(".")[0])
        origin = spec and (spec.origin or next(iter(spec.submodule_search_locations or ()), None))
        own = spec is not None and origin not in {None, "built-in", "frozen"} and not in_a_home(str(origin))
        return importlib.import_module(name) if own else name
    except (Exception, SystemExit):  # then the function cannot import it either
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
