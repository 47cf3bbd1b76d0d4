"""Launchers: each maps the work over packs; none knows what the work is.

A launcher is `(packs, work, *, its parameters) → outcomes`, one for each pack, as they come. It calls `work(pack)` in
whatever process it likes: the work pickles, the same pack twice does nothing, and what its training raises is an
outcome. What a study says under `[launcher.NAME]` are its parameters. One that shares packs out to several machines says how
in a function `shares` beside it, `(costs of the packs, nodes) → numbers of each node's packs`, which `lrbench plan` shows.

A text among the parameters is a `Word` or an `Address`, also where it is an item of a list; the catalog has their patterns.
"""

from __future__ import annotations

import os
import platform
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol, TypeAlias

from lrbench.study.grid import Pack
from lrbench.study.spec import Study

Word: TypeAlias = str
"""A text without spaces, quotes or line breaks, as it may stand in the script of a job."""
Address: TypeAlias = str
"""A word, or the address or URL of something that is connected to; in a study file the second needs `--trust`."""


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
        url: where its part was written, if that is not the results folder.
        process: host and number of the process that worked on it.
    """

    pack: Pack
    seconds: Mapping[str, float]
    error: str = ""
    part: bytes = field(default=b"", repr=False)
    url: str = ""
    process: str = field(default_factory=this_process)


class Work(Protocol):
    """What a launcher maps over packs; it pickles, and the same pack again does nothing."""

    @property
    def study(self) -> Study:
        """The study that packs are of."""

    @property
    def folder(self) -> Path:
        """The results folder."""

    def __call__(self, pack: Pack) -> Outcome:
        """Train a pack and keep its part; what its training raises is the error of the outcome."""

    def prepare(self, packs: Iterable[Pack]) -> None:
        """Begin to compile, in this process, what packs will need."""

    def to(self, parts: str) -> Work:
        """Return the same work with another way for its parts: shared, returned or a URL."""

    def look(self, pack: Pack) -> Outcome | None:
        """Return the outcome of a pack whose part lies in the results folder, whoever wrote it; `None` if there is none."""

    def costs(self, packs: Sequence[Pack]) -> list[float]:
        """Return what packs are estimated to cost, in seconds of this machine."""

    def say(self, text: str) -> None:
        """Tell a person something, if this process is the one that is watched."""

    def check(self) -> None:
        """Raise `KeyboardInterrupt` if this process is to end; called again and again while others train."""

    def failed(self, pack: Pack, error: BaseException) -> Outcome:
        """Return the outcome of a pack that could not be worked on."""
