"""The pages of documentation, and their fenced blocks."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from tests.helpers.paths import ROOT

PAGES = {
    path.name: path for path in (ROOT / "README.md", ROOT / "CHANGELOG.md", *(ROOT / "docs").glob("*.md"))
}


class Block(NamedTuple):
    """A fenced block of a page: its language, the file it is to be written to (or none), and its text."""

    language: str
    title: str
    text: str


def blocks(page: str) -> list[Block]:
    found = re.findall(
        r"^```(\w+)(?: title=\"([^\"\n]+)\")?\n(.*?)^```$", PAGES[page].read_text(), re.MULTILINE | re.DOTALL
    )
    return [Block(*each) for each in found]


def commands(block: Block) -> Iterator[tuple[str, str]]:
    """Yield each command of a block, and what it prints (nothing for `sh`, which shows commands alone)."""
    if block.language == "sh":
        lines = (re.sub(r"\s+#.*", "", line) for line in block.text.splitlines())
        yield from ((line, "") for line in lines if line)
    else:
        for part in re.split(r"^\$ ", block.text, flags=re.MULTILINE)[1:]:
            command, _, output = part.partition("\n")
            yield command, output


def files(page: str) -> dict[str, str]:
    """Return the text of each file that a page has its reader write."""
    return {block.title: block.text for block in blocks(page) if block.title}
