"""Differences between two lines of a problem, each at its best rate, paired by seed, with bootstrap intervals."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from lrbench.analysis.bootstrap import interval, iqm, resamples
from lrbench.analysis.groups import Floats, Ints
from lrbench.analysis.rates import Cube, least, median, stable_rates
from lrbench.analysis.thresholds import Thresholds

_BLOCK = 2_000_000  # resampled losses at a time: 16 MB, and a few copies of it
_OF_BOTH = ("learning_rate", "loss")
FEW = 4
"""With so few seeds, an interval that excludes 0 means that all agree, which often happens by chance: the answer adds how often."""
NUMBERS = (
    "seeds learning_rate other_learning_rate loss other_loss difference difference_low difference_high "
    "difference_normalised difference_normalised_low difference_normalised_high"
).split()
"""The columns of a pair, in the order of the tables."""


class _BestRates(NamedTuple):
    """Lines at the best rate of every resample; NaN where no rate is stable."""

    rate: Floats  # [line, resample]
    loss: Floats  # [line, resample] ℓ(η) at that rate
    runs: Floats  # [line, resample, seed] the loss of each seed at that rate


def differences(cube: Cube, first: Ints, other: Ints, limits: Thresholds) -> dict[str, Floats]:
    """Compare pairs of lines of a problem: the interquartile mean of ℓ_first − ℓ_other over the seeds of both.

    Each line is taken at its best rate on these seeds. A resample takes the same seeds for both, and chooses both
    rates again: that choice is part of the noise. A rate at which one of the seeds is missing is left out.

    Args:
        cube: the lines.
        first, other: [pair] positions of lines in the cube.
        limits: `stable`, `confidence`, `resamples`.

    Returns:
        Each [pair]: `seeds`, `learning_rate`, `loss`, `other_learning_rate`, `other_loss`, `difference`, and its ends
        `difference_low` and `difference_high`; NaN where a line has no stable rate.
    """
    present: npt.NDArray[np.bool_] = np.logical_or.reduce(np.isfinite(cube.ok), axis=1)
    shared, which = np.unique(present[first] & present[other], axis=0, return_inverse=True)
    names = [*(prefix + name for prefix in ("", "other_") for name in _OF_BOTH)]
    names += [f"difference{end}" for end in ("", "_low", "_high")]
    out = {name: np.full(len(first), np.nan) for name in names}
    out["seeds"] = shared.sum(axis=1)[which.reshape(-1)].astype(np.float64)
    for number, seeds in enumerate(shared):
        pairs = np.flatnonzero(which.reshape(-1) == number)
        if not seeds.any():
            continue
        index, weight = resamples(int(seeds.sum()), limits.resamples)
        at_a_time = max(1, 4 * _BLOCK // index.size)
        for begin in range(0, len(pairs), at_a_time):
            mine = pairs[begin : begin + at_a_time]
            found = _compare(cube, np.flatnonzero(seeds), (first[mine], other[mine]), (index, weight), limits)
            for name, values in found.items():
                out[name][mine] = values
    return out


def _compare(
    cube: Cube, seeds: Ints, pairs: tuple[Ints, Ints], draws: tuple[Ints, Floats], limits: Thresholds
) -> dict[str, Floats]:
    index, weight = draws
    lines, positions = np.unique(np.concatenate(pairs), return_inverse=True)
    mine, others = np.split(positions, 2)
    every = np.arange(len(seeds))[None]
    once = _choose(cube, lines, seeds, every, limits)
    out = {
        prefix + name: values[at, 0]
        for prefix, at in (("", mine), ("other_", others))
        for name, values in zip(_OF_BOTH, once, strict=False)
    }
    out["difference"] = iqm(once.runs[mine, 0] - once.runs[others, 0])
    again = _choose(cube, lines, seeds, index, limits).runs if len(index) > 1 else once.runs
    ends = interval(iqm(again[mine] - again[others]).T, weight, limits.confidence)
    known = np.isfinite(out["difference"])  # without a difference there is no interval
    for end, values in zip(("low", "high"), ends, strict=True):
        out[f"difference_{end}"] = np.where(known, values, np.nan)
    return out


def _choose(cube: Cube, lines: Ints, seeds: Ints, index: Ints, limits: Thresholds) -> _BestRates:
    """The lines at their best rates in every resample `index` [resample, seed] of the seeds; a block at a time."""
    size = max(1, _BLOCK // (cube.rate.shape[1] * index.size))
    blocks = [lines[at : at + size] for at in range(0, len(lines), size)]
    return _BestRates(
        *map(np.concatenate, zip(*(_best(cube, b, seeds, index, limits) for b in blocks), strict=True))
    )


def _best(cube: Cube, lines: Ints, seeds: Ints, index: Ints, limits: Thresholds) -> _BestRates:
    rate, loss, ok = _able(cube.rate[lines], *(values[lines][..., seeds] for values in (cube.loss, cube.ok)))
    whole: npt.NDArray[np.bool_] = np.logical_and.reduce(np.isfinite(ok), axis=-1)
    stable = stable_rates(ok[..., index], limits.stable) & whole[..., None]
    at, reached = least(np.swapaxes(median(loss[..., index]), 1, 2), np.swapaxes(stable, 1, 2))
    runs = np.take_along_axis(loss, at[..., None], axis=1)
    runs = np.take_along_axis(runs, np.broadcast_to(index, (len(lines), *index.shape)), axis=2)
    trains = np.isfinite(reached)
    return _BestRates(
        np.where(trains, np.take_along_axis(rate, at, axis=1), np.nan),
        np.where(trains, reached, np.nan),
        np.where(trains[..., None], runs, np.nan),
    )


def _able(rate: Floats, loss: Floats, ok: Floats) -> tuple[Floats, Floats, Floats]:
    """Leave out the rates that are not best in any resample; the others stay in order, padded with NaN.

    In every resample ℓ(η) lies between the smallest and the largest loss of its seeds. So a rate whose smallest loss is above
    the largest of another rate, at which all seeds train, is never chosen. This makes large grids fast.
    """
    always = (ok == 1).all(axis=-1)
    bound = np.where(always, loss.max(axis=-1), np.inf).min(axis=-1, keepdims=True)
    able = np.fmin.reduce(loss, axis=-1) <= bound
    order = np.argsort(~able, axis=1, kind="stable")[:, : max(1, int(able.sum(axis=1).max(initial=0)))]
    rate, loss, ok = (
        np.take_along_axis(v, order.reshape(*order.shape, *[1] * (v.ndim - 2)), axis=1)
        for v in (rate, loss, ok)
    )
    return rate, loss, ok


def numbers_table(numbers: dict[str, Floats], unit: float) -> pd.DataFrame:
    """What `differences` returns as columns, with the difference also divided by `unit`, ℓ₀ − ℓ* of the problem."""
    scale = unit if unit > 0 else np.nan
    ends = [f"difference{end}" for end in ("", "_low", "_high")]
    normal = {name.replace("difference", "difference_normalised"): numbers[name] / scale for name in ends}
    return pd.DataFrame({**numbers, **normal})[NUMBERS].astype({"seeds": np.int64})


def answer(first: str, other: str, row: Mapping[Any, Any]) -> str:
    """Answer in words whether a difference is real.

    Example:
        >>> numbers = {"seeds": 9, "loss": 1.0, "other_loss": 2.0, "difference": -0.01}
        >>> answer("a", "b", numbers | {"difference_low": -0.02, "difference_high": 0.01})
        'cannot be told apart at this confidence: −0.02 to 0.01'
    """
    seeds, low, high = int(row["seeds"]), row["difference_low"], row["difference_high"]
    if seeds == 0:
        return "no seed in common"
    if np.isnan(row["loss"]) or np.isnan(row["other_loss"]):
        trains = [name for name, key in ((first, "loss"), (other, "other_loss")) if np.isfinite(row[key])]
        return f"only {trains[0]} trains" if trains else "neither trains"
    if seeds == 1:
        return f"one seed: no interval; the difference is {_text(row['difference'])}"
    if low <= 0 <= high:
        return f"cannot be told apart at this confidence: {_text(low)} to {_text(high)}"
    better, ends = (first, (-high, -low)) if high < 0 else (other, (low, high))
    chance = f"; {seeds} seeds agree by chance 1 time in {2 ** (seeds - 1)}" if seeds <= FEW else ""
    return f"{better} is better: {_text(ends[0])} to {_text(ends[1])} lower{chance}"


def _text(value: float) -> str:
    """A number with three digits and a minus sign; 0 has none."""
    return f"{value + 0.0:.3g}".replace("-", "−")
