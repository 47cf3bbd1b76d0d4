"""The catalogue: the name of everything that can be named, by kind: problems, optimizers, schedules, probes, plots, ...

A kind has a folder of modules, whose public functions are its entries. They are found in the source text and nothing is
imported, so that `lrbench list` and checking a study do not import JAX.
"""

from __future__ import annotations

import ast
import difflib
import functools
import importlib
import inspect
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache, cached_property
from pathlib import Path
from typing import Any, TypeVar

from lrbench.errors import StudyError
from lrbench.study import signature
from lrbench.study.signature import Parameter

PACKAGE = Path(__file__).parents[1]
STUDIES = Path(__file__).parent / "built_in"
"""The folder of the built-in studies' files."""

FOLDERS: Mapping[str, str] = {
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
"""The folder of each kind."""
STUDY = "study"
"""The kind of the studies that come with lrbench: files of TOML, not functions."""
KINDS = (*FOLDERS, STUDY)
"""Every kind of name."""
SHORT, NEAREST, LIKELY = 8, 3, 0.4
"""So many names are all listed where one is not known; of more, so many that are nearest, of at least this likeness."""
ONE_PER_FILE = frozenset({"table", "plot", "launcher", "exporter", "experiment"})
"""Kinds of which a file holds one entry, named as the file; of the others every public function is an entry."""
OPTIONS = "_options.py"
"""A file of a folder whose public functions are options of every entry of the kind; each is off at its default, which is 0 or an empty list unless it has one."""
Function = TypeVar("Function", bound=Callable[..., Any])


@dataclass(frozen=True)
class Entry:
    """One entry of the catalogue: what it is called, what it takes, and what its docstring says."""

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
    larger: bool = False
    """Of a metric: whether larger values are better."""
    bound: float | None = None
    """Of a metric: the greatest value that it can have."""

    @cached_property
    def options(self) -> Mapping[str, Parameter]:
        """The options of its kind, except those that it has a parameter of the same name for."""
        return {name: p for name, p in options(self.kind).items() if name not in self.parameters}

    @property
    def settings(self) -> Mapping[str, Parameter]:
        """Everything a study can set: its parameters, and the options of its kind."""
        return {**self.parameters, **self.options}

    @property
    def direction(self) -> str:
        """Of a metric: which values are better, and how far they go."""
        if not self.larger:
            return "smaller is better"
        return "larger is better" + ("" if self.bound is None else f", up to {self.bound:g}")

    @property
    def measures(self) -> dict[str, str]:
        """Of a problem: its metrics as the line `Metrics:` of its docstring names them, with where they apply; the first is its headline."""
        line = re.search(r"^Metrics: (.+)$", self.doc, re.MULTILINE)
        named = (each.partition(" ") for each in line[1].split(", ")) if line else ()
        return {name: where for name, _, where in named}

    @property
    def summary(self) -> str:
        """The first sentence of the docstring."""
        return self.doc.split("\n", 1)[0]

    def section(self, title: str) -> dict[str, str]:
        """Return a section of its docstring: what each name in it means; several names may share a line.

        >>> get("table", "tuning_budget").section("Columns")["trials"]
        'how many rates are drawn'
        """
        _, _, text = self.doc.partition(f"\n{title}:\n")
        lines = re.match(r"(?:    .*\n|\n(?=    ))*", text + "\n")
        joined = re.sub(r"\n {8,}", " ", lines[0] if lines else "")
        return dict(re.findall(r"^    ([^\n]+?): (.+)$", joined, flags=re.MULTILINE))

    @property
    def listed(self) -> str:
        """What lists its parameters, for messages; empty for a user's own function."""
        return f"`lrbench list {self.kind} {self.name}` lists" if self.path is not None else ""

    def check(self, given: Mapping[str, Any], where: str) -> dict[str, Any]:
        """Return values of its parameters, each of its declared type; messages begin with `where` and the name.

        >>> get("launcher", "ray").check({"max_retries": 5}, "launcher.ray.")
        {'max_retries': 5}

        Raises:
            StudyError: if there is no such parameter, or a value is not of its type.
        """
        found = {}
        for name, value in given.items():
            if name not in self.parameters:
                message = unknown(f"parameter of {self.name}", name, list(self.parameters), self.listed)
                raise StudyError(f"{where}{name} = {value!r}: {message}")
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
    """Declare how a built-in entry has changed since its first release, for the identity of its runs.

    It is read from the source, and does nothing when it is called.

    Args:
        revision: raised whenever the same parameters train something else, so that earlier runs are not mistaken for runs of
            the new revision.
        added: parameters that were added later; at their defaults they are not part of the identity, so that earlier runs
            keep theirs.
    """
    return lambda function: function


def names(kind: str) -> list[str]:
    """Return the names of a kind, sorted.

    >>> "adam" in names("optimizer")
    True
    """
    if kind == STUDY:
        return sorted(path.stem for path in STUDIES.glob("*.toml"))
    return sorted(_entries(kind))


def get(kind: str, name: str) -> Entry:
    """Return the entry of that name; an unknown name raises `StudyError` with the nearest ones.

    >>> get("optimizer", "adam").parameters["b1"].default
    0.9
    """
    entries = _entries(kind)
    if name not in entries:
        raise StudyError(unknown(kind, name, names(kind)))
    return entries[name]


@cache
def options(kind: str) -> Mapping[str, Parameter]:
    """Return the options of every entry of a kind.

    >>> list(options("optimizer"))
    ['clip', 'weight_decay', 'no_decay']
    """
    file = PACKAGE / FOLDERS[kind] / OPTIONS
    if not file.is_file():
        return {}
    return {node.name: _option(node) for node in _functions(file)}


def load_option(kind: str, name: str) -> Callable[..., Any]:
    """Import and return an option of a kind."""
    module = importlib.import_module(f"lrbench.{FOLDERS[kind]}.{OPTIONS.removesuffix('.py')}")
    loaded: Callable[..., Any] = getattr(module, name)
    return loaded


def of_function(kind: str, function: Callable[..., Any]) -> Entry:
    """Describe a user's own function as an entry; an optimizer's rate or a schedule's steps are no parameter of it."""
    parameters = signature.of_function(function, after_first=kind in {"optimizer", "schedule"})
    return Entry(
        kind,
        _name(function),
        function.__module__,
        parameters,
        inspect.getdoc(function) or "",
        function=function,
    )


def _name(function: Callable[..., Any]) -> str:
    """Return the name of a user's own function; an optax schedule has that of the function that created it."""
    if isinstance(function, functools.partial):
        return _name(function.func)
    maker, local, _ = getattr(function, "__qualname__", "").partition(".<locals>.")
    if local and function.__module__.partition(".")[0] == "optax":
        return maker
    return getattr(function, "__name__", type(function).__name__)


def unknown(what: str, given: str, allowed: list[str], listed: str = "") -> str:
    """Return a message that a name is not known, and what is allowed: all names where they are few, or else the nearest.

    Args:
        what: what the name was to be, such as a kind of the catalogue.
        given: the name.
        allowed: the names that are known.
        listed: what lists them all, with its verb; of a kind of the catalogue, `lrbench list`.

    >>> unknown("optimizer", "adm", ["adam", "sgd"])
    "unknown optimizer 'adm'; allowed: adam, sgd; did you mean 'adam'?"
    >>> unknown("optimizer", "adm", names("optimizer"))
    "unknown optimizer 'adm'; nearest: adam, adamw, adamax; `lrbench list optimizers` lists all"
    """
    if len(allowed) <= SHORT:
        near = difflib.get_close_matches(given[:100], allowed, n=1, cutoff=0.5)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        return f"unknown {what} {given!r}; allowed: {', '.join(allowed) or 'none'}{hint}"
    if not listed and what in KINDS:
        listed = f"`lrbench list {plural(what)}` lists"
    where = f"{listed} all" if listed else f"{len(allowed):,} are allowed"
    return f"unknown {what} {given!r}; {nearest(given, allowed)}{where}"


def nearest(given: str, allowed: Iterable[str]) -> str:
    """Return, for messages, the three names that are most like one that is not known; those that it is a part of come first.

    >>> nearest("transformer", names("problem")), nearest("x", ["adam"])
    ('nearest: char_transformer, modular_addition_transformer, ...; ', '')
    """
    given = given[:100].lower()

    def likeness(name: str) -> float:
        name = name.lower()
        alike = difflib.SequenceMatcher(None, name, given).ratio()
        return alike + (given in name) + 0.1 * name.startswith(given[:1])  # a first letter is seldom wrong

    likely = [name for name in allowed if given and likeness(name) >= LIKELY]
    near = sorted(likely, key=likeness, reverse=True)[:NEAREST]
    return f"nearest: {', '.join(near)}; " if near else ""


def plural(kind: str) -> str:
    """Return the plural of a kind.

    >>> plural("study"), plural("probe")
    ('studies', 'probes')
    """
    return "studies" if kind == STUDY else f"{kind}s"


@cache
def _entries(kind: str) -> dict[str, Entry]:
    """Return the entries of a kind by name."""
    if kind not in FOLDERS:
        raise StudyError(unknown("kind", kind, [*KINDS], "`lrbench list --help` lists"))
    files = sorted((PACKAGE / FOLDERS[kind]).glob("[!_]*.py"))
    return {entry.name: entry for file in files for entry in _entries_of(kind, file)}


def _entries_of(kind: str, file: Path) -> Iterator[Entry]:
    """Yield the entries in a file."""
    module = ".".join(("lrbench", *file.relative_to(PACKAGE).with_suffix("").parts))
    for node in _functions(file):
        if kind not in ONE_PER_FILE or node.name == file.stem:
            doc = ast.get_docstring(node) or ""
            takes = tuple(argument.arg for argument in node.args.args) if kind == "table" else ()
            parameters = {} if kind == "table" else signature.of_source(node)
            declared = _declared(node, "history") | {
                name: value
                for name, value in _declared(node, "metric").items()
                if name in ("larger", "bound")
            }
            yield Entry(kind, node.name, module, parameters, doc, file, node.lineno, takes=takes, **declared)


def _option(node: ast.FunctionDef) -> Parameter:
    """Return an option as a parameter: what its function takes last, a value with a default, a list or else a number."""
    last = ast.unparse(node.args.args[-1].annotation or ast.Constant(None))
    if node.args.defaults:
        return Parameter(node.name, last, ast.literal_eval(node.args.defaults[-1]), _first(node))
    of_list = last.startswith("tuple")
    return Parameter(node.name, last if of_list else "float", () if of_list else 0.0, _first(node))


def _functions(file: Path) -> Iterator[ast.FunctionDef]:
    """Return the public functions of a file."""
    tree = ast.parse(file.read_text(encoding="utf-8"))
    functions = (node for node in tree.body if isinstance(node, ast.FunctionDef))
    return (node for node in functions if not node.name.startswith("_"))


def _declared(node: ast.FunctionDef, decorator: str) -> dict[str, Any]:
    """Return the arguments of an entry's `@decorator(...)`."""
    calls = (each for each in node.decorator_list if isinstance(each, ast.Call))
    declared = next((call for call in calls if ast.unparse(call.func).endswith(decorator)), None)
    return {key.arg or "": ast.literal_eval(key.value) for key in declared.keywords} if declared else {}


def _first(node: ast.FunctionDef) -> str:
    """Return the first paragraph of a function's docstring, as one line."""
    return " ".join((ast.get_docstring(node) or "").split("\n\n")[0].split())
