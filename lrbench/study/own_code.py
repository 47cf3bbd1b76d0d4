"""The user's own code in a study: how it is found, imported, named and hashed."""

from __future__ import annotations

import importlib
import importlib.machinery
import importlib.util
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

from lrbench.errors import StudyError
from lrbench.study import catalog, fingerprint
from lrbench.study.fingerprint.owner import module_name

LONGEST_NAME = 100
"""The most characters of the name of a problem, optimizer or schedule of the user's own."""
_MAKER = {"problem": "problem", "optimizer": "Optimizer", "schedule": "Schedule"}
_DATA = ("data", "batch_size", "optimum", "rates", "stateful", "box", "gradient_factors")
"""The fields of a problem that are not code."""
_ORDER = "reshuffled"
"""The order of the examples of problems that were there before it could be chosen, whose identity has none."""


def load_reference(
    kind: str, name: str, where: str, context: Mapping[str, Any], version: str
) -> tuple[catalog.Entry, str, Path | None]:
    """Load a user's own function, named `module:function` or `path/to/file.py:function`."""
    location, _, attribute = name.rpartition(":")
    if location == "python":
        raise StudyError(f"{where}.name = {name!r}: was passed from Python; run this study from Python again")
    if not context.get("trust"):
        raise StudyError(
            f"{where}.name = {name!r}: runs code of that file; allow it with --trust if you trust it"
        )
    try:
        if location.endswith(".py"):
            path = Path(context["folder"], location).resolve()
            if not path.is_file():
                raise StudyError(f"{where}.name = {name!r}: no such file {path}")
            module = _module(path)
        else:
            path, module = None, importlib.import_module(location)
    except StudyError:
        raise
    except (Exception, SystemExit) as error:
        raise StudyError(
            f"{where}.name = {name!r}: importing it failed: {type(error).__name__}: {error}"
        ) from error
    function: Any = getattr(module, attribute, None)
    if is_problem(kind, function):
        check_name(function.name, where)
        entry = catalog.Entry(kind, function.name, "", {}, function=lambda: function)
        version = version or function.version
        return entry, code_hash(kind, function, version, f"{where}.name = {name!r}", named=True), path
    if not callable(function):
        public = [key for key, value in vars(module).items() if callable(value) and not key.startswith("_")]
        raise StudyError(f"{where}.name = {name!r}: {catalog.unknown('function', attribute, public)}")
    entry = entry_of(kind, function, where)
    return entry, code_hash(kind, function, version, f"{where}.name = {name!r}", named=True), path


class _Source(importlib.machinery.SourceFileLoader):
    """Compiles a file every time: cached bytecode may be of the contents of less than a second before."""

    def path_stats(self, path: str) -> Mapping[str, Any]:
        """Raise `OSError`, so that no cached bytecode is used."""
        raise OSError(f"{path}: no bytecode of it is used")


def _module(path: Path) -> ModuleType:
    """Run a file of the user's as a module, which may import the files beside it."""
    name = module_name(path)
    loader = _Source(name, str(path))
    spec = importlib.machinery.ModuleSpec(name, loader, origin=str(path))
    spec.has_location = True
    module = importlib.util.module_from_spec(spec)
    sys.modules.setdefault(name, module)
    if str(path.parent) not in sys.path:
        sys.path.append(str(path.parent))
    loader.exec_module(module)
    return module


def entry_of(kind: str, function: Callable[..., Any], where: str) -> catalog.Entry:
    """Describe a user's own function, whose name appears in tables, plots and messages."""
    try:
        entry = catalog.of_function(kind, function)
    except (TypeError, ValueError) as error:
        raise StudyError(f"{where}.name = {function!r}: its parameters cannot be read: {error}") from error
    check_name(entry.name, where)
    return entry


def check_name(name: Any, where: str) -> None:
    """Refuse a name that is not one printable line; any printable character is allowed, since no name is used as code or a path."""
    if not isinstance(name, str) or not 1 <= len(name) <= LONGEST_NAME or not name.isprintable():
        raise StudyError(
            f"{where}.name = {name!r}: must be a one-line string of 1 to {LONGEST_NAME} characters"
        )


def is_problem(kind: str, thing: Any) -> bool:
    """Return whether an object is a problem, by its attributes."""
    names = ("name", "loss", "version", *_DATA)
    return kind == "problem" and not isinstance(thing, type) and all(hasattr(thing, name) for name in names)


def code_hash(kind: str, thing: Any, version: str, where: str, *, named: bool = False) -> str:
    """Return the hash of the user's own code, or of the version that stands for it and of the data that come with it.

    Raises:
        StudyError: if it refers to something that cannot be hashed, naming that and what to do.
    """
    data = {name: getattr(thing, name) for name in _DATA} if is_problem(kind, thing) else {}
    if data and getattr(thing, "order", _ORDER) != _ORDER:
        data["order"] = thing.order
    try:
        return fingerprint.of_object({"version": version, **data} if version else thing)
    except fingerprint.Unhashable as error:
        remedy = 'give it code_version = "1"' if named else f'give lb.{_MAKER[kind]} version="1"'
        raise StudyError(
            f"{where}: {error}, so that a change would go unnoticed; {remedy}, and change it whenever the code changes"
        ) from error


def checked_version(version: Any, where: str) -> str:
    """Return a version that stands for code; raise `StudyError` if it is not a one-line string."""
    if (
        isinstance(version, str)
        and version.strip()
        and len(version) <= LONGEST_NAME
        and version.isprintable()
    ):
        return version
    raise StudyError(
        f"{where}.code_version = {version!r}: must be a one-line string of 1 to {LONGEST_NAME} characters"
    )
