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
from lrbench.execution import manifest as manifests
from lrbench.execution import reuse, several
from lrbench.execution.listener import Listener
from lrbench.execution.rebuild import rebuild
from lrbench.execution.work import Trainer, Work
from lrbench.launchers import Outcome, this_process
from lrbench.results import inside, lock
from lrbench.results.folder import Store
from lrbench.results.object_store import Objects
from lrbench.results.results import Results
from lrbench.results.sums import SURFACES
from lrbench.study import catalog, grid, parts
from lrbench.study.grid import Grid, Pack
from lrbench.study.parts import Parts
from lrbench.study.spec import Study

if TYPE_CHECKING:
    from lrbench.engine.engine import Engine
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
    asked: str | os.PathLike[str] | Mapping[str, Any] | Study | Parts,
    out: str | os.PathLike[str] | None = None,
    **more: Any,
) -> Results:
    """Train a study and return its results; the arguments are those of `execute`.

    A pack that failed is in `results.manifest["failures"]`; the runs of the others are there.
    """
    return execute(asked, out, **more).results


def execute(
    asked: str | os.PathLike[str] | Mapping[str, Any] | Study | Parts,
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
    wanted = asked if isinstance(asked, Study | Parts) else parts.read(asked, overrides, trust=trust)
    store = Store(out if out is not None else Path("results") / wanted.name)
    how = _How(launcher, devices, report, profile)
    catalog.get("launcher", launcher)
    if isinstance(wanted, Parts):
        reuse.prepare(store, fresh, listener)
        with lock.holding(store.folder):
            return _execute_parts(wanted, store, how, listener)
    whole = grid.of_study(wanted)
    reuse.prepare(store, fresh, listener)
    with lock.holding(store.folder):
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


def _execute(wanted: Study, whole: Grid, store: Store, how: _How, listener: Listener) -> Finished:
    """Train what a folder does not hold yet, and write all that is made from its parts."""
    manifest = reuse.check(store, whole)
    for line in store.mend():
        listener.say(line)
    held = store.held(whole.run_ids, stopped=whole.race)
    began = time.perf_counter()
    seconds: dict[str, float] = {}
    # What the manifest says of problems and schedules belongs to its grid: another grid is described anew.
    if not held.all() or not manifests.describes(manifest, whole) or store.tables.lacks(SURFACES):
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
    trained = int(store.held(whole.run_ids, stopped=whole.race).sum() - held.sum())
    manifest |= {
        "study": wanted.name,
        "grid": whole.asdict(),
        "objective": wanted.objective,
        "target": wanted.target,
    }
    _write_study(store, wanted)
    seconds = {"training": time.perf_counter() - began, **seconds} if trained else {}
    results = rebuild(
        store,
        manifest,
        whole=whole,
        report=how.report,
        seconds=seconds,
        failures=failures,
        listener=listener,
    )
    lost = int((there & ~store.held(whole.run_ids, stopped=whole.race)).sum())
    return Finished(results, trained, failures, traced.path if traced else None, lost)


def _describe(
    wanted: Study,
    whole: Grid,
    store: Store,
    manifest: dict[str, Any],
    devices: int | None,
    say: Callable[[str], None],
) -> Engine:
    """Start an engine, write down what it says of a study, add it to the manifest, and return the engine."""
    from lrbench.engine.engine import Engine  # the first import of JAX
    from lrbench.results.tables import build

    engine = Engine(wanted, whole, devices, say)
    manifest |= manifests.describe(engine, whole, manifest)
    store.write_manifest(manifest)
    if surfaces := engine.surfaces():
        store.forget_sums(manifest, SURFACES)
        store.write_table("surfaces", build.surfaces(whole, surfaces), csv=False)
        store.write_manifest(manifest)
    return engine


def _execute_parts(wanted: Parts, store: Store, how: _How, listener: Listener) -> Finished:
    """Train every part of a study into a folder of its own, and write what they say together."""
    store.mend()
    several.check_folder(store, wanted)
    several.describe(store, wanted)
    _write_study(store, wanted)
    done = []
    for number, (name, part) in enumerate(wanted.studies.items(), 1):
        listener.say(f"part {name} ({number} of {len(wanted.studies)})")
        done.append(
            execute(part, inside.path(store.folder, name), listener=listener, **dataclasses.asdict(how))
        )
    results = several.rebuild(store, report=how.report, check=listener.check)
    failures = tuple(failed for part in done for failed in part.failures)
    traces = [part.profile for part in done if part.profile]
    return Finished(results, sum(part.trained for part in done), failures, traces[0] if traces else None)


def _train(
    engine: Engine,
    store: Store,
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
                store.take_part(pack_id, outcome.part or Objects(outcome.url).read(pack_id))
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


def _write_study(store: Store, wanted: Study | Parts) -> None:
    import tomli_w

    store.write_text("study.toml", tomli_w.dumps(wanted.table(store.folder)))
