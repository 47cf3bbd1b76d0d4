"""The training of one share of a study, by a process that chooses no stages and makes no tables: that is what shard 0 does."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lrbench import machine
from lrbench.errors import LaunchError, StoreError
from lrbench.execution import costs, manifest_contents, output_folder, shards
from lrbench.execution.listener import Listener
from lrbench.execution.missing_runs import train
from lrbench.execution.shard_records import ShardRecords
from lrbench.execution.shards import Patience, Shard
from lrbench.launchers import Outcome
from lrbench.results.folder import ResultsFolder
from lrbench.study.grid import Grid
from lrbench.study.spec import Study
from lrbench.study.stages import Shorter, Stage

if TYPE_CHECKING:
    from lrbench.engine.engine import Engine


class ShareTraining:
    """What a shard other than 0 does: it trains its share of every stage that the manifest has.

    Args:
        study: what is trained.
        grid: the runs that it begins with.
        store: the results folder, which is not locked.
        shard: the share.
        devices: how many devices to use; by default all.
        listener: receives the progress.
    """

    def __init__(
        self,
        study: Study,
        grid: Grid,
        store: ResultsFolder,
        shard: Shard,
        devices: int | None,
        listener: Listener,
    ) -> None:
        """Read what the folder has."""
        self._study, self._grid, self._store = study, grid, store
        self._shard, self._devices, self._listener = shard, devices, listener
        self._records = ShardRecords(store.place)
        self._manifest = output_folder.checked_manifest(store, grid)
        self._engine: Engine | None = None
        self._lanes_per_pack: list[int] = []
        self._warned = False
        self.trained = 0
        self.failures: list[Outcome] = []
        self._read: dict[str, Any] | None = None
        """The manifest as it was last read to find further stages."""
        self._trouble: StoreError | None = None
        """Why the manifest could not be read the last time."""
        self.awaited = ""
        """What did not come in time; empty if the share of every stage was trained."""

    def run(self) -> None:
        """Train the share of every stage, once it is chosen."""
        try:
            self._train(self._grid, self._grid.stages[0] if self._grid.stages else None)
            if self._study.stages():
                self._train_later()
        finally:
            if self._engine is not None:
                self._engine.close()

    def _train_later(self) -> None:
        """Train the share of later stages, as the manifest gets them, until it has all."""
        trained: set[tuple[float, Stage]] = set()
        patience = Patience(self._shard.wait, self._listener.check, self._records.activity)
        what = "shard 0 to choose the next stage"
        said = False
        while True:
            if self._read_manifest():
                new = [each for each in self._later() if each[:2] not in trained]
                for factor, stage, grid in new:
                    self._train(grid, stage)
                    trained.add((factor, stage))
                if self._all_chosen():
                    return
                if new:
                    patience.renew()
            if not said:
                said = True
                self._listener.notify(f"waiting for {what}")
            if not patience.pause():
                if self._trouble is not None:
                    raise self._trouble
                self.awaited = what
                return

    def _read_manifest(self) -> bool:
        """Return whether the manifest is another one now; while a store cannot be reached, it stays as it was."""
        self._trouble = None
        try:
            self._store.refresh()
        except StoreError as error:  # a folder is not refreshed; a network may be down for a while
            self._trouble = error
            return False
        found = self._store.manifest
        if found == self._read:
            return False
        self._read = found
        self._manifest = output_folder.checked_manifest(self._store, self._grid)
        self._check_division()
        return True

    def _is_of_this_study(self) -> bool:
        """Return whether the manifest is of the grid that this process has begun with."""
        return "grid" in self._manifest and manifest_contents.describes(self._manifest, self._grid)

    def _all_chosen(self) -> bool:
        """Return whether the manifest has all stages."""
        request = manifest_contents.request(self._study, self._grid)
        return self._is_of_this_study() and self._manifest.get("all_chosen") == request

    def _later(self) -> list[tuple[float, Stage, Grid]]:
        """Return the stages that the manifest has beyond the first: by how much their runs are shorter, and the grid of their runs."""
        if not self._is_of_this_study():
            return []
        grid = self._grid.with_stages(Grid.from_dict(self._manifest["grid"]).stages[1:])
        shorter = [Shorter.from_dict(each) for each in self._manifest.get("shorter", ())]
        return [
            *((1.0, stage, grid) for stage in grid.stages[1:]),
            *((each.factor, each.stage, grid.shorter(each.factor, each.stage)) for each in shorter),
        ]

    def _train(self, grid: Grid, stage: Stage | None) -> None:
        """Train what is missing of the share of a stage."""
        wanted = grid.is_run if stage is None else grid.in_stage(stage)
        parts = self._store.inventory(grid.run_ids, stopped=grid.race)
        missing = wanted & ~parts.completed()
        if not missing.any():
            return
        engine = self._start(grid)
        share = shards.divide(grid, wanted, costs.of_runs(engine, grid), self._shard.count)
        missing &= shards.of_share(grid, share[self._shard.number])
        if not missing.any():
            return
        self._records.forget(grid, missing)
        name = stage.name if stage is not None and self._study.stages() else ""
        outcomes = train(engine, self._store, "local", self._lanes_per_pack, missing, name, self._listener)
        for outcome in outcomes:
            if outcome.error:
                self._records.failed(outcome.pack, grid.run_ids[outcome.pack.runs], outcome.error)
                self.failures.append(outcome)
            elif outcome.seconds:
                self.trained += len(outcome.pack.runs)

    def _start(self, grid: Grid) -> Engine:
        """Return the engine, ready for the runs of a grid."""
        if self._engine is None:
            from lrbench.engine.engine import Engine  # the first import of JAX

            tunings = self._manifest.get("tunings", ())
            self._engine = Engine(
                self._study, self._grid, self._devices, self._listener.warn, tunings=tunings, measures=False
            )
            for note in self._engine.notes:
                self._listener.warn(note)
            self._check_division()
            own = [self._engine.lanes_per_pack(program) for program in self._grid.programs]
            self._lanes_per_pack = self._records.begin(self._shard.number, self._shard.count, own)
        self._engine.continue_with(grid)
        return self._engine

    def _check_division(self) -> None:
        """Refuse to train a share of runs that shard 0 divides otherwise."""
        there = self._manifest.get("shards")
        if self._engine is None or there is None or not self._is_of_this_study():
            return
        if there["count"] != self._shard.count and not self._warned:
            self._warned = True
            self._listener.warn(
                f"shard 0 divides the runs among {there['count']}; give every process the same N, or some runs are trained twice"
            )
        if there["division"] != shards.digest(self._grid, costs.of_runs(self._engine, self._grid)):
            here, versions = machine.versions(), self._manifest.get("versions", {})
            words = "; ".join(
                f"{name} is {here.get(name)} here and {versions.get(name)} there"
                for name in ("lrbench", "jax")
            )
            raise LaunchError(
                f"{self._shard}: divides the runs otherwise than shard 0 of {self._store.name}: {words}; give every shard the "
                "same versions of them, and the same data"
            )
