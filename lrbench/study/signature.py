"""The signature of a function: its parameters, the types of their values, and the wording of what is allowed.

A signature is read from source text, which imports nothing, or from a function. Either way an annotation is text: it is
parsed, never evaluated, and one that no study file can express allows any value.
"""

from __future__ import annotations

import ast
import builtins
import inspect
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from typing import Annotated, Any, Literal, NamedTuple

REQUIRED: Any = inspect.Parameter.empty
"""The default of a parameter that has none."""
LONGEST_LIST = 1000
"""The most items of one value that is a list, such as the layers of a network; a list of strings has no limit."""
CHARACTERS: Mapping[str, str] = {
    "Word": "A-Za-z0-9_.:,=@%+-",
    "Address": r"A-Za-z0-9_.:,=@%+/?&~#\[\]-",
}
"""The characters of strings whose annotation is one of these names: those of launchers, which reach scripts and networks."""
FILE_SUFFIXES = (".csv", ".tsv", ".txt", ".parquet", ".npz")
"""Of a parameter that is a file or something else, such as `File | float`, texts that end so are files."""
Part = str | dict[str, bool | int | float | str | list[Any]]
"""A schedule that is part of another one: a name, or a table with a name and parameters."""


class _Kind(NamedTuple):
    """The meaning of an annotation: a type, and the words for one value and for many."""

    type: Any
    one: str
    many: str


@dataclass(frozen=True)
class Parameter:
    """One parameter: its name, its annotation as written, its default (`REQUIRED` if it has none), and what `Args:` says of it."""

    name: str
    annotation: str
    default: Any = REQUIRED
    doc: str = ""

    @cached_property
    def numeric(self) -> bool:
        """Whether its values are lanes of one program (a float), rather than structure."""
        return self.annotation == "float"

    @cached_property
    def _files(self) -> tuple[bool, bool]:
        """Whether its values may be files, and whether they may be something else."""
        kinds = [each.strip() for each in self.annotation.split("|")]
        return "File" in kinds, len(kinds) > 1

    def names_file(self, value: Any) -> bool:
        """Return whether a value is the path of a file, relative to the study file; an empty one names none.

        >>> [Parameter("valid", "File | float").names_file(value) for value in ("mine.csv", "fold", 0.2)]
        [True, False, False]
        """
        file, other = self._files
        return (
            file
            and isinstance(value, str)
            and (value.lower().endswith(FILE_SUFFIXES) if other else bool(value))
        )

    @cached_property
    def sequence(self) -> bool:
        """Whether one value is itself a list, so that only a list of lists is an axis."""
        return self.annotation.startswith(("tuple", "list", "Sequence"))

    def coerce(self, value: Any) -> Any:
        """Return `value` as the declared type; raise `ValueError` saying what is allowed."""
        from pydantic import ValidationError  # pydantic is slow to import, and `lrbench list` does without

        counted = self.sequence and not self.annotation.startswith("tuple[str")
        if counted and isinstance(value, list | tuple) and len(value) > LONGEST_LIST:
            raise ValueError(f"has {len(value):,} items; at most {LONGEST_LIST:,} are allowed")
        try:
            if isinstance(value, bool) and self.annotation in {"float", "int"}:
                raise ValueError("Python counts with booleans; studies do not")
            return _validator(self.annotation).validate_python(value)
        except (ValidationError, ValueError) as error:
            raise ValueError(f"must be {_kind(self.annotation).one}") from error


def whole(value: Any) -> Any:
    """Return a number without a fraction as a whole number, and anything else as it is.

    >>> whole(1e3), whole(0.5), whole(True), whole("1e3")
    (1000, 0.5, True, '1e3')
    """
    return int(value) if isinstance(value, float) and value.is_integer() else value


def of_source(node: ast.FunctionDef) -> dict[str, Parameter]:
    """Return the parameters of a function in a syntax tree; defaults must be literals.

    >>> tree = ast.parse("def sgd(learning_rate, *, momentum: float = 0.9): ...")
    >>> of_source(tree.body[0])
    {'momentum': Parameter(name='momentum', annotation='float', default=0.9, doc='')}
    """
    return _settable(_parameters(node.args), ast.get_docstring(node) or "")


def of_function(function: Callable[..., Any], *, after_first: bool = False) -> dict[str, Parameter]:
    """Return the parameters of a function.

    Args:
        function: anything that can be called.
        after_first: whether the caller provides its first parameter, even where it has a default.

    Raises:
        TypeError, ValueError: if it has no signature.
    """
    parameters = list(inspect.signature(function).parameters.values())
    if after_first and parameters and parameters[0].kind is not inspect.Parameter.KEYWORD_ONLY:
        del parameters[0]
    return _settable(parameters, inspect.getdoc(function) or "")


def _settable(parameters: list[inspect.Parameter], doc: str) -> dict[str, Parameter]:
    """Return the parameters that a study can set: those with a default, and keyword-only ones."""
    about = dict(re.findall(r"^\s+(\w+): ((?:.+)(?:\n\s{8,}.+)*)", doc, flags=re.MULTILINE))
    return {
        each.name: Parameter(
            each.name, _annotation(each), each.default, " ".join(about.get(each.name, "").split())
        )
        for each in parameters
        if each.kind is each.KEYWORD_ONLY
        or (each.kind not in (each.VAR_POSITIONAL, each.VAR_KEYWORD) and each.default is not REQUIRED)
    }


