"""One choice of a study: a problem, an optimizer or a schedule, and the values that its parameters take."""

from __future__ import annotations

import importlib
import importlib.machinery
import importlib.util
import itertools
import json
import math
import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from types import ModuleType
from typing import Any

from lrbench.errors import StudyError
from lrbench.study import catalog, fingerprint, signature
from lrbench.study.fingerprint.owner import module_name

LONGEST_NAME = 100
"""The most characters of the name of a problem, optimizer or schedule of the user's own."""
_MAKER = {"problem": "problem", "optimizer": "Optimizer", "schedule": "Schedule"}
_DATA = ("data", "batch_size", "optimum", "rates", "stateful", "box", "gradient_factors")
"""The fields of a problem that are not code."""


class _Chosen(dict[str, Any]):
    """An entry as a study file writes it: its name, or a function, and the values of its parameters."""

    def __init__(
        self, name: str | Callable[..., Any], *, version: str | None = None, **parameters: Any
    ) -> None:
        """Nothing is checked before it is part of a study."""
        versioned = {} if version is None else {"code_version": version}
        super().__init__(name=name, **versioned, **parameters)


class Optimizer(_Chosen):
    """An optimizer, by name or as a function, and the values of its parameters; a list is an axis of the grid.

    A function of your own whose code cannot be hashed has a `version`, which stands for the code.

    >>> Optimizer("adam", b2=[0.99, 0.999])
    {'name': 'adam', 'b2': [0.99, 0.999]}
    """


class Schedule(_Chosen):
    """A schedule, by name or as a function, and the values of its parameters; a list is an axis of the grid.

    A function of your own whose code cannot be hashed has a `version`, which stands for the code.

    >>> Schedule("warmup_cosine", warmup=[0.05, 0.1])
    {'name': 'warmup_cosine', 'warmup': [0.05, 0.1]}
    """


@dataclass(frozen=True)
class Choice:
    """One `[[problem]]`, `[[optimizer]]` or `[[schedule]]` of a study: an entry and the values its parameters take.

    Args:
        entry: what is chosen.
        axes: parameter → its values.
        source: hash of the user's code, empty for built-in ones.
        reference: the name of the user's code in the study.
        file: the file of the user's code.
        folder: the folder that paths among the values are relative to.
        version: the user's name for the present state of the code, if it stands for the code itself.
    """

    entry: catalog.Entry
    axes: Mapping[str, tuple[Any, ...]]
    source: str = ""
    reference: str = ""
    file: Path | None = None
    folder: Path = Path()
    version: str = ""

    def __reduce__(self) -> tuple[Callable[..., Choice], tuple[Any, ...]]:
        """Pickle the user's code in a file or module by name: it is imported where it is unpickled."""
        if ":" not in self.reference or self.reference.startswith("python:"):
            values = {each.name: getattr(self, each.name) for each in fields(self)}
            return Choice, tuple({**values, "folder": self.folder.resolve()}.values())
        name = self.reference if self.file is None else f"{self.file}:{self.entry.name}"
        return _restore, (
            self.entry.kind,
            name,
            self.axes,
            self.reference,
            self.folder.resolve(),
            self.version,
        )

    @property
    def size(self) -> int:
        """How many variants there are."""
        return math.prod(len(values) for values in self.axes.values())

    def variants(self) -> list[dict[str, Any]]:
        """Return every combination of values, with the defaults of parameters that were not set; options have none."""
        defaults = {
            name: p.default
            for name, p in self.entry.parameters.items()
            if p.default is not signature.REQUIRED
        }
        products = itertools.product(*self.axes.values())
        return [defaults | dict(zip(self.axes, values, strict=True)) for values in products]

    def arguments(self, params: Mapping[str, Any]) -> dict[str, Any]:
        """Return the parameters of a variant as its function takes them: with absolute paths of files."""
        return dict(params) | {name: str(path) for name, path in self._files(params).items()}

    def hashes(self, params: Mapping[str, Any]) -> dict[str, str]:
        """Return the hash of every file that a variant names, by parameter."""
        return {name: fingerprint.of_file(path) for name, path in self._files(params).items()}

    def _files(self, params: Mapping[str, Any]) -> dict[str, Path]:
        named = (name for name, parameter in self.entry.parameters.items() if parameter.file)
        return {name: Path(self.folder, params[name]).resolve() for name in named if params[name]}

    def table(self, folder: Path) -> dict[str, Any]:
        """Return the choice as a study file in that folder would write it."""
        reference = self.reference
        if self.file is not None:
            reference = f"{os.path.relpath(self.file, folder.resolve())}:{self.entry.name}"
        axes: dict[str, Any] = {}
        for name, values in self.axes.items():
            if self.entry.settings[name].file:
                absolute = (Path(self.folder, value).resolve() if value else "" for value in values)
                values = tuple(os.path.relpath(path, folder.resolve()) if path else "" for path in absolute)
            axes[name] = values[0] if len(values) == 1 else list(values)
        version = {"code_version": self.version} if self.version else {}
        return {"name": reference or self.entry.name, **version, **axes}


