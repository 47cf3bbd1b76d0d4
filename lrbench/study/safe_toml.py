"""Reading TOML that may be hostile: what would take too much memory is refused before it is parsed."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

LONGEST = 1_000_000
"""The most bytes of a TOML file."""
DEEPEST = 20
"""The most levels of tables and lists. The memory of a parser grows with the square of the depth: 200 kB of dots took 23 GB."""

_STRINGS = re.compile(
    r'"""(?:[^\\"]|\\.|"(?!""))*+(?:"{3,5}|\Z)'
    r"|'''.*?(?:'{3,5}|\Z)"
    r'|"(?:[^\\"\n]|\\.)*+"?'
    r"|'[^'\n]*'?"
    r"|\#[^\n]*",
    re.DOTALL,
)
"""Strings and comments, in which brackets and dots mean nothing."""
_DOTS = re.compile(rf"(?<![\w-])(?:[\w-]++[ \t]*+\.[ \t]*+){{{DEEPEST}}}")
"""A key of more parts than the allowed levels."""


def read(path: Path) -> dict[str, Any]:
    """Return the contents of a TOML file.

    Raises:
        OSError: if it cannot be read.
        ValueError: if it is not TOML, too long or too deep.
    """
    with path.open("rb") as file:
        data = file.read(LONGEST + 1)
    if len(data) > LONGEST:
        raise ValueError(f"has more than {LONGEST:,} bytes")
    return parse(data.decode("utf-8-sig"))


def parse(text: str) -> dict[str, Any]:
    """Return the contents of TOML text; anything wrong with it, such as a number of 5,000 digits, is a `ValueError`.

    >>> parse("a.b = [1]")
    {'a': {'b': [1]}}
    """
    bare = _STRINGS.sub("s", text)
    if _depth(bare) > DEEPEST or _DOTS.search(bare):
        raise ValueError(f"tables and lists are nested more than {DEEPEST} deep")
    return tomllib.loads(text)


def _depth(bare: str) -> int:
    """Return the largest number of open brackets; text that is not TOML may close more than it opens."""
    depth = deepest = 0
    for bracket in re.findall(r"[\[{}\]]", bare):
        depth += 1 if bracket in "[{" else -1
        deepest = max(deepest, depth)
    return deepest
