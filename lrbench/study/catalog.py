"""Names and parameters of everything that can be named: problems, optimizers, schedules, probes, plots, ...

A *room* is a module, or a folder of modules, whose public functions are its entries. The catalog reads their source
text and imports nothing, so that `lrbench list` and the checking of a study need no JAX.
"""

from __future__ import annotations

import ast
import builtins
import difflib
import functools
import importlib
import inspect
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache, cached_property
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar, Union

from lrbench.errors import StudyError

HERE = Path(__file__).parents[1]
STUDIES = Path(__file__).parent / "built_in"
"""Where the files of the built-in studies lie."""

ROOMS: Mapping[str, str] = {
    "problem": "problems",
    "optimizer": "optimizers",
    "schedule": "schedules",
    "probe": "probes",
    "metric": "metrics",
    "table": "tables",
    "plot": "plots",
    "launcher": "launchers",
    "exporter": "export",
    "experiment": "experiments",
}
ONE_A_FILE = frozenset({"table", "plot", "launcher", "exporter", "experiment"})
"""Rooms where a file holds one entry, named as the file; in the others every public function is one."""
OPTIONS = "_options.py"
"""A file of a room whose public functions are options of every entry; each is off at 0."""
REQUIRED: Any = inspect.Parameter.empty
Function = TypeVar("Function", bound=Callable[..., Any])
CHARACTERS: Mapping[str, str] = {
    "Word": "A-Za-z0-9_.:,=@%+-",
    "Address": r"A-Za-z0-9_.:,=@%+/?&~#\[\]-",
}
"""The characters of texts whose annotation is one of these names: those of launchers, which reach scripts and networks."""
LONGEST_LIST = 1000
"""The most items of one value that is a list, such as the layers of a network; a list of texts has no limit."""
Part = str | dict[str, bool | int | float | str | list[Any]]
"""A schedule that is part of another one: a name, or a table with a name and parameters."""


@dataclass(frozen=True)
class Parameter:
    """One setting of an entry: its name, its type as written, and its default (`REQUIRED` if it has none)."""

    name: str
    annotation: str
    default: Any = REQUIRED
    doc: str = ""

    @cached_property
    def numeric(self) -> bool:
        """Whether its values are lanes of one program (a float), rather than structure."""
        return self.annotation == "float"

    @cached_property
    def file(self) -> bool:
        """Whether its value is the path of a file, relative to the study file; empty for none."""
        return self.annotation == "File"

    @cached_property
    def sequence(self) -> bool:
        """Whether one value is itself a list, so that only a list of lists is an axis."""
        return self.annotation.startswith(("tuple", "list", "Sequence"))

    def coerce(self, value: Any) -> Any:
        """Return `value` as the declared type; raise `ValueError` saying what is allowed."""
        from pydantic import ValidationError  # pydantic is slow to import, and `list` does without

        if isinstance(value, bool) and self.annotation in {"float", "int"}:
            raise ValueError(f"must be {_article(self.annotation)}")
        counted = self.sequence and not self.annotation.startswith("tuple[str")
        if counted and isinstance(value, list | tuple) and len(value) > LONGEST_LIST:
            raise ValueError(f"has {len(value):,} items; at most {LONGEST_LIST:,} are allowed")
        try:
            return _adapter(self.annotation).validate_python(value)
        except ValidationError as error:
            raise ValueError(f"must be {_article(self.annotation)}") from error


@dataclass(frozen=True)
class Entry:
    """One named thing of a room: what it is called, what it takes, what its docstring says."""

    kind: str
    name: str
    module: str
    parameters: Mapping[str, Parameter]
    doc: str = ""
    path: Path | None = None
    line: int = 0
    function: Callable[..., Any] | None = field(default=None, compare=False)
    revision: int = 1
    added: tuple[str, ...] = ()
    takes: tuple[str, ...] = ()
    """Of a table: the names of what it is made from, which no study sets."""

    @cached_property
    def options(self) -> Mapping[str, Parameter]:
        """What every entry of its kind can be given, but for those that it has a parameter of that name for."""
        return {name: p for name, p in options(self.kind).items() if name not in self.parameters}

    @property
    def settings(self) -> Mapping[str, Parameter]:
        """All that a study can set: its parameters, and the options of its kind."""
        return {**self.parameters, **self.options}

    @property
    def summary(self) -> str:
        """The first sentence of the docstring."""
        return self.doc.split("\n", 1)[0]

    def check(self, given: Mapping[str, Any], where: str) -> dict[str, Any]:
        """Return values of its parameters, each of its declared type; `where` stands before a name in messages.

        >>> get("launcher", "ray").check({"max_retries": 5}, "launcher.ray.")
        {'max_retries': 5}

        Raises:
            StudyError: if there is no such parameter, or a value is not of its type.
        """
        found = {}
        for name, value in given.items():
            if name not in self.parameters:
                said = unknown(f"parameter of {self.name}", name, list(self.parameters))
                raise StudyError(f"{where}{name} = {value!r}: {said}")
            try:
                found[name] = self.parameters[name].coerce(value)
            except ValueError as error:
                raise StudyError(f"{where}{name} = {value!r}: {error}") from error
        return found

    def load(self) -> Callable[..., Any]:
        """Import and return the function itself."""
        if self.function is not None:
            return self.function
        loaded: Callable[..., Any] = getattr(importlib.import_module(self.module), self.name)
        return loaded


