"""One choice of a study: a problem, an optimizer or a schedule, and the values that its parameters take."""

from __future__ import annotations

import itertools
import json
import math
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from lrbench.errors import StudyError
from lrbench.study import catalog, fingerprint, own_code, sample, signature


class _Chosen(dict[str, Any]):
    """An entry as a study file writes it: its name, or a function, and the values of its parameters."""

    def __init__(
        self, name: str | Callable[..., Any], *, version: str | None = None, **parameters: Any
    ) -> None:
        """Nothing is checked before it is part of a study."""
        versioned = {} if version is None else {"code_version": version}
        super().__init__(name=name, **versioned, **parameters)


class Optimizer(_Chosen):
    """An optimizer, by name or as a function, and the values of its parameters; a list is an axis of the grid, a range is sampled.

    A function of your own whose code cannot be hashed has a `version`, which stands for the code.

    >>> Optimizer("adam", b2=[0.99, 0.999])
    {'name': 'adam', 'b2': [0.99, 0.999]}
    >>> Optimizer("sgd", momentum={"min": 0.0, "max": 0.99})
    {'name': 'sgd', 'momentum': {'min': 0.0, 'max': 0.99}}
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
        axes: parameter → its values; one that is sampled has its range as the only value.
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
    def ranges(self) -> dict[str, sample.Range]:
        """The parameters that are sampled, and what from."""
        return {name: values[0] for name, values in self.axes.items() if isinstance(values[0], sample.Range)}

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
            values = tuple(each.table() if isinstance(each, sample.Range) else each for each in values)
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
    version = own_code.checked_version(table.pop("code_version"), where) if "code_version" in table else ""
    if not isinstance(name, str):
        return _of_object(kind, name, where, table, version)
    if ":" in name:
        entry, source, file = own_code.load_reference(kind, name, where, context, version)
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


def ranges_of(optimizers: Sequence[Choice]) -> dict[str, sample.Range]:
    """Return what is sampled of the optimizers of a study, by its key."""
    return {
        f"optimizer.{number}.{name}": each
        for number, choice in enumerate(optimizers)
        for name, each in choice.ranges.items()
    }


def _restore(
    kind: str, name: str, axes: Mapping[str, tuple[Any, ...]], reference: str, folder: Path, version: str
) -> Choice:
    """Restore a choice of the user's own code, which was checked and trusted before, with the code as it is in this process."""
    entry, source, file = own_code.load_reference(
        kind, name, kind, {"trust": True, "folder": Path()}, version
    )
    return Choice(entry, axes, source, reference, file, folder, version)


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


def _of_object(kind: str, thing: Any, where: str, table: Mapping[str, Any], version: str) -> Choice:
    """Describe a Python object: an optimizer or schedule function, or a problem."""
    if own_code.is_problem(kind, thing):
        own_code.check_name(thing.name, where)
        version = version or (own_code.checked_version(thing.version, where) if thing.version != "" else "")
        entry = catalog.Entry(kind, thing.name, "", {}, function=lambda: thing)
    elif callable(thing):
        entry = own_code.entry_of(kind, thing, where)
    else:
        raise StudyError(f"{where} = {thing!r}: must be a name, a table with a name, or a {kind} of your own")
    source = own_code.code_hash(kind, thing, version, where)
    return Choice(entry, _axes(entry, table, where), source, f"python:{entry.name}", version=version)


def _axes(entry: catalog.Entry, table: Mapping[str, Any], where: str) -> dict[str, tuple[Any, ...]]:
    axes = {}
    for key, value in table.items():
        if key not in entry.settings:
            message = catalog.unknown(f"parameter of {entry.name}", key, list(entry.settings))
            raise StudyError(f"{where}.{key} = {value!r}: {message}")
        parameter = entry.settings[key]
        if isinstance(value, Mapping) and parameter.numeric:
            axes[key] = (_range(entry.kind, value, f"{where}.{key}"),)
        else:
            axes[key] = _axis(parameter, value, f"{where}.{key}")
        if key in entry.options and min(map(_least, axes[key])) < 0:
            raise StudyError(f"{where}.{key} = {value!r}: must be 0, which is off, or more")
    for key, parameter in entry.parameters.items():
        if parameter.default is signature.REQUIRED and key not in axes:
            raise StudyError(
                f"{where}.{key}: missing; {entry.name} requires it: {parameter.doc or parameter.annotation}"
            )
    return axes


def _least(value: Any) -> Any:
    return value.least if isinstance(value, sample.Range) else value


def _range(kind: str, value: Mapping[str, Any], where: str) -> sample.Range:
    if kind != "optimizer":
        raise StudyError(
            f"{where} = {value!r}: only a number of an optimizer can have a range; give a number or a list"
        )
    try:
        return sample.range_of(value, where)
    except ValueError as error:
        raise StudyError(str(error)) from error


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
