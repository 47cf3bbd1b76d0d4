"""The page of an experiment, in Markdown: its findings, its pictures, how they were measured, and what its tables hold.

Every number on a page is from the table `findings`, so that a page can be made again from the files beside it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from lrbench.experiments.findings import Finding, interval, of_table, quantity
from lrbench.study import catalog

NAME = "README.md"
"""The file of a page."""
FINDINGS = "findings"
"""The table that a page is made from; its column `command` says what was run, and `measured_with` on what."""
MAIN = 5
"""So many findings, the first ones, are an experiment's main ones, which an index lists."""


def render(name: str, folder: Path) -> str:
    """Return the page of an experiment whose tables and pictures are in a folder."""
    entry = catalog.get("experiment", name)
    found = pd.read_csv(folder / f"{FINDINGS}.csv")
    captions = entry.section("Pictures")
    pictures = [
        f"![{said}]({each}.png)" for each, said in captions.items() if (folder / f"{each}.png").exists()
    ]
    tables = [
        f"- `{each}.csv`: {_escaped(said)}"
        for each, said in entry.section("Tables").items()
        if (folder / f"{each}.csv").exists()
    ]
    parts = [
        f"# {name}",
        _escaped(_paragraphs(entry.doc)[0]),
        f"```text\n{found['command'].iloc[0]}\n```",
        _table(found),
        *pictures,
        "## How it was measured",
        *map(_escaped, _paragraphs(entry.doc)[1:]),
        f"Measured with {found['measured_with'].iloc[0]}.",
        *(["## Tables", "\n".join(tables)] if tables else []),
    ]
    return "\n\n".join(parts) + "\n"


def index(folders: Sequence[Path]) -> str:
    """Return a table of what experiments measure and of their main findings, each in a folder of its name, with what measures it again."""
    rows = ["| experiment | finding | | 95 % interval | expected | command |", "|---|---|---|---|---|---|"]
    for folder in folders:
        name = f"[{folder.name}]({folder.name}/{NAME})"
        asked = _paragraphs(catalog.get("experiment", folder.name).doc)[0]
        rows.append(f"| **{name}** | *{_cell(asked)}* | | | | |")
        frame = pd.read_csv(folder / f"{FINDINGS}.csv")
        for row, one in zip(frame.itertuples(), of_table(frame)[:MAIN], strict=False):
            rule = f"{_cell(one.rule)}: {_verdict(one)}" if _verdict(one) else ""
            cells = [name, _cell(one.what), _cell(quantity(one)), interval(one), rule, f"`{row.command}`"]
            rows.append(f"| {' | '.join(cells)} |")
    return "\n".join(rows) + "\n"


def _table(found: pd.DataFrame) -> str:
    """Return all findings as a table."""
    findings = of_table(found)
    ruled = any(one.rule for one in findings)
    head = ["finding", "", "95 % interval", *(["expected", ""] if ruled else [])]
    rows = [head, ["---"] * len(head)]
    for one in findings:
        cells = [_cell(one.what), _cell(quantity(one)), interval(one)]
        rows.append([*cells, *([_cell(one.rule), _verdict(one)] if ruled else [])])
    return "\n".join(f"| {' | '.join(cells)} |" for cells in rows)


def _verdict(one: Finding) -> str:
    return f"**{one.verdict}**" if one.met is False else one.verdict


def _paragraphs(doc: str) -> list[str]:
    """Return the paragraphs of a docstring before its sections, and its source."""
    body, *_ = re.split(r"^(?:Args|Pictures|Tables|Source|Raises):", doc, maxsplit=1, flags=re.MULTILINE)
    source = re.search(r"^Source: .+(?:\n .+)*", doc, flags=re.MULTILINE)
    texts = [*body.split("\n\n"), source[0] if source else ""]
    return [" ".join(text.split()) for text in texts if text.strip()]


def _cell(text: str) -> str:
    return _escaped(text).replace("|", r"\|")


def _escaped(text: str) -> str:
    """Return a text whose asterisks, outside code, are not Markdown's."""
    parts = text.split("`")
    return "`".join(part.replace("*", r"\*") if at % 2 == 0 else part for at, part in enumerate(parts))
