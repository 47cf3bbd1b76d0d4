"""Whose a module, class or function is: the user's own, or Python's, lrbench's or an installed distribution's."""

from __future__ import annotations

import contextlib
import functools
import importlib.util
import os
import site
import sys
import sysconfig
import types
from pathlib import Path
from typing import Any


@functools.cache
def _homes() -> tuple[str, ...]:
    """Return the folders of the standard library, of installed distributions, and of lrbench."""
    paths = [sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")]
    paths += [*site.getsitepackages(), site.getusersitepackages(), str(Path(__file__).parents[2])]
    return tuple({f"{Path(path).resolve()}{os.sep}" for path in paths if path})


@functools.cache
def in_a_home(file: str) -> bool:
    """Return whether a file of Python's, lrbench's or an installed distribution's is meant, rather than one of the user's."""
    if file.startswith("<frozen "):
        return True
    path = Path(file).resolve()
    if str(path).startswith(_homes()):
        return True
    # What `pip install --target` fills is a home for what it installed there.
    parents = (parent for parent in path.parents if str(parent) in sys.path)
    return any(path.relative_to(parent).parts[0] in _installed(parent) for parent in parents)


@functools.cache
def _installed(folder: Path) -> frozenset[str]:
    """Return the names of what distributions installed in a folder, as they say of themselves."""
    found = set()
    for record in folder.glob("*.dist-info/RECORD"):
        with contextlib.suppress(OSError, ValueError):
            found |= {line.split(",")[0].split("/")[0] for line in record.read_text("utf-8").splitlines()}
    return frozenset(found)


def is_own(thing: Any) -> bool:
    """Return whether a module, class or function is the user's own; anything else is not."""
    if isinstance(thing, types.FunctionType):
        # The name of its module may be that of what it wraps.
        file: str = thing.__code__.co_filename
        if file.startswith("<") and not file.startswith(
            "<frozen "
        ):  # it was typed in, or written by a program
            file = str(thing.__globals__.get("__file__") or "")
        return not (file and in_a_home(file))
    if isinstance(thing, types.ModuleType):
        # A folder without __init__.py is a module that has no file.
        place = getattr(thing, "__file__", None) or next(iter(getattr(thing, "__path__", ())), None)
        return place is not None and not in_a_home(place)
    if isinstance(thing, type):
        module = sys.modules.get(thing.__module__) or sys.modules.get(thing.__module__.partition(".")[0])
        return thing.__module__ == "__main__" or module is None or is_own(module)
    return False


def is_named(thing: Any) -> bool:
    """Return whether a name in a module that is not the user's leads to just this object.

    What a library wraps around a function of the user's has the name of that function: it is in a module of the user's.
    """
    name, place = getattr(thing, "__qualname__", None), getattr(thing, "__module__", None)
    module = sys.modules.get(place) if isinstance(place, str) else None
    if module is None or not isinstance(name, str) or place == "__main__" or is_own(module):
        return False
    found: Any = module
    for part in name.split("."):
        found = getattr(found, part, None)
    return found is thing


def is_function_of_a_module(method: Any) -> bool:
    """Return whether a method stands for a function of its module, as `random.gauss` does, and its object has no say."""
    module = sys.modules.get(type(getattr(method, "__self__", None)).__module__)
    return module is not None and not is_own(module) and vars(module).get(method.__name__) is method


def module_name(path: Path) -> str:
    """Return the name under which a file of the user's is imported: never that of a module of someone else.

    >>> module_name(Path("mine.py")), module_name(Path("random.py"))
    ('mine', 'own_random')
    """
    with contextlib.suppress(ImportError, ValueError):
        spec = importlib.util.find_spec(path.stem)
        if spec is not None and (not spec.has_location or in_a_home(str(spec.origin))):
            return f"own_{path.stem}"
    return path.stem
