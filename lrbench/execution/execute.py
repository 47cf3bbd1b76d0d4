"""From a study to a results folder: the one place where training and tables meet."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from lrbench.errors import StoreError, counted, duration
from lrbench.execution import output_folder
from lrbench.execution.listener import Listener
from lrbench.execution.notebook import default_listener
from lrbench.execution.other_shards import locked_as
from lrbench.execution.rebuild import write_all
from lrbench.execution.shards import Shard, shard_of
from lrbench.execution.share_training import ShareTraining
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
        instead: what this process did in place of tables, in one line; empty if it made them.
    """

    results: TrainableResults
    name: str
    trained: int
    failures: tuple[Outcome, ...] = ()
    profile: Path | None = None
    lost: int = 0
    instead: str = ""


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
    shard: str | None = None,
    wait: float | None = None,
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
        shard: the share of the runs that this process trains, `I/N` with I from 0, while others train the rest: or `auto`, or `auto/N`, for what a
            scheduler's variables say. Shard 0 makes the tables once it sees the parts of all others.
        wait: seconds that a shard waits for the others without anything new from them; by default 3,600.

    Raises:
        StudyError, ProblemError, DataError, StoreError, LaunchError: the user's mistakes, each in one line.
    """
    listener = listener or default_listener()
    checked = study if isinstance(study, Study) else spec.read(study, overrides, trust=trust)
    catalog.get("launcher", launcher)
    share = shard_of(shard, wait, launcher, fresh=fresh, profile=profile)
    where = out if out is not None else Path("results") / checked.name
    store = results_at(where, parts=share is None or share.number == 0)
    options = Options(launcher, devices, report, profile, report and helpers, share)
    grid = of_study(checked)
    output_folder.prepare(store, fresh, listener)
    if share is not None and share.number > 0:
        return _execute_share(checked, grid, store, share, devices, listener)
    with locked_as(share, store, listener) as is_locked:
        if not is_locked:
            line = (
                f"{share}: trained nothing: another process is shard 0 of {store.name}, and makes the tables"
            )
            return Finished(TrainableResults(store.folder, checked), store.name, 0, instead=line)
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
        if options.helpers and options.launcher == "local" and not options.shard:
            helpers.start()  # they import while the engine does; where others train, they need not wait for hours
        try:
            stages.run()
        finally:
            stages.close()
        _write_study(store, study)
        if options.shard is not None and stages.awaited:
            store.write_manifest(stages.final_manifest())
            return _without_tables(study, store, stages, options.shard)
        if options.helpers:
            helpers.start()
        results = write_all(
            store,
            stages.final_manifest(),
            stages.grid,
            stages.parts,
            report=options.report,
            seconds=stages.seconds,
            failures=stages.failure_records,
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


def _without_tables(study: Study, store: ResultsFolder, stages: StagedTraining, shard: Shard) -> Finished:
    """Return what shard 0 says that has waited for others in vain."""
    line = (
        f"{shard}: trained {counted(stages.trained, 'run')}; missing are {stages.awaited}, and nothing new came for "
        f"{duration(shard.wait)}; start them again, and then this command, which makes the tables"
    )
    results = TrainableResults(store.folder, study)
    return Finished(results, store.name, stages.trained, tuple(stages.failures), stages.profile, instead=line)


def _execute_share(
    study: Study, grid: Grid, store: ResultsFolder, shard: Shard, devices: int | None, listener: Listener
) -> Finished:
    """Train the share of a shard other than 0."""
    # Of a URL each process has a copy of its own; a folder is locked by shard 0.
    with store.locked() if store.url else contextlib.nullcontext():
        training = ShareTraining(study, grid, store, shard, devices, listener)
        training.run()
    trained = f"{shard}: trained {counted(training.trained, 'run')}"
    if training.awaited:
        line = (
            f"{trained}; waited for {training.awaited}, and nothing new came for {duration(shard.wait)}; start shard 0, and "
            "then this command again"
        )
    else:
        line = f"{trained}; shard 0 makes the tables, in {store.name}"
    results = TrainableResults(store.folder, study)
    return Finished(results, store.name, training.trained, tuple(training.failures), instead=line)


def _write_study(store: ResultsFolder, study: Study) -> None:
    import tomli_w

    store.write_text("study.toml", tomli_w.dumps(study.table(store.folder)))
