"""What the shell completes: names of the catalogue, studies and results folders. Every command imports this, so that it imports little."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from typer import Context


def studies(incomplete: str) -> list[str]:
    """Return the study files, and the names of studies and problems, that begin so."""
    files = map(str, _base(incomplete).glob("*.toml"))
    return _begin(incomplete, [*files, *_names("study", "problem")])


def folders(incomplete: str) -> list[str]:
    """Return the results folders that begin so: where the path leads, and in `results/` there."""
    base = _base(incomplete)
    found = (*base.glob("*/manifest.json"), *base.glob("results/*/manifest.json"))
    return _begin(incomplete, (str(path.parent) for path in found))


def kinds_and_names(incomplete: str) -> list[str]:
    """Return what `lrbench list` can be asked for that begins so."""
    from lrbench.study.catalog import KINDS, plural

    return _begin(incomplete, [*KINDS, *map(plural, KINDS), *_names(*KINDS)])


def names_of_kind(context: Context, incomplete: str) -> list[str]:
    """Return the names of the kind before that begin so."""
    from lrbench.study.catalog import KINDS, plural

    before = context.params.get("what")
    return _begin(incomplete, _names(*(kind for kind in KINDS if before in (kind, plural(kind)))))


def problems(context: Context, incomplete: str) -> list[str]:
    """Return the problems of the results folder before that begin so."""
    # The option whose value is missing so far ends typer's parsing: what came before it is in `args`.
    folder = context.params.get("folder") or next(iter(context.args), "")
    return _begin(incomplete, _problems(folder))


def plots(incomplete: str) -> list[str]:
    """Return the plots that begin so."""
    return _begin(incomplete, _names("plot"))


def launchers(incomplete: str) -> list[str]:
    """Return the launchers that begin so."""
    return _begin(incomplete, _names("launcher"))


def known_devices(incomplete: str) -> list[str]:
    """Return the devices that a study can be planned for that begin so."""
    from lrbench.engine.known_devices import DEVICES

    return _begin(incomplete, list(DEVICES))


def exporters(incomplete: str) -> list[str]:
    """Return the exporters that begin so."""
    return _begin(incomplete, _names("exporter"))


def experiments(incomplete: str) -> list[str]:
    """Return the experiments that begin so."""
    return _begin(incomplete, _names("experiment"))


def _names(*kinds: str) -> list[str]:
    from lrbench.study import catalog

    return [name for kind in kinds for name in catalog.names(kind)]


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
