"""Which share of a study a process trains: as `--shard` says it or, where that is `auto`, as a scheduler has told the process.

Variables are read for `auto` and for nothing else: a machine may have some that were set for other programs.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import find_spec

from lrbench.errors import LaunchError

PAIRS = (
    ("SLURM_PROCID", "SLURM_NTASKS"),
    ("SKYPILOT_NODE_RANK", "SKYPILOT_NUM_NODES"),
    ("RANK", "WORLD_SIZE"),
)
"""The number of a process, from 0, and how many there are, as Slurm, SkyPilot, and torchrun and its like set them."""
NUMBERS = ("JOB_COMPLETION_INDEX", "TPU_WORKER_ID")
"""The number of a process alone, as Kubernetes and hosts of TPUs set it."""
_GIVEN = re.compile(r"(auto|[0-9]{1,6})(?:/([0-9]{1,6}))?")
_ALLOWED = "I/N, with I from 0 to N - 1, such as 0/4, or auto, or auto/N"


@dataclass(frozen=True)
class FoundShard:
    """The number of a process, from 0, and how many there are; `count` is 0 where that is not known."""

    number: int
    count: int
    said_by: str


def resolved(given: str) -> tuple[int, int]:
    """Return number and count of the shard that `--shard` gives.

    Raises:
        LaunchError: if it gives none, or the variables do not say it.

    >>> resolved("1/4")
    (1, 4)
    """
    found = _GIVEN.fullmatch(given)
    if found is None or (found[1] != "auto" and found[2] is None):
        raise LaunchError(f"--shard {given}: must be {_ALLOWED}")
    count = None if found[2] is None else int(found[2])
    if found[1] != "auto":
        return _checked(given, int(found[1]), count or 0)
    said = next(_pairs(given), None)
    if said is None and count is not None:
        said = next(_numbers(given), None)
    if said is None:
        raise LaunchError(f"--shard {given}: {_lacks(count)}")
    if count is not None and said.count not in {0, count}:
        raise LaunchError(
            f"--shard {given}: {said.said_by} says that there are {said.count}; give --shard auto, or I/N, such as 0/4"
        )
    return _checked(given, said.number, count if count is not None else said.count, said.said_by)


def _checked(given: str, number: int, count: int, said_by: str = "") -> tuple[int, int]:
    if number < count:
        return number, count
    found = f"{said_by} gives {number}/{count}; " if said_by else ""
    raise LaunchError(f"--shard {given}: {found}must be {_ALLOWED}")


def _pairs(given: str) -> Iterator[FoundShard]:
    """Yield what is said by who says both number and count."""
    if (known := _of_jax()) is not None:
        yield FoundShard(*known, "JAX")
    for names in PAIRS:
        number, count = (_number(given, name) for name in names)
        if number is not None and count is not None:
            yield FoundShard(number, count, f"{names[0]}/{names[1]}")


def _numbers(given: str) -> Iterator[FoundShard]:
    for name in NUMBERS:
        if (number := _number(given, name)) is not None:
            yield FoundShard(number, 0, name)


def _number(given: str, name: str) -> int | None:
    """Return the value of a variable; `None` if it is not set."""
    value = os.environ.get(name, "")
    if value and not re.fullmatch("[0-9]{1,6}", value):
        raise LaunchError(
            f"--shard {given}: {name} = {value!r}: is no number of a process; give --shard I/N, such as 0/4"
        )
    return int(value) if value else None


def _lacks(count: int | None) -> str:
    """Say which variables were found, and what to give instead."""
    names = [*(name for pair in PAIRS for name in pair), *NUMBERS]
    if not (found := [name for name in names if os.environ.get(name)]):
        return f"no variable says which process this is ({', '.join(names)}); give --shard I/N, such as 0/4"
    values = ", ".join(f"{name} = {os.environ[name]}" for name in found)
    if count is None and set(found) & set(NUMBERS):
        return f"found {values}, which does not say how many processes there are; give --shard auto/N"
    return f"found {values} alone, which is half of what is needed; give --shard I/N, such as 0/4"


def _of_jax() -> tuple[int, int] | None:
    """Return number and count of the processes that JAX knows of, if it knows of others than this one.

    Those are what `jax.distributed.initialize` has connected, or the hosts of a slice of TPUs.
    """
    jax = sys.modules.get("jax")
    connected = jax is not None and jax.distributed.is_initialized()
    if not connected and find_spec("libtpu") is None:  # JAX starts TPUs with nothing else
        return None
    from lrbench.engine import devices

    number, count = devices.process()
    return (number, count) if connected or count > 1 else None