def choose(kind: str, item: Any, where: str, context: Mapping[str, Any]) -> Choice:
    """Read one choice: a name, a table with a name and parameters, or a Python object.

    Args:
        kind: problem, optimizer or schedule.
        item: the value in the study.
        where: its key, for messages.
        context: `trust`, whether named code may run, and `folder`, which its paths are relative to.

    Raises:
        StudyError: naming key, value and what is allowed.
    """
    if isinstance(item, Choice):
        return item
    if isinstance(item, str):
        item = {"name": item}
    if not isinstance(item, Mapping):
        return _of_object(kind, item, where, {}, "")
    table = dict(item)
    if "name" not in table:
        raise StudyError(f"{where}.name: missing; allowed: {', '.join(catalog.names(kind))}")
    name = table.pop("name")
    version = _version(table.pop("code_version"), where) if "code_version" in table else ""
    if not isinstance(name, str):
        return _of_object(kind, name, where, table, version)
    if ":" in name:
        entry, source, file = _reference(kind, name, where, context, version)
        return Choice(entry, _axes(entry, table, where), source, name, file, version=version)
    if version:
        raise StudyError(
            f"{where}.code_version = {version!r}: only your own code has one; {name!r} is built in"
        )
    if name not in catalog.names(kind):
        message = catalog.unknown(kind, name, catalog.names(kind))
        raise StudyError(f'{where}.name: {message}; or your own as "file.py:function"')
    entry = catalog.get(kind, name)
    choice = Choice(entry, _axes(entry, table, where), folder=context.get("folder", Path()))
    _check_files(choice, where)
    return choice


def _restore(
    kind: str, name: str, axes: Mapping[str, tuple[Any, ...]], reference: str, folder: Path, version: str
) -> Choice:
    """Restore a choice of the user's own code, which was checked and trusted before, with the code as it is in this process."""
    entry, source, file = _reference(kind, name, kind, {"trust": True, "folder": Path()}, version)
    return Choice(entry, axes, source, reference, file, folder, version)


def _version(version: Any, where: str) -> str:
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


def _hash(kind: str, thing: Any, version: str, where: str, *, named: bool = False) -> str:
    """Return the hash of the user's own code, or of the version that stands for it and of the data that come with it.

    Raises:
        StudyError: if it refers to something that cannot be hashed, naming that and what to do.
    """
    data = {name: getattr(thing, name) for name in _DATA} if _is_problem(kind, thing) else {}
    try:
        return fingerprint.of_object({"version": version, **data} if version else thing)
    except fingerprint.Unhashable as error:
        remedy = 'give it code_version = "1"' if named else f'give lb.{_MAKER[kind]} version="1"'
        raise StudyError(
            f"{where}: {error}, so that a change would go unnoticed; {remedy}, and change it whenever the code changes"
        ) from error


def _check_files(choice: Choice, where: str) -> None:
    """Refuse a file that does not exist."""
    for name, values in choice.axes.items():
        for value in values if choice.entry.settings[name].file else ():
            path = os.path.join(choice.folder, value)  # noqa: PTH118 -- Path.is_file raises where a name is too long
            if value and not os.path.isfile(path):  # noqa: PTH113
                missing = "is a device" if os.path.exists(path) else "no such file"  # noqa: PTH110
                what = "is a folder" if os.path.isdir(path) else missing  # noqa: PTH112
                raise StudyError(
                    f"{where}.{name} = {value!r}: {what}; paths are relative to the folder of the study file, "
                    f"{choice.folder.resolve()}"
                )


def _is_problem(kind: str, thing: Any) -> bool:
    names = ("name", "loss", "version", *_DATA)
    return kind == "problem" and not isinstance(thing, type) and all(hasattr(thing, name) for name in names)