def _annotation(parameter: inspect.Parameter) -> str:
    """Return an annotation as text; without one, the type of the default."""
    annotation = parameter.annotation
    if annotation is REQUIRED:
        default = parameter.default
        return "Any" if default is REQUIRED or default is None else type(default).__name__
    return annotation if isinstance(annotation, str) else inspect.formatannotation(annotation)


def _parameters(arguments: ast.arguments) -> list[inspect.Parameter]:
    """Return the parameters of a syntax tree as `inspect` would, with annotations as text; without `*args` and `**kwargs`."""

    def each(kind: Any, names: list[ast.arg], defaults: list[ast.expr | None]) -> Iterator[inspect.Parameter]:
        for name, default in zip(names, defaults, strict=True):
            value = REQUIRED if default is None else ast.literal_eval(default)
            annotation = REQUIRED if name.annotation is None else ast.unparse(name.annotation)
            yield inspect.Parameter(name.arg, kind, default=value, annotation=annotation)

    positional = [*arguments.posonlyargs, *arguments.args]
    missing: list[ast.expr | None] = [None] * (len(positional) - len(arguments.defaults))
    kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
    return [
        *each(kind, positional, [*missing, *arguments.defaults]),
        *each(inspect.Parameter.KEYWORD_ONLY, arguments.kwonlyargs, arguments.kw_defaults),
    ]


@cache
def _validator(annotation: str) -> Any:
    from pydantic import TypeAdapter

    return TypeAdapter(_kind(annotation).type)


@cache
def _kind(annotation: str) -> _Kind:
    """Return the meaning of an annotation; it is parsed, never evaluated.

    >>> _kind("tuple[int, ...] | None")[:2]
    (tuple[int, ...] | None, 'a list of whole numbers or left out')
    >>> _kind("jax.Array")[:2]
    (typing.Any, 'jax.Array')
    """
    try:
        return _parsed(ast.parse(annotation, mode="eval").body)
    except (SyntaxError, TypeError, ValueError):
        return _Kind(Any, annotation, annotation)


def _parsed(node: ast.expr) -> _Kind:
    """Return the meaning of the syntax tree of an annotation."""
    match node:
        case ast.Constant(value=None):
            return _Kind(None, "left out", "left out")
        case ast.Name(id=name) if name in CHARACTERS:
            return _restricted(name)
        case ast.Name(id=name) if name in _KINDS:
            return _KINDS[name]
        case ast.BinOp(left=left, op=ast.BitOr(), right=right):
            first, second = _parsed(left), _parsed(right)
            return _Kind(
                first.type | second.type, f"{first.one} or {second.one}", f"{first.many} or {second.many}"
            )
        case ast.Subscript(value=ast.Name(id=name) | ast.Attribute(attr=name), slice=inner):
            return _subscripted(
                name, inner.elts if isinstance(inner, ast.Tuple) else [inner], ast.unparse(node)
            )
    return _Kind(Any, ast.unparse(node), ast.unparse(node))


def _subscripted(name: str, items: list[ast.expr], text: str) -> _Kind:
    """Return the meaning of `name[items]`: one of some literals, or a list of values of one kind or of several."""
    if name == "Literal":
        allowed = tuple(ast.literal_eval(item) for item in items)
        said = "one of " + ", ".join(f'"{each}"' if isinstance(each, str) else str(each) for each in allowed)
        return _Kind(Literal[allowed], said, said)
    if name not in _KINDS:
        return _Kind(Any, text, text)
    kinds = [_parsed(item) for item in items if not _is_ellipsis(item)]
    inner = [each.type for each in kinds] + [...] * (len(items) - len(kinds))
    found = _KINDS[name].type[tuple(inner)]
    alike = len(kinds) == 1 and name != "dict"
    return (
        _Kind(found, f"a list of {kinds[0].many}", f"lists of {kinds[0].many}")
        if alike
        else _Kind(found, text, text)
    )


def _is_ellipsis(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and node.value is builtins.Ellipsis


def _restricted(name: str) -> _Kind:
    """Return the kind of a string of some characters alone."""
    from pydantic import StringConstraints  # slow to import, as above

    pattern = StringConstraints(pattern=f"^[{CHARACTERS[name]}]*$")
    characters = f"of the characters {CHARACTERS[name]}".replace("\\", "")
    one = "a string" if name == "Word" else "an address or a URL,"
    many = "strings" if name == "Word" else "addresses or URLs,"
    return _Kind(Annotated[str, pattern], f"{one} {characters}", f"{many} {characters}")


_KINDS: Mapping[str, _Kind] = {
    "float": _Kind(float, "a number", "numbers"),
    "int": _Kind(int, "a whole number", "whole numbers"),
    "bool": _Kind(bool, "true or false", "values true or false"),
    "str": _Kind(str, "a string", "strings"),
    "File": _Kind(str, "the path of a file", "paths of files"),
    "Part": _Kind(Part, "a name or a table", "names and tables"),
    "tuple": _Kind(tuple, "a list", "lists"),
    "list": _Kind(list, "a list", "lists"),
    "Sequence": _Kind(list, "a list", "lists"),
    "dict": _Kind(dict, "a table", "tables"),
}
"""The names that an annotation can contain, besides `None`, `Literal` and those of `CHARACTERS`."""
