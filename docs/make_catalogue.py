"""Generates docs/catalogue.md from the docstrings of the catalogue: `python docs/make_catalogue.py`."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

from lrbench.study import catalog
from lrbench.study.catalog import Entry
from lrbench.study.signature import REQUIRED, Parameter

PAGE = Path(__file__).with_name("catalogue.md")
HEAD = """\
# Catalogue

Everything that a study file, the command line and Python can name. `python docs/make_catalogue.py` generates this page from
the docstrings; `lrbench list KIND NAME` prints the same in a terminal.

A parameter that is a *lane* costs no new program, however many values it has, and neither does any parameter of a schedule; each
value of any other parameter compiles a program of its own. For your own problems, optimizers and schedules, see [own code](own-code.md).
"""
_KINDS = {
    "problem": "Problems",
    "optimizer": "Optimizers",
    "schedule": "Schedules",
    "probe": "Probes",
    "metric": "Metrics",
    "table": "Tables",
    "plot": "Plots",
    "launcher": "Launchers",
    "exporter": "Exporters",
    "experiment": "Experiments",
}
_SCHEDULES = """\
The shapes with their defaults, drawn by `python docs/make_schedules.py`:

![A small plot of every schedule: the learning rate over a run, as a share of its peak](images/schedules.png)
"""
_COLUMNS = "| parameter | type | default | meaning |\n|---|---|---|---|"
_LEFT_OUT = ("Args:", "Columns:", "Pictures:", "Tables:", "Returns:", "Raises:", "Example:", ">>>")


def page() -> str:
    """Return the page as Markdown."""
    return "\n".join([HEAD, *(line for kind in catalog.FOLDERS for line in _folder(kind)), *studies()])


def _folder(kind: str) -> Iterator[str]:
    yield f"## {_KINDS.get(kind, kind.capitalize())}\n"
    if kind == "schedule":
        yield _SCHEDULES
    if options := catalog.options(kind):
        yield f"Options of every {kind}; an option that is not set is not part of the compiled program:\n"
        yield _COLUMNS
        yield from (_row(option, kind) for option in options.values())
        yield ""
    for name in catalog.names(kind):
        yield from entry_lines(catalog.get(kind, name))


def entry_lines(entry: Entry) -> Iterator[str]:
    yield f"### {entry.name}\n"
    for paragraph in re.split(r"\n\n(?=\S)", entry.doc):
        text = " ".join(paragraph.split())
        if text.startswith("Formula:"):
            yield f"`{re.sub('  +', ' ', text.removeprefix('Formula:')).strip()}`\n"
        elif text.startswith("Metrics:"):
            each = (f"`{name}` {where}".rstrip() for name, where in entry.measures.items())
            yield f"Metrics: {', '.join(each)}\n"
        elif not text.startswith(_LEFT_OUT):
            yield f"{text}\n"
    if entry.kind == "metric":
        yield f"Direction: {entry.direction}.\n"
    if entry.kind == "table":
        yield f"Its columns are explained in [results](results.md#{entry.name}).\n"
    if entry.kind == "experiment":
        yield f"[What it found](../results/{entry.name}/README.md), with its tables and pictures.\n"
    if entry.parameters:
        yield _COLUMNS
        yield from (_row(parameter, entry.kind) for parameter in entry.parameters.values())
        yield ""
    if entry.path is not None:
        place = entry.path.relative_to(catalog.PACKAGE.parent).as_posix()
        yield f"Defined in [{place}](../{place}).\n"


def _row(parameter: Parameter, kind: str) -> str:
    default = "required" if parameter.default is REQUIRED else f"`{_toml(parameter.default)}`"
    role = ", a lane" if parameter.numeric and kind == "optimizer" else ""
    cells = (f"`{parameter.name}`", f"`{parameter.annotation}`{role}", default, parameter.doc)
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _toml(value: object) -> str:
    """Return a default as a study file would write it."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple):
        return str(list(value))
    return "none" if value is None else f'"{value}"' if isinstance(value, str) else str(value)


def studies() -> Iterator[str]:
    yield "## Studies\n\n`lrbench list studies NAME` prints the file of a built-in study, to copy and change.\n"
    for name in catalog.names("study"):
        text = (catalog.STUDIES / f"{name}.toml").read_text(encoding="utf-8")
        first = text.split("\n", 1)[0]
        about = first.removeprefix("# ") if first.startswith("# ") else str(tomllib.loads(text)["name"])
        yield f"- `{name}`: {about}"
    yield ""


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
