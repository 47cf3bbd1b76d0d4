"""Overrides: what `--set` and `--unset` change in a table before it is checked."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from lrbench.errors import StudyError, counted
from lrbench.study import catalog, safe_toml
from lrbench.study.safe_toml import DEEPEST
from lrbench.study.signature import whole

_CHOICES = frozenset({"problem", "optimizer", "schedule"})
"""Keys under which a name stands for a table with that name."""
_REMOVED = object()


def assign(table: dict[str, Any], text: str) -> None:
    """Set one key of a table from `key=value`; the value is TOML, or else a bare string.

    A name of a problem, an optimizer or a schedule becomes a table with that name where one of its parameters is set.

    Raises:
        StudyError: if the text is not of that form, or the key leads to no table.

    >>> table = {"problem": "digits_mlp"}
    >>> assign(table, "learning_rate.num=32")
    >>> assign(table, "problem.hidden=[16]")
    >>> table
    {'problem': {'name': 'digits_mlp', 'hidden': [16]}, 'learning_rate': {'num': 32}}
    """
    key, equals, raw = text.partition("=")
    given = f"--set {text!r}"
    path = _parts(key)
    if not equals or not all(path):
        raise StudyError(f"{given}: must be KEY=VALUE, such as steps=200 or learning_rate.num=32")
    if len(path) > DEEPEST:
        raise StudyError(f"{given}: tables and lists are nested more than {DEEPEST} deep")
    try:
        read = safe_toml.parse(f"value = {raw}")
        value = read["value"] if len(read) == 1 else raw.strip()
    except ValueError:
        value = raw.strip()
    target: Any = table
    for depth, part in enumerate(path[:-1], 1):
        place = _place(target, path[: depth - 1], part, given, path[depth:])
        if isinstance(target, dict):
            target.setdefault(part, {})
        if isinstance(target[place], str) and path[0] in _CHOICES and depth <= 2:
            target[place] = {"name": target[place]}
        target = target[place]
        if not isinstance(target, dict | list):
            raise StudyError(f"{given}: {'.'.join(path[:depth])} is a value, it has no keys")
    target[_place(target, path[:-1], path[-1], given)] = value


def remove(table: dict[str, Any], keys: Sequence[str]) -> None:
    """Remove keys of a table, and items of its lists; numbers count the items as they are in the table before.

    Raises:
        StudyError: if there is none of that name.

    >>> table = {"seeds": 5, "optimizer": ["sgd", "adam", "lion"]}
    >>> remove(table, ["optimizer.0", "optimizer.1", "seeds"])
    >>> table
    {'optimizer': ['lion']}
    >>> table = {"learning_rate": {"*.bias": {"num": 3}}}
    >>> remove(table, ['learning_rate."*.bias".num'])
    >>> table
    {'learning_rate': {'*.bias': {}}}
    """
    shortened: list[list[Any]] = []
    for key in keys:
        given, path = f"--unset {key!r}", _parts(key)
        target: Any = table
        for depth, part in enumerate(path[:-1]):
            target = _existing(target, path[:depth], part, given)
        _existing(target, path[:-1], path[-1], given)
        if isinstance(target, dict):
            del target[path[-1]]
        else:
            target[int(path[-1])] = _REMOVED
            shortened.append(target)
    for items in shortened:
        items[:] = [item for item in items if item is not _REMOVED]


def _parts(key: str) -> list[str]:
    """Return the parts of a key; one in quotes may have dots, as in TOML."""
    return [part.strip('"') for part in re.split(r'\.(?=(?:[^"]*"[^"]*")*[^"]*$)', key.strip())]


def _existing(target: Any, above: Sequence[str], part: str, given: str) -> Any:
    """Return what is at a key of a table, or at a number of a list."""
    if isinstance(target, list):
        return target[_place(target, above, part, given)]
    if not isinstance(target, dict) or part not in target:
        known = list(target) if isinstance(target, dict) else []
        raise StudyError(f"{given}: {catalog.unknown('key', '.'.join([*above, part]), known)}")
    return target[part]


def _place(target: Any, above: Sequence[str], part: str, given: str, after: Sequence[str] = ()) -> Any:
    """Return where a part of a key leads in a table or a list: the part itself, or its number.

    Args:
        target: the table or the list.
        above: the parts of the key that led there.
        part: the part.
        given: the option, for messages.
        after: the parts that follow.
    """
    if isinstance(target, dict):
        return part
    if re.fullmatch("[0-9]{1,9}", part) and int(part) < len(target):
        return int(part)
    where, items = ".".join(above), counted(len(target), "item")
    example = ".".join([*above, "0", *([] if part.isdecimal() else [part]), *after])
    raise StudyError(
        f"{given}: {where} is a list of {items}; name one of them, counting from 0, such as {example}"
    )


def shorten(table: dict[str, Any], overrides: Sequence[str]) -> None:
    """Evaluate once, at the end, if an override makes runs shorter than the interval in the file."""
    keys = {text.partition("=")[0].strip() for text in overrides}
    steps, every = whole(table.get("steps")), whole(table.get("evaluate_every"))
    if "steps" in keys and "evaluate_every" not in keys and isinstance(steps, int) and isinstance(every, int):
        table["evaluate_every"] = min(every, steps)


def launchers(overrides: Sequence[str]) -> dict[str, Any]:
    """Return the tables of launchers that overrides set.

    >>> launchers(["launcher.ray.address=local", "steps=20"])
    {'ray': {'address': 'local'}}
    """
    table: dict[str, Any] = {"launcher": {}}
    for text in overrides:
        if re.match(r"\s*launcher\s*[.=]", text):
            assign(table, text)
    found: dict[str, Any] = table["launcher"]
    return found
