"""From a study to a results folder: the one place where training and tables meet."""

from __future__ import annotations

import dataclasses
import os
import shutil
import tempfile
import time
import weakref
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from lrbench import manifest as manifests
from lrbench import several
from lrbench.errors import StoreError, StudyError
from lrbench.results import inside, lock
from lrbench.results.folder import MANIFEST, Store
from lrbench.results.object_store import Objects
from lrbench.results.part import DamagedPart
from lrbench.results.results import MOST_ROWS, MOST_RUNS, Results, remove_pictures, too_many, write_pictures
from lrbench.results.sums import SURFACES
from lrbench.study import catalog, grid, parts, spec
from lrbench.study.grid import Grid, Pack
from lrbench.study.parts import Parts
from lrbench.study.spec import Study
from lrbench.work import Bench, Outcome, Work, this_process

if TYPE_CHECKING:
    from lrbench.engine.pack import Engine
    from lrbench.trace import Traced


_TRIES = 3
"""How often parts that are damaged as soon as they are written are trained again by one command."""


class Listener:
    """Told how a study goes on, and asked whether it shall; this one keeps quiet, and never ends it."""

    def say(self, text: str) -> None:
        """Take one line that a person should read."""

    def begin(self, runs: int, steps: int) -> None:
        """Training of so many runs, of so many steps each, begins."""

    def compiling(self, what: str) -> None:
        """A program is being compiled."""

    def advance(self, runs: int, steps: int) -> None:
        """So many runs moved on by so many steps; by 0 once a pack is compiled and its training begins."""

    def end(self) -> None:
        """Training is over."""

    def stopping(self) -> bool:
        """Return whether the work is to end; asked after every segment, pack, table and plot."""
        return False

    def check(self) -> None:
        """Raise `KeyboardInterrupt` if the work is to end."""
        if self.stopping():
            raise KeyboardInterrupt


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
        _open(store, fresh, listener)
        with lock.holding(store.folder):
            return _execute_parts(wanted, store, how, listener)
    whole = grid.of_study(wanted)
    _open(store, fresh, listener)
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
    manifest = _check_folder(store, whole)
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
            from lrbench.trace import Traced

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
    from lrbench.engine.pack import Engine  # the first import of JAX
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


def rebuild(
    store: Store,
    manifest: dict[str, Any] | None = None,
    *,
    whole: Grid | None = None,
    report: bool = True,
    seconds: dict[str, float] | None = None,
    failures: Iterable[Outcome] | None = None,
    listener: Listener | None = None,
) -> Results:
    """Make the tables, plots and report of a folder anew from its parts; one that is damaged is set aside.

    Args:
        store: the folder.
        manifest: what is known of it; left out, what it says itself.
        whole: its grid; left out, that of the manifest.
        report: whether plots and the report are made too.
        seconds: wall time so far, by name; filled in.
        failures: packs that failed; left out, those that the manifest names.
        listener: told what is set aside, and asked after every table and plot whether to go on.

    Raises:
        StoreError: if it is no results folder, cannot be written, or another process works on it.
    """
    manifest, listener = dict(manifest or store.manifest), listener or Listener()
    if "parts" in manifest:
        with lock.holding(store.folder):
            for part in several.stores(store).values():
                rebuild(part, report=report, listener=listener)
            return several.rebuild(store, report=report, check=listener.check)
    if not {"grid", "problems"} <= manifest.keys():
        raise StoreError(
            f"{store.folder}: is no results folder (manifest.json is not there, or says of no grid and problems); "
            "`lrbench run STUDY` makes one"
        )
    whole = Grid.from_dict(manifest["grid"]) if whole is None else whole
    seconds = {} if seconds is None else seconds
    with lock.holding(store.folder):
        for line in store.mend():
            listener.say(line)
        for name, changed in store.tables.changed().items():
            listener.say(str(changed))
            if name == SURFACES:
                inside.remove(store.folder, name)
        while True:
            try:
                return _rebuild(store, whole, manifest, report, seconds, failures, listener)
            except DamagedPart as damaged:
                listener.say(store.set_part_aside(damaged))


def _rebuild(
    store: Store,
    whole: Grid,
    manifest: dict[str, Any],
    report: bool,
    seconds: dict[str, float],
    failures: Iterable[Outcome] | None,
    listener: Listener,
) -> Results:
    """Write everything that is made from the parts of a folder."""
    from lrbench.analysis import Thresholds
    from lrbench.results.tables import build

    thresholds = Thresholds()
    objectives = manifests.objectives(manifest)
    manifest |= {"thresholds": thresholds.asdict(), "objectives": objectives}
    store.forget_sums(manifest)
    began = time.perf_counter()
    build.build(store, whole, thresholds, objectives, manifest.get("target"), listener.check)
    seconds["tables"] = time.perf_counter() - began
    if failures is not None:
        manifest["failures"] = [manifests.failure(whole, failed.pack, failed.error) for failed in failures]
    build.write_failures(store, manifest.get("failures", ()))
    manifest |= manifests.account(store, whole)
    store.write_manifest(manifest)
    results = Results(store.folder)
    if report and not too_many(results):
        began = time.perf_counter()
        write_pictures(results, listener.check)
        seconds["plots and report"] = time.perf_counter() - began
    elif report:
        remove_pictures(results)
        listener.say(
            f"{store.folder}: plots and the report are made of at most {MOST_RUNS:,} runs and {MOST_ROWS:,} rows of curves; "
            "the tables are there, for `lrbench best` and `lrbench query`"
        )
    manifest["seconds"] = manifest.get("seconds", {}) | {
        key: round(value, 3) for key, value in seconds.items()
    }
    manifest["finished"] = manifests.now()
    store.write_manifest(manifest)
    return Results(store.folder)


