"""Which run is in which lane of which chunk of which device."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

WORTH_COMPACTING = 0.9
"""Lanes are compacted when the most chunks of a device fall to this share: moving the state has a cost too."""


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


def place(runs: Int[np.ndarray, " run"], seed: Int[np.ndarray, " every"], devices: int, size: Size) -> Layout:
    """Return the layout of some runs of a pack, by their numbers in it; `seed` is that of every run of the pack."""
    arranged = arrange(seed[runs], devices, size)
    # The last entry is for empty lanes, −1: also where no run is left at all.
    return arranged._replace(runs=np.append(runs, -1)[arranged.runs])


def worth_compacting(before: Layout, seed: Int[np.ndarray, " left"], devices: int, size: Size) -> bool:
    """Return whether the busiest device has less work once a layout has the runs of these seeds alone."""
    needed = chunks_per_device(seed, devices, size.lanes)
    return bool(needed <= WORTH_COMPACTING * before.counts.max())


def lanes_of(
    run: int,
    seed: Int[np.ndarray, " run"],
    ended: Float[np.ndarray, " run"],
    evaluations: Sequence[int],
    devices: int,
    size: Size,
) -> list[int]:
    """Return in which lane of its chunk a run of a pack was at each evaluation, as the pack was compacted after them.

    Args:
        run: its number in the pack.
        seed: each run's seed, as an index into the pack's seeds.
        ended: the step by which each run was no longer finite, or after which it was stopped; infinite if it trained to the end.
        evaluations: the steps after which the pack was evaluated.
        devices: number of devices.
        size: what the program was compiled for.

    >>> ends = np.array([0.0, np.inf, 0.0, np.inf])
    >>> lanes_of(3, np.zeros(4, int), ends, [0, 10], 1, Size(2, 2, 1, 10))
    [1, 1]
    >>> lanes_of(1, np.zeros(4, int), np.roll(ends, 1), [0, 10], 1, Size(4, 1, 1, 10))
    [0, 0]
    """
    now = place(np.arange(len(seed)), seed, devices, size)
    lanes = []
    for step in evaluations:
        lanes.append(int(np.argwhere(now.runs == run)[0, 1]))
        left = np.flatnonzero(ended > step)
        if worth_compacting(now, seed[left], devices, size):
            now = place(left, seed, devices, size)
    return lanes
