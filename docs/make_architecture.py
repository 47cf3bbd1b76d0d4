"""Who imports what in lrbench/, however it is written: at the top, in a function, under `TYPE_CHECKING`, or by name as a text."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[1]
PACKAGE = "lrbench"
BY_NAME = frozenset({f"{PACKAGE}.study.catalog", PACKAGE})
"""These import by name what the catalogue found, and the public names of the package: no imports of their own."""


class Import(NamedTuple):
    """`importer` imports the module `imported`, or of that module `name`."""

    importer: str
    imported: str
    name: str = ""

    @property
    def crosses(self) -> bool:
        """Whether the two lie in different folders."""
        return folder(self.importer) != folder(self.imported)

    @property
    def private(self) -> bool:
        """Whether a name begins with an underscore, `__main__` and the like apart."""
        names = [*self.imported.split("."), self.name]
        return any(each.startswith("_") and not each.startswith("__") for each in names)


def folder(module: str) -> str:
    """Return the folder of lrbench/ that a module lies in; of one that lies at the top, its own name."""
    return ".".join(module.split(".")[:2])


@cache
def files() -> dict[str, Path]:
    """Return the file of each module."""
    paths = sorted((ROOT / PACKAGE).rglob("*.py"))
    return {
        ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path
        for path in paths
    }


def modules() -> dict[str, set[str]]:
    """Return what each module imports."""
    out: dict[str, set[str]] = {name: set() for name in files()}
    for each in found():
        if each.imported != each.importer:
            out[each.importer].add(each.imported)
    return out


def folders() -> dict[str, set[str]]:
    """Return the folders that each folder imports from."""
    out: dict[str, set[str]] = {folder(name): set() for name in files()}
    for each in found():
        if each.crosses:
            out[folder(each.importer)].add(folder(each.imported))
    return out


def found() -> Iterator[Import]:
    """Yield every import of the package's own modules."""
    known = files()
    for module, path in known.items():
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            match node:
                case ast.Import():
                    yield from (Import(module, alias.name) for alias in node.names if alias.name in known)
                case ast.ImportFrom(module=str(source), level=0) if source in known:
                    for alias in node.names:
                        inner = f"{source}.{alias.name}"
                        yield Import(module, inner) if inner in known else Import(module, source, alias.name)
                case ast.Constant(value=str(text)) if (
                    text in known and text != PACKAGE and module not in BY_NAME
                ):
                    yield Import(module, text)
