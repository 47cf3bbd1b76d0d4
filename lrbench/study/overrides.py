"""Overrides: strings `key=value`, as `--set` gives them, that change a table before it is checked."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from lrbench.errors import StudyError
from lrbench.study import safe_toml
from lrbench.study.safe_toml import DEEPEST


def assign(table: dict[str, Any], text: str) -> None:
    """Set one key of a table from `key=value`; the value is TOML, or else a bare string.

    Raises:
        StudyError: if the text is not of that form, or the key leads to no table.

    >>> table = {}
    >>> assign(table, "learning_rate.num=32")
    >>> table
    {'learning_rate': {'num': 32}}
    """
    key, equals, raw = text.partition("=")
    # A key in quotes may have dots, as in TOML.
    path = [part.strip('"') for part in re.split(r'\.(?=(?:[^"]*"[^"]*")*[^"]*$)', key.strip())]
    if not equals or not all(path):
        raise StudyError(f"--set {text!r}: must be KEY=VALUE, such as steps=200 or learning_rate.num=32")
    if len(path) > DEEPEST:
        raise StudyError(f"--set {text!r}: tables and lists are nested more than {DEEPEST} deep")
    try:
        read = safe_toml.parse(f"value = {raw}")
        value = read["value"] if len(read) == 1 else raw.strip()
    except ValueError:
        value = raw.strip()
    target: Any = table
    for part in path[:-1]:
        if isinstance(target, list):
            if not re.fullmatch("[0-9]{1,9}", part) or int(part) >= len(target):
                raise StudyError(f"--set {text!r}: {part!r} must be a number from 0 to {len(target) - 1}")
            target = target[int(part)]
        else:
            target = target.setdefault(part, {})
        if not isinstance(target, dict | list):
            raise StudyError(f"--set {text!r}: {part!r} is a value, it has no keys")
    if isinstance(target, list):
        raise StudyError(f"--set {text!r}: name the key of {path[-2]}.{path[-1]} to set, such as {key}.name")
    target[path[-1]] = value


def shorten(table: dict[str, Any], overrides: Sequence[str]) -> None:
    """Evaluate once, at the end, if an override makes runs shorter than the interval in the file."""
    keys = {text.partition("=")[0].strip() for text in overrides}
    steps, every = table.get("steps"), table.get("evaluate_every")
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
