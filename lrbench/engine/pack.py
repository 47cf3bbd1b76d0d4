"""One pack, from its runs to what training gave."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import jax
import numpy as np
from jaxtyping import Float, Int

from lrbench.engine import batch, capacity, checkpoint, devices
from lrbench.engine.checkpoint import Snapshot, SnapshotStore
from lrbench.engine.lane import PLATEAU_SCALE, Hyper
from lrbench.engine.made import Made
from lrbench.engine.programs import Programs
from lrbench.engine.race import Race
from lrbench.engine.surface import Surface, surface
from lrbench.engine.watch import Watch
from lrbench.errors import LrbenchError
from lrbench.problems import Problem
from lrbench.results.trained import Trained, joined
from lrbench.study.grid import Grid, Pack, Program
from lrbench.study.spec import Study

WORTH_KEEPING = 5.0
"""Seconds of training since the last snapshot that are worth one where training is ended."""
Progress = Callable[[int, int], None]
"""Called with how many runs moved on, and by how many steps."""


@dataclass
class Engine:
    """Everything that packs of one study share on this machine: devices, problems, compiled programs.

    Args:
        study: what is trained.
        grid: its runs.
        count: how many devices are used; all, left out.
        say: takes what a person should read while packs are trained.

    Raises:
        StudyError, ProblemError: if the study names parameters that a problem, optimizer or schedule refuses.
    """

    study: Study
    grid: Grid
    count: int | None = None
    say: Callable[[str], None] = field(default=lambda text: None, repr=False)
    made: Made = field(init=False)
    watch: Watch = field(init=False)
    programs: Programs = field(init=False)
    _said: set[str] = field(init=False, default_factory=set, repr=False)

    def __post_init__(self) -> None:
        """Start the devices and make every problem and schedule, so that mistakes show before any training."""
        # XLA fuses a program for one device otherwise than one for several, which moves last digits.
        least = 2 if self.study.deterministic else 1
        self.mesh = devices.mesh(devices.start(self.count, least))
        try:
            self.made = Made(self.study, self.grid, self.mesh)
        except LrbenchError as error:
            raise type(error)(f"{self.study.where}: {error}") from error
        alone = " with --devices 1" if self.mesh.size > 1 else ""
        advice = f"if it does not end, stop it (Ctrl-C): finished packs are saved, and the same command{alone} goes on"
        self.watch = Watch(self.say, advice)
        self.programs = Programs(self.made, watch=self.watch)

    @property
    def problems(self) -> list[Problem]:
        """The study's problems."""
        return self.made.problems

    def lanes_per_pack(self, program: Program) -> int:
        """Return the most runs of a pack of a program; 0 if it cannot be made."""
        size = self.made.lane_bytes(program)
        return capacity.lanes_per_pack(size, self.mesh.devices.flat[0]) if size else 0

    def optimizer_name(self, program: Program) -> str:
        """Return the name of a program's optimizer."""
        return self.grid.optimizers[program.optimizers[0]].name

    def name(self, program: Program) -> str:
        """Return what a person calls a program."""
        return f"{self.grid.problems[program.problem].name} × {self.optimizer_name(program)}"

    def describe(self, program: Program) -> dict[str, Any]:
        """Return what the manifest and `lrbench plan` say of a program."""
        chosen = self.programs.capacity(program)
        return {
            "program": program.number,
            "problem": self.grid.problems[program.problem].name,
            "optimizer": self.optimizer_name(program),
            "runs": len(program.runs),
            "parameters": self.made.parameters(program),
            "bytes_per_lane": self.made.lane_bytes(program),
            "lanes_per_chunk": self.programs.lanes_per_chunk(program),
            "chunk_chosen": chosen.how,
            "form": chosen.form or next(iter(self.made.problem(program).forms), ""),
            "probe_gradients": {n: round(g, 2) for n, g in self.made.probe_gradients(program).items()},
        }

    def describe_devices(self) -> list[dict[str, Any]]:
        """Return the devices that runs are spread over."""
        return [{"platform": d.platform, "kind": d.device_kind, "id": d.id} for d in self.mesh.devices.flat]

    def describe_schedules(self) -> list[dict[str, Any]]:
        """Return the shape of every schedule at up to 201 steps; of one that depends on the losses, before it does."""
        step = np.unique(np.linspace(0, self.grid.steps - 1, 201).round().astype(int))
        table = self.made.schedules
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
        """Return the loss over the box of every problem that has one and can be computed, by the problem's number."""
        found = {}
        with self.made.precision():
            for number, problem in enumerate(self.problems):
                if problem.box is not None:
                    with contextlib.suppress(Exception):  # its packs fail, and say why
                        found[number] = surface(problem)
        return found

    def compile(self, program: Program, lanes_per_pack: int) -> Future[batch.Compiled]:
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
        keeper: SnapshotStore | None = None,
        stopping: Callable[[], bool] = lambda: False,
    ) -> Trained:
        """Train the runs of a pack, all at once or, where memory is short, some at a time.

        Args:
            pack: the runs.
            lanes_per_pack: the most runs of a pack of its program.
            progress: told after every segment, and before the first one of a move by 0 steps.
            keeper: keeps the pack half done, and gives what it kept of it before.
            stopping: asked after every segment whether training is to end there; a pack that is whole is returned.

        Raises:
            KeyboardInterrupt: if training ended early; what was trained is kept, if that is worth it.
            ProblemError: if a user's function raises or returns something unfit, or one run alone does not fit.
        """
        key = checkpoint.key(self.study, self.grid, pack) if keeper else {}
        begin = partial(_Piece, keeper, key=key, stopping=stopping)
        with self.watch.pack(f"{self.name(self.grid.programs[pack.program])} (pack {pack.pack_id})"):
            return self._in_pieces(pack, lanes_per_pack, progress, begin)

    def _in_pieces(
        self, pack: Pack, lanes_per_pack: int, progress: Progress | None, begin: Callable[[int], _Piece]
    ) -> Trained:
        """Train a pack piece by piece; `begin` gives the piece that starts at a run of it."""
        program = self.grid.programs[pack.program]
        pieces: list[Trained] = []
        done = 0
        while done < len(pack.runs):
            piece = begin(done)
            kept = piece.load(self.programs.room(program, lanes_per_pack))
            if kept is not None and kept.runs < len(pack.runs) - done:
                self.programs.limit(program, kept.runs)
            room = self.programs.room(program, lanes_per_pack)
            runs = pack.runs[done : done + room]
            piece.last = done + len(runs) == len(pack.runs)
            try:
                pieces.append(self._run(pack.pack_id, program, runs, lanes_per_pack, progress, piece, kept))
            except jax.errors.JaxRuntimeError as error:
                if not capacity.out_of_memory(error):
                    raise
                self.programs.shrink(program, len(runs))
                continue
            done += len(runs)
        return joined(pieces)

    def _run(
        self,
        pack_id: str,
        program: Program,
        runs: Int[np.ndarray, " run"],
        lanes_per_pack: int,
        progress: Progress | None,
        piece: _Piece,
        kept: Snapshot | None,
    ) -> Trained:
        began = time.perf_counter()
        compiled = self.programs.get(program, lanes_per_pack)
        seconds = {"compile": time.perf_counter() - began, "train": 0.0, "evaluate": 0.0}
        self._tell_of_loops(compiled)
        with self.made.precision():
            lanes = self._place(program, runs, compiled)
            rows = self._segments(program, runs, lanes, seconds, progress, piece, kept)
        found = {name: np.stack([row[name] for row in rows], axis=1) for name in rows[0]}
        scale = found.pop(PLATEAU_SCALE, None)
        curves = {"learning_rate": self._learning_rates(runs, scale), **found}
        taken = len(runs) * self.grid.steps - lanes.saved
        # A segment of one step is all starting; its pace says nothing of longer ones.
        if taken and self.grid.evaluate_every > 1:
            self.programs.learn(program, compiled, seconds["train"] / taken)
        return Trained(
            pack_id,
            self.grid.run_ids[runs],
            self.grid.evaluations,
            curves,
            lanes.diverged_step,
            lanes.stopped_step,
            np.full(len(runs), self.made.parameters(program)),
            seconds,
            lanes.saved,
            lanes.saved_by_stopping,
        )

    def _tell_of_loops(self, compiled: batch.Compiled) -> None:
        """Say once which decompositions of the user's code go from one matrix to the next."""
        if new := set(compiled.looped) - self._said:
            self._said |= new
            self.say(
                f"{', '.join(sorted(new))}: computed for one matrix after another, as jaxlib on a CPU may wait for ever "
                "for many at once; the numbers are the same"
            )

    def _segments(
        self,
        program: Program,
        runs: Int[np.ndarray, " run"],
        lanes: batch.Batch,
        seconds: dict[str, float],
        progress: Progress | None,
        piece: _Piece,
        kept: Snapshot | None,
    ) -> list[dict[str, np.ndarray]]:
        """Train and evaluate segment by segment; what one found is read while the next is on the devices."""
        race = self._race(program, runs) if self.study.race else None
        rows: list[dict[str, np.ndarray]] = []
        ends = self.grid.evaluations
        if kept is not None:
            rows = self._resume(program, kept, lanes, seconds, race)
            if progress is not None:
                progress(len(runs), 0)
                progress(len(runs), int(ends[len(rows) - 1]))
        pending: batch.Pending | None = None
        spans = zip([0, *ends][len(rows) :], ends[len(rows) :], strict=False)
        for evaluations, (start, stop) in enumerate(spans, len(rows)):
            began = time.perf_counter()
            with (
                jax.profiler.TraceAnnotation(f"train to step {stop}"),
                self.watch.call(
                    f"training to step {stop:,}", self._pace(program, runs, seconds, start) * (stop - start)
                ),
            ):
                training = lanes.train(int(start), int(stop))
                found = lanes.evaluate(int(stop))
                lanes.prepare(int(stop))
                if pending is not None:
                    rows.append(lanes.values(pending))
                jax.block_until_ready(training)
            trained = time.perf_counter()
            pending = found
            with (
                jax.profiler.TraceAnnotation(f"evaluate at step {stop}"),
                # The first evaluation has only the training before it to be compared with.
                self.watch.call(
                    f"evaluating at step {stop:,}",
                    max(trained - began, seconds["evaluate"] / max(1, evaluations)),
                ),
            ):
                lanes.settle()
            if race is not None:
                losses = lanes.values(found)[self.made.problem(program).objective]
                lanes.stop(race.lost(int(stop), losses), int(stop))
            # Which lanes share a chunk moves a result's last digits, and when gaps close hangs on the devices.
            if stop < self.grid.steps and not self.study.deterministic:
                lanes.close_gaps()
            seconds["train"] += trained - began
            seconds["evaluate"] += time.perf_counter() - trained
            if progress is not None:
                progress(len(runs), int(stop - start))
            if piece.due(seconds, whole=stop == self.grid.steps):
                rows.append(lanes.values(pending))
                pending = None
                piece.save(Snapshot(len(runs), seconds, lanes.snapshot(), rows))
            piece.check(whole=stop == self.grid.steps)
        if pending is not None:
            rows.append(lanes.values(pending))
        return rows

    def _pace(
        self, program: Program, runs: Int[np.ndarray, " run"], seconds: Mapping[str, float], start: int
    ) -> float:
        """Return the seconds that a step of these runs was timed at: in this pack so far, or before."""
        known = self.programs.pace(program) * len(runs)
        return max(known, seconds["train"] / start) if start else known

    def _resume(
        self,
        program: Program,
        kept: Snapshot,
        lanes: batch.Batch,
        seconds: dict[str, float],
        race: Race | None,
    ) -> list[dict[str, np.ndarray]]:
        """Bring lanes, clock and race to where a snapshot was taken, and return the evaluations so far."""
        lanes.restore(kept.lanes)
        for name, spent in kept.seconds.items():
            seconds[name] += spent
        for at, row in zip(self.grid.evaluations, kept.rows, strict=False):
            if race is not None:
                race.lost(int(at), row[self.made.problem(program).objective])
        return [dict(row) for row in kept.rows]

    def _race(self, program: Program, runs: Int[np.ndarray, " run"]) -> Race:
        """Return a race of the lines that the runs make: all but the learning rate equal."""
        at = self.grid.positions(runs)
        rates, row = self.grid.rates(runs)[""], at["schedule"]
        rest = [positions for axis, positions in at.items() if axis != "learning_rate"]
        _, line = np.unique(np.stack(rest), axis=1, return_inverse=True)
        return Race(line.reshape(-1), rates, row, self.made.schedules)

    def _place(
        self, program: Program, runs: Int[np.ndarray, " run"], compiled: batch.Compiled
    ) -> batch.Batch:
        at = self.grid.positions(runs)
        values = {
            name: np.array([variant.params.get(name, np.nan) for variant in self.grid.optimizers], float)[
                at["optimizer"]
            ]
            for name in self.made.numeric(program)
        }
        hyper = Hyper(self.grid.rates(runs), at["schedule"].astype(np.int32), values)  # type: ignore[arg-type]
        return batch.Batch(compiled, hyper, np.array(self.grid.seeds)[at["seed"]])

    def _learning_rates(
        self, runs: Int[np.ndarray, " run"], scale: Float[np.ndarray, "run evaluation"] | None
    ) -> Float[np.ndarray, "run evaluation"]:
        """Return the rate that each run has at each evaluation; at the end, that of its last step.

        `scale` is what schedules that depend on the losses have reduced it to, NaN where a run was not looked at any more.
        """
        rows = self.grid.positions(runs)["schedule"]
        steps = np.minimum(self.grid.evaluations, self.grid.steps - 1)
        rates: Float[np.ndarray, "run evaluation"] = (
            self.grid.rates(runs)[""][:, None] * self.made.schedules.shapes[rows][:, steps]
        )
        if scale is None:
            return rates
        # A rate is never raised again, so that what a run had last is the least so far.
        held = np.column_stack([np.ones(len(runs)), scale[:, 1:-1]])
        held = np.fmin.accumulate(held, axis=1)
        return rates * np.column_stack([held, held[:, -1]])


