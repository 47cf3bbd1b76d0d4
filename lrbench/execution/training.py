"""The training of a study: what is missing of each stage, then what the next stage is."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from lrbench.analysis.line_curves import decays
from lrbench.analysis.thresholds import Thresholds
from lrbench.execution import manifest_contents, output_folder
from lrbench.execution.listener import Listener
from lrbench.execution.missing_runs import train
from lrbench.execution.other_shards import OtherShards
from lrbench.execution.shards import Shard, of_share
from lrbench.execution.stages import Chooser
from lrbench.launchers import Outcome
from lrbench.results.checksums import SURFACES
from lrbench.results.folder import ResultsFolder
from lrbench.results.inventory import Inventory
from lrbench.results.run_lookup import RunLookup
from lrbench.study.grid import Grid
from lrbench.study.spec import Study
from lrbench.study.stages import Shorter, Stage, Step

if TYPE_CHECKING:
    from lrbench.engine.engine import Engine


@dataclass(frozen=True)
class Options:
    """The arguments of `execute` of these names."""

    launcher: str
    devices: int | None
    report: bool
    profile: bool
    helpers: bool
    shard: Shard | None = None


class StagedTraining:
    """The stages of a study, trained one after another: what is missing of each, then what the next one is.

    Args:
        study: what is trained.
        grid: the runs that it begins with; then those of all stages so far.
        store: the results folder, locked.
        options: how it is trained.
        listener: receives the progress.
    """

    def __init__(
        self, study: Study, grid: Grid, store: ResultsFolder, options: Options, listener: Listener
    ) -> None:
        """Read what the folder has."""
        self.study, self.grid, self._store, self._options = study, grid, store, options
        self._first = grid
        self._listener: Listener = listener
        self.manifest = output_folder.checked_manifest(store, grid)
        for key in ("all_chosen", "shards"):
            self.manifest.pop(key, None)
        self._others = OtherShards(options.shard, store, listener) if options.shard else None
        self.awaited = ""
        """What did not come in time from other shards."""
        self.shorter: list[Shorter] = []
        self.failures: list[Outcome] = []
        self.failure_records: list[dict[str, Any]] = []
        """What the manifest says of them; run numbers are those of the stage that they failed in."""
        self.trained = 0
        self.profile: Path | None = None
        self._seconds: dict[str, float] = {}
        self._began = time.perf_counter()
        self._engine: Engine | None = None
        self._told = False
        self._expected: list[np.ndarray] = []
        """The run_ids of what was found or trained."""
        self.parts = self._inventory(grid)

    def _inventory(self, grid: Grid) -> Inventory:
        """Look for runs among the parts; those that are damaged are set aside."""
        parts = self._store.inventory(grid.run_ids, stopped=grid.race)
        for line in self._store.repair(parts):
            self._listener.warn(line)
        self._expected.append(grid.run_ids[parts.completed()])
        return parts

    def run(self) -> None:
        """Train what is missing of each stage; the next one is chosen from it."""
        self._start_if_needed()
        output_folder.check_curves(self._store, self.grid, self.parts.parts(), self.study.objective)
        objectives = manifest_contents.objectives(
            {**self.manifest, "objective": self.study.objective, "at": self.study.at}
        )
        chooser = Chooser(self._store, self.study, objectives, self.manifest["problems"], Thresholds())
        complete = self._train(self.grid, self.parts, self.grid.stages[0] if self.grid.stages else None)
        steps = self.study.stages()
        for number, step in enumerate(steps, 1):
            stage = chooser.stage(step, self.grid, self.parts) if complete else None
            self._listener.check()
            if stage is not None:
                self.grid = self.grid.with_stages([stage])
                self.parts = self._inventory(self.grid)
                self._record(all_chosen=number == len(steps) and not self._shorter_steps())
                complete = self._train(self.grid, self.parts, stage)
        if complete and steps:
            self._train_shorter(chooser)
        if not self.trained:
            self._notify_of_all()

    def _decaying(self) -> list[bool]:
        """Return whether each schedule decays."""
        return [decays(np.array(each["shape"])) for each in self.manifest["schedules"]]

    def _shorter_steps(self) -> list[tuple[float, Step]]:
        """Return the choices of runs that are shorter, of lines whose schedule decays."""
        return self.study.shorter_steps() if any(self._decaying()) else []

    def _train_shorter(self, chooser: Chooser) -> None:
        """Choose the runs that are shorter, and train what is missing of them."""
        chosen = chooser.shorter(self._shorter_steps(), self.grid, self.parts, self._decaying())
        self.shorter = [Shorter(factor, stage) for factor, stage in chosen]
        self._record(all_chosen=True)
        for each in self.shorter:
            self._listener.check()
            grid = self.grid.shorter(each.factor, each.stage)
            if not self._train(grid, self._inventory(grid), each.stage):
                break

    def _record(self, *, all_chosen: bool) -> None:
        """Write the stages so far into the manifest, before they are trained, and whether there will be others."""
        self.manifest |= {"grid": self.grid.asdict(), "shorter": [each.asdict() for each in self.shorter]}
        if all_chosen:
            self.manifest["all_chosen"] = manifest_contents.request(self.study, self._first)
        self._store.write_manifest(self.manifest)

    def _start_if_needed(self) -> None:
        """Describe the study in the manifest, unless that was done for all that is completed."""
        missing = self.grid.is_run & ~self.parts.completed()
        described = manifest_contents.describes(self.manifest, self.grid)
        # What the manifest says of problems and schedules belongs to its grid: another grid is described again.
        if missing.any() or not described or self._store.tables.lacks(SURFACES):
            self._start(self.grid)
        else:
            manifest_contents.check_objective(self.manifest, self.study)

    def _start(self, grid: Grid) -> Engine:
        """Return the engine, ready for the runs of a grid; the first time, it describes the study in the manifest."""
        if self._engine is None:
            began = time.perf_counter()
            self._engine, self.manifest = self._describe()
            self._seconds["starting"] = time.perf_counter() - began
        self._engine.continue_with(grid)
        return self._engine

    def _describe(self) -> tuple[Engine, dict[str, Any]]:
        """Start an engine, write its description of the study into the manifest, and return both."""
        from lrbench.engine.engine import Engine  # the first import of JAX
        from lrbench.tables.surfaces import surfaces

        store, grid = self._store, self.grid
        engine = Engine(
            self.study,
            grid,
            self._options.devices,
            self._listener.warn,
            tunings=manifest_contents.kept_tunings(self.manifest, grid, self.parts.completed()),
            measured=self._record_tunings,
            measures=self._others is None,
        )
        for note in engine.notes:
            self._listener.warn(note)
        described = {**self.manifest, **manifest_contents.describe(engine, grid, self.manifest)}
        if self._others is not None:
            described["shards"] = self._others.describe(engine, grid)
        store.write_manifest(described)
        if landscapes := engine.surfaces():
            described |= store.drop_checksums(described, SURFACES)
            store.write_table("surfaces", surfaces(grid, landscapes), csv=False)
            store.write_manifest(described)
        return engine, described

    def _record_tunings(self) -> None:
        """Write into the manifest how programs are compiled, before the first part of one that was measured."""
        if self._engine is not None:
            self.manifest = manifest_contents.with_tunings(self.manifest, self._engine)
            self._store.write_manifest(self.manifest)

    def _train(self, grid: Grid, parts: Inventory, stage: Stage | None) -> bool:
        """Train the missing runs of a stage, by default of a whole grid; return whether each of them was tried."""
        wanted = grid.is_run if stage is None else grid.in_stage(stage)
        missing = wanted & ~parts.completed()
        if not missing.any():
            return True
        name = stage.name if stage is not None and self.study.stages() else ""
        self._notify_of_cached()
        engine = self._start(grid)
        if self._others is None:
            return self._train_here(engine, parts, missing, name)
        shares = self._others.shares(engine, grid, wanted)
        own = missing & of_share(grid, shares[0])
        tried = self._train_here(engine, parts, own, name) if own.any() else True
        failures, self.awaited = self._others.wait(grid, parts, shares, missing & ~own)
        self._fail(grid, failures)
        self._expected.append(grid.run_ids[parts.completed()])
        return tried and not self.awaited

    def _train_here(self, engine: Engine, parts: Inventory, missing: np.ndarray, stage: str) -> bool:
        """Have the launcher train missing runs; return whether each of them was tried."""
        grid, listener = engine.grid, self._listener
        if self._options.profile and self.profile is None:
            from lrbench.execution.trace import TracingListener

            listener = tracing = TracingListener(listener, self._store.folder)
        lanes_per_pack = self.manifest["lanes_per_pack"]
        outcomes = train(
            engine, self._store, self._options.launcher, lanes_per_pack, missing, stage, listener
        )
        if listener is not self._listener:
            self.profile = tracing.path
        writing = sum(outcome.seconds.get("write", 0.0) for outcome in outcomes)
        self._seconds["writing"] = self._seconds.get("writing", 0.0) + writing
        self._fail(grid, [outcome for outcome in outcomes if outcome.error])
        self._expected += [grid.run_ids[outcome.pack.runs] for outcome in outcomes if not outcome.error]
        self.trained += int((parts.completed() & missing).sum())
        return sum(len(outcome.pack.runs) for outcome in outcomes) == int(missing.sum())

    def _fail(self, grid: Grid, failures: Sequence[Outcome]) -> None:
        """Note packs of a grid that failed."""
        self.failures += failures
        self.failure_records += [manifest_contents.failure(grid, each.pack, each.error) for each in failures]

    def _notify_of_cached(self) -> None:
        """Report, before anything is trained, how many runs of the stages so far are completed already, if any."""
        cached = int((self.grid.is_run & self.parts.completed()).sum())
        if cached and not self._told:
            self._listener.notify(f"{self._store.name}: {cached:,} of {self.grid.runs:,} runs are cached")
        self._told = True

    def _notify_of_all(self) -> None:
        """Report that nothing was left to train."""
        if (self.grid.is_run & ~self.parts.completed()).any():
            return
        count = self.grid.runs
        runs = f"all {count:,} runs are" if count > 1 else "the run is"
        profile = " or to profile" if self._options.profile else ""
        self._listener.notify(f"{self._store.name}: {runs} cached; nothing to train{profile}")

    def close(self) -> None:
        """Compile nothing further."""
        if self._engine is not None:
            self._engine.close()

    @property
    def seconds(self) -> dict[str, float]:
        """Wall time so far, by activity; empty if nothing was trained."""
        return {"training": time.perf_counter() - self._began, **self._seconds} if self.trained else {}

    def final_manifest(self) -> dict[str, Any]:
        """Return the manifest with all stages."""
        return {
            **self.manifest,
            "study": self.study.name,
            "grid": self.grid.asdict(),
            "shorter": [each.asdict() for each in self.shorter],
            "objective": self.study.objective,
            "at": self.study.at,
            "target": self.study.target,
        }

    def lost(self) -> int:
        """Return how many runs of the grid were completed, and are no longer since tables were built."""
        expected = np.unique(np.concatenate(self._expected))
        numbers = RunLookup(self.grid.run_ids).numbers(expected)
        numbers = numbers[numbers < len(self.grid)]
        return int((~self.parts.completed()[numbers]).sum())
