"""From a study to a results folder: the one place where training and tables meet."""

from __future__ import annotations

import dataclasses
import os
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from lrbench.errors import StoreError
from lrbench.execution import manifest_contents, output_folder
from lrbench.execution.listener import Listener
from lrbench.execution.rebuild import write_all
from lrbench.execution.work import PackWork, Trainer
from lrbench.launchers import Outcome, this_process
from lrbench.results import lock
from lrbench.results.checksums import SURFACES
from lrbench.results.folder import ResultsFolder
from lrbench.results.remote_parts import RemoteParts
from lrbench.results.results import Results
from lrbench.study import catalog, spec
from lrbench.study.grid import Grid, Pack, of_study
from lrbench.study.spec import Study

if TYPE_CHECKING:
    from lrbench.engine.engine import Engine
    from lrbench.execution.trace import TracingListener

_TRIES = 3
"""How often one command trains parts again that are damaged as soon as they are written."""


@dataclass(frozen=True)
class Finished:
    """A finished study.

    Args:
        results: its results.
        trained: the number of runs trained now.
        failures: the packs that failed.
        profile: the trace, if one was requested.
        lost: the number of completed runs whose part was found damaged while tables were built.
    """

    results: Results
    trained: int
    failures: tuple[Outcome, ...] = ()
    profile: Path | None = None
    lost: int = 0


def run(
    study: str | os.PathLike[str] | Mapping[str, Any] | Study,
    out: str | os.PathLike[str] | None = None,
    **more: Any,
) -> Results:
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
) -> Finished:
    """Train the missing runs of a study, and write tables, plots and a report.

    Args:
        study: a study, its file, its built-in name, or a mapping.
        out: results folder; by default `results/<name>`.
        launcher: where packs are executed.
        devices: how many devices to use; by default all.
        overrides: `key=value` strings.
        trust: whether code that the study names may run.
        fresh: whether to set the contents of the folder aside and start again.
        report: whether to write plots and the report too.
        profile: whether to trace the first moments of training, into `profile/`.
        listener: receives the progress; by default warnings go to the logger `lrbench`, and nothing else is shown.

    Raises:
        StudyError, ProblemError, DataError, StoreError, LaunchError: the user's mistakes, each in one line.
    """
    listener = listener or Listener()
    checked = study if isinstance(study, Study) else spec.read(study, overrides, trust=trust)
    store = ResultsFolder(out if out is not None else Path("results") / checked.name)
    options = _Options(launcher, devices, report, profile)
    catalog.get("launcher", launcher)
    grid = of_study(checked)
    output_folder.prepare(store, fresh, listener)
    with lock.locked(store.folder):
        trained = 0
        for _ in range(_TRIES):
            done = _execute(checked, grid, store, options, listener)
            trained += done.trained
            if not done.lost:
                return replace(done, trained=trained)
    raise StoreError(f"{store.folder}: parts are damaged as soon as they are written; check the disk")


@dataclass(frozen=True)
class _Options:
    """The arguments of `execute` of these names."""

    launcher: str
    devices: int | None
    report: bool
    profile: bool


def _execute(
    study: Study, grid: Grid, store: ResultsFolder, options: _Options, listener: Listener
) -> Finished:
    """Train the missing runs, and write everything that is built from the parts."""
    manifest = output_folder.checked_manifest(store, grid)
    parts = store.inventory(grid.run_ids, stopped=grid.race)
    for line in store.repair(parts):
        listener.warn(line)
    cached = parts.completed()
    began = time.perf_counter()
    seconds: dict[str, float] = {}
    # What the manifest says of problems and schedules belongs to its grid: another grid is described again.
    if not cached.all() or not manifest_contents.describes(manifest, grid) or store.tables.lacks(SURFACES):
        engine, manifest = _describe(study, grid, store, manifest, options.devices, listener.warn)
        seconds["starting"] = time.perf_counter() - began
    _notify_of_cached(store, cached, options, listener)
    outcomes: list[Outcome] = []
    tracing: TracingListener | None = None
    if not cached.all():
        if options.profile:
            from lrbench.execution.trace import TracingListener

            listener = tracing = TracingListener(listener, store.folder)
        outcomes = _train(engine, store, options.launcher, manifest["lanes_per_pack"], ~cached, listener)
        seconds["writing"] = sum(outcome.seconds.get("write", 0.0) for outcome in outcomes)
    failures = tuple(outcome for outcome in outcomes if outcome.error)
    expected = cached.copy()
    for outcome in outcomes:
        expected[outcome.pack.runs] |= not outcome.error
    trained = int(parts.completed().sum() - cached.sum())
    manifest = {
        **manifest,
        "study": study.name,
        "grid": grid.asdict(),
        "objective": study.objective,
        "target": study.target,
    }
    _write_study(store, study)
    results = write_all(
        store,
        manifest,
        grid,
        parts,
        report=options.report,
        seconds={"training": time.perf_counter() - began, **seconds} if trained else {},
        failures=failures,
        listener=listener,
    )
    lost = int((expected & ~parts.completed()).sum())
    return Finished(results, trained, failures, tracing.path if tracing else None, lost)


