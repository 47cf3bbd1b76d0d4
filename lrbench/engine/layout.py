"""Which run is in which lane of which chunk of which device."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from jaxtyping import Int


class Size(NamedTuple):
    """What a program is compiled for: chunks per device, lanes per chunk, seeds, and steps between evaluations."""

    chunks: int
    lanes: int
    seeds: int
    segment: int


class Layout(NamedTuple):
    """The runs of a pack on their chunks and devices.

    Args:
        runs: the run in each lane, −1 where the lane is empty.
        seeds: the seed of each chunk, as an index into the pack's seeds.
        counts: how many chunks of each device are in use; those come first.
    """

    runs: Int[np.ndarray, "chunk lane"]
    seeds: Int[np.ndarray, " chunk"]
    counts: Int[np.ndarray, " device"]


def arrange(seed: Int[np.ndarray, " run"], devices: int, size: Size) -> Layout:
    """Return a layout in which runs of one seed fill whole chunks; each chunk goes to the device with the fewest.

    Args:
        seed: each run's seed, as an index into the pack's seeds.
        devices: number of devices.
        size: what the program was compiled for.
    """
    runs = np.full((devices, size.chunks, size.lanes), -1)
    of_chunk = np.zeros((devices, size.chunks), dtype=np.int32)
    counts = np.zeros(devices, dtype=np.int32)
    for index in np.unique(seed):
        members = np.flatnonzero(seed == index)
        for start in range(0, len(members), size.lanes):
            device = int(counts.argmin())
            block = members[start : start + size.lanes]
            runs[device, counts[device], : len(block)] = block
            of_chunk[device, counts[device]] = index
            counts[device] += 1
    return Layout(runs.reshape(-1, size.lanes), of_chunk.reshape(-1), counts)


def chunks_per_device(seed: Int[np.ndarray, " run"], devices: int, lanes: int) -> int:
    """Return how many chunks of so many lanes the runs take on the device that has the most."""
    _, counts = np.unique(seed, return_counts=True)
    return -(-int(np.sum(-(-counts // lanes))) // devices)
