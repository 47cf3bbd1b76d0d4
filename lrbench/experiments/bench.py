"""What an experiment works with: a bench that trains studies, and writes tables and pictures."""

from __future__ import annotations

import math
import os
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lrbench import machine
from lrbench.errors import StoreError, StudyError, path_of
from lrbench.execution.execute import Finished, execute
from lrbench.execution.listener import Listener
from lrbench.experiments import page
from lrbench.experiments.findings import Finding, to_table
from lrbench.results import lock, safe_files
from lrbench.results.folder import ResultsFolder
from lrbench.results.results import Results
from lrbench.study import catalog, spec
from lrbench.study.overrides import assign
from lrbench.study.spec import Study

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class Answer:
    """What an experiment found: the lines of its answer, and the files and folders that it wrote."""

    lines: tuple[str, ...]
    paths: tuple[Path, ...]


class Unfinished(Exception):
    """A study of an experiment could not be finished; its completed runs are saved."""

    def __init__(self, finished: Finished) -> None:
        """Take the message of the first pack that failed."""
        super().__init__(finished.failures[0].error)
        self.finished = finished


@dataclass(frozen=True)
class Bench:
    """The folder of an experiment, the devices that it trains on, and the listener that follows it.

    Args:
        name: of the experiment.
        command: that runs it as it is run, for its page.
        folder: of the experiment; each of its studies has a results folder in it, of the study's name.
        devices: how many are used; left out, all.
        listener: informed of the progress.
    """

    name: str
    command: str
    folder: Path
    devices: int | None = None
    listener: Listener = field(default_factory=Listener)

    def check(self, study: Mapping[str, Any]) -> Study:
        """Return a study that was checked; an experiment of several checks them all before it trains the first.

        Raises:
            StudyError: if the parameters of the experiment make no study.
        """
        return spec.check(dict(study), f"study {study['name']}", trust=True)

    def train(self, study: Mapping[str, Any] | Study) -> Results:
        """Train the missing runs of a study, and return the results of all of its runs.

        Raises:
            StudyError: if it is not a study.
            Unfinished: if some of its packs failed.
        """
        checked = study if isinstance(study, Study) else self.check(study)
        folder = safe_files.path(self.folder, checked.name)
        self.listener.notify(f"study {checked.name}")
        finished = execute(checked, folder, devices=self.devices, report=False, listener=self.listener)
        if finished.failures:
            raise Unfinished(finished)
        return finished.results

    def write_table(self, name: str, frame: pd.DataFrame) -> tuple[Path, ...]:
        """Write a table as CSV and Parquet, and return the paths."""
        self.listener.check()
        ResultsFolder(self.folder).write_table(name, frame)
        return tuple(self.folder / f"{name}.{kind}" for kind in ("csv", "parquet"))

    def write_picture(self, name: str, figure: Figure) -> tuple[Path, ...]:
        """Write a picture as PNG and SVG, and return the paths."""
        self.listener.check()
        return ResultsFolder(self.folder).write_picture(name, figure)

    def write_findings(self, findings: Sequence[Finding]) -> tuple[Path, ...]:
        """Write the table of findings, and the page that is made from it and from the pictures and tables written before; return the paths."""
        known = {"command": self.command, "measured_with": machine.measured_with()}
        paths = self.write_table(page.FINDINGS, to_table(findings).assign(**known))
        return (*paths, self.write_text(page.NAME, page.render(self.name, self.folder)))

    def write_text(self, name: str, text: str) -> Path:
        """Write a file of text, and return its path."""
        self.listener.check()
        return ResultsFolder(self.folder).write_text(name, text)


def perform(
    name: str,
    out: str | os.PathLike[str] | None = None,
    *,
    overrides: Sequence[str] = (),
    devices: int | None = None,
    listener: Listener | None = None,
) -> Answer:
    """Run an experiment, and return what it found.

    Args:
        name: one of `lrbench list experiments`.
        out: its folder; left out, `results/<name>`.
        overrides: `key=value` texts that set its parameters.
        devices: how many devices are used; left out, all.
        listener: informed of the progress.

    Raises:
        StudyError: if there is no such experiment or parameter, or a value is not allowed.
        StoreError: if its folder is the results folder of a study, or another process works on it.
        Unfinished: if some runs could not be trained.
    """
    entry = catalog.get("experiment", name)
    given = _given(entry, overrides)
    folder = path_of(out) if out is not None else Path("results") / name
    if study := ResultsFolder(folder).manifest.get("study"):
        raise StoreError(f"{folder}: is the results folder of the study {study!r}; choose another --out")
    with lock.locked(folder):
        try:
            bench = Bench(name, command(name, overrides), folder, devices, listener or Listener())
            answer: Answer = entry.load()(bench, **given)
        except StudyError as error:
            raise StudyError(f"{name}: {error}") from error
    return answer


def command(name: str, overrides: Sequence[str] = ()) -> str:
    """Return the command that runs an experiment.

    >>> command("fractal", ["resolution=64", "rates=[1, 2]"])
    "lrbench experiment fractal --set resolution=64 --set 'rates=[1, 2]'"
    """
    return shlex.join(
        ["lrbench", "experiment", name, *(word for each in overrides for word in ("--set", each))]
    )


def _given(entry: catalog.Entry, overrides: Sequence[str]) -> dict[str, Any]:
    """Return the parameters that overrides set, each as its declared type."""
    given: dict[str, Any] = {}
    for text in overrides:
        assign(given, text)
    found = entry.check(given, f"{entry.name}: ")
    for name, value in found.items():
        if not _finite(value):
            raise StudyError(f"{entry.name}: {name} = {given[name]!r}: must be finite")
        if value == ():
            raise StudyError(f"{entry.name}: {name} = []: must have at least one value")
    return found


def _finite(value: Any) -> bool:
    values = value if isinstance(value, tuple) else (value,)
    return all(math.isfinite(each) for each in values if isinstance(each, float))