def _notify_of_cached(
    store: ResultsFolder, cached: np.ndarray, options: _Options, listener: Listener
) -> None:
    """Report how many runs are completed already, if any."""
    if cached.all():
        runs = f"all {len(cached):,} runs are" if len(cached) > 1 else "the run is"
        profile = " or to profile" if options.profile else ""
        listener.notify(f"{store.folder}: {runs} cached; nothing to train{profile}")
    elif cached.any():
        listener.notify(f"{store.folder}: {int(cached.sum()):,} of {len(cached):,} runs are cached")


def _describe(
    study: Study,
    grid: Grid,
    store: ResultsFolder,
    manifest: Mapping[str, Any],
    devices: int | None,
    warn: Callable[[str], None],
) -> tuple[Engine, dict[str, Any]]:
    """Start an engine, write its description of the study into the manifest, and return both."""
    from lrbench.engine.engine import Engine  # the first import of JAX
    from lrbench.tables.surfaces import surfaces

    engine = Engine(study, grid, devices, warn)
    described = {**manifest, **manifest_contents.describe(engine, grid, manifest)}
    store.write_manifest(described)
    if landscapes := engine.surfaces():
        described |= store.drop_checksums(described, SURFACES)
        store.write_table("surfaces", surfaces(grid, landscapes), csv=False)
        store.write_manifest(described)
    return engine, described


def _train(
    engine: Engine,
    store: ResultsFolder,
    launcher: str,
    lanes_per_pack: Sequence[int],
    missing: np.ndarray,
    listener: Listener,
) -> list[Outcome]:
    """Execute every pack that has missing runs; return the outcome of each."""
    steps = engine.grid.steps
    launch: Callable[..., Generator[Outcome, None, None]] = catalog.get("launcher", launcher).load()
    # A program that could not be compiled has 0 lanes: it is one pack, which fails.
    lanes_per_pack = [
        lanes or len(program.runs)
        for lanes, program in zip(lanes_per_pack, engine.grid.programs, strict=True)
    ]
    listener.begin(int(missing.sum()), steps)
    trainer = Trainer(engine, store, lanes_per_pack, listener)
    work = PackWork(
        engine.study, store.folder.resolve(), tuple(lanes_per_pack), engine.count, trainer=trainer
    )
    packs: list[Pack] = list(engine.grid.packs(lanes_per_pack, missing))
    outcomes = []
    arriving = launch(packs, work, **engine.study.launcher.get(launcher, {}))
    try:
        for outcome in arriving:
            if outcome.part or outcome.url:
                pack_id = outcome.pack.pack_id
                store.write_part_file(pack_id, outcome.part or RemoteParts(outcome.url).read(pack_id))
            # What is trained in this process has reported its progress, segment by segment.
            if outcome.process != this_process() and not outcome.error:
                listener.advance(len(outcome.pack.runs), steps)
            outcomes.append(dataclasses.replace(outcome, part=b""))
            listener.check()
    finally:
        arriving.close()  # a cluster that it started ends with it
        engine.close()
        listener.end()
    return outcomes


def _write_study(store: ResultsFolder, study: Study) -> None:
    import tomli_w

    store.write_text("study.toml", tomli_w.dumps(study.table(store.folder)))
