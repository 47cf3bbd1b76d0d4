"""From run_ids to their numbers in a grid: a hundred million of them are looked up in a few arrays."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

_AT_ONCE = 2**20
_ODD = np.uint64(0x9E3779B97F4A7C15)


class RunLookup:
    """Gives the number in a grid of any run_id; takes 12 bytes a run in addition to the run_ids.

    A run_id is found by 64 bits of a hash, among those of the grid in ascending order, and is then compared itself.

    >>> RunLookup(np.array([b"r3", b"r1"])).numbers(np.array([b"r1", b"r2"])).tolist()
    [1, 2]
    """

    def __init__(self, run_ids: np.ndarray) -> None:
        """Sort the grid's runs by their hash."""
        self._run_ids = run_ids
        keys = np.concatenate(
            [
                _keys(run_ids[at : at + _AT_ONCE], run_ids.dtype)
                for at in range(0, max(1, len(run_ids)), _AT_ONCE)
            ]
        )
        self._order = np.argsort(keys).astype(np.int32)
        self._keys = keys[self._order]

    def numbers(self, run_ids: np.ndarray) -> npt.NDArray[np.int32]:
        """Return the number of each run in the grid; of one that is not in it, the number of the grid's runs."""
        numbers = np.full(len(run_ids), len(self._run_ids), dtype=np.int32)
        keys = _keys(run_ids, self._run_ids.dtype)
        left = np.argsort(keys)  # neighbours in the sorted table are looked up one after another
        at = np.searchsorted(self._keys, keys[left])
        while len(left):
            there = at < len(self._keys)
            there[there] = self._keys[at[there]] == keys[left[there]]
            left, at = left[there], at[there]
            found = self._order[at]
            same = self._run_ids[found] == run_ids[left]
            numbers[left[same]] = found[same]
            left, at = left[~same], at[~same] + 1  # two runs of one hash are side by side
        return numbers


def _keys(run_ids: np.ndarray, kind: np.dtype[np.bytes_]) -> npt.NDArray[np.uint64]:
    """Return 64 bits of a hash of each run_id, as if it were of this kind."""
    words = -(-kind.itemsize // 8)
    texts = run_ids.astype(f"S{8 * words}").view(np.uint64).reshape(len(run_ids), words)
    keys = np.zeros(len(run_ids), dtype=np.uint64)
    for word in texts.T:
        keys = (keys ^ word) * _ODD
        keys ^= keys >> np.uint64(29)
    return keys
