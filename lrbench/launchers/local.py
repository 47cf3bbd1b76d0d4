"""Packs in this process."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lrbench.grid import Pack
    from lrbench.work import Outcome, Work


def local(packs: Sequence[Pack], work: Work) -> Iterator[Outcome]:
    """Execute packs one after another, over all devices of this process; programs compile ahead of them."""
    work.prepare(packs)
    return map(work, packs)
