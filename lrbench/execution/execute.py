"""From a study to a results folder: the one place where training and tables meet."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from lrbench.errors import StoreError
from lrbench.execution import output_folder
from lrbench.execution.listener import Listener
from lrbench.execution.notebook import default_listener
from lrbench.execution.rebuild import write_all
from lrbench.execution.trainable_results import TrainableResults
from lrbench.execution.training import Options, StagedTraining
from lrbench.launchers import Outcome
from lrbench.results.drawing import Helpers
from lrbench.results.folder import ResultsFolder
from lrbench.results.remote_folder import results_at
from lrbench.study import catalog, spec
from lrbench.study.grid import Grid, of_study
from lrbench.study.spec import Study

_TRIES = 3
"""How often one command trains parts again that are damaged as soon as they are written."""


@dataclass(frozen=True)
class Finished:
    """A finished study.

    Args:
        results: its results.
        name: what a person calls their folder: its path, or its URL.
        trained: the number of runs trained now.
        failures: the packs that failed.
        profile: the trace, if one was requested.
        lost: the number of completed runs whose part was found damaged while tables were built.
    """

    results: TrainableResults
    name: str
    trained: int
    failures: tuple[Outcome, ...] = ()
    profile: Path | None = None
    lost: int = 0


def run(
    study: str | os.PathLike[str] | Mapping[str, Any] | Study,
    out: str | os.PathLike[str] | None = None,
    **more: Any,
) -> TrainableResults:
    """Train a study and return its results; the arguments are those of `execute`.

    Packs that failed are in `results.manifest["failures"]`; the runs of all other packs are in the tables.
    """
    return execute(study, out, **more).results


def execute(
    study: str | os.PathLike[str] | Mapping[str, Any] | Study,
    out: str | os.PathLike[str] | None = None,
    *,
    launcher: str = "local",
    devices: int | None = None,
    overrides: Sequence[str] = (),
    trust: bool = False,
    fresh: bool = False,
    report: bool = True,
    profile: bool = False,
    listener: Listener | None = None,
    helpers: bool = False,
) -> Finished:
    """Train the missing runs of a study, and write tables, plots and a report.

    Args:
        study: a study, its file, the name of a built-in one or of a problem, or a mapping.
        out: results folder, or a URL of one, such as `s3://bucket/folder`; by default `results/<name>`.
        launcher: where packs are executed.
        devices: how many devices to use; by default all.
        overrides: `key=value` strings.
        trust: whether code that the study names may run.
        fresh: whether to set the contents of the folder aside and start again.
        report: whether to write plots and the report too.
        profile: whether to trace the first moments of training, into `profile/`.
        listener: receives the progress; by default a notebook shows a bar, warnings go to the logger `lrbench`, and nothing else is shown.
        helpers: whether further processes draw plots, too; those have none of the settings of this one, such as matplotlib's styles.

    Raises:
        StudyError, ProblemError, DataError, StoreError, LaunchError: the user's mistakes, each in one line.
    """
    listener = listener or default_listener()
    checked = study if isinstance(study, Study) else spec.read(study, overrides, trust=trust)
    store = results_at(out if out is not None else Path("results") / checked.name)
    options = Options(launcher, devices, report, profile, report and helpers)
    catalog.get("launcher", launcher)
    grid = of_study(checked)
    output_folder.prepare(store, fresh, listener)
    with store.locked():
        trained = 0
        for _ in range(_TRIES):
            done = _execute(checked, grid, store, options, listener)
            trained += done.trained
            if not done.lost:
                return replace(done, trained=trained)
    raise StoreError(f"{store.name}: parts are damaged as soon as they are written; check the disk")


def _execute(
    study: Study, grid: Grid, store: ResultsFolder, options: Options, listener: Listener
) -> Finished:
    """Train the missing runs of all stages, and write everything that is built from the parts."""
    stages = StagedTraining(study, grid, store, options, listener)
    with Helpers(store.folder, grid.rows_of_curves) as helpers:
        if options.helpers and options.launcher == "local":
            helpers.start()  # they import while the engine does; where others train, they need not wait for hours
        try:
            stages.run()
        finally:
            stages.close()
        if options.helpers:
            helpers.start()
        _write_study(store, study)
        results = write_all(
            store,
            stages.final_manifest(),
            stages.grid,
            stages.parts,
            report=options.report,
            seconds=stages.seconds,
            failures=stages.failures,
            listener=listener,
            helpers=helpers,
        )
    return Finished(
        TrainableResults(results.folder, study),
        store.name,
        stages.trained,
        tuple(stages.failures),
        stages.profile,
        stages.lost(),
    )


def _write_study(store: ResultsFolder, study: Study) -> None:
    import tomli_w

    store.write_text("study.toml", tomli_w.dumps(study.table(store.folder)))
