"""What `lrbench list` prints."""

from __future__ import annotations

import re
import tomllib

from lrbench.errors import StudyError
from lrbench.study import catalog
from lrbench.study.catalog import Entry
from lrbench.study.signature import REQUIRED, Parameter

_STUDY = "study"
_HINTS = dict.fromkeys(("problem", "optimizer", "schedule"), " (a list of values is an axis of the grid)") | {
    "launcher": " (in [launcher.{0}] of a study, or by --set launcher.{0}.PARAMETER=VALUE)"
}


def listing(kind: str | None = None, name: str | None = None) -> str:
    """Return the names of all kinds or of one kind, or the description of one entry.

    Args:
        kind: singular or plural: problem, problems, ...
        name: an entry of that kind.

    Raises:
        StudyError: if there is no such kind or name, with the nearest one.
    """
    kinds = [*catalog.FOLDERS, _STUDY]
    if kind is None:
        return "\n\n".join(_names(each) for each in kinds)
    singular = {"studies": _STUDY}.get(
        kind, kind.removesuffix("s") if kind.removesuffix("s") in kinds else kind
    )
    if singular not in kinds:
        raise StudyError(catalog.unknown("kind", kind, kinds))
    if name is None:
        return _names(singular)
    if singular == _STUDY:
        from lrbench.study.spec import path_of_study

        return path_of_study(name).read_text(encoding="utf-8").rstrip()
    return _entry(catalog.get(singular, name))


def _names(kind: str) -> str:
    rows = {name: _summary(kind, name) for name in catalog.names(kind)}
    width = max(map(len, rows), default=0)
    lines = [f"  {name:{width}}  {summary}".rstrip() for name, summary in rows.items()]
    return "\n".join([f"{kind}", *lines])


def _summary(kind: str, name: str) -> str:
    if kind == _STUDY:
        text = (catalog.STUDIES / f"{name}.toml").read_text(encoding="utf-8")
        table = tomllib.loads(text)
        first = text.split("\n", 1)[0].removeprefix("# ")
        return first if text.startswith("# ") else str(table["name"])
    entry = catalog.get(kind, name)
    return f"{entry.summary} ({entry.direction})" if kind == "metric" else entry.summary


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
