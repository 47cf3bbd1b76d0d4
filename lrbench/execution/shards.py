"""Shards: processes that train a share of a study each, start and end in any order, and know of each other by what they have written alone.

Every process divides the runs of a stage by itself, and all come to the same: into ranges of about equal cost, in the order of programs.
Packs are cut inside a range, so that machines whose packs have other sizes leave no gap. Shard 0 (`training.py`, `other_shards.py`)
chooses the stages and makes the tables; all others (`share_training.py`) read from the manifest what it has chosen.
"""

from __future__ import annotations

import hashlib
import json
import math
import time
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Int

from lrbench.errors import LaunchError
from lrbench.execution import shard_variables
from lrbench.study.grid import Grid

WAIT = 3600.0
"""Seconds that a shard waits for the others without anything new from them."""
_FIRST_PAUSE, _LAST_PAUSE, _GROWTH = 0.25, 20.0, 1.3
_LOOKING = 5
"""A pause is so many times as long as looking took: a store that is slow to list is not asked all the time."""


@dataclass(frozen=True)
class Shard:
    """The share of a study that a process trains.

    Args:
        number: from 0.
        count: how many shards there are.
        wait: seconds that it waits for the others without anything new.
    """

    number: int
    count: int
    wait: float = WAIT

    @property
    def given(self) -> str:
        """What `--shard` says."""
        return f"{self.number}/{self.count}"

    def __str__(self) -> str:
        """Name it as messages do."""
        return f"shard {self.given}"


def shard_of(
    given: str | None,
    wait: float | None,
    launcher: str = "local",
    *,
    fresh: bool = False,
    profile: bool = False,
) -> Shard | None:
    """Return what `--shard` and `--wait` give; `None` without the former.

    Args:
        given, wait: the options.
        launcher, fresh, profile: the options of these names, which must go with them.

    Raises:
        LaunchError: if one of them is wrong, or they do not go together.

    >>> shard_of("1/4", None)
    Shard(number=1, count=4, wait=3600.0)
    """
    if given is None:
        if wait is not None:
            raise LaunchError(f"--wait {wait:g}: works only with --shard")
        return None
    if launcher != "local":
        raise LaunchError(
            f"--shard {given}: works only with --launcher local, not with --launcher {launcher}"
        )
    if fresh:
        raise LaunchError(
            f"--shard {given}: not with --fresh, since others may have begun; move the folder away, or choose another --out"
        )
    if wait is not None and not 0 <= wait < math.inf:
        raise LaunchError(f"--wait {wait:g}: must be a number of seconds, 0 or more")
    shard = Shard(*shard_variables.resolved(given), WAIT if wait is None else wait)
    if profile and shard.number:
        raise LaunchError(f"--shard {given}: not with --profile, which is for shard 0")
    return shard


def divide(
    grid: Grid, wanted: Bool[np.ndarray, " run"], costs: Sequence[float], count: int
) -> list[Int[np.ndarray, " run"]]:
    """Return the numbers of the runs of each shard: neighbours, in the order of programs, of about equal cost.

    Args:
        grid: of the runs.
        wanted: which of them are divided.
        costs: of a run of each program, more than 0.
        count: the number of shards.
    """
    runs = [program.runs[wanted[program.runs]] for program in grid.programs]
    sizes, each = np.array([len(mine) for mine in runs]), np.array(costs)
    cost_before = np.append(0.0, np.cumsum(sizes * each))
    runs_before = np.append(0, np.cumsum(sizes))
    cuts = cost_before[-1] * np.arange(1, count) / count
    program = np.minimum(np.searchsorted(cost_before[1:], cuts), len(runs) - 1)
    within = np.rint((cuts - cost_before[program]) / each[program]).astype(int)
    return np.split(np.concatenate(runs), runs_before[program] + np.clip(within, 0, sizes[program]))


def of_share(grid: Grid, runs: Int[np.ndarray, " run"]) -> Bool[np.ndarray, " run"]:
    """Return which runs of a grid are those of a share."""
    found: Bool[np.ndarray, " run"] = np.zeros(len(grid), dtype=np.bool_)
    found[runs] = True
    return found


def digest(grid: Grid, costs: Sequence[float]) -> str:
    """Return a hash of what the runs of a grid are divided by, which all shards must have in common."""
    about = [[grid.program_id(program), cost] for program, cost in zip(grid.programs, costs, strict=True)]
    return hashlib.blake2b(json.dumps(about).encode(), digest_size=16).hexdigest()


class Patience:
    """Pauses that grow while nothing is new, and end a while after the last news.

    Args:
        seconds: how long.
        check: called again and again; raises if this process is to end.
        look: returns what shows that others are at work; asked at the beginning and when the time is over, since listing many files takes long.
    """

    def __init__(self, seconds: float, check: Callable[[], None], look: Callable[[], Hashable]) -> None:
        """Begin now."""
        self._seconds, self._check, self._look = seconds, check, look
        self._seen = look()
        self.renew()

    def renew(self) -> None:
        """Begin again, since there is news."""
        self._since = self._paused = time.monotonic()
        self._next = _FIRST_PAUSE

    def pause(self) -> bool:
        """Wait until it is worth looking again; return whether to go on waiting."""
        now = time.monotonic()
        left = self._since + self._seconds - now
        if left <= 0:
            seen, self._seen = self._seen, self._look()
            if seen == self._seen:
                return False
            self._since, left = now, self._seconds
        sleep(min(left, max(self._next, _LOOKING * (now - self._paused))), self._check)
        self._next = min(_LAST_PAUSE, _GROWTH * self._next)
        self._paused = time.monotonic()
        return True


def sleep(seconds: float, check: Callable[[], None]) -> None:
    """Sleep, unless this process is to end meanwhile."""
    until = time.monotonic() + seconds
    check()
    while (left := until - time.monotonic()) > 0:
        time.sleep(min(_FIRST_PAUSE, left))
        check()
