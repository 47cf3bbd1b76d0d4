"""How many lanes a chunk has by rule, and how many of them leave the fewest lanes empty."""

from __future__ import annotations

import math
from collections.abc import Sequence

CACHE_BYTES = 640 * 1024
"""How much of a core's cache the lanes of a chunk may take: parameters, optimizer state and gradients."""


def rule(bytes_per_lane: int, platform: str) -> int:
    """Return the lanes per chunk to start with: on a CPU as many as keep their state in cache, elsewhere 1,024."""
    if platform != "cpu":
        return 1024
    return max(1, min(16, 2 ** int(math.log2(max(1, CACHE_BYTES / bytes_per_lane)))))


def with_fewest_empty_lanes(most: int, shapes: Sequence[tuple[int, int]], devices: int) -> int:
    """Return the chunk size, from half of `most` on, that leaves the fewest lanes empty.

    Lanes of a chunk share their seed, so that the last chunk of each seed is rarely full.

    Args:
        most: the most lanes of a chunk.
        shapes: of each stage the lanes of a seed, and the seeds.
        devices: how many there are.

    >>> with_fewest_empty_lanes(16, [(16, 3)], 1), with_fewest_empty_lanes(16, [(16, 3), (10, 10)], 1)
    (16, 10)
    """

    def lanes(size: int) -> int:
        return sum(-(-seeds * -(-each // size) // devices) * size for each, seeds in shapes)

    return min(range(-(-most // 2), most + 1), key=lambda size: (lanes(size), -size))
