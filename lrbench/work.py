"""The work that launchers map over packs: from a pack to its part, in this process or in another one."""

from __future__ import annotations

import dataclasses
import os
import platform
import time
import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from lrbench import costs, grid, identity, part_index
from lrbench.errors import LaunchError
from lrbench.grid import Pack
from lrbench.store import Part, Store, part_bytes
from lrbench.study import Study

if TYPE_CHECKING:
    from lrbench.engine.pack import Engine
    from lrbench.pipeline import Listener


def this_process() -> str:
    """Return a name of this process among those of all machines."""
    return f"{platform.node()}:{os.getpid()}"


@dataclass(frozen=True)
class Outcome:
    """What became of a pack.

    Args:
        pack: the pack.
        seconds: what it took, by name; empty where it was not trained.
        error: why it failed, empty if it did not.
        part: its part file, where the work was to return it.
        process: host and number of the process that worked on it.
    """

    pack: Pack
    seconds: Mapping[str, float]
    error: str = ""
    part: bytes = field(default=b"", repr=False)
    process: str = field(default_factory=this_process)


@dataclass(frozen=True)
class Work:
    """Trains a pack and keeps its part; the same pack again does nothing.

    It pickles as what it is made of: the study, with the user's code by name, and numbers. The engine is made once in
    each process, at its first pack.

    Args:
        study: what to train.
        folder: the results folder.
        lanes_per_pack: the most runs of a pack, of each program.
        devices: how many devices a process uses; all, left out.
        returned: whether parts come back with the outcomes, rather than being written into the folder.
        bench: the engine of this process, where there is one already; it stays where it is.
    """

    study: Study
    folder: Path
    lanes_per_pack: tuple[int, ...]
    devices: int | None = None
    returned: bool = False
    bench: Bench | None = field(default=None, compare=False, repr=False)
    token: str = field(default_factory=lambda: uuid.uuid4().hex, repr=False)
    """Tells a process whether the engine that it has is the one for this work."""

    def __call__(self, pack: Pack) -> Outcome:
        """Train a pack and keep its part; what its training raises becomes the error of the outcome."""
        bench = self.bench
        try:
            bench = bench or _bench(self)
            run_ids = bench.run_ids(pack)
            if not self.returned and bench.store.holds(pack.pack_id, run_ids):
                return Outcome(pack, {})
            part = bench.train(pack, run_ids)
        except Exception as error:  # a pack that fails must not take the others with it
            return self.failed(pack, error)
        if self.returned:
            return Outcome(pack, part.seconds, part=part_bytes(part))
        began = time.perf_counter()
        bench.store.write_part(part)
        return Outcome(pack, {**part.seconds, "write": time.perf_counter() - began})

    def prepare(self, packs: Iterable[Pack]) -> None:
        """Begin to compile, in this process, what packs will need."""
        bench = self.bench or _bench(self)
        for pack in packs:
            bench.compile(pack)

    def returning(self) -> Work:
        """Return the same work, for processes that do not see the results folder: parts come with the outcomes."""
        return dataclasses.replace(self, returned=True)

    def look(self, pack: Pack) -> Outcome | None:
        """Return the outcome of a pack whose part lies in the results folder, whoever made it; `None` if there is none."""
        there = (self.folder / part_index.place(pack.pack_id)).exists()
        return Outcome(pack, {}, process="another") if there else None

    def costs(self, packs: Sequence[Pack]) -> list[float]:
        """Return what packs are estimated to cost, in seconds of this machine, compiling left out."""
        each = costs.of_programs((self.bench or _bench(self)).engine) if packs else []
        return [each[pack.program].seconds_per_run * len(pack.runs) for pack in packs]

    def say(self, text: str) -> None:
        """Tell a person something, if this process is the one that is watched."""
        if self.bench is not None and self.bench.listener is not None:
            self.bench.listener.say(text)

    def failed(self, pack: Pack, error: BaseException) -> Outcome:
        """Return the outcome of a pack that could not be worked on."""
        return Outcome(pack, {}, f"{type(error).__name__}: {' '.join(str(error).split())}")

    def __getstate__(self) -> dict[str, Any]:
        """Leave out what belongs to this process."""
        return {**self.__dict__, "bench": None}


@dataclass(frozen=True)
class Bench:
    """What a process works with: its engine, the results folder, and who is told of the progress."""

    engine: Engine
    store: Store
    lanes_per_pack: Sequence[int]
    listener: Listener | None = None

    def run_ids(self, pack: Pack) -> np.ndarray:
        """Return the identities of a pack's runs as they are in this process.

        Raises:
            LaunchError: if they are not those that the pack was made of.
        """
        run_ids: np.ndarray = self.engine.grid.run_ids[pack.runs]
        if identity.pack_id(run_ids) != pack.pack_id:
            raise LaunchError(
                f"the code or data of {self.engine.study.name} on {platform.node()} differ from those where the study was "
                "started; give every machine the same files and the same lrbench"
            )
        return run_ids

    def compile(self, pack: Pack) -> bool:
        """Begin to compile a pack's program; return whether that is done."""
        program = self.engine.grid.programs[pack.program]
        return self.engine.compile(program, self.lanes_per_pack[pack.program]).done()

    def train(self, pack: Pack, run_ids: np.ndarray) -> Part:
        """Train a pack; return its part."""
        engine, listener = self.engine, self.listener
        if listener is not None and not self.compile(pack):
            program = engine.grid.programs[pack.program]
            listener.compiling(
                f"{engine.grid.problems[program.problem].name} × {engine.optimizer_name(program)}"
            )
        curves = engine.run(pack, self.lanes_per_pack[pack.program], listener.advance if listener else None)
        return Part(
            pack.pack_id,
            run_ids,
            engine.grid.evaluations,
            curves.curves,
            curves.diverged_step,
            curves.stopped_step,
            np.full(len(pack.runs), curves.parameters),
            curves.seconds,
            curves.saved_lane_steps,
            curves.stopped_lane_steps,
        )


_kept: dict[str, Bench] = {}


def _bench(work: Work) -> Bench:
    """Return the bench of a work in this process, which is made at its first pack."""
    if work.token not in _kept:
        from lrbench.engine.pack import Engine  # the first import of JAX

        _kept.clear()  # an engine before gives its memory back
        engine = Engine(work.study, grid.of_study(work.study), work.devices)
        _kept[work.token] = Bench(engine, Store(work.folder), work.lanes_per_pack)
    return _kept[work.token]
