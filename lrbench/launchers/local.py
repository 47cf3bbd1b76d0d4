"""Packs executed in this process."""

from __future__ import annotations

from collections.abc import Generator, Sequence

from lrbench.launchers import Outcome, Work
from lrbench.study.grid import Pack


def local(packs: Sequence[Pack], work: Work) -> Generator[Outcome, None, None]:
    """Execute packs one after another, over all devices of this process; programs compile ahead."""
    work.prepare(packs)
    yield from map(work, packs)
