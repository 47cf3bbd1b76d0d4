"""The engine: what all packs of one study share on this machine."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from lrbench.engine import device_memory, devices, matmul
from lrbench.engine.device_memory import Target
from lrbench.engine.instances import Instances
from lrbench.engine.pack import PackTrainer, TrainedModel
from lrbench.engine.programs import Programs
from lrbench.engine.segments import Progress
from lrbench.engine.snapshot import SnapshotStore
from lrbench.engine.surface import Surface, surface
from lrbench.engine.tuner import Tuner
from lrbench.engine.watchdog import Watchdog
from lrbench.engine.xla_program import CompiledProgram
from lrbench.errors import LrbenchError
from lrbench.problems import Problem
from lrbench.results.trained import Trained
from lrbench.study.grid import Grid, Pack, Program
from lrbench.study.spec import Study


@dataclass
class Engine:
    """What all packs of one study share on this machine: devices, problems, compiled programs.

    Args:
        study: what is trained.
        grid: its runs.
        count: how many devices are used; left out, all.
        notify: is called with what the user should read while packs are trained.
        tunings: how programs were compiled before, as `describe_tunings` returned it: on this kind of machine they are compiled alike.
        measures: whether others may be measured, where the training ahead is long.
        measured: is called, before the program trains, when one was.
        planned_for: devices that are not here, for which lanes are counted; programs are then described, and not trained.

    Raises:
        StudyError, ProblemError: if the study names parameters that a problem, optimizer or schedule refuses.
    """

    study: Study
    grid: Grid
    count: int | None = None
    notify: Callable[[str], None] = field(default=lambda text: None, repr=False)
    tunings: Sequence[Mapping[str, Any]] = field(default=(), repr=False)
    measures: bool = True
    measured: Callable[[], None] = field(default=lambda: None, repr=False)
    planned_for: Target | None = None
    instances: Instances = field(init=False)
    watchdog: Watchdog = field(init=False)
    tuner: Tuner = field(init=False)
    programs: Programs = field(init=False)

    def __post_init__(self) -> None:
        """Start the devices and instantiate the study, so that mistakes show before any training."""
        # XLA fuses a program for one device differently from one for several, which changes last digits.
        least = 2 if self.study.deterministic else 1
        self.mesh = devices.mesh(devices.start(self.count, least))
        try:
            self.instances = Instances(self.study, self.grid, self.mesh)
        except LrbenchError as error:
            raise type(error)(f"{self.study.where}: {error}") from error
        alone = " with --devices 1" if self.mesh.size > 1 else ""
        advice = f"if it does not end, interrupt it (Ctrl-C): completed packs are saved, and the same command{alone} continues"
        self.watchdog = Watchdog(self.notify, advice)
        self.tuner = Tuner(
            self.instances,
            kept=self.tunings,
            measures=self.measures,
            measured=self.measured,
            target=self.target,
        )
        self.programs = Programs(self.instances, self.tuner, self.watchdog)
        self._trainer = PackTrainer(self.instances, self.tuner, self.programs, self.watchdog, self.notify)

    def continue_with(self, grid: Grid) -> None:
        """Go on to the next stage of the study: the same programs, with the runs of this grid."""
        self.grid = self.instances.grid = grid

    @property
    def target(self) -> Target:
        """The devices that the programs are for."""
        return self.planned_for or Target(self.mesh.devices.flat[0], self.mesh.size)

    @property
    def problems(self) -> list[Problem]:
        """The study's problems."""
        return self.instances.problems

    @property
    def notes(self) -> list[str]:
        """What was decided of the data of the problems and a person should know, a line each."""
        return list(dict.fromkeys(note for problem in self.problems for note in problem.notes))

    def lanes_per_pack(self, program: Program) -> int:
        """Return the most runs of a pack of a program; 0 if a user's function raises."""
        size = self.instances.lane_bytes(program)
        return device_memory.lanes_per_pack(size, self.target.device) if size else 0

    def optimizer_name(self, program: Program) -> str:
        """Return the name of a program's optimizer."""
        return self.grid.optimizers[program.optimizers[0]].name

    def name(self, program: Program) -> str:
        """Return the name of a program in messages."""
        return f"{self.optimizer_name(program)} on {self.grid.problems[program.problem].name}"

    def describe(self, program: Program) -> dict[str, Any]:
        """Return the description of a program for the manifest and `lrbench plan`."""
        return {
            "program": program.number,
            "problem": self.grid.problems[program.problem].name,
            "optimizer": self.optimizer_name(program),
            "runs": len(program.runs),
            "parameters": self.instances.parameters(program),
            "bytes_per_lane": self.instances.lane_bytes(program),
            **self.describe_tuning(program),
            "probe_gradients": {n: round(g, 2) for n, g in self.instances.probe_gradients(program).items()},
        }

    def describe_tuning(self, program: Program) -> dict[str, Any]:
        """Return how a program is compiled now, as a part of its description."""
        tuning = self.tuner.tuning(program)
        return {
            "lanes_per_chunk": self.tuner.lanes_per_chunk(program),
            "chunk_chosen": tuning.how,
            "form": tuning.form or next(iter(self.instances.problem(program).forms), ""),
            "options": tuning.options,
        }

    def describe_tunings(self) -> list[dict[str, Any]]:
        """Return how programs are compiled on each kind of machine so far, for the manifest; not those that the study sets."""
        return self.tuner.records()

    def describe_devices(self) -> list[dict[str, Any]]:
        """Return the description of the devices for the manifest."""
        return [{"platform": d.platform, "kind": d.device_kind, "id": d.id} for d in self.mesh.devices.flat]

    @property
    def matmul_precision(self) -> str:
        """The precision of all products, in the words of JAX."""
        return matmul.PRECISION

    def describe_problems(self) -> list[dict[str, Any]]:
        """Return what is known of each problem, and which of the values of its metrics are better."""
        return [
            {
                "name": problem.name,
                "validated": problem.objective == "valid_loss",
                "optimum": problem.optimum,
                "constant_loss": problem.constant_loss,
                "headline": next(iter(problem.measures), None),
                "metrics": {n: {"larger": m.larger, "bound": m.bound} for n, m in problem.measures.items()},
            }
            for problem in self.problems
        ]

    def describe_schedules(self) -> list[dict[str, Any]]:
        """Return the shape of every schedule at up to 201 steps; if it depends on the losses, before any reduction."""
        step = np.unique(np.linspace(0, self.grid.steps - 1, 201).round().astype(int))
        table = self.instances.schedules(self.grid.steps)
        adaptive = (
            np.zeros(len(table.shapes), bool) if table.rules is None else np.isfinite(table.rules.patience)
        )
        return [
            {
                "name": variant.name,
                "params": {name: variant.params[name] for name in variant.shown},
                "label": variant.label,
                "depends_on_losses": bool(depends),
                "step": step.tolist(),
                "shape": shape[step].tolist(),
            }
            for variant, shape, depends in zip(self.grid.schedules, table.shapes, adaptive, strict=True)
        ]

    def surfaces(self) -> dict[int, Surface]:
        """Return the loss surface of every problem that has one, by the problem's number; left out where its code raises."""
        found = {}
        with self.instances.precision():
            for number, problem in enumerate(self.problems):
                if problem.box is not None:
                    with contextlib.suppress(Exception):  # its packs fail with the error
                        found[number] = surface(problem)
        return found

    def compile(self, program: Program, lanes_per_pack: int) -> Future[CompiledProgram]:
        """Compile a program in the background for packs of up to so many lanes; a second call costs nothing."""
        return self.programs.compile(program, lanes_per_pack)

    def close(self) -> None:
        """Compile nothing further."""
        self.programs.close()

    def run(
        self,
        pack: Pack,
        lanes_per_pack: int,
        progress: Progress | None = None,
        checkpoints: SnapshotStore | None = None,
        stopping: Callable[[], bool] = lambda: False,
    ) -> Trained:
        """Train the runs of a pack, all at once or, where memory is short, some at a time.

        Args:
            pack: the runs.
            lanes_per_pack: the most runs of a pack of its program.
            progress: called after every segment, and with 0 steps when training continues from a checkpoint.
            checkpoints: where the pack is saved while it is trained, and from where it continues.
            stopping: called after every segment; returns whether training is to be interrupted. A completed pack is returned.

        Raises:
            KeyboardInterrupt: if training was interrupted; what was trained is saved, if that is worth it.
            ProblemError: if a user's function raises or returns something invalid, or a single run does not fit into memory.
        """
        with self.watchdog.pack(f"{self.name(self.grid.programs[pack.program])} (pack {pack.pack_id})"):
            return self._trainer.train(pack, lanes_per_pack, progress or _no_progress, checkpoints, stopping)

    def train_one(
        self,
        run: int,
        lanes_per_pack: int,
        progress: Progress | None = None,
        stopping: Callable[[], bool] = lambda: False,
    ) -> TrainedModel:
        """Train one run with the program of its pack, and keep its model.

        Args:
            run: its number in the grid.
            lanes_per_pack, progress, stopping: as of `run`.

        Raises:
            KeyboardInterrupt: if training was interrupted.
            ProblemError: as of `run`.
        """
        program = self.program_of(run)
        with self.watchdog.pack(f"{self.name(program)} (run {self.grid.run_ids[run].decode()})"):
            return self._trainer.train_one(program, run, lanes_per_pack, progress or _no_progress, stopping)

    def program_of(self, run: int) -> Program:
        """Return the program that trains a run, by the run's number in the grid."""
        return next(program for program in self.grid.programs if run in program.runs)


def _no_progress(runs: int, steps: int) -> None:
    """Report nothing."""
