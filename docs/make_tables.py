"""Writes what docs/results.md says of each table, from the docstrings in lrbench/tables/: `python docs/make_tables.py`."""

from __future__ import annotations

import re
from pathlib import Path

from lrbench.study import catalog
from lrbench.tables.base import columns

PAGE = Path(__file__).with_name("results.md")
_MARKED = re.compile(r"(?<=<!-- )(?!end )(\w+)( -->\n).*?(?=<!-- end -->)", re.DOTALL)


def page() -> str:
    """Return the page, with a table of all tables after `<!-- tables -->`, and one of the columns of NAME after `<!-- NAME -->`."""
    return _MARKED.sub(lambda found: found[1] + found[2] + _made(found[1]), PAGE.read_text(encoding="utf-8"))


def _made(name: str) -> str:
    if name == "tables":
        head = ("table", "holds")
        rows = {f"[`{each}`](#{each})": catalog.get("table", each).summary for each in catalog.names("table")}
    else:
        head = ("column", "meaning")
        rows = {
            ", ".join(f"`{each}`" for each in key.split(", ")): said for key, said in columns(name).items()
        }
    lines = [head, ("---", "---"), *((key, _escaped(said)) for key, said in rows.items())]
    return "\n" + "".join(f"| {key} | {said} |\n" for key, said in lines) + "\n"


def _escaped(text: str) -> str:
    """Return a text whose bars and, outside code, asterisks are not Markdown's."""
    parts = text.replace("|", r"\|").split("`")
    return "`".join(part.replace("*", r"\*") if at % 2 == 0 else part for at, part in enumerate(parts))


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
