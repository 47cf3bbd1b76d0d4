"""Whether a module, class or function is the user's own, or belongs to Python, lrbench or an installed distribution."""

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
def _library_folders() -> tuple[str, ...]:
    """Return the folders of the standard library, of installed distributions, and of lrbench."""
    paths = [sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")]
    paths += [*site.getsitepackages(), site.getusersitepackages(), str(Path(__file__).parents[2])]
    return tuple({f"{Path(path).resolve()}{os.sep}" for path in paths if path})


@functools.cache
def in_a_library(file: str) -> bool:
    """Return whether a file belongs to Python, lrbench or an installed distribution, rather than to the user."""
    if file.startswith("<frozen "):
        return True
    path = Path(file).resolve()
    if str(path).startswith(_library_folders()):
        return True
    # A folder that `pip install --target` filled is a library folder for the distributions in it.
    parents = (parent for parent in path.parents if str(parent) in sys.path)
    return any(path.relative_to(parent).parts[0] in _installed(parent) for parent in parents)


@functools.cache
def _installed(folder: Path) -> frozenset[str]:
    """Return the top-level names that distributions installed in a folder, from their records."""
    found = set()
    for record in folder.glob("*.dist-info/RECORD"):
        with contextlib.suppress(OSError, ValueError):
            found |= {line.split(",")[0].split("/")[0] for line in record.read_text("utf-8").splitlines()}
    return frozenset(found)


def is_own(thing: Any) -> bool:
    """Return whether a thing is a module, class or function of the user's own."""
    if isinstance(thing, types.FunctionType):
        # Its __module__ may be that of the function that it wraps.
        file: str = thing.__code__.co_filename
        if file.startswith("<") and not file.startswith("<frozen "):  # typed in, or generated
            file = str(thing.__globals__.get("__file__") or "")
        return not (file and in_a_library(file))
    if isinstance(thing, types.ModuleType):
        # A folder without __init__.py is a module without a file.
        place = getattr(thing, "__file__", None) or next(iter(getattr(thing, "__path__", ())), None)
        return place is not None and not in_a_library(place)
    if isinstance(thing, type):
        module = sys.modules.get(thing.__module__) or sys.modules.get(thing.__module__.partition(".")[0])
        return thing.__module__ == "__main__" or module is None or is_own(module)
    return False


def is_named(thing: Any) -> bool:
    """Return whether this object is found under its name in a module that is not the user's.

    A wrapper that a library puts around a function of the user's has the name of that function, in a module of the user's.
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
    """Return whether a method is a function of its module, like `random.gauss`, so that its object does not matter."""
    module = sys.modules.get(type(getattr(method, "__self__", None)).__module__)
    return module is not None and not is_own(module) and vars(module).get(method.__name__) is method


def module_name(path: Path) -> str:
    """Return the name under which a file of the user's is imported, never that of a module of a library.

    >>> module_name(Path("mine.py")), module_name(Path("random.py"))
    ('mine', 'own_random')
    """
    with contextlib.suppress(ImportError, ValueError):
        spec = importlib.util.find_spec(path.stem)
        if spec is not None and (not spec.has_location or in_a_library(str(spec.origin))):
            return f"own_{path.stem}"
    return path.stem
