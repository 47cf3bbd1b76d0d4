"""Launchers: where packs are executed. Each maps the work over packs; none knows what the work is.

A launcher is one file, whose function of its name is the launcher: `(packs, work, *, its parameters) → outcomes`, one outcome per pack, as
they arrive. It calls `work(pack)` in any process: the work can be pickled, a completed pack is not trained again, and an
exception in training becomes the `error` of the outcome. `Work` and `Outcome` are below; `execution/work.py` holds the work, and
`execution/execute.py` calls the launcher and collects the parts.

The keyword parameters of the function are its options. The catalogue reads them from the signature, so that `jobs: int = 1` of
`slurm` is

- the key `jobs` of the table `[launcher.slurm]` in a study file,
- `--set launcher.slurm.jobs=4` on the command line,
- and a line of `lrbench list launcher slurm`, described as under `Args:`.

`study/spec.py` checks the tables of all launchers against their signatures when a study is read, whichever launcher is used; they
are part of no run's identity. `lrbench run --launcher slurm` then passes the table of `slurm`, and nothing else, as keyword arguments;
`--detach` stands for `--set launcher.slurm.detach=true`. A string among the parameters is annotated `Word` or `Address`, also as an
item of a list: `study/signature.py` holds their characters, since they reach job scripts and networks.

A launcher that distributes packs to several machines has a second function, `shares`, `(costs of the packs, nodes) → numbers of each
node's packs`, from which `lrbench plan --launcher NAME --nodes N` shows the distribution.
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
"""A string without spaces, quotes or line breaks, which is safe in the script of a job."""
Address: TypeAlias = str
"""A word, or an address or URL that is connected to; in a study file the latter requires `--trust`."""


def this_process() -> str:
    """Return the name of this process, unique among all machines."""
    return f"{platform.node()}:{os.getpid()}"


@dataclass(frozen=True)
class Outcome:
    """The outcome of executing a pack.

    Args:
        pack: the pack.
        seconds: time taken, by activity; empty if it was not trained.
        error: why it failed, empty if it did not.
        part: its part file, if the work returns parts.
        url: where its part was written, if not to the results folder.
        process: host and number of the process that executed it.
    """

    pack: Pack
    seconds: Mapping[str, float]
    error: str = ""
    part: bytes = field(default=b"", repr=False)
    url: str = ""
    process: str = field(default_factory=this_process)


class Work(Protocol):
    """What a launcher maps over packs; it can be pickled, and does nothing for a completed pack."""

    @property
    def study(self) -> Study:
        """The study of the packs."""

    @property
    def folder(self) -> Path:
        """The results folder."""

    def __call__(self, pack: Pack) -> Outcome:
        """Train a pack and store its part; an exception in training becomes the error of the outcome."""

    def prepare(self, packs: Iterable[Pack]) -> None:
        """Start compiling, in this process, the programs of packs."""

    def to(self, parts: str) -> Work:
        """Return the same work with another destination of its parts: shared, returned or a URL."""

    def look(self, pack: Pack) -> Outcome | None:
        """Return the outcome of a pack whose part is in the results folder, whoever wrote it; `None` if there is none."""

    def costs(self, packs: Sequence[Pack]) -> list[float]:
        """Return the estimated cost of packs, in seconds of this machine."""

    def notify(self, text: str) -> None:
        """Show a person one line, if this process is the one that is watched."""

    def check(self) -> None:
        """Raise `KeyboardInterrupt` if this process is to stop; called repeatedly while others train."""

    def failed(self, pack: Pack, error: BaseException) -> Outcome:
        """Return the outcome of a pack that could not be executed."""
