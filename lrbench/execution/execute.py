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
from lrbench.execution import manifest_contents, reuse
from lrbench.execution.listener import Listener
from lrbench.execution.rebuild import write_all
from lrbench.execution.work import Trainer, Work
from lrbench.launchers import Outcome, this_process
from lrbench.results import lock
from lrbench.results.checksums import SURFACES
from lrbench.results.folder import ResultsFolder
from lrbench.results.remote_parts import RemoteParts
from lrbench.results.results import Results
from lrbench.study import catalog, grid, spec
from lrbench.study.grid import Grid, Pack
from lrbench.study.spec import Study

if TYPE_CHECKING:
    from lrbench.engine.pack import Engine
    from lrbench.execution.trace import Traced


_TRIES = 3
"""How often parts that are damaged as soon as they are written are trained again by one command."""


@dataclass(frozen=True)
class Finished:
    """A study that ended: its results, how many runs were trained now, the packs that failed, and the trace.

    `lost` is how many runs had a part that was found damaged while tables were made.
    """

    results: Results
    trained: int
    failures: tuple[Outcome, ...] = ()
    profile: Path | None = None
    lost: int = 0


def run(
    asked: str | os.PathLike[str] | Mapping[str, Any] | Study,
    out: str | os.PathLike[str] | None = None,
    **more: Any,
) -> Results:
    """Train a study and return its results; the arguments are those of `execute`.

    A pack that failed is in `results.manifest["failures"]`; the runs of the others are there.
    """
    return execute(asked, out, **more).results


