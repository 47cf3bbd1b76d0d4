"""The work that launchers map over packs: from a pack to its part, in this process or in another one."""

from __future__ import annotations

import dataclasses
import functools
import platform
import sys
import time
import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from lrbench.errors import LaunchError
from lrbench.execution import costs
from lrbench.execution.listener import Listener
from lrbench.launchers import Outcome
from lrbench.results import inventory, part_file
from lrbench.results.folder import ResultsFolder
from lrbench.results.places import FolderPlace, Place, UrlPlace, is_url
from lrbench.results.trained import Trained
from lrbench.study import grid, run_id
from lrbench.study.grid import Chosen, Pack
from lrbench.study.spec import Study

if TYPE_CHECKING:
    from lrbench.engine.engine import Engine
    from lrbench.execution.checkpoints import Checkpoints


@dataclass(frozen=True)
class PackWork:
    """Trains a pack and writes its part; the same pack again does nothing.

    It pickles as its arguments: the study, with the user's code by name, and numbers. Two are equal if they have the
    same token, however their parts are returned.

    Args:
        study: what to train.
        folder: the results folder.
        lanes_per_pack: the most runs of a pack, of each program.
        devices: how many devices a process uses; left out, all.
        chosen: what the stages so far have made of the study's grid; `None` if there is none but the grid.
        tunings: how programs are compiled, by the kind of machine; other processes measure nothing, so that all compile alike.
        parts: `shared` writes parts into the folder; `returned` sends them back with the outcomes; a URL is where they are
            written for whoever fetches them. Where the folder has a `url`, that is it.
        url: of the results, where they are at one; this process then sends what it writes into the folder, and others write to the URL.
        trainer: the engine of this process, where there already is one; it is not pickled.
    """

    study: Study = field(compare=False)
    folder: Path = field(compare=False)
    lanes_per_pack: tuple[int, ...] = field(compare=False)
    devices: int | None = field(default=None, compare=False)
    chosen: Chosen | None = field(default=None, compare=False, repr=False)
    tunings: tuple[Mapping[str, Any], ...] = field(default=(), compare=False, repr=False)
    parts: str = field(default="shared", compare=False)
    url: str = field(default="", compare=False)
    trainer: Trainer | None = field(default=None, compare=False, repr=False)
    token: str = field(default_factory=lambda: uuid.uuid4().hex, repr=False)

    def __call__(self, pack: Pack) -> Outcome:
        """Train a pack and write its part; what its training raises becomes the error of the outcome."""
        try:
            trainer, place = self.trainer or _trainer(self), self._place
            run_ids = trainer.run_ids(pack)
            if place is not None and inventory.holds(place, pack.pack_id, run_ids):
                return Outcome(pack, {}, url=self._url)
            checkpoints = trainer.checkpoints(pack, place) if place is not None else None
            trained = trainer.train(pack, checkpoints)
            if place is None:
                return Outcome(pack, trained.seconds, part=part_file.encoded(trained))
            began = time.perf_counter()
            if self._is_here:
                trainer.folder.write_part(trained)
            else:
                place.write(inventory.part_name(pack.pack_id), part_file.encoded(trained))
            if checkpoints:
                checkpoints.remove()
        except Exception as error:  # a pack that fails must not take the others with it
            return self.failed(pack, error)
        return Outcome(pack, {**trained.seconds, "write": time.perf_counter() - began}, url=self._url)

    @property
    def _is_here(self) -> bool:
        """Whether parts go into the results folder of this process."""
        return self.trainer is not None and self.parts == "shared"

    @property
    def _url(self) -> str:
        """The URL that parts are fetched from; empty if they are in the folder or returned."""
        if self._is_here:
            return ""
        return self.parts if is_url(self.parts) else self.url

    @property
    def _place(self) -> Place | None:
        """Where parts and checkpoints are written; None if parts are returned."""
        if self.trainer is not None and self._is_here:
            return self.trainer.folder.place
        if self._url:
            return UrlPlace(self._url)
        return FolderPlace(self.folder) if self.parts == "shared" else None

    def prepare(self, packs: Iterable[Pack]) -> None:
        """Begin to compile, in this process, what packs will need."""
        trainer = self.trainer or _trainer(self)
        for pack in packs:
            trainer.compile(pack)

    def to(self, parts: str) -> PackWork:
        """Return the same work, with another way for its parts.

        Raises:
            LaunchError, StoreError: if it is none.
        """
        if is_url(parts):
            UrlPlace(parts)
        elif parts not in {"shared", "returned"}:
            raise LaunchError(
                f"parts = {parts!r}: must be returned, shared or a URL, such as s3://bucket/folder"
            )
        return dataclasses.replace(self, parts=parts)

    def look(self, pack: Pack) -> Outcome | None:
        """Return the outcome of a pack whose part is in the results folder, whoever wrote it; `None` if there is none."""
        place = UrlPlace(self.url) if self.url else FolderPlace(self.folder)
        there = place.exists(inventory.part_name(pack.pack_id))
        return Outcome(pack, {}, url=self.url, process="another") if there else None

    def costs(self, packs: Sequence[Pack]) -> list[float]:
        """Return what packs are estimated to cost, in seconds of this machine."""
        return (
            costs.of_packs(costs.of_programs((self.trainer or _trainer(self)).engine), packs) if packs else []
        )

    def notify(self, text: str) -> None:
        """Tell a person something, if this process is the one that is watched."""
        if self.trainer is not None and self.trainer.listener is not None:
            self.trainer.listener.notify(text)

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
    """What a process trains with: its engine, the results folder, and the listener to the progress."""

    engine: Engine
    folder: ResultsFolder
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

    def checkpoints(self, pack: Pack, place: Place) -> Checkpoints | None:
        """Return the checkpoints of a pack in a place, if the study has any."""
        from lrbench.execution.checkpoints import Checkpoints

        every = self.engine.study.checkpoint_every
        notify = self.engine.notify
        return Checkpoints(place, pack.pack_id, every, notify) if every else None

    def stopping(self) -> bool:
        """Return whether this process is to end."""
        return self.listener is not None and self.listener.stopping()

    def train(self, pack: Pack, checkpoints: Checkpoints | None = None) -> Trained:
        """Train a pack."""
        engine, listener = self.engine, self.listener
        if listener is not None and not self.compile(pack):
            programs = engine.grid.programs
            number = f", {pack.program + 1} of {len(programs)} programs" if len(programs) > 1 else ""
            listener.compiling(engine.name(programs[pack.program]) + number)
        progress = listener.advance if listener else None
        return engine.run(pack, self.lanes_per_pack[pack.program], progress, checkpoints, self.stopping)


def _log(text: str) -> None:
    """Write a line where a job's log is."""
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()


@functools.lru_cache(maxsize=1)
def _trainer(work: PackWork) -> Trainer:
    """Return the trainer of a work in this process, which is built at its first pack.

    A worker process unpickles the work for every pack, and recognises it by its token. One engine is cached: that of
    another study takes its place.
    """
    from lrbench.engine.engine import Engine  # the first import of JAX

    first = grid.of_study(work.study)
    engine = Engine(work.study, first, work.devices, _log, tunings=work.tunings, measures=False)
    if work.chosen is not None:
        engine.continue_with(dataclasses.replace(first, **work.chosen._asdict()))
    return Trainer(engine, ResultsFolder(work.folder), work.lanes_per_pack)
