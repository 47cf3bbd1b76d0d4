"""Tables as aligned text."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from lrbench.errors import escaped


def aligned(rows: Sequence[Mapping[str, str]], left: Collection[str] = ("what",)) -> str:
    """Return rows of text as a table: names first, columns two blanks apart.

    Args:
        rows: each with the same names.
        left: columns that are set to the left; the others are numbers, set to the right.

    Example:
        >>> print(aligned([{"what": "a thing", "s": "1.0"}, {"what": "another", "s": "12.5"}]))
        what        s
        a thing   1.0
        another  12.5
    """
    names = list(rows[0])
    cells = [
        [escaped(text) for text in line] for line in (names, *([row[name] for name in names] for row in rows))
    ]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    return "\n".join(
        "  ".join(
            f"{cell:{'<' if name in left else '>'}{width}}"
            for name, cell, width in zip(names, line, widths, strict=True)
        ).rstrip()
        for line in cells
    )
