"""Parameters by name: each leaf of a pytree has a path, such as `layers/0/bias`, which patterns match."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from fnmatch import fnmatchcase
from typing import Any

import jax

LONGEST_LIST = 40
"""The most paths that a message names."""


def by_path(name: Callable[[str], Any], params: Any) -> Any:
    """Return a pytree of the structure of the parameters, with what `name` returns for the path of each.

    >>> by_path(str.upper, {"layers": [{"bias": 0.0}]})
    {'layers': [{'bias': 'LAYERS/0/BIAS'}]}
    """
    keys = jax.tree_util
    return keys.tree_map_with_path(
        lambda path, leaf: name(keys.keystr(path, simple=True, separator="/")), params
    )


def paths(params: Any) -> list[str]:
    """Return the path of each parameter.

    >>> paths({"out": [1.0, 2.0], "in": 3.0})
    ['in', 'out/0', 'out/1']
    """
    found: list[str] = jax.tree.leaves(by_path(str, params))
    return found


def matches(path: str, patterns: Iterable[str]) -> list[str]:
    """Return the patterns that match a path: `*` stands for any characters, `/` among them, `?` for one, `[ab]` for one of some.

    >>> matches("layers/0/bias", ["*/bias", "layers/1/*"])
    ['*/bias']
    """
    return [pattern for pattern in patterns if fnmatchcase(path, pattern)]


def listed(params: Any) -> str:
    """Return the paths of parameters as a message names them, the first of many.

    >>> listed([1.0, 2.0])
    '0, 1'
    """
    found = paths(params)
    more = f", and {len(found) - LONGEST_LIST:,} more" if len(found) > LONGEST_LIST else ""
    return ", ".join(found[:LONGEST_LIST]) + more