def history(*, revision: int = 1, added: tuple[str, ...] = ()) -> Callable[[Function], Function]:
    """Declare what became of a built-in entry since its first release, for the identity of its runs.

    It is read from the source, and does nothing when it is called.

    Args:
        revision: raised whenever what the entry trains with the same parameters changes, so that earlier runs are not taken
            for runs of the new one.
        added: parameters that came later; at their defaults they are no part of the identity, so that earlier runs stay.
    """
    return lambda function: function


def names(kind: str) -> list[str]:
    """Return the names of a kind, sorted.

    >>> "adam" in names("optimizer")
    True
    """
    if kind == "study":
        return sorted(path.stem for path in STUDIES.glob("*.toml"))
    return sorted(_room(_known_kind(kind)))


def get(kind: str, name: str) -> Entry:
    """Return the entry of that name; an unknown name raises `StudyError` with the nearest ones.

    >>> get("optimizer", "adam").parameters["b1"].default
    0.9
    """
    room = _room(_known_kind(kind))
    if name not in room:
        raise StudyError(unknown(kind, name, names(kind)))
    return room[name]


@cache
def options(kind: str) -> Mapping[str, Parameter]:
    """Return what every entry of a kind can be given.

    >>> list(options("optimizer"))
    ['clip', 'weight_decay']
    """
    file = HERE / ROOMS[kind] / OPTIONS
    if not file.is_file():
        return {}
    return {node.name: Parameter(node.name, "float", 0.0, _first(node)) for node in _functions(file)}


def load_option(kind: str, name: str) -> Callable[..., Any]:
    """Import and return an option of every entry of a kind."""
    module = importlib.import_module(f"lrbench.{ROOMS[kind]}.{OPTIONS.removesuffix('.py')}")
    loaded: Callable[..., Any] = getattr(module, name)
    return loaded


def of_function(kind: str, function: Callable[..., Any]) -> Entry:
    """Describe a user's own function as an entry."""
    parameters = {}
    for place, parameter in enumerate(inspect.signature(function).parameters.values()):
        # The learning rate or the number of steps comes first, even where it has a default.
        given = parameter.default is REQUIRED or (place == 0 and kind in {"optimizer", "schedule"})
        if parameter.kind in (parameter.VAR_KEYWORD, parameter.VAR_POSITIONAL) or (
            parameter.kind is not parameter.KEYWORD_ONLY and given
        ):
            continue
        annotation = parameter.annotation
        if annotation is REQUIRED:
            annotation = "Any" if parameter.default in (None, REQUIRED) else type(parameter.default).__name__
        text = annotation if isinstance(annotation, str) else inspect.formatannotation(annotation)
        parameters[parameter.name] = Parameter(parameter.name, text, parameter.default)
    doc = inspect.getdoc(function) or ""
    return Entry(kind, _name(function), function.__module__, parameters, doc, function=function)


def _name(function: Callable[..., Any]) -> str:
    """Return what a user's own function is called; an optax schedule as the function that made it."""
    if isinstance(function, functools.partial):
        return _name(function.func)
    maker, local, _ = getattr(function, "__qualname__", "").partition(".<locals>.")
    if local and function.__module__.partition(".")[0] == "optax":
        return maker
    return getattr(function, "__name__", type(function).__name__)


def unknown(what: str, given: str, allowed: list[str]) -> str:
    """Say in one line that a name is not known, what is allowed, and which is nearest.

    >>> unknown("optimizer", "adm", ["adam", "sgd"])
    "unknown optimizer 'adm'; allowed: adam, sgd; did you mean 'adam'?"
    """
    near = difflib.get_close_matches(given[:100], allowed, n=1, cutoff=0.5)
    hint = f"; did you mean {near[0]!r}?" if near else ""
    return f"unknown {what} {given!r}; allowed: {', '.join(allowed) or 'none'}{hint}"


def _known_kind(kind: str) -> str:
    if kind not in ROOMS:
        raise StudyError(unknown("kind", kind, [*ROOMS, "study"]))
    return kind


@cache
def _room(kind: str) -> dict[str, Entry]:
    place = HERE / ROOMS[kind]
    files = sorted(place.glob("[!_]*.py")) if place.is_dir() else [place.with_suffix(".py")]
    return {entry.name: entry for file in files for entry in _entries(kind, file)}


