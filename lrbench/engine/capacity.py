"""How many lanes fit and how many are fastest."""

from __future__ import annotations

import math
from typing import Any

import jax
import numpy as np

from lrbench.engine import lane
from lrbench.engine.lane import Hyper, Recipe

CACHE_BYTES = 640 * 1024
"""What the lanes of a chunk may take of a core's cache: parameters, optimizer state and gradients."""
LANES_PER_PACK = 2048
"""The most runs of a pack: enough to fill any device, few enough that an interruption loses little."""
PACK_BYTES = 2 * 1024**3
"""The most that the runs of a pack may hold between steps."""


def lane_bytes(recipe: Recipe, numeric: tuple[str, ...], params: Any) -> int:
    """Return the bytes that one run holds between steps, plus its gradient."""
    half = np.float32(0.5)
    hyper = Hyper(half, np.int32(0), dict.fromkeys(numeric, half))  # type: ignore[arg-type]
    state = jax.eval_shape(lambda params: lane.init(recipe, hyper, params), params)
    return sum(math.prod(leaf.shape) * leaf.dtype.itemsize for leaf in jax.tree.leaves((state, state.params)))


def lanes_per_pack(bytes_per_lane: int) -> int:
    """Return how many runs a pack holds at most."""
    return max(1, min(LANES_PER_PACK, PACK_BYTES // bytes_per_lane))


def lanes_per_chunk(bytes_per_lane: int, platform: str, lanes_per_seed: int, seeds: int, devices: int) -> int:
    """Return how many lanes are vmapped together.

    On a CPU, as many as keep their state in cache; elsewhere as many as there are. Of the sizes from half of that on,
    the one that leaves the fewest places empty, since lanes of a chunk share their seed.
    """
    most = 16 if platform == "cpu" else 1024
    if platform == "cpu":
        most = max(1, min(most, 2 ** int(math.log2(max(1, CACHE_BYTES / bytes_per_lane)))))

    def places(size: int) -> int:
        chunks = seeds * -(-lanes_per_seed // size)
        return -(-chunks // devices) * size

    return min(range(-(-most // 2), most + 1), key=lambda size: (places(size), -size))
