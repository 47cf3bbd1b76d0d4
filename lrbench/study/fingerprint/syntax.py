"""The syntax of a function's source as text without layout, comments and docstrings, the same under every Python."""

from __future__ import annotations

import ast
import linecache
import types
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, TypeAlias

_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)
_WITH_DOCSTRING = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Module)
_LAYOUT = frozenset({"type_comment", "kind", "ctx"})
"""Fields of syntax that describe spelling, or follow from position."""

Function: TypeAlias = ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda


@dataclass(frozen=True)
class _File:
    """A parsed file: its functions by first line, and the code objects that it compiles to."""

    functions: Mapping[int, list[Function]] = field(default_factory=dict)
    codes: frozenset[types.CodeType] = frozenset()


def of_code(code: types.CodeType, names: dict[str, Any]) -> str | None:
    r"""Return the syntax of a function as canonical text.

    Args:
        code: of the function.
        names: its globals, through which the source of a module in an archive is read.

    Returns:
        The text; None if there is no source, or the code was not compiled from it: the file was changed after its import, or
        the function was compiled in another way.

    >>> function = next(iter(_parsed("def f(x):\n    return x  # the same").functions[1]))
    >>> text(function) == text(ast.parse("def f( x ): return x").body[0])
    True
    """
    file = _parsed("".join(linecache.getlines(code.co_filename, names)))
    if code not in file.codes:  # the cached source may be older than the code
        linecache.checkcache(code.co_filename)
        file = _parsed("".join(linecache.getlines(code.co_filename, names)))
    here = [node for node in file.functions.get(code.co_firstlineno, ()) if _name(node) == code.co_name]
    here = [node for node in here if _contains(node, code)] if len(here) > 1 else here
    return text(min(here, key=_length)) if here and code in file.codes else None


def text(node: Any) -> str:
    """Return a piece of syntax as canonical text; empty fields are omitted, so that every Python agrees."""
    if isinstance(node, ast.Constant):
        value = hex(node.value) if type(node.value) is int else repr(node.value)
        return f"{type(node.value).__name__} {value}"
    if isinstance(node, ast.JoinedStr):
        return f"JoinedStr({_joined(node)})"
    if isinstance(node, ast.AST):
        fields = (
            (name, _without_docstring(node) if name == "body" else value)
            for name, value in ast.iter_fields(node)
            if name not in _LAYOUT and value is not None and value != []
        )
        return f"{type(node).__name__}({','.join(f'{name}={text(value)}' for name, value in fields)})"
    if isinstance(node, list):
        return f"[{','.join(map(text, node))}]"
    return repr(node)


def _joined(node: ast.JoinedStr) -> str:
    """Return the pieces of a formatted string, with adjacent constants joined: versions of Python cut them differently."""
    pieces: list[str] = []
    constant = ""
    for value in node.values:
        if isinstance(value, ast.Constant):
            constant += str(value.value)
        else:
            pieces += [repr(constant), text(value)]
            constant = ""
    return ",".join([*pieces, repr(constant)])


def _without_docstring(node: ast.AST) -> Any:
    body = node.body  # type: ignore[attr-defined]  # the caller passes a node that has one
    if isinstance(node, _WITH_DOCSTRING) and ast.get_docstring(node, clean=False) is not None:
        return body[1:]
    return body


@lru_cache(maxsize=256)
def _parsed(source: str) -> _File:
    try:
        tree = ast.parse(source)
        compiled = compile(source, "", "exec", dont_inherit=True)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return _File()
    functions: dict[int, list[Function]] = {}
    for node in ast.walk(tree):
        if isinstance(node, _FUNCTIONS):
            decorators = [] if isinstance(node, ast.Lambda) else node.decorator_list
            first = min(each.lineno for each in (node, *decorators))
            functions.setdefault(first, []).append(node)
    return _File(functions, frozenset(_codes(compiled)))


def _codes(code: types.CodeType) -> Iterator[types.CodeType]:
    yield code
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from _codes(constant)


def _name(node: Function) -> str:
    return "<lambda>" if isinstance(node, ast.Lambda) else node.name


def _length(node: Function) -> tuple[int, int]:
    """Return the extent of a function: of nested lambdas, the instructions belong to the shortest."""
    return node.end_lineno or 0, (node.end_col_offset or 0) - node.col_offset


def _contains(node: Function, code: types.CodeType) -> bool:
    """Return whether all instructions of a code object are in the body of a function, one of several that begin on a line."""
    body = node.body if isinstance(node, ast.Lambda) else node
    assert isinstance(body, ast.AST)
    begin, end = (body.lineno, body.col_offset), (body.end_lineno or 0, body.end_col_offset or 0)
    spans = [
        ((line, column), (end_line, end_column))
        for line, end_line, column, end_column in code.co_positions()
        if line and end_line and column is not None and end_column
    ]
    return bool(spans) and all(begin <= first and last <= end for first, last in spans)
