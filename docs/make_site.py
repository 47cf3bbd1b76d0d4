"""Builds the site of the documentation, into build/site: `make docs`.

The pages of docs/ are written to be read in the repository, too, and link to files of it. Here they are copied together with what they link to, and
with pages that are made: the catalogue entry by entry, the Python API, the notebook, and the source. Sphinx then finds any link that leads nowhere.
"""

from __future__ import annotations

import ast
import json
import posixpath
import re
import runpy
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import lrbench
from lrbench.study import catalog

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
ASSEMBLED = ROOT / "build" / "site-pages"
SITE = ROOT / "build" / "site"

NAVIGATION: dict[str, list[str]] = {
    "Tutorials": ["installing", "tune-my-model", "first-study", "tutorial"],
    "How to": [
        *("own-data", "own-code", "model-libraries", "python", "search-spaces", "weights"),
        *("laptop", "gpu-box", "slurm", "ray", "tpu-host", "shards", "anywhere", "machine"),
    ],
    "Reference": [
        "study-file",
        "command-line",
        "api",
        "results",
        "answer",
        "plots",
        "definitions",
        "faults",
        "catalogue/index",
    ],
    "Explanation": [
        *("something-else", "engine", "architecture", "speed", "experiments", "claims", "results/README"),
        *("project/CONTRIBUTING", "releasing", "project/CHANGELOG", "project/SECURITY"),
    ],
}
"""The sections of the site and their pages."""
ORPHAN = "---\norphan: true\n---\n\n"
"""The head of a page that is in no section: other pages link to it."""
HIDDEN = "---\norphan: true\nnosearch: true\n---\n\n"
"""The head of such a page that the search leaves out, too."""
LANGUAGES = {
    ".py": "python",
    ".toml": "toml",
    ".sh": "bash",
    ".js": "js",
    ".css": "css",
    ".jinja": "html+jinja",
}
"""The languages of files of source."""
_LINK = re.compile(r"(?<=\]\()(?!https?:|mailto:|#|<)([^)\s#]+)(#[^)\s]*)?(?=\))")
_CATALOGUE = runpy.run_path(str(DOCS / "make_catalogue.py"))
_MEASURED = runpy.run_path(str(DOCS / "measured.py"))


def build() -> int:
    """Assemble the pages and build the site; return the exit code of Sphinx."""
    shutil.rmtree(ASSEMBLED, ignore_errors=True)
    for path, text in _pages():
        _write(path, text)
    for path in _named_sources():
        _write(_page_of(path), _source(path))
    for source in _files():
        target = ASSEMBLED / _page_of(_repository_path(source))
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, target)
    # Every warning is an error: a link that leads nowhere, a page that is in no section.
    words = [
        "-m",
        "sphinx",
        "--fail-on-warning",
        "--keep-going",
        "--quiet",
        "-c",
        str(DOCS),
        str(ASSEMBLED),
        str(SITE),
    ]
    return subprocess.run([sys.executable, *words], check=False).returncode


def _write(path: str, text: str) -> None:
    target = ASSEMBLED / path
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(text, encoding="utf-8")


def _pages() -> Iterator[tuple[str, str]]:
    """Yield every page of the site: its path there, and its text."""
    for path in DOCS.glob("*.md"):
        if path.name != "catalogue.md":
            text = _linked(path.read_text(encoding="utf-8"), f"docs/{path.name}")
            yield path.name, text + (_contents() if path.name == "index.md" else "")
    for path in [*ROOT.glob("[A-Z]*.md"), *_published("*.md")]:
        where = _repository_path(path)
        known = f"project/{path.stem}" in NAVIGATION["Explanation"] or where == "results/README.md"
        yield _page_of(where), ("" if known else ORPHAN) + _linked(path.read_text(encoding="utf-8"), where)
    yield "tutorial.md", _linked(_notebook(DOCS / "tutorial.ipynb"), "docs/tutorial.ipynb")
    yield "api.md", _api()
    yield from _catalogue()


def _files() -> Iterator[Path]:
    """Yield the pictures and tables that pages show or link to."""
    yield from (DOCS / "images").iterdir()
    for kind in ("*.png", "*.csv", "*.html"):
        yield from _published(kind)


def _published(pattern: str) -> list[Path]:
    """Return the files in results/ that are published: those of an experiment or a benchmark itself, none of its studies'."""
    found = [
        *(ROOT / "results").glob(pattern),
        *(ROOT / "results").glob(f"*/{pattern}"),
        *(ROOT / "results").glob(f"*/plots/{pattern}"),
    ]
    kept = subprocess.run(
        ["git", "-C", str(ROOT), "check-ignore", *map(str, found)],
        capture_output=True,
        text=True,
        check=False,
    )
    ignored = set(kept.stdout.splitlines())
    return [path for path in found if str(path) not in ignored]


# ---- where a file of the repository is on the site ----


