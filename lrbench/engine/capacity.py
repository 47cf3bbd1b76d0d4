"""How many lanes are the fastest and how many fit: a rule to begin with, then measured, and remembered."""

from __future__ import annotations

import contextlib
import hashlib
import json
import math
import os
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import jax
import numpy as np
import platformdirs

from lrbench import machine
from lrbench.engine import lane
from lrbench.engine.lane import Hyper, Recipe

CACHE_BYTES = 640 * 1024
"""What the lanes of a chunk may take of a core's cache: parameters, optimizer state and gradients."""
LANES_PER_PACK = {"cpu": 2048}
"""The most runs of a pack on a platform: enough to fill any device, few enough that an interruption loses little."""
LANES_PER_PACK_ELSEWHERE = 65536
PACK_BYTES = 2 * 1024**3
"""The most that the runs of a pack may hold between steps on a CPU; elsewhere, a quarter of the device's memory."""
WORTH_MEASURING = 40
"""Other chunk sizes are tried where a program trains this many times as long as it compiles."""
COMPILE_SECONDS = 2.5
"""What a small program takes to compile on a desktop core; less only where it was compiled before."""
BETTER = 0.97
"""A size must take at most this share of another's time to be preferred to it."""


@dataclass(frozen=True)
class Capacity:
    """How a program is cut on a device.

    Args:
        lanes_per_chunk: the most lanes that are vmapped together.
        form: which of the problem's forms computes the loss; "" is its own.
        how: `set` by the study, by the `rule`, or `measured`.
        seconds_per_step: of one run's step, all devices at work; NaN if it was not measured.
        compile_seconds: what the program took to compile; NaN if it was not measured.
    """

    lanes_per_chunk: int
    form: str = ""
    how: Literal["set", "rule", "measured"] = "rule"
    seconds_per_step: float = math.nan
    compile_seconds: float = math.nan


def lane_bytes(recipe: Recipe, rates: tuple[str, ...], numeric: tuple[str, ...], params: Any) -> int:
    """Return the bytes that one run holds between steps, plus its gradient."""
    half: Any = np.float32(0.5)
    hyper = Hyper(dict.fromkeys(rates, half), np.int32(0), dict.fromkeys(numeric, half))  # type: ignore[arg-type]
    state = jax.eval_shape(lambda params: lane.init(recipe, hyper, params), params)
    return sum(math.prod(leaf.shape) * leaf.dtype.itemsize for leaf in jax.tree.leaves((state, state.params)))


def most_per_pack(platform: str) -> int:
    """Return the most runs of a pack on a platform, however small they are."""
    return LANES_PER_PACK.get(platform, LANES_PER_PACK_ELSEWHERE)


def lanes_per_pack(bytes_per_lane: int, device: jax.Device) -> int:
    """Return how many runs a pack holds at most."""
    most = most_per_pack(device.platform)
    room = PACK_BYTES if device.platform == "cpu" else free_bytes(device) // 4
    return max(1, min(most, room // bytes_per_lane))


def first_guess(bytes_per_lane: int, platform: str) -> int:
    """Return the lanes per chunk to begin with: on a CPU as many as keep their state in cache, elsewhere 1,024."""
    if platform != "cpu":
        return 1024
    return max(1, min(16, 2 ** int(math.log2(max(1, CACHE_BYTES / bytes_per_lane)))))


def fitting(most: int, lanes_per_seed: int, seeds: int, devices: int) -> int:
    """Return how many lanes a chunk has: of the sizes from half of `most` on, the one that leaves the fewest places empty.

    Lanes of a chunk share their seed, so that the last chunk of each seed is rarely full.
    """

    def places(size: int) -> int:
        chunks = seeds * -(-lanes_per_seed // size)
        return -(-chunks // devices) * size

    return min(range(-(-most // 2), most + 1), key=lambda size: (places(size), -size))


def fastest(start: int, seconds: Callable[[int], float], most: int) -> tuple[int, float]:
    """Return the chunk size, start × a power of two, at which a run's step takes the least time, and that time.

    Walks up from `start` while it gets faster, or else down, so that few sizes are tried.

    Args:
        start: lanes per chunk to begin with.
        seconds: lanes per chunk → seconds of one run's step; infinite where it does not fit.
        most: the largest size to try.

    >>> fastest(8, lambda lanes: abs(lanes - 2) + 1.0, 64)
    (2, 1.0)
    """
    best, time = start, seconds(start)
    for factor in (2.0, 0.5):
        while 1 <= (size := int(best * factor)) <= most and (found := seconds(size)) <= BETTER * time:
            best, time = size, found
        if best != start:
            break
    return best, time


def free_bytes(device: jax.Device) -> int:
    """Return the memory that is free on a device; the machine's, for a CPU."""
    stats = device.memory_stats()
    if not stats or "bytes_limit" not in stats:
        return machine.memory().free
    return int(stats["bytes_limit"]) - int(stats["bytes_in_use"])


def needed_bytes(compiled: Any) -> int:
    """Return the memory that a compiled program takes on each device, as XLA counts it."""
    found = compiled.memory_analysis()
    if found is None:
        return 0
    parts = found.argument_size_in_bytes, found.output_size_in_bytes, found.temp_size_in_bytes
    return int(sum(parts) - found.alias_size_in_bytes)


def out_of_memory(error: BaseException) -> bool:
    """Return whether XLA says that something does not fit into memory."""
    return isinstance(error, jax.errors.JaxRuntimeError) and "RESOURCE_EXHAUSTED" in str(error)


class Memory:
    """What was measured before, one small file a program in the user's cache folder."""

    def __init__(self, folder: Path | None = None) -> None:
        """Nothing is read or made yet."""
        self.folder = folder or Path(platformdirs.user_cache_dir("lrbench")) / "capacity"

    def recall(self, key: Mapping[str, Any]) -> Capacity | None:
        """Return what was measured under a key; `None` if nothing was, or it cannot be read."""
        # A cache that cannot be read or written (damaged, read-only, full disk) costs time, never the study.
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
            found = json.loads(self._path(key).read_text(encoding="utf-8"))["capacity"]
            return Capacity(**found)
        return None

    def keep(self, key: Mapping[str, Any], capacity: Capacity) -> None:
        """Write down what was measured."""
        with contextlib.suppress(OSError):
            self.folder.mkdir(parents=True, exist_ok=True)
            handle, temporary = tempfile.mkstemp(dir=self.folder, suffix=".json")
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                json.dump({"capacity": asdict(capacity), "key": dict(key)}, file, indent=1)
            Path(temporary).replace(self._path(key))

    def _path(self, key: Mapping[str, Any]) -> Path:
        words = json.dumps(key, sort_keys=True)
        return self.folder / f"{hashlib.blake2b(words.encode(), digest_size=12).hexdigest()}.json"
