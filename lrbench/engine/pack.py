"""A pack, from its runs to what training found: trained all at once or, where memory is short, in pieces."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import numpy as np
from jaxtyping import Float, Int

from lrbench.engine import device_memory, snapshot
from lrbench.engine.instances import Instances
from lrbench.engine.lane import PLATEAU_SCALE, Hyper
from lrbench.engine.lane_batch import LaneBatch
from lrbench.engine.pieces import Piece
from lrbench.engine.programs import Programs
from lrbench.engine.race import Race
from lrbench.engine.segments import Progress, Training
from lrbench.engine.snapshot import SnapshotStore
from lrbench.engine.tuner import Tuner
from lrbench.engine.watchdog import Watchdog
from lrbench.engine.xla_program import CompiledProgram
from lrbench.results.trained import Trained, joined
from lrbench.study import ladder, requires, run_id
from lrbench.study.grid import Pack, Program
from lrbench.study.stages import GRID


class TrainedModel(NamedTuple):
    """A run that was trained again, with its model.

    Args:
        trained: its curves.
        params: the parameters that its last evaluation is of, as NumPy arrays.
        state: the state of a model that has one; `()` for all others.
    """

    trained: Trained
    params: Any
    state: Any


@dataclass
class PackTrainer:
    """Trains packs of a study.

    Args:
        instances: what the study names.
        tuner: knows how fast programs are.
        programs: the compiled programs.
        watchdog: watches each call of a program.
        notify: is called with what the user should read.
    """

    instances: Instances
    tuner: Tuner
    programs: Programs
    watchdog: Watchdog
    notify: Callable[[str], None]

    def __post_init__(self) -> None:
        """Nothing was reported yet."""
        self._reported: set[str] = set()

    def train(
        self,
        pack: Pack,
        lanes_per_pack: int,
        progress: Progress,
        checkpoints: SnapshotStore | None,
        stopping: Callable[[], bool],
    ) -> Trained:
        """Train the runs of a pack piece by piece; `Engine.run` explains the arguments."""
        grid = self.instances.grid
        key = snapshot.key(self.instances.study, grid, pack) if checkpoints else {}
        program = grid.programs[pack.program]
        pieces: list[Trained] = []
        done = 0
        while done < len(pack.runs):
            piece = Piece(checkpoints, done, key, stopping)
            piece.load(self.programs.runs_at_once(program, lanes_per_pack))
            if piece.snapshot is not None and piece.snapshot.runs < len(pack.runs) - done:
                self.programs.limit(program, piece.snapshot.runs)
            runs = pack.runs[done : done + self.programs.runs_at_once(program, lanes_per_pack)]
            piece.last = done + len(runs) == len(pack.runs)
            try:
                pieces.append(self._train(pack, program, runs, lanes_per_pack, progress, piece))
            except jax.errors.JaxRuntimeError as error:
                if not device_memory.is_out_of_memory(error):
                    raise
                self.programs.halve(program, len(runs))
                continue
            done += len(runs)
        return joined(pieces)

    def _train(
        self,
        pack: Pack,
        program: Program,
        runs: Int[np.ndarray, " run"],
        lanes_per_pack: int,
        progress: Progress,
        piece: Piece,
    ) -> Trained:
        """Train the runs of a piece, which are on the devices at once."""
        grid = self.instances.grid
        compiled, seconds = self._compiled(program, lanes_per_pack)
        with self.instances.precision():
            training = self._training(pack.stage, program, runs, compiled, progress, piece, seconds)
            if piece.snapshot is not None:
                training.restore(piece.snapshot)
            rows = training.run()
        taken = len(runs) * grid.steps_of(program.problem) - training.lanes.saved_steps
        # Segments of one step are dominated by overhead, and say nothing about longer ones.
        if taken and grid.every_of(program.problem) > 1:
            self.tuner.record_pace(program, seconds["train"] / taken, compiled.compile_seconds)
        return self._record(pack.pack_id, program, runs, training, rows)

    def train_one(
        self,
        program: Program,
        run: int,
        lanes_per_pack: int,
        progress: Progress,
        stopping: Callable[[], bool],
    ) -> TrainedModel:
        """Train one run and keep its model; `Engine.train_one` explains the arguments.

        The program is that of a whole pack, and all lanes of one chunk have copies of the run: what is computed for it is the same in any
        lane, whatever is in the others.
        """
        compiled, seconds = self._compiled(program, lanes_per_pack)
        runs = np.array([run])
        piece = Piece(None, 0, {}, stopping)
        with self.instances.precision():
            training = self._training("", program, runs, compiled, progress, piece, seconds)
            training.compact = False  # a run that diverges keeps its lane
            rows = training.run()
            state = training.lanes.state(0)
            where = requires.evaluation(compiled.recipe.optimizer)
            params = state.params if where is None else where(state.optimizer, state.params)
        pack_id = run_id.pack_id(self.instances.grid.run_ids[runs])
        trained = self._record(pack_id, program, runs, training, rows)
        return TrainedModel(trained, jax.tree.map(np.asarray, params), state.model)

    def _compiled(self, program: Program, lanes_per_pack: int) -> tuple[CompiledProgram, dict[str, float]]:
        """Return a program compiled for the runs of the present grid, and the seconds of its training, with those of compiling."""
        began = time.perf_counter()
        compiled = self.programs.get(program, lanes_per_pack)
        seconds = {"compile": time.perf_counter() - began, "train": 0.0, "evaluate": 0.0}
        self._report_loops(compiled)
        if self.instances.grid.steps_of(program.problem) < self.instances.longest(program):
            with self.instances.precision():
                compiled = compiled.with_schedules(self.instances.padded_schedules(program))
        return compiled, seconds

    def _record(
        self,
        pack_id: str,
        program: Program,
        runs: Int[np.ndarray, " run"],
        training: Training,
        rows: Sequence[Mapping[str, np.ndarray]],
    ) -> Trained:
        """Return what training found; `rows` has, of each evaluation, name → value of each run."""
        grid, lanes = self.instances.grid, training.lanes
        found = {name: np.stack([row[name] for row in rows], axis=1) for name in rows[0]}
        scale = found.pop(PLATEAU_SCALE, None)
        curves = {"learning_rate": self._learning_rates(program, runs, scale), **found}
        return Trained(
            pack_id,
            grid.run_ids[runs],
            grid.evaluations(program.problem),
            curves,
            lanes.diverged_step,
            lanes.stopped_step,
            np.full(len(runs), self.instances.parameters(program)),
            training.seconds,
            lanes.saved_steps,
            lanes.saved_by_stopping,
            self._first_hits(program, lanes, found) if self.instances.study.first_hits else None,
        )

    def _first_hits(
        self, program: Program, lanes: LaneBatch, found: Mapping[str, Float[np.ndarray, "run evaluation"]]
    ) -> Int[np.ndarray, "run rung"]:
        """Return the first hits of runs: of every step where lanes keep them, else those that their evaluations show."""
        judged, step = self._judged_by(program), self.instances.grid.evaluations(program.problem)
        shown = ladder.of_curve(found[judged], step, self.instances.floor(program, judged))
        kept = lanes.first_hits
        # Lanes see the loss before each step; the one after the last step is an evaluation's.
        return shown if kept is None else ladder.earlier(kept, shown)

    def _training(
        self,
        stage: str,
        program: Program,
        runs: Int[np.ndarray, " run"],
        compiled: CompiledProgram,
        progress: Progress,
        piece: Piece,
        seconds: dict[str, float],
    ) -> Training:
        """Put runs on the devices, ready to be trained."""
        study, grid = self.instances.study, self.instances.grid
        return Training(
            evaluations=tuple(int(step) for step in grid.evaluations(program.problem)),
            lanes=self._lanes(program, runs, compiled),
            piece=piece,
            watchdog=self.watchdog,
            progress=progress,
            seconds=seconds,
            pace=self.tuner.pace(program) * len(runs),
            objective=self._judged_by(program),
            race=self._race(program, runs) if study.race and stage == GRID else None,
            # Which lanes share a chunk changes the last digits, and when lanes are compacted depends on the devices.
            compact=not study.deterministic,
        )

    def _judged_by(self, program: Program) -> str:
        """Return the loss by which runs race: the study's, or that of the problem where the study is judged by a metric."""
        objective = self.instances.study.objective
        return objective if objective == "train_loss" else self.instances.problem(program).objective

    def _lanes(self, program: Program, runs: Int[np.ndarray, " run"], compiled: CompiledProgram) -> LaneBatch:
        grid = self.instances.grid
        at = grid.positions(runs)
        values = {name: grid.numbers(name, runs) for name in self.instances.numeric(program)}
        hyper = Hyper(grid.rates(runs), at["schedule"].astype(np.int32), values)  # type: ignore[arg-type]
        return LaneBatch(compiled, hyper, np.array(grid.seeds)[at["seed"]])

    def _race(self, program: Program, runs: Int[np.ndarray, " run"]) -> Race:
        """Return a race between runs that have everything but the learning rate in common."""
        grid = self.instances.grid
        at = grid.positions(runs)
        others = [positions for axis, positions in at.items() if axis != "learning_rate"]
        _, group = np.unique(np.stack(others), axis=1, return_inverse=True)
        schedules = self.instances.schedules(grid.steps_of(program.problem))
        return Race(group.reshape(-1), grid.rates(runs)[""], at["schedule"], schedules)

    def _learning_rates(
        self,
        program: Program,
        runs: Int[np.ndarray, " run"],
        scale: Float[np.ndarray, "run evaluation"] | None,
    ) -> Float[np.ndarray, "run evaluation"]:
        """Return the learning rate of each run at each evaluation; at the last one, that of the last step.

        `scale` is what schedules that depend on the losses have reduced it to, NaN once a run has ended.
        """
        grid = self.instances.grid
        rows = grid.positions(runs)["schedule"]
        last = grid.steps_of(program.problem)
        steps = np.minimum(grid.evaluations(program.problem), last - 1)
        shapes = self.instances.schedules(last).shapes
        rates: Float[np.ndarray, "run evaluation"] = grid.rates(runs)[""][:, None] * shapes[rows][:, steps]
        if scale is None:
            return rates
        # A rate is never raised again, so the last scale of a run is its least.
        reduced = np.column_stack([np.ones(len(runs)), scale[:, 1:-1]])
        reduced = np.fmin.accumulate(reduced, axis=1)
        return rates * np.column_stack([reduced, reduced[:, -1]])

    def _report_loops(self, compiled: CompiledProgram) -> None:
        """Report once which decompositions of the user's code are computed for one matrix at a time."""
        if new := set(compiled.looped) - self._reported:
            self._reported |= new
            self.notify(
                f"{', '.join(sorted(new))}: computed for one matrix after another, because jaxlib on a CPU may deadlock on many "
                "at once; the results are the same"
            )