def _entries(kind: str, file: Path) -> Iterator[Entry]:
    module = ".".join(("lrbench", *file.relative_to(HERE).with_suffix("").parts))
    for node in _functions(file):
        if kind not in ONE_A_FILE or node.name == file.stem:
            doc = ast.get_docstring(node) or ""
            more: dict[str, Any] = _history(node)
            if kind == "table":
                more["takes"] = tuple(argument.arg for argument in node.args.args)
            parameters = {} if kind == "table" else _parameters(node, doc)
            yield Entry(kind, node.name, module, parameters, doc, file, node.lineno, **more)


def _history(node: ast.FunctionDef) -> dict[str, Any]:
    """Read what `@history(...)` says of an entry."""
    calls = (each for each in node.decorator_list if isinstance(each, ast.Call))
    declared = next((call for call in calls if ast.unparse(call.func).endswith("history")), None)
    return {key.arg or "": ast.literal_eval(key.value) for key in declared.keywords} if declared else {}


def _functions(file: Path) -> Iterator[ast.FunctionDef]:
    """Return the public functions of a file."""
    tree = ast.parse(file.read_text(encoding="utf-8"))
    functions = (node for node in tree.body if isinstance(node, ast.FunctionDef))
    return (node for node in functions if not node.name.startswith("_"))


def _first(node: ast.FunctionDef) -> str:
    """Return the first paragraph of a function's docstring, as one line."""
    return " ".join((ast.get_docstring(node) or "").split("\n\n")[0].split())


def _parameters(node: ast.FunctionDef, doc: str) -> dict[str, Parameter]:
    """Read what a user can set: everything with a default, and everything keyword-only."""
    text = dict(re.findall(r"^\s+(\w+): ((?:.+)(?:\n\s{8,}.+)*)", doc, flags=re.MULTILINE))
    positional = [*node.args.posonlyargs, *node.args.args]
    defaults = [None] * (len(positional) - len(node.args.defaults)) + list(node.args.defaults)
    found: list[tuple[ast.arg, ast.expr | None]] = [
        (a, d) for a, d in zip(positional, defaults, strict=True) if d is not None
    ]
    found += [(a, d) for a, d in zip(node.args.kwonlyargs, node.args.kw_defaults, strict=True)]
    return {
        argument.arg: Parameter(
            argument.arg,
            ast.unparse(argument.annotation) if argument.annotation else "Any",
            REQUIRED if default is None else ast.literal_eval(default),
            " ".join(text.get(argument.arg, "").split()),
        )
        for argument, default in found
    }


_TYPES: Mapping[str, Any] = {
    **{kind.__name__: kind for kind in (float, int, bool, str, tuple, list, dict)},
    "Sequence": list,
    "File": str,
    "Part": Part,
}


@cache
def _adapter(annotation: str) -> Any:
    from pydantic import TypeAdapter

    return TypeAdapter(_type(annotation))


def _type(annotation: str) -> Any:
    """Return the type that an annotation names, `Any` for one that no study can hold; it is read, and not run.

    >>> _type("tuple[int, ...] | None"), _type("jax.Array")
    (typing.Optional[tuple[int, ...]], typing.Any)
    """
    try:
        return _resolved(ast.parse(annotation, mode="eval").body)
    except (SyntaxError, TypeError, ValueError):
        return Any


def _resolved(node: ast.expr) -> Any:
    match node:
        case ast.Constant(value=None | builtins.Ellipsis as value):
            return value
        case ast.Name(id=name):
            return _of_characters(name) if name in CHARACTERS else _TYPES.get(name, Any)
        case ast.BinOp(left=left, op=ast.BitOr(), right=right):
            return Union[_resolved(left), _resolved(right)]  # noqa: UP007 -- made from two values
        case ast.Subscript(value=ast.Name(id=name) | ast.Attribute(attr=name), slice=inner):
            items = inner.elts if isinstance(inner, ast.Tuple) else [inner]
            if name == "Literal":
                return Literal[tuple(ast.literal_eval(item) for item in items)]
            return _TYPES[name][tuple(map(_resolved, items))] if name in _TYPES else Any
    return Any


def _of_characters(name: str) -> Any:
    from pydantic import StringConstraints  # slow to import, as above

    return Annotated[str, StringConstraints(pattern=f"^[{CHARACTERS[name]}]*$")]


def _article(annotation: str) -> str:
    words = {
        "float": "a number",
        "int": "a whole number",
        "bool": "true or false",
        "str": "a text",
        "Word": f"a text of the characters {CHARACTERS['Word']}",
        "Address": "an address or a URL, of the characters " + CHARACTERS["Address"].replace("\\", ""),
        "tuple[int, ...]": "a list of whole numbers",
        "tuple[float, ...]": "a list of numbers",
        "tuple[str, ...]": "a list of texts",
        "File": "the path of a file",
        "tuple[Part, ...]": "a list of names and tables",
        "None": "left out",
    }
    if annotation.startswith("Literal["):
        return "one of " + annotation[len("Literal[") : -1].replace("'", '"')
    return " or ".join(words.get(part.strip(), part.strip()) for part in annotation.split("|"))
