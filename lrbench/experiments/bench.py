"""What an experiment works at: it trains studies, and writes tables and pictures."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lrbench.errors import StudyError, path_of
from lrbench.execution.execute import Finished, execute
from lrbench.execution.listener import Listener
from lrbench.results import inside
from lrbench.results.folder import Store
from lrbench.results.results import Results
from lrbench.study import catalog
from lrbench.study.overrides import assign

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class Answer:
    """What an experiment found: lines to read, and the files that it wrote."""

    lines: tuple[str, ...]
    paths: tuple[Path, ...]


class Unfinished(Exception):
    """A study of an experiment that could not be finished; its runs so far are saved."""

    def __init__(self, finished: Finished) -> None:
        """Keep what became of the study."""
        super().__init__(finished.failures[0].error)
        self.finished = finished


@dataclass(frozen=True)
class Bench:
    """A folder for an experiment, the devices that train, and who is told.

    Args:
        folder: of the experiment; each of its studies has a folder in it, named as the study.
        devices: how many are used; all, left out.
        listener: told of the progress.
    """

    folder: Path
    devices: int | None = None
    listener: Listener = field(default_factory=Listener)

    def train(self, study: Mapping[str, Any]) -> Results:
        """Train the runs of a study that its folder does not hold yet, and return all of its results.

        Raises:
            Unfinished: if some of its packs failed.
        """
        folder = inside.path(self.folder, study["name"])
        finished = execute(study, folder, devices=self.devices, report=False, listener=self.listener)
        if finished.failures:
            raise Unfinished(finished)
        return finished.results

    def write_table(self, name: str, frame: pd.DataFrame) -> tuple[Path, ...]:
        """Write a table as CSV and Parquet, and return the paths."""
        self.listener.check()
        Store(self.folder).write_table(name, frame)
        return tuple(self.folder / f"{name}.{kind}" for kind in ("csv", "parquet"))

    def write_picture(self, name: str, figure: Figure) -> tuple[Path, ...]:
        """Write a picture as PNG and SVG, and return the paths."""
        self.listener.check()
        return Store(self.folder).write_picture(name, figure)


def perform(
    name: str,
    out: str | os.PathLike[str] | None = None,
    *,
    overrides: Sequence[str] = (),
    devices: int | None = None,
    listener: Listener | None = None,
) -> Answer:
    """Do an experiment, and return what it found.

    Args:
        name: one of `lrbench list experiments`.
        out: its folder; left out, `results/<name>`.
        overrides: `key=value` texts that set its parameters.
        devices: how many devices are used; all, left out.
        listener: told of the progress.

    Raises:
        StudyError: if there is no such experiment or parameter, or a value is not allowed.
        Unfinished: if some runs could not be trained.
    """
    entry = catalog.get("experiment", name)
    given = _given(entry, overrides)
    folder = path_of(out) if out is not None else Path("results") / name
    answer: Answer = entry.load()(Bench(folder, devices, listener or Listener()), **given)
    return answer


def _given(entry: catalog.Entry, overrides: Sequence[str]) -> dict[str, Any]:
    """Return the parameters that overrides set, each of its declared type."""
    given: dict[str, Any] = {}
    for text in overrides:
        assign(given, text)
    found = entry.check(given, f"{entry.name}: ")
    for name, value in found.items():
        if not _finite(value):
            raise StudyError(f"{entry.name}: {name} = {given[name]!r}: must be finite")
        if value == ():
            raise StudyError(f"{entry.name}: {name} = []: must hold at least one value")
    return found


def _finite(value: Any) -> bool:
    values = value if isinstance(value, tuple) else (value,)
    return all(math.isfinite(each) for each in values if isinstance(each, float))
