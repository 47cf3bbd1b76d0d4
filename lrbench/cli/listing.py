"""What `lrbench list` prints."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable
from typing import Any

from lrbench.errors import StudyError
from lrbench.study import catalog, study_file
from lrbench.study.catalog import KINDS, STUDY, Entry
from lrbench.study.signature import REQUIRED, Parameter

_HINTS = dict.fromkeys(("problem", "optimizer", "schedule"), " (a list of values is an axis of the grid)") | {
    "launcher": " (in [launcher.{0}] of a study, or by --set launcher.{0}.PARAMETER=VALUE)"
}


def listing(what: str | None = None, name: str | None = None) -> str:
    """Return the names of all kinds, of one kind or with a text in them, or the description of one entry.

    Args:
        what: a kind, singular or plural: problem, problems, ...; or a name, or a part of names, of any kind.
        name: an entry of that kind.

    Raises:
        StudyError: if there is no such kind or name, with the nearest ones.
    """
    found = _found(what, name)
    if name is not None:
        return _described(*found[0])
    exact = [each for each in found if each[1] == what]
    if what is None or _kind(what) or len(exact) != 1:
        return "\n\n".join(_names(kind, found) for kind in KINDS if any(kind == each for each, _ in found))
    others: dict[str, list[str]] = {}
    for kind, each in found:
        if each != what:
            others.setdefault(kind, []).append(each)
    listed = "; ".join(f"{kind} {', '.join(names)}" for kind, names in others.items())
    return _described(*exact[0]) + (f"\n\nOther names with {what} in them: {listed}." if others else "")


def entries(what: str | None = None, name: str | None = None) -> list[dict[str, Any]]:
    """Return what `listing` lists as plain data: the arguments of `json_schema.ListedEntry`; arguments and errors are the same."""
    return [_plain(kind, each) for kind, each in _found(what, name)]


def _found(what: str | None, name: str | None) -> list[tuple[str, str]]:
    """Return kind and name of each entry that is asked for."""
    if what is None:
        return [(kind, each) for kind in KINDS for each in catalog.names(kind)]
    kind = _kind(what)
    if name is not None:
        if not kind:
            raise StudyError(catalog.unknown("kind", what, [*KINDS], "`lrbench list --help` names"))
        if kind != STUDY:
            catalog.get(kind, name)
        return [(kind, name)]
    if kind:
        return [(kind, each) for each in catalog.names(kind)]
    every = [(kind, each) for kind in KINDS for each in catalog.names(kind)]
    found = [(kind, each) for kind, each in every if what.lower() in each.lower()]
    if not found or not what:
        known = dict.fromkeys([*KINDS, *(each for _, each in every)])
        raise StudyError(catalog.unknown("kind or name", what, [*known], "`lrbench list` lists"))
    return found


def _kind(what: str) -> str:
    """Return the kind that a word means, singular or plural; empty if none."""
    return next((kind for kind in KINDS if what in (kind, catalog.plural(kind))), "")


def _described(kind: str, name: str) -> str:
    """Return the description of an entry; of a study, or of a problem as a study, its text."""
    return study_file.text(name).rstrip() if kind == STUDY else _entry(catalog.get(kind, name))


def _names(kind: str, found: Iterable[tuple[str, str]]) -> str:
    rows = {name: _summary(kind, name) for each, name in found if each == kind}
    width = max(map(len, rows), default=0)
    lines = [f"  {name:{width}}  {summary}".rstrip() for name, summary in rows.items()]
    return "\n".join([f"{kind}", *lines])


def _summary(kind: str, name: str) -> str:
    if kind == STUDY:
        text = study_file.text(name)
        table = tomllib.loads(text)
        first = text.split("\n", 1)[0].removeprefix("# ")
        return first if text.startswith("# ") else str(table["name"])
    entry = catalog.get(kind, name)
    return f"{entry.summary} ({entry.direction})" if kind == "metric" else entry.summary


def _plain(kind: str, name: str) -> dict[str, Any]:
    if kind == STUDY:
        return {"kind": kind, "name": name, "summary": _summary(kind, name), "text": _described(kind, name)}
    entry = catalog.get(kind, name)
    settings = {
        key: [
            {
                "name": each.name,
                "type": each.annotation,
                "required": each.default is REQUIRED,
                "default": None if each.default is REQUIRED else each.default,
                "meaning": each.doc,
            }
            for each in found.values()
        ]
        for key, found in (("parameters", entry.parameters), ("options", entry.options))
    }
    return {"kind": kind, "name": name, "summary": entry.summary, "text": entry.doc, **settings}


def _entry(entry: Entry) -> str:
    # Those that can be set are listed below, with types and defaults.
    doc = re.sub(r"\nArgs:\n(?: .*\n|\n(?= ))*|\nMetrics: .*\n", "", entry.doc + "\n").rstrip()
    lines = [f"{entry.kind} {entry.name}", "", *doc.split("\n")]
    if entry.kind == "metric":
        lines += ["", f"Direction: {entry.direction}"]
    lines += _metrics(entry)
    if entry.parameters:
        lines += ["", f"Parameters{_HINTS.get(entry.kind, '').format(entry.name)}:"]
        lines += [_parameter(entry.kind, parameter) for parameter in entry.parameters.values()]
    if entry.options:
        lines += ["", f"Options of every {entry.kind}:"]
        lines += [_parameter(entry.kind, option) for option in entry.options.values()]
    if entry.path is not None:
        lines += [
            "",
            f"Defined in lrbench/{entry.path.relative_to(catalog.PACKAGE).as_posix()}, line {entry.line}.",
        ]
    return "\n".join(lines)


def _metrics(entry: Entry) -> list[str]:
    """Return the metrics of a problem, a line each: where it applies, and which values are better."""
    known = catalog.names("metric")
    lines = []
    for name, where in entry.measures.items():
        better = catalog.get("metric", name).direction if name in known else "smaller is better"
        lines.append(f"    {name}{f' {where}' if where else ''}: {better}")
    return ["", "Metrics (the first is shown beside the loss):", *lines] if lines else []


def _parameter(kind: str, parameter: Parameter) -> str:
    default = "required" if parameter.default is REQUIRED else f"default {_toml(parameter.default)}"
    role = "; a lane" if parameter.numeric and kind == "optimizer" else ""
    return f"    {parameter.name} ({parameter.annotation}, {default}{role}): {parameter.doc}"


def _toml(value: object) -> str:
    """Return a default as a study file would write it."""
    if isinstance(value, bool):
        return str(value).lower()
    return str(list(value)) if isinstance(value, tuple) else "none" if value is None else str(value)
