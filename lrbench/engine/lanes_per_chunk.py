"""How many lanes a chunk has by rule, and how many of them leave few lanes empty."""

from __future__ import annotations

import math
from collections.abc import Sequence

STATE_BYTES = 640 * 1024
"""How much the state of the lanes of a chunk may take where no cache decides: parameters, optimizer state and gradients."""
CACHE_SHARE = 0.5
"""How much of a core's second level of cache all that a step of a chunk touches may take; with more, some problems are slower."""
LEAST_CACHE = 2**21
"""The cache that a few lanes are counted with at least: of smaller ones, more lanes use what the third level adds."""
FEW, MANY = 2, 16
"""The lanes of a chunk in any grid: one alone leaves vectors half empty, and beyond many little is gained."""
MOST_BY_CACHE = 256
"""The most lanes of a chunk in cache: tiny problems hardly become faster beyond."""
CHUNKS = 4
"""At least so many chunks a seed has where the cache decides: dropping runs that are no longer finite saves whole chunks."""
HARDLY_MORE = 1.1
"""Larger chunks may have so many times the lanes, with those that are empty."""


def by_state(state_bytes: int, platform: str) -> int:
    """Return the lanes per chunk by the bytes of a lane's state and gradient: on a CPU a few, elsewhere 1,024."""
    if platform != "cpu":
        return 1024
    return _power_of_two(STATE_BYTES / state_bytes, MANY)


def by_cache(working_bytes: int, cache_bytes: int, most: int = MOST_BY_CACHE) -> int:
    """Return how many lanes keep all that a step touches in a core's second level of cache.

    Args:
        working_bytes: a lane's state, gradient and activations.
        cache_bytes: the size of the cache.
        most: the most lanes.

    >>> by_cache(13 * 1024, 2**21), by_cache(13 * 1024, 0)
    (64, 1)
    """
    return _power_of_two(CACHE_SHARE * cache_bytes / working_bytes, most)


def few(working_bytes: int, cache_bytes: int) -> int:
    """Return the lanes of a chunk on a CPU in any grid: as many as are in cache, from two to a few.

    Args:
        working_bytes, cache_bytes: as of `by_cache`; the size may be 0, where it is not known.

    >>> few(98 * 1024, 2**21), few(2**22, 2**21), few(98 * 1024, 0)
    (8, 2, 8)
    """
    return max(FEW, by_cache(working_bytes, max(cache_bytes, LEAST_CACHE), MANY))


def _power_of_two(lanes: float, most: int) -> int:
    return max(1, min(most, 2 ** int(math.log2(max(1.0, lanes)))))


def fitting(most: int, least: int, shapes: Sequence[tuple[int, int]], devices: int) -> int:
    """Return the largest chunk, of up to `most` lanes, that leaves hardly more lanes empty than one of up to `least`.

    Args:
        most, least: lanes of a chunk.
        shapes: of each stage the lanes of a seed, and the seeds.
        devices: how many there are.

    >>> fitting(256, 16, [(1000, 3)], 2), fitting(256, 16, [(40, 1)], 2)
    (250, 20)
    """
    found = with_fewest_empty_lanes(min(most, least), shapes, devices)
    enough = HARDLY_MORE * _lanes(found, shapes, devices)
    while most > least:
        size = with_fewest_empty_lanes(most, shapes, devices)
        if _lanes(size, shapes, devices) <= enough:
            return size
        most //= 2
    return found


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
    return min(range(-(-most // 2), most + 1), key=lambda size: (_lanes(size, shapes, devices), -size))


def _lanes(size: int, shapes: Sequence[tuple[int, int]], devices: int) -> int:
    """Return how many lanes the busiest device trains, with those that are empty."""
    return sum(-(-seeds * -(-each // size) // devices) * size for each, seeds in shapes)
