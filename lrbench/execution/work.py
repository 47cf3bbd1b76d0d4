"""The work that launchers map over packs: from a pack to its part, in this process or in another one."""

from __future__ import annotations

import dataclasses
import platform
import sys
import time
import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from lrbench.errors import LaunchError
from lrbench.execution import costs
from lrbench.execution.listener import Listener
from lrbench.launchers import Outcome
from lrbench.results.folder import Store
from lrbench.results.object_store import Objects
from lrbench.results.part import Part, part_bytes
from lrbench.study import grid, run_id
from lrbench.study.grid import Pack
from lrbench.study.spec import Study

if TYPE_CHECKING:
    from lrbench.engine.engine import Engine
    from lrbench.execution.checkpoints import Folder


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
        parts: `shared` writes parts into the folder; `returned` sends them back with the outcomes; a URL is where they are
            written for whoever fetches them.
        trainer: the engine of this process, where there is one already; it stays where it is.
    """

    study: Study
    folder: Path
    lanes_per_pack: tuple[int, ...]
    devices: int | None = None
    parts: str = "shared"
    trainer: Trainer | None = field(default=None, compare=False, repr=False)
    token: str = field(default_factory=lambda: uuid.uuid4().hex, repr=False)
    """Tells a process whether the engine that it has is the one for this work."""

    def __call__(self, pack: Pack) -> Outcome:
        """Train a pack and keep its part; what its training raises becomes the error of the outcome."""
        try:
            trainer = self.trainer or _trainer(self)
            run_ids = trainer.run_ids(pack)
            if self._held(trainer, pack, run_ids):
                return Outcome(pack, {}, url=self._url)
            keeper = trainer.keeper(pack) if self.parts == "shared" else None
            part = trainer.train(pack, run_ids, keeper)
            if self.parts == "returned":
                return Outcome(pack, part.seconds, part=part_bytes(part))
            began = time.perf_counter()
            if self._url:
                Objects(self._url).write(pack.pack_id, part_bytes(part))
            else:
                trainer.store.write_part(part)
            if keeper:
                keeper.forget()
        except Exception as error:  # a pack that fails must not take the others with it
            return self.failed(pack, error)
        return Outcome(pack, {**part.seconds, "write": time.perf_counter() - began}, url=self._url)

    def _held(self, trainer: Trainer, pack: Pack, run_ids: np.ndarray) -> bool:
        """Return whether a pack is done already, as far as can be seen from here."""
        if self._url:
            return Objects(self._url).holds(pack.pack_id, run_ids)
        return self.parts == "shared" and trainer.store.holds(pack.pack_id, run_ids)

    @property
    def _url(self) -> str:
        return self.parts if "://" in self.parts else ""

    def prepare(self, packs: Iterable[Pack]) -> None:
        """Begin to compile, in this process, what packs will need."""
        trainer = self.trainer or _trainer(self)
        for pack in packs:
            trainer.compile(pack)

    def to(self, parts: str) -> Work:
        """Return the same work, with another way for its parts.

        Raises:
            LaunchError, StoreError: if it is none.
        """
        if "://" in parts:
            Objects(parts)
        elif parts not in {"shared", "returned"}:
            raise LaunchError(
                f"parts = {parts!r}: must be returned, shared or a URL, such as s3://bucket/folder"
            )
        return dataclasses.replace(self, parts=parts)

    def look(self, pack: Pack) -> Outcome | None:
        """Return the outcome of a pack whose part lies in the results folder, whoever made it; `None` if there is none."""
        there = Store(self.folder).has_part(pack.pack_id)
        return Outcome(pack, {}, process="another") if there else None

    def costs(self, packs: Sequence[Pack]) -> list[float]:
        """Return what packs are estimated to cost, in seconds of this machine."""
        return (
            costs.of_packs(costs.of_programs((self.trainer or _trainer(self)).engine), packs) if packs else []
        )

    def say(self, text: str) -> None:
        """Tell a person something, if this process is the one that is watched."""
        if self.trainer is not None and self.trainer.listener is not None:
            self.trainer.listener.say(text)

    def check(self) -> None:
        """Raise `KeyboardInterrupt` if this process is to end; called again and again while others train."""
        if self.trainer is not None and self.trainer.listener is not None:
            self.trainer.listener.check()

    def failed(self, pack: Pack, error: BaseException) -> Outcome:
        """Return the outcome of a pack that could not be worked on."""
        return Outcome(pack, {}, f"{type(error).__name__}: {' '.join(str(error).split())}")

    def __getstate__(self) -> dict[str, Any]:
        """Leave out what belongs to this process."""
        return {**self.__dict__, "trainer": None}


@dataclass(frozen=True)
class Trainer:
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
        if run_id.pack_id(run_ids) != pack.pack_id:
            raise LaunchError(
                f"the code or data of {self.engine.study.name} on {platform.node()} differ from those where the study was "
                "started; give every machine the same files and the same lrbench"
            )
        return run_ids

    def compile(self, pack: Pack) -> bool:
        """Begin to compile a pack's program; return whether that is done."""
        program = self.engine.grid.programs[pack.program]
        return self.engine.compile(program, self.lanes_per_pack[pack.program]).done()

    def keeper(self, pack: Pack) -> Folder | None:
        """Return what keeps a pack half done, if the study asks for it."""
        from lrbench.execution import checkpoints

        every = self.engine.study.checkpoint_every
        say = self.engine.notify
        return checkpoints.Folder(self.store.folder, pack.pack_id, every, say) if every else None

    def stopping(self) -> bool:
        """Return whether this process is to end."""
        return self.listener is not None and self.listener.stopping()

    def train(self, pack: Pack, run_ids: np.ndarray, keeper: Folder | None = None) -> Part:
        """Train a pack; return its part."""
        engine, listener = self.engine, self.listener
        if listener is not None and not self.compile(pack):
            program = engine.grid.programs[pack.program]
            listener.compiling(engine.name(program))
        progress = listener.advance if listener else None
        curves = engine.run(pack, self.lanes_per_pack[pack.program], progress, keeper, self.stopping)
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


def _log(text: str) -> None:
    """Write a line where a job's log is."""
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()


_kept: dict[str, Trainer] = {}


def _trainer(work: Work) -> Trainer:
    """Return the trainer of a work in this process, which is made at its first pack."""
    if work.token not in _kept:
        from lrbench.engine.engine import Engine  # the first import of JAX

        _kept.clear()  # an engine before gives its memory back
        engine = Engine(work.study, grid.of_study(work.study), work.devices, _log)
        _kept[work.token] = Trainer(engine, Store(work.folder), work.lanes_per_pack)
    return _kept[work.token]
