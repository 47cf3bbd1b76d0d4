"""The identity of runs and packs: short hashes that are the same on every machine and in every order.

A million of them take a few passes over arrays of 64-bit words, and are stored as one array of bytes.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Collection, Mapping, Sequence
from itertools import product

import numpy as np
import numpy.typing as npt

Words = npt.NDArray[np.uint64]
RUN_ID = np.dtype("S20")
"""A run_id: 20 hexadecimal digits, which are 80 bits."""
_BLOCK = 2**20
"""Runs hashed at a time: the intermediate arrays take three times the memory of the hashes."""


def run_ids(
    variants: Sequence[Sequence[str]],
    rates: Mapping[str, Sequence[float]],
    seeds: Sequence[int],
    common: str,
    zipped: Collection[str] = (),
) -> npt.NDArray[np.bytes_]:
    """Return the identity of every run of a grid, in the order of its axes.

    Two hash states h of 64 bits absorb one axis after the other, h ← m(h ⊕ m(w)), where w is BLAKE2b of a string or
    the bits of a number (a rate as IEEE 754 binary64), and m is the finaliser of SplitMix64 in one state and of
    MurmurHash3 in the other. Named rates are absorbed in the order of their names, so that their order in the study does not matter,
    and a study without named rates has the hashes that it had before they existed.

    Args:
        variants: the identities of the variants of problem, optimizer and schedule.
        rates: name → rates; the empty name is that of all parameters without rates of their own.
        seeds: the seeds.
        common: what all runs have in common: steps, evaluate_every and precision; see `Grid.run_ids`.
        zipped: the names of the rates that are points of a sample, the empty name among them, or nothing. The i-th point has the i-th of each
            of these rates and the i-th of the optimizers, which are one and the same but for what is sampled of them.

    Returns:
        [run] of dtype `RUN_ID`.

    >>> run_ids([["a"], ["b"], ["c"]], {"": [0.1, 0.2]}, [0], "d")
    array([b'469083657e017661b30b', b'cba96d131d49d8ec0533'], dtype='|S20')

    Source: Steele, Lea & Flood, OOPSLA 2014, with Stafford's variant 13 (SplitMix64); Appleby, MurmurHash3 (fmix64).
    """
    axes = [_words(texts) for texts in variants]
    axes += [np.array(axis, np.float64).view(np.uint64)[None] for axis in rates.values()]
    axes.append(np.array(seeds, np.uint64)[None])
    # The order of absorbing: named rates by name, the seed last.
    named = sorted(range(len(rates)), key=list(rates).__getitem__)
    order = [0, 1, 2, *(3 + axis for axis in named), len(axes) - 1]
    names = [name for name in sorted(rates) if name]
    first = _words([json.dumps([common, names]) if names else common])[:, 0]
    # Where each axis lies: of a sample, the optimizers and all its rates lie along the first axis of rates.
    lies = [3 if _in_sample(number, list(rates), zipped) else number for number in range(len(axes))]
    sizes = [axis.shape[1] if lies[number] == number else 1 for number, axis in enumerate(axes)]
    problems, optimizers, *others = sizes
    found = np.empty((problems, optimizers, math.prod(others)), RUN_ID)
    block = max(1, _BLOCK // found.shape[2])
    for problem, begin in product(range(problems), range(0, optimizers, block)):
        here = slice(begin, begin + block)
        own = axes[1] if zipped else axes[1][:, here]
        chosen = [axes[0][:, problem : problem + 1], own, *axes[2:]]
        states = [
            _absorb(first[word], [axis[min(word, len(axis) - 1)] for axis in chosen], order, lies, mix)
            for word, mix in enumerate((_splitmix64, _fmix64))
        ]
        found[problem, here] = _hexadecimal(*states).reshape(-1, found.shape[2])
    return found.reshape(-1)


def pack_id(run_ids: npt.NDArray[np.bytes_]) -> str:
    """Return the name of a pack: a hash of the run_ids in it, whatever their order."""
    return hashlib.blake2b(np.sort(run_ids).tobytes(), digest_size=8).hexdigest()


def _words(texts: Sequence[str]) -> Words:
    """Return two words for each text [word, text]."""
    digests = b"".join(hashlib.blake2b(text.encode(), digest_size=16).digest() for text in texts)
    return np.frombuffer(digests, "<u8").astype(np.uint64).reshape(-1, 2).T


def _in_sample(axis: int, rates: Sequence[str], zipped: Collection[str]) -> bool:
    """Return whether an axis has a value for each point of a sample: that of optimizers, and some of the rates, which come from 3 on."""
    if axis < 3 or axis >= 3 + len(rates):
        return bool(zipped) and axis == 1
    return rates[axis - 3] in zipped


def _absorb(
    start: np.uint64,
    axes: Sequence[Words],
    order: Sequence[int],
    lies: Sequence[int],
    mix: Callable[[Words], Words],
) -> Words:
    """Return the state [run] after all axes, the first of them varying slowest; `lies` says where each of them lies among them."""
    state = np.full((1,) * len(axes), start, np.uint64)
    for axis in order:
        shape = [1] * len(axes)
        shape[lies[axis]] = -1
        state = mix(state ^ mix(axes[axis].reshape(shape)))
    return state.reshape(-1)


def _splitmix64(word: Words) -> Words:
    word = word + np.uint64(0x9E3779B97F4A7C15)
    word = (word ^ (word >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    word = (word ^ (word >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return word ^ (word >> np.uint64(31))


def _fmix64(word: Words) -> Words:
    # MurmurHash3's finaliser maps 0 to 0; the increment of SplitMix64 avoids that for seed 0.
    word = word + np.uint64(0x9E3779B97F4A7C15)
    word = (word ^ (word >> np.uint64(33))) * np.uint64(0xFF51AFD7ED558CCD)
    word = (word ^ (word >> np.uint64(33))) * np.uint64(0xC4CEB9FE1A85EC53)
    return word ^ (word >> np.uint64(33))


def _hexadecimal(first: Words, second: Words) -> npt.NDArray[np.bytes_]:
    """Return the 64 bits of the first word and the upper 16 of the second as hexadecimal text."""
    digits = np.frombuffer(b"0123456789abcdef", np.uint8)
    text = np.empty((len(first), RUN_ID.itemsize), np.uint8)
    for digit in range(RUN_ID.itemsize):
        word, shift = (first, 60 - 4 * digit) if digit < 16 else (second, 124 - 4 * digit)
        text[:, digit] = digits[(word >> np.uint64(shift)).astype(np.uint8) & 15]
    return text.view(RUN_ID).reshape(-1)