def _of_object(kind: str, thing: Any, where: str, table: Mapping[str, Any], version: str) -> Choice:
    """Describe a Python object: an optimizer or schedule function, or a problem."""
    if _is_problem(kind, thing):
        _check_name(thing.name, where)
        version = version or (_version(thing.version, where) if thing.version != "" else "")
        entry = catalog.Entry(kind, thing.name, "", {}, function=lambda: thing)
    elif callable(thing):
        entry = _own_entry(kind, thing, where)
    else:
        raise StudyError(f"{where} = {thing!r}: must be a name, a table with a name, or a {kind} of your own")
    source = _hash(kind, thing, version, where)
    return Choice(entry, _axes(entry, table, where), source, f"python:{entry.name}", version=version)


def _axes(entry: catalog.Entry, table: Mapping[str, Any], where: str) -> dict[str, tuple[Any, ...]]:
    axes = {}
    for key, value in table.items():
        if key not in entry.settings:
            message = catalog.unknown(f"parameter of {entry.name}", key, list(entry.settings))
            raise StudyError(f"{where}.{key} = {value!r}: {message}")
        axes[key] = _axis(entry.settings[key], value, f"{where}.{key}")
        if key in entry.options and min(axes[key]) < 0:
            raise StudyError(f"{where}.{key} = {value!r}: must be 0, which is off, or more")
    for key, parameter in entry.parameters.items():
        if parameter.default is signature.REQUIRED and key not in axes:
            raise StudyError(
                f"{where}.{key}: missing; {entry.name} requires it: {parameter.doc or parameter.annotation}"
            )
    return axes


def _axis(parameter: signature.Parameter, value: Any, where: str) -> tuple[Any, ...]:
    listed = isinstance(value, list | tuple)
    if parameter.sequence:
        listed = listed and len(value) > 0 and all(isinstance(item, list | tuple) for item in value)
    values = list(value) if listed else [value]
    if not values:
        raise StudyError(f"{where} = []: an axis must have at least one value")
    try:
        axis = tuple(parameter.coerce(item) for item in values)
    except ValueError as error:
        raise StudyError(f"{where} = {value!r}: {error}") from error
    if any(isinstance(item, float) and not math.isfinite(item) for item in axis):
        raise StudyError(f"{where} = {value!r}: must be finite")
    if len({json.dumps(item, sort_keys=True, default=repr) for item in axis}) < len(axis):
        raise StudyError(f"{where} = {value!r}: a value is listed twice")
    return axis


def _reference(
    kind: str, name: str, where: str, context: Mapping[str, Any], version: str
) -> tuple[catalog.Entry, str, Path | None]:
    """Load a user's own function, named `module:function` or `path/to/file.py:function`."""
    place, _, attribute = name.rpartition(":")
    if place == "python":
        raise StudyError(f"{where}.name = {name!r}: was passed from Python; run this study from Python again")
    if not context.get("trust"):
        raise StudyError(
            f"{where}.name = {name!r}: runs code of that file; allow it with --trust if you trust it"
        )
    try:
        if place.endswith(".py"):
            path = Path(context["folder"], place).resolve()
            if not path.is_file():
                raise StudyError(f"{where}.name = {name!r}: no such file {path}")
            module = _module(path)
        else:
            path, module = None, importlib.import_module(place)
    except StudyError:
        raise
    except (Exception, SystemExit) as error:
        raise StudyError(
            f"{where}.name = {name!r}: importing it failed: {type(error).__name__}: {error}"
        ) from error
    function = getattr(module, attribute, None)
    if not callable(function):
        public = [key for key, value in vars(module).items() if callable(value) and not key.startswith("_")]
        raise StudyError(f"{where}.name = {name!r}: {catalog.unknown('function', attribute, public)}")
    entry = _own_entry(kind, function, where)
    return entry, _hash(kind, function, version, f"{where}.name = {name!r}", named=True), path


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


def _own_entry(kind: str, function: Callable[..., Any], where: str) -> catalog.Entry:
    """Describe a user's own function, whose name appears in tables, plots and messages."""
    try:
        entry = catalog.of_function(kind, function)
    except (TypeError, ValueError) as error:
        raise StudyError(f"{where}.name = {function!r}: its parameters cannot be read: {error}") from error
    _check_name(entry.name, where)
    return entry


def _check_name(name: Any, where: str) -> None:
    """Refuse a name that is not one printable line; any printable character is allowed, since no name is used as code or a path."""
    if not isinstance(name, str) or not 1 <= len(name) <= LONGEST_NAME or not name.isprintable():
        raise StudyError(
            f"{where}.name = {name!r}: must be a one-line string of 1 to {LONGEST_NAME} characters"
        )
