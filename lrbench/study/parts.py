"""A study of parts: several grids that answer one question together, in one study file."""

from __future__ import annotations

import copy
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

from lrbench.errors import StudyError
from lrbench.study import spec
from lrbench.study.catalog import unknown
from lrbench.study.overrides import assign, launchers, shorten
from lrbench.study.spec import Study

Page = Literal["claims"]
_OWN = ("name", "page", "part")
_NAME = re.compile(r"[a-z0-9_-]{1,32}")


@dataclass(frozen=True)
class Parts:
    """Several studies, and the page that is made of what they measured.

    Args:
        name: of the whole; also the results folder.
        page: what is made of all parts together.
        studies: name of a part, which is its folder inside the results folder → its study.
    """

    name: str
    page: Page
    studies: Mapping[str, Study]

    def table(self, folder: Path) -> dict[str, Any]:
        """Return it as plain data, as a study file in that folder would hold it."""
        each = {name: part.table(folder) for name, part in self.studies.items()}
        for part in each.values():
            del part["name"]
        return {"name": self.name, "page": self.page, "part": each}


def read(
    asked: str | os.PathLike[str] | Mapping[str, Any], overrides: Sequence[str] = (), *, trust: bool = False
) -> Study | Parts:
    """Read and check a study of one grid or of parts: a file, the name of a built-in one, or a mapping.

    Args:
        asked: path, built-in name, or the same as a mapping.
        overrides: texts `key=value`: of a study of parts, `part.NAME.key=value` sets a key of one part, and any other
            key is set in every part.
        trust: whether code that the study names (`file.py:function`) may be run.

    Raises:
        StudyError: with one line that names file, key, value and what is allowed.

    >>> sorted(read("claims").studies)
    ['families', 'scale', 'schedules', 'step', 'wells']
    """
    if isinstance(asked, Mapping):
        table, where, folder = copy.deepcopy(dict(asked)), "study", Path()
    else:
        (table, folder), where = spec.load(asked), str(asked)
    if "part" not in table:
        return spec.read(asked, overrides, trust=trust)
    for text in overrides:
        _override(table, text)
    _check(table, where)
    studies = {}
    for name, part in table["part"].items():
        own = [text.removeprefix(f"part.{name}.") for text in overrides]
        shorten(part, own)
        given = {"name": f"{table['name']}-{name}", **part}
        said = None if isinstance(asked, Mapping) else launchers(own)
        studies[name] = spec.check(given, f"{where}: part.{name}", trust=trust, folder=folder, commanded=said)
    return Parts(table["name"], table["page"], studies)


def _override(table: dict[str, Any], text: str) -> None:
    """Set a key of one part (`part.NAME.key=value`), or of every part."""
    if re.split(r"[.=]", text.strip(), maxsplit=1)[0].strip() in _OWN:
        assign(table, text)
    elif isinstance(table["part"], dict):
        for part in table["part"].values():
            assign(part, text)


def _check(table: Mapping[str, Any], where: str) -> None:
    """Refuse what is no study of parts, in one line."""
    for key, value in table.items():
        if key not in _OWN:
            said = unknown("key", key, list(_OWN))
            raise StudyError(f"{where}: {key} = {value!r}: {said}; the keys of a study stand in its parts")
    name, page, parts = (table.get(key) for key in _OWN)
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise StudyError(f"{where}: name = {name!r}: must be 1 to 32 of a-z, 0-9, _ and -")
    if page not in get_args(Page):
        raise StudyError(f"{where}: page = {page!r}: {unknown('page', str(page), list(get_args(Page)))}")
    if not isinstance(parts, dict) or not parts or not all(isinstance(part, dict) for part in parts.values()):
        raise StudyError(f"{where}: part: must be tables [part.NAME], each of them a study")
    for each in parts:
        if not _NAME.fullmatch(each) or each in {"plots", "parts"}:
            raise StudyError(
                f"{where}: part.{each}: the name of a part must be 1 to 32 of a-z, 0-9, _ and -, but not plots or parts"
            )
