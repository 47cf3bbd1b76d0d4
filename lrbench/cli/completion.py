"""What the shell completes: names of the catalogue, studies and results folders. Nothing slow is imported here."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from typer import Context

from lrbench.study import catalog
from lrbench.study.catalog import KINDS


def studies(incomplete: str) -> list[str]:
    """Return the study files, and the names of studies and problems, that begin so."""
    files = map(str, _base(incomplete).glob("*.toml"))
    return _begin(incomplete, [*files, *catalog.names("study"), *catalog.names("problem")])


def folders(incomplete: str) -> list[str]:
    """Return the results folders that begin so: where the path leads, and in `results/` there."""
    base = _base(incomplete)
    found = (*base.glob("*/manifest.json"), *base.glob("results/*/manifest.json"))
    return _begin(incomplete, (str(path.parent) for path in found))


def kinds_and_names(incomplete: str) -> list[str]:
    """Return what `lrbench list` can be asked for that begins so."""
    names = (name for kind in KINDS for name in catalog.names(kind))
    return _begin(incomplete, [*map(catalog.plural, KINDS), *KINDS, *names])


def names_of_kind(context: Context, incomplete: str) -> list[str]:
    """Return the names of the kind before that begin so."""
    before = context.params.get("what")
    kind = next((kind for kind in KINDS if before in (kind, catalog.plural(kind))), None)
    return _begin(incomplete, catalog.names(kind)) if kind else []


def problems(context: Context, incomplete: str) -> list[str]:
    """Return the problems of the results folder before that begin so."""
    return _begin(incomplete, _problems(context.params.get("folder")))


def plots(incomplete: str) -> list[str]:
    """Return the plots that begin so."""
    return _begin(incomplete, catalog.names("plot"))


def launchers(incomplete: str) -> list[str]:
    """Return the launchers that begin so."""
    return _begin(incomplete, catalog.names("launcher"))


def exporters(incomplete: str) -> list[str]:
    """Return the exporters that begin so."""
    return _begin(incomplete, catalog.names("exporter"))


def experiments(incomplete: str) -> list[str]:
    """Return the experiments that begin so."""
    return _begin(incomplete, catalog.names("experiment"))


def _problems(folder: object) -> Iterator[str]:
    """Yield the names of the problems of a results folder, if it can be read."""
    import json

    try:
        manifest = json.loads(Path(str(folder), "manifest.json").read_text(encoding="utf-8"))
        yield from dict.fromkeys(str(problem["name"]) for problem in manifest["problems"])
    except (OSError, ValueError, KeyError, TypeError):
        return


def _base(incomplete: str) -> Path:
    """Return the folder that an unfinished path leads to."""
    return Path(incomplete if incomplete.endswith("/") else incomplete.rpartition("/")[0] or ".")


def _begin(incomplete: str, names: Iterable[str]) -> list[str]:
    return sorted({name for name in names if name.startswith(incomplete)})
