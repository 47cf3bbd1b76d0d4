"""Packs in this process."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

PackT = TypeVar("PackT")
DoneT = TypeVar("DoneT")


def local(packs: Iterable[PackT], work: Callable[[PackT], DoneT]) -> Iterator[DoneT]:
    """Execute packs one after another, over all devices of this process.

    Example:
        >>> list(local([1, 2], lambda pack: pack * 10))
        [10, 20]
    """
    return map(work, packs)
