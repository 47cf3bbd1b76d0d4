"""Draws docs/images/architecture.svg and the table of folders in docs/architecture.md from the imports: `python docs/make_architecture.py`.

An import counts however it is written: at the top, in a function, under `TYPE_CHECKING`, or by name as a text.
"""

from __future__ import annotations

import ast
import html
import re
import tomllib
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).parents[1]
PACKAGE = "lrbench"
PAGE, PICTURE = ROOT / "docs" / "architecture.md", ROOT / "docs" / "images" / "architecture.svg"
BY_NAME = frozenset({f"{PACKAGE}.study.catalog", PACKAGE})
"""These import by name what the catalogue found, and the public names of the package: no imports of their own."""
TABLE = re.compile(r"(?<=<!-- folders: make_architecture.py -->\n).*?(?=<!-- end of folders -->)", re.DOTALL)


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
    return module.split(".")[1] if "." in module else module


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
    for each in imports():
        if each.imported != each.importer:
            out[each.importer].add(each.imported)
    return out


def folders() -> dict[str, set[str]]:
    """Return the folders that each folder imports from; the lazy names of the package itself are no imports."""
    out: dict[str, set[str]] = {folder(name): set() for name in files() if name != PACKAGE}
    for each in imports():
        if each.crosses and each.importer != PACKAGE:
            out[folder(each.importer)].add(folder(each.imported))
    return out


def imports() -> Iterator[Import]:
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
                case ast.Constant(value=str(text)) if text in known and text != PACKAGE:
                    if module not in BY_NAME:
                        yield Import(module, text)


def contract(name: str) -> dict[str, Any]:
    """Return the import contract of that id in pyproject.toml."""
    with (ROOT / "pyproject.toml").open("rb") as file:
        (found,) = (
            each for each in tomllib.load(file)["tool"]["importlinter"]["contracts"] if each["id"] == name
        )
    return found


def layers() -> list[list[str]]:
    """Return the folders of each layer, from the top one down."""
    return [[name.strip() for name in layer.split("|")] for layer in contract("layers")["layers"]]


def side(name: str) -> int:
    """Return on which side a folder is drawn: 0 without JAX, 2 without pandas, 1 both or neither."""
    without = [f"{PACKAGE}.{name}" in contract(kind)["source_modules"] for kind in ("no-jax", "no-pandas")]
    return {(True, False): 0, (False, True): 2}.get((without[0], without[1]), 1)


def purpose(name: str) -> str:
    """Return the first sentence of a folder's page, or of a module that lies at the top."""
    path = ROOT / PACKAGE / name
    path = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
    said = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
    return " ".join(re.split(r"\n\n|(?<=[a-z])\.\s", said, maxsplit=1)[0].split()).removesuffix(".")


def table() -> str:
    """Return the folders from the top layer down: what each is for, and what it imports."""
    used = folders()
    rows = ["| folder | what is in it | imports |", "|---|---|---|"]
    for name in (name for layer in layers() for name in layer):
        link = f"[{name}](../{PACKAGE}/{name}{'' if (ROOT / PACKAGE / name).is_dir() else '.py'})"
        rows.append(f"| {link} | {purpose(name)} | {', '.join(sorted(used[name])) or '–'} |")
    return "\n".join([*rows, ""])


# ---- the drawing ----

WIDTH, ROW, BOX, HEIGHT, GAP = 1120, 74, 130, 40, 18
MIDDLES = 170, 410, 800
"""Where the sides of the drawing have their middles."""
INK, PAPER, LINE, FILL = "#1f2933", "#ffffff", "#7b8794", "#e8eef4"


class Box(NamedTuple):
    """A folder in the drawing."""

    name: str
    x: float
    y: float
    width: float = BOX

    @property
    def middle(self) -> float:
        """The middle between left and right."""
        return self.x + self.width / 2


def shortest(edges: Mapping[str, set[str]]) -> dict[str, set[str]]:
    """Return the imports that lead nowhere else on the way: those that a longer way replaces are left out."""

    def reached(start: str) -> set[str]:
        return edges[start].union(*map(reached, edges[start]))

    return {
        name: others - set().union(*(reached(other) for other in others)) for name, others in edges.items()
    }


def boxes() -> dict[str, Box]:
    """Return the place of every folder; what lies at the top of lrbench/, and all may import, is as wide as the drawing."""
    out: dict[str, Box] = {}
    for row, names in enumerate(layers()):
        y = 30 + row * ROW
        for each, middle in enumerate(MIDDLES):
            mine = [name for name in names if side(name) == each]
            left = middle - (len(mine) * BOX + (len(mine) - 1) * GAP) / 2
            out |= {name: Box(name, left + place * (BOX + GAP), y) for place, name in enumerate(mine)}
        if row and not any((ROOT / PACKAGE / name).is_dir() for name in names):
            out |= {name: Box(name, 20, y, WIDTH - 40) for name in names}
    return out


def drawing() -> str:
    """Return the folders as an SVG: what stands higher imports what stands lower."""
    at = boxes()
    edges = {
        name: {other for other in others if at[other].width == BOX} for name, others in folders().items()
    }
    arrows = [
        _arrow(at[one], at[other])
        for one, others in sorted(shortest(edges).items())
        for other in sorted(others)
    ]
    height = len(layers()) * ROW
    head = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height}" viewBox="0 0 {WIDTH} {height}" '
        'font-family="sans-serif" font-size="15">',
        "<title>The folders of lrbench, and which imports which</title>",
        '<marker id="end" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto">'
        f'<path d="M0 0L8 4L0 8z" fill="{LINE}"/></marker>',
        f'<rect width="100%" height="100%" fill="{PAPER}"/>',
        *(
            f'<text x="{x}" y="18" text-anchor="middle" font-size="13" fill="{LINE}">{text}</text>'
            for x, text in zip(MIDDLES, ("without JAX", "", "without pandas"), strict=True)
            if text
        ),
    ]
    return "\n".join([*head, *arrows, *map(_box, at.values()), "</svg>", ""])


def _arrow(start: Box, end: Box) -> str:
    x1, y1, x2, y2 = start.middle, start.y + HEIGHT, end.middle, end.y
    bend = min(y2 - y1, ROW) / 2
    path = f"M{x1:g} {y1:g}C{x1:g} {y1 + bend:g} {x2:g} {y2 - bend:g} {x2:g} {y2:g}"
    return f'<path d="{path}" fill="none" stroke="{LINE}" stroke-width="1.5" marker-end="url(#end)"/>'


def _box(box: Box) -> str:
    name, x, y, width = box
    frame = f'<rect x="{x:g}" y="{y:g}" width="{width:g}" height="{HEIGHT}" rx="6" fill="{FILL}" stroke="{LINE}"/>'
    text = f'<text x="{box.middle:g}" y="{y + 25:g}" text-anchor="middle" fill="{INK}">{name}</text>'
    return f"<g><title>{html.escape(purpose(name))}</title>{frame}{text}</g>"


def page() -> str:
    """Return the page with today's table of folders."""
    return TABLE.sub(lambda _: table(), PAGE.read_text(encoding="utf-8"))


if __name__ == "__main__":
    PICTURE.write_text(drawing(), encoding="utf-8")
    PAGE.write_text(page(), encoding="utf-8")