def execute(
    asked: str | os.PathLike[str] | Mapping[str, Any] | Study,
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
    """Train the runs of a study that its folder does not hold yet, and write tables, plots and a report.

    Args:
        asked: a study, its file, its built-in name, or a mapping.
        out: results folder; left out, `results/<name>`.
        launcher: where packs are executed.
        devices: how many devices are used; all, left out.
        overrides: `key=value` texts.
        trust: whether code that the study names may run.
        fresh: set what the folder holds aside, and start anew.
        report: whether plots and the report are made too.
        profile: whether the first moments of training are traced, into `profile/`.
        listener: told of the progress.

    Raises:
        StudyError, ProblemError, DataError, StoreError, LaunchError: the user's mistakes, each in one line.
    """
    listener = listener or Listener()
    wanted = asked if isinstance(asked, Study) else spec.read(asked, overrides, trust=trust)
    store = ResultsFolder(out if out is not None else Path("results") / wanted.name)
    how = _How(launcher, devices, report, profile)
    catalog.get("launcher", launcher)
    whole = grid.of_study(wanted)
    reuse.prepare(store, fresh, listener)
    with lock.locked(store.folder):
        trained = 0
        for _ in range(_TRIES):
            done = _execute(wanted, whole, store, how, listener)
            trained += done.trained
            if not done.lost:
                return replace(done, trained=trained)
    raise StoreError(
        f"{store.folder}: parts are damaged as soon as they are written; see whether the disk is sound"
    )


@dataclass(frozen=True)
class _How:
    """How a study is trained and what is made of it: the arguments of `execute` of these names."""

    launcher: str
    devices: int | None
    report: bool
    profile: bool


def _execute(wanted: Study, whole: Grid, store: ResultsFolder, how: _How, listener: Listener) -> Finished:
    """Train what a folder does not hold yet, and write all that is made from its parts."""
    manifest = reuse.check(store, whole)
    parts = store.inventory(whole.run_ids, stopped=whole.race)
    for line in store.repair(parts):
        listener.say(line)
    held = parts.completed()
    began = time.perf_counter()
    seconds: dict[str, float] = {}
    # What the manifest says of problems and schedules belongs to its grid: another grid is described anew.
    if not held.all() or not manifest_contents.describes(manifest, whole) or store.tables.lacks(SURFACES):
        engine = _describe(wanted, whole, store, manifest, how.devices, listener.say)
        seconds["starting"] = time.perf_counter() - began
    outcomes: list[Outcome] = []
    traced: Traced | None = None
    if held.all():
        vain = " or to profile" if how.profile else ""
        listener.say(f"{store.folder}: all {len(whole):,} runs are there already; nothing to train{vain}")
    else:
        if held.any():
            listener.say(f"{store.folder}: {int(held.sum()):,} of {len(whole):,} runs are there already")
        if how.profile:
            from lrbench.execution.trace import Traced

            listener = traced = Traced(listener, store.folder)
        outcomes = _train(engine, store, how.launcher, manifest["lanes_per_pack"], ~held, listener)
        seconds["writing"] = sum(outcome.seconds.get("write", 0.0) for outcome in outcomes)
    failures = tuple(outcome for outcome in outcomes if outcome.error)
    there = held.copy()
    for outcome in outcomes:
        there[outcome.pack.runs] |= not outcome.error
    trained = int(parts.completed().sum() - held.sum())
    manifest |= {
        "study": wanted.name,
        "grid": whole.asdict(),
        "objective": wanted.objective,
        "target": wanted.target,
    }
    _write_study(store, wanted)
    seconds = {"training": time.perf_counter() - began, **seconds} if trained else {}
    results = write_all(
        store,
        manifest,
        whole,
        parts,
        report=how.report,
        seconds=seconds,
        failures=failures,
        listener=listener,
    )
    lost = int((there & ~parts.completed()).sum())
    return Finished(results, trained, failures, traced.path if traced else None, lost)


def _describe(
    wanted: Study,
    whole: Grid,
    store: ResultsFolder,
    manifest: dict[str, Any],
    devices: int | None,
    say: Callable[[str], None],
) -> Engine:
    """Start an engine, write down what it says of a study, add it to the manifest, and return the engine."""
    from lrbench.engine.pack import Engine  # the first import of JAX
    from lrbench.results.tables import build

    engine = Engine(wanted, whole, devices, say)
    manifest |= manifest_contents.describe(engine, whole, manifest)
    store.write_manifest(manifest)
    if surfaces := engine.surfaces():
        manifest |= store.drop_checksums(manifest, SURFACES)
        store.write_table("surfaces", build.surfaces(whole, surfaces), csv=False)
        store.write_manifest(manifest)
    return engine


def _train(
    engine: Engine,
    store: ResultsFolder,
    launcher: str,
    lanes_per_pack: Sequence[int],
    left: np.ndarray,
    listener: Listener,
) -> list[Outcome]:
    """Have every pack that has runs left executed; return what became of each."""
    study, steps = engine.study, engine.grid.steps
    launch: Callable[..., Generator[Outcome, None, None]] = catalog.get("launcher", launcher).load()
    # A program that cannot be made, of 0 lanes, is one pack, which fails.
    lanes_per_pack = [
        lanes or len(program.runs)
        for lanes, program in zip(lanes_per_pack, engine.grid.programs, strict=True)
    ]
    listener.begin(int(left.sum()), steps)
    trainer = Trainer(engine, store, lanes_per_pack, listener)
    work = Work(study, store.folder.resolve(), tuple(lanes_per_pack), engine.count, trainer=trainer)
    packs: list[Pack] = list(engine.grid.packs(lanes_per_pack, left))
    outcomes = []
    launched = launch(packs, work, **study.launcher.get(launcher, {}))
    try:
        for outcome in launched:
            if outcome.part or outcome.url:
                pack_id = outcome.pack.pack_id
                store.write_part_file(pack_id, outcome.part or RemoteParts(outcome.url).read(pack_id))
            # What is trained in this process has told of itself, segment by segment.
            if outcome.process != this_process() and not outcome.error:
                listener.advance(len(outcome.pack.runs), steps)
            outcomes.append(dataclasses.replace(outcome, part=b""))
            listener.check()
    finally:
        launched.close()  # a cluster that it started ends with it
        engine.close()
        listener.end()
    return outcomes


def _write_study(store: ResultsFolder, wanted: Study) -> None:
    import tomli_w

    store.write_text("study.toml", tomli_w.dumps(wanted.table(store.folder)))
