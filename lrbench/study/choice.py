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
        self, name: str | Callable[..., Any], *unnamed: Any, version: str | None = None, **parameters: Any
    ) -> None:
        """Nothing else is checked before it is part of a study."""
        if unnamed:
            raise StudyError(
                f"{type(self).__name__}({name!r}, {unnamed[0]!r}): must name the parameter that {unnamed[0]!r} is the value of"
            )
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


class NamedProblem(_Chosen):
    """A problem, by name or as a function, and the values of its parameters: what `lrbench.Problem("digits_mlp", hidden=[[64], [128]])` is.

    >>> NamedProblem("digits_mlp", batch_size=[16, 64])
    {'name': 'digits_mlp', 'batch_size': [16, 64]}
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
        name = self.reference if self.file is None else f"{self.file}:{self._attribute}"
        return _restore, (
            self.entry.kind,
            name,
            self.axes,
            self.reference,
            self.folder.resolve(),
            self.version,
        )

    @property
    def _attribute(self) -> str:
        """The name of the user's code in its file, which is that of the entry unless it is a problem, or has a second name."""
        return self.reference.rpartition(":")[2]

    @property
    def text(self) -> str:
        """The name with the values that the study gives, for messages: `sgd(momentum=0.9)`."""
        given = ", ".join(
            f"{name}={values[0] if len(values) == 1 else list(values)}" for name, values in self.axes.items()
        )
        return f"{self.entry.name}({given})" if given else self.entry.name

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
        return {
            name: Path(self.folder, params[name]).resolve()
            for name, parameter in self.entry.parameters.items()
            if parameter.names_file(params[name])
        }

    def _written(self, name: str, value: Any, folder: Path) -> Any:
        """Return a value of a parameter as a study file in that folder would write it."""
        if self.entry.settings[name].names_file(value):
            return os.path.relpath(Path(self.folder, value).resolve(), folder.resolve())
        return value.table() if isinstance(value, sample.Range) else value

    def table(self, folder: Path) -> dict[str, Any]:
        """Return the choice as a study file in that folder would write it."""
        reference = self.reference
        if self.file is not None:
            reference = f"{os.path.relpath(self.file, folder.resolve())}:{self._attribute}"
        axes: dict[str, Any] = {}
        for name, values in self.axes.items():
            written = [self._written(name, value, folder) for value in values]
            axes[name] = written[0] if len(written) == 1 else written
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
        listed = f"`lrbench list {catalog.plural(kind)}` lists what is allowed"
        raise StudyError(f"{where}.name: missing; {listed}")
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
        for value in filter(choice.entry.settings[name].names_file, values):
            path = os.path.join(choice.folder, value)  # noqa: PTH118 -- Path.is_file raises where a name is too long
            if not os.path.isfile(path):  # noqa: PTH113
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
    elif kind == "optimizer" and hasattr(thing, "init") and hasattr(thing, "update"):
        raise StudyError(
            f"{where}: is a ready optax transformation, whose learning rate is fixed; pass a function of the rate, "
            "such as lambda learning_rate: optax.adam(learning_rate)"
        )
    else:
        own = "an optimizer" if kind == "optimizer" else f"a {kind}"
        raise StudyError(f"{where} = {thing!r}: must be a name, a table with a name, or {own} of your own")
    source = own_code.code_hash(kind, thing, version, where)
    return Choice(entry, _axes(entry, table, where), source, f"python:{entry.name}", version=version)


def _axes(entry: catalog.Entry, table: Mapping[str, Any], where: str) -> dict[str, tuple[Any, ...]]:
    axes = {}
    for key, value in table.items():
        if key in ("learning_rate", "lr") and entry.kind == "optimizer" and key not in entry.settings:
            raise StudyError(
                f"{where}.{key} = {value!r}: is no parameter of an optimizer, but an axis of the study; "
                "give learning_rates= in Python, [learning_rate] in a study file"
            )
        if key not in entry.settings:
            message = catalog.unknown(f"parameter of {entry.name}", key, list(entry.settings), entry.listed)
            raise StudyError(f"{where}.{key} = {value!r}: {message}")
        parameter = entry.settings[key]
        if isinstance(value, Mapping) and parameter.numeric:
            axes[key] = (_range(entry.kind, value, f"{where}.{key}"),)
        else:
            axes[key] = _axis(parameter, value, f"{where}.{key}")
        if key in entry.options and parameter.numeric and min(map(_least, axes[key])) < 0:
            raise StudyError(f"{where}.{key} = {value!r}: must be 0, which is off, or more")
    for key, parameter in entry.parameters.items():
        if parameter.default is signature.REQUIRED and key not in axes:
            raise StudyError(
                f"{where}.{key}: missing; {entry.name} requires it: {(parameter.doc or parameter.annotation).rstrip('.')}; "
                f"in a command, by --set {where}.{key}=..."
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