def _repository_path(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def _page_of(path: str) -> str:
    """Return the path on the site of a file or a folder of the repository."""
    if path == "docs/tutorial.ipynb":
        return "tutorial.md"
    if path.startswith("docs/") and not path.endswith(".py"):
        return path.removeprefix("docs/")
    if path.startswith("results"):
        return path if Path(path).suffix else f"{path}/README.md"
    if path.endswith(".md"):
        return f"project/{path}"
    return f"source/{path}/index.md" if (ROOT / path).is_dir() else f"source/{path}.md"


def _linked(text: str, where: str) -> str:
    """Return the text of a file of the repository, with its links leading to pages of the site."""
    here = posixpath.dirname(_page_of(where)) or "."

    def moved(found: re.Match[str]) -> str:
        aim, anchor = posixpath.normpath(posixpath.join(posixpath.dirname(where), found[1])), found[2] or ""
        if aim == "docs/catalogue.md":
            return posixpath.relpath(_entry_page(anchor.removeprefix("#")), here)
        return posixpath.relpath(_page_of(aim), here) + anchor

    return _LINK.sub(moved, text)


# ---- pages that are made ----


def _contents() -> str:
    """Return the tables of contents of all sections, which the home page has, but does not show."""
    return "".join(_toctree(pages, title) for title, pages in NAVIGATION.items())


def _toctree(pages: Sequence[str], title: str = "") -> str:
    head = f":caption: {title}\n" if title else ""
    return f"\n```{{toctree}}\n:hidden:\n{head}\n" + "\n".join(pages) + "\n```\n"


def _notebook(path: Path) -> str:
    """Return a notebook as a page: its texts and its code."""
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    parts = [
        text if cell["cell_type"] == "markdown" else f"```python\n{text}\n```"
        for cell in cells
        for text in ["".join(cell["source"])]
    ]
    parts.insert(1, "This page is the notebook `docs/tutorial.ipynb`: open it in Jupyter to run it.")
    return "\n\n".join(parts) + "\n"


def _api() -> str:
    """Return the page of the Python API: every public name, from its docstring."""
    head = "# Python\n\nEverything that `import lrbench as lb` has. [From Python](python.md) shows how the parts are used together.\n"
    parts = [
        f"## {name}\n\n```{{eval-rst}}\n.. {_directive(name)}\n```\n"
        for name in lrbench.__all__
        if name != "problems"
    ]
    return "\n".join([head, *parts])


def _directive(name: str) -> str:
    return (
        f"autoclass:: lrbench.{name}\n   :members:" if name[0].isupper() else f"autofunction:: lrbench.{name}"
    )


def _catalogue() -> Iterator[tuple[str, str]]:
    """Yield the pages of the catalogue: one of all kinds, one of each kind, and one of each entry."""
    kinds = {kind: catalog.plural(kind) for kind in (*catalog.FOLDERS, catalog.STUDY)}
    rows = [f"| [{many}]({many}/index.md) | {len(catalog.names(kind))} |\n" for kind, many in kinds.items()]
    contents = _toctree([f"{many}/index" for many in kinds.values()])
    head = _from_catalogue(_CATALOGUE["HEAD"], "catalogue/index.md")
    yield "catalogue/index.md", f"{head}\n| kind | entries |\n|---|---|\n{''.join(rows)}{contents}"
    for kind in catalog.FOLDERS:
        yield from _kind(kind, f"catalogue/{kinds[kind]}")
    studies = "\n".join(_CATALOGUE["studies"]()).replace("## ", "# ", 1)
    yield f"catalogue/{kinds[catalog.STUDY]}/index.md", studies


def _kind(kind: str, folder: str) -> Iterator[tuple[str, str]]:
    entries = [catalog.get(kind, name) for name in catalog.names(kind)]
    rows = "".join(f"| [{each.name}]({each.name}.md) | {_cell(each.summary)} |\n" for each in entries)
    title = catalog.plural(kind).capitalize()
    measured = _MEASURED["sections"]()
    yield f"{folder}/index.md", f"# {title}\n\n| name | what it is |\n|---|---|\n{rows}"
    for entry in entries:
        text = "\n".join(_CATALOGUE["entry_lines"](entry)).replace("### ", "# ", 1)
        text += measured.get((kind, entry.name), "")
        yield f"{folder}/{entry.name}.md", ORPHAN + _from_catalogue(text, f"{folder}/{entry.name}.md")


def _from_catalogue(text: str, page: str) -> str:
    """Return what docs/catalogue.md says of an entry, as a page of its own."""
    folder = posixpath.dirname(page)

    def moved(found: re.Match[str]) -> str:
        aim = posixpath.normpath(posixpath.join("docs", found[1]))
        return posixpath.relpath(_page_of(aim), folder) + (found[2] or "")

    return _LINK.sub(moved, text)


def _entry_page(name: str) -> str:
    """Return the page that an anchor of docs/catalogue.md stands for: that of a kind or of an entry."""
    for kind in catalog.FOLDERS:
        if name == catalog.plural(kind):
            return f"catalogue/{name}/index.md"
        if name in catalog.names(kind):
            return f"catalogue/{catalog.plural(kind)}/{name}.md"
    return "catalogue/index.md"


def _cell(text: str) -> str:
    return text.replace("|", r"\|")


def _named_sources() -> set[str]:
    """Return the files and folders of source that a page links to."""
    links = (
        posixpath.normpath(posixpath.join(page.relative_to(ASSEMBLED).parent.as_posix(), link[1]))
        for page in ASSEMBLED.rglob("*.md")
        for link in _LINK.finditer(page.read_text(encoding="utf-8"))
    )
    named = {link.removeprefix("source/") for link in links if link.startswith("source/")}
    return {path.removesuffix("/index.md").removesuffix(".md") for path in named}


def _source(path: str) -> str:
    """Return the page of a file, with its text, or of a folder, with what it says of itself and the names of its files."""
    place = ROOT / path
    if place.is_dir():
        opening = place / "__init__.py"
        about = ast.get_docstring(ast.parse(opening.read_text(encoding="utf-8"))) if opening.exists() else ""
        names = sorted(each.name for each in place.iterdir() if not each.name.startswith((".", "__")))
        return f"{HIDDEN}# {path}\n\n{about}\n\n" + "\n".join(f"- `{name}`" for name in names) + "\n"
    text = place.read_text(encoding="utf-8")
    return f"{HIDDEN}# {path}\n\n~~~~~~{LANGUAGES.get(place.suffix, 'text')}\n{text}\n~~~~~~\n"


if __name__ == "__main__":
    sys.exit(build())