def sweep(
    problems: Any,
    *,
    optimizers: Any = "adam",
    learning_rates: Any,
    schedules: Any = "constant",
    seeds: Any = 3,
    steps: int = 1000,
    out: str | os.PathLike[str] | None = None,
    report: bool = False,
    **more: Any,
) -> Results:
    """Train a grid of runs from Python.

    Args:
        problems: names, `Problem` objects, or tables such as `{"name": "digits_mlp", "hidden": [[64], [128]]}`.
        optimizers: names, `Optimizer(...)`, or functions learning rate → optax transformation.
        learning_rates: the rates, such as `logspace(1e-5, 10, 100)`; or a dict of rates by name, where `""` are those of
            all parameters that have no rate of their own, such as `{"": [0.1, 1], "output": [0.01, 0.1]}`.
        schedules: names, `Schedule(...)`, or functions steps → optax schedule of peak 1, or optax schedules.
        seeds: a count, or a list.
        steps: optimizer steps of every run.
        out: results folder; left out, a temporary one that lives as long as the results do.
        report: whether plots and the report are written too.
        **more: any other key of a study: name, evaluate_every, precision, objective, target, probes.

    Raises:
        StudyError: naming the key that is wrong.

    >>> results = sweep("quadratic", optimizers="sgd", learning_rates=[1.0, 3.0], seeds=1, steps=20)
    >>> list(results.runs["verdict"])
    ['good', 'diverged']
    """
    named = dict(learning_rates) if isinstance(learning_rates, Mapping) else {"": learning_rates}
    if "" not in named:
        raise StudyError(f'sweep: learning_rates = {named!r}: needs the rates of the name "" as well')
    axes = {
        name: {"values": np.asarray(rates, dtype=float).reshape(-1).tolist()} for name, rates in named.items()
    }
    table = {
        "name": "sweep",
        "steps": steps,
        "seeds": seeds if isinstance(seeds, int) else [int(seed) for seed in seeds],
        "problem": problems,
        "optimizer": optimizers,
        "schedule": schedules,
        "learning_rate": axes.pop("") | axes,
        **more,
    }
    checked = spec.check(table, "sweep", trust=True)
    if out is not None:
        return run(checked, out, report=report)
    place = tempfile.mkdtemp(prefix="lrbench-")
    finished = execute(checked, place, report=report)
    weakref.finalize(finished.results, shutil.rmtree, place, ignore_errors=True)
    if finished.failures:
        raise StudyError(f"sweep: {finished.failures[0].error}")
    return finished.results


def _open(store: Store, fresh: bool, listener: Listener) -> None:
    """Refuse to write among files that are no study's; set aside what is there where that is wanted."""
    if store.folder.exists() and not store.folder.is_dir():
        raise StoreError(f"{store.folder}: is a file; choose another --out")
    known = os.path.lexists(store.folder / MANIFEST) or bool(store.part_files())
    if not known and any(store.folder.glob("[!.]*")):
        raise StoreError(f"{store.folder}: holds other files and no study; choose another --out")
    if fresh:
        if store.folder.is_symlink():
            raise StoreError(
                f"{store.folder}: is a symbolic link, which --fresh would leave leading nowhere; give the folder itself, "
                f"{store.folder.resolve()}, or choose another --out"
            )
        with lock.holding(store.folder):
            if aside := store.set_aside():
                listener.say(f"what {store.folder} held is now in {aside}")


def _check_folder(store: Store, whole: Grid) -> dict[str, Any]:
    """Return the folder's manifest, and refuse a folder of another study."""
    manifest = store.manifest
    name = manifest.get("study", whole.name)
    if name != whole.name or "parts" in manifest:
        raise StoreError(
            f"{store.folder}: holds the study {name!r}, not {whole.name!r}; choose another --out, or --fresh"
        )
    before, now = _trained_sources(store, manifest) if "grid" in manifest else {}, _sources(whole)
    changed = sorted(what for what in before.keys() & now.keys() if before[what] != now[what])
    if changed:
        raise StoreError(
            f"{store.folder}: {', '.join(changed)} has changed since its runs were trained; "
            "choose another --out, or --fresh"
        )
    return manifest


def _trained_sources(store: Store, manifest: Mapping[str, Any]) -> dict[str, str]:
    """Return the hash of what runs of a folder were trained with; code that only ever failed may be mended."""
    before = Grid.from_dict(manifest["grid"])
    if not _sources(before):
        return {}
    held = np.flatnonzero(store.held(before.run_ids, stopped=True))
    problems, optimizers, schedules = (np.unique(places) for places in before.indices(held)[:3])
    return _sources(
        replace(
            before,
            problems=tuple(before.problems[number] for number in problems),
            optimizers=tuple(before.optimizers[number] for number in optimizers),
            schedules=tuple(before.schedules[number] for number in schedules),
        )
    )


def _sources(whole: Grid) -> dict[str, str]:
    """Return the hash of every code and file of the user's, by what it is."""
    variants = {"problem": whole.problems, "optimizer": whole.optimizers, "schedule": whole.schedules}
    each = [(kind, v) for kind, found in variants.items() for v in found]
    code = {f"the code of {kind} {v.name}": v.source for kind, v in each if v.source}
    return code | {
        f"the file {Path(v.params[name]).name} of {kind} {v.name}": found
        for kind, v in each
        for name, found in v.files.items()
    }


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
    bench = Bench(engine, store, lanes_per_pack, listener)
    work = Work(study, store.folder.resolve(), tuple(lanes_per_pack), engine.count, bench=bench)
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