@dataclass
class _Piece:
    """The runs of a pack from `start` on that are on the devices at once, and when they are kept.

    Of a pack of several pieces, each but the last is kept once it is whole.
    """

    keeper: SnapshotStore | None
    start: int
    key: Mapping[str, Any]
    stopping: Callable[[], bool]
    last: bool = True
    kept_at: float = 0.0

    def load(self, room: int) -> Snapshot | None:
        """Return what was kept, if there is room for it."""
        kept = self.keeper.load(self.start, self.key) if self.keeper else None
        if kept is None or kept.runs > room:
            return None
        self.kept_at = kept.seconds["train"] + kept.seconds["evaluate"]
        return kept

    def due(self, seconds: Mapping[str, float], *, whole: bool) -> bool:
        """Return whether it is time for a snapshot; asked after every segment."""
        if self.keeper is None or whole:
            return self.keeper is not None and not self.last
        now = seconds["train"] + seconds["evaluate"]
        every = min(self.keeper.every, WORTH_KEEPING) if self.stopping() else self.keeper.every
        if now - self.kept_at < every:
            return False
        self.kept_at = now
        return True

    def check(self, *, whole: bool) -> None:
        """Raise `KeyboardInterrupt` if training is to end after this segment, unless it ends the pack."""
        if self.stopping() and not (whole and self.last):
            raise KeyboardInterrupt

    def save(self, snapshot: Snapshot) -> None:
        """Keep a snapshot."""
        if self.keeper is not None:
            self.keeper.save(self.start, self.key, snapshot)
