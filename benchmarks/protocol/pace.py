"""Bands by pace, on lines whose schedule does not decay: is a rate in the band really at most a fifth more steps?"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd

import lrbench as lb
from benchmarks.protocol.methods import Study, study
from benchmarks.protocol.recorded import GRID, Draw, Floats, Ints, Recorded, grid_runs
from benchmarks.protocol.studies import grids
from benchmarks.protocol.truth import position
from lrbench.analysis.groups import group, line_columns
from lrbench.analysis.step_equivalents import steps_needed
from lrbench.tables.sensitivity import sensitivity

SLOWER = 1.2
"""A run of this many times fewer steps is the reference."""
CLOSE = 0.01
"""A rate whose gap is at most this is in the band whatever its pace."""


def curves(problem: Recorded, folder: Path) -> tuple[Ints, Floats]:
    """The steps of the evaluations, and the loss [line, rate, seed, evaluation] at each, at most ℓ₀ and ℓ₀ where it is not finite."""
    columns = ["run_id", "step", problem.objective.column]
    found = pd.concat(
        [lb.load(folder / each["name"]).curves[columns] for each in grids(problem.name)], ignore_index=True
    )
    steps = np.unique(found["step"].to_numpy(dtype=np.int64))
    place = pd.Series(np.arange(len(problem.runs)), index=problem.runs["run_id"])
    values = np.full((len(problem.runs), len(steps)), np.nan)
    row = place[found["run_id"].to_numpy()].to_numpy()
    values[row, np.searchsorted(steps, found["step"])] = found[columns[-1]].to_numpy(dtype=np.float64)
    values = problem.objective.smaller(values)
    capped = np.fmin(np.where(np.isfinite(values), values, problem.start), problem.start)
    return steps, capped.reshape(*problem.loss.shape, len(steps))


def paces(
    problem: Recorded, drawn: Draw, folder: Path, settings: list[tuple[int, int]]
) -> Iterator[dict[str, object]]:
    """For each number of seeds and of fresh seeds, how right bands by pace are, and the own bands (within 5 % of the line's gap) beside them.

    Returns rows of:
        `within`: the share of the rates in the band that on unseen seeds are at most a fifth more steps, or within 1 % of the gap;
        `found`: the share of the rates of the truth's own band that are in the band; `ends`: the share of the ends that are within a step of the truth's.
    """
    steps, curve = curves(problem, folder)
    constant = np.array([name.endswith("+ constant") for name in problem.lines])
    real = _banded(problem, grid_runs(problem, drawn.truth), steps, curve, drawn.truth)
    fine = _fine(problem, real, steps, curve, drawn.truth)
    for seeds, confirm in settings:
        runs = study(problem, drawn, seeds, confirm).runs
        used = drawn.fresh(confirm) if confirm else drawn.grid(seeds)
        found = _banded(problem, runs, steps, curve, used)
        about = {"problem": problem.name, "seeds": seeds, "confirm": confirm}
        for band in ("pace", "own"):
            inside, truly = (_inside(problem, each, band)[:, constant] for each in (found, real))
            ends = [
                np.abs(_end(problem, found, f"{band}_{end}") - _end(problem, real, f"{band}_{end}"))[
                    :, constant
                ]
                <= 1
                for end in ("low", "high")
            ]
            yield {
                **about,
                "band": band,
                "within": float(fine[:, constant][inside].mean()),
                "found": float((inside & truly).sum() / truly.sum()),
                "ends": float(np.mean(ends)),
                "decades": float((inside.sum(axis=-1) - 1).mean() / 3),
            }


def _fine(problem: Recorded, real: Study, steps: Ints, curve: Floats, seeds: Ints) -> Floats:
    """Whether each rate of the grid [replicate, line, rate] is at most a fifth more steps on unseen seeds, or within 1 % of the gap."""
    mean = np.stack([problem.loss[:, GRID][..., some].mean(axis=-1) for some in seeds])
    best = _at_best(problem, real, curve, seeds)
    needed = steps_needed(steps, best[:, :, None, :], mean)
    slower = np.where(np.isnan(needed), np.where(mean < best[..., -1:], 1.0, np.inf), steps[-1] / needed)
    least = real.column("best_loss", len(problem.rate))[..., None]
    gap = (mean - least) / (problem.start - least)
    fine: Floats = (slower <= SLOWER * (1 + 1e-9)) | (gap <= CLOSE)
    return fine


def _banded(problem: Recorded, runs: pd.DataFrame, steps: Ints, curve: Floats, used: Ints) -> Study:
    """The table with its bands by pace: the loss that the best rate reaches in T/1.2 steps is taken from the mean of its curves."""
    objectives = {problem.name: problem.objective}
    plain = Study(runs, sensitivity(runs, objectives=objectives), np.nan)
    reference = _at_best(problem, plain, curve, used)
    place = np.interp(steps[-1] / SLOWER, steps, np.arange(len(steps)))
    low = int(place)
    share = place - low
    loss = (1 - share) * reference[..., low] + share * reference[..., min(low + 1, len(steps) - 1)]
    code = group(runs, line_columns(runs))[0]
    runs = runs.assign(pace_loss=loss.reshape(-1)[code])
    return Study(runs, sensitivity(runs, objectives=objectives), np.nan)


def _at_best(problem: Recorded, found: Study, curve: Floats, seeds: Ints) -> Floats:
    """The running minimum [replicate, line, evaluation] of the mean curve of these seeds [replicate, seed] at the best rate."""
    rate = found.column("best_learning_rate", len(problem.rate))
    apart = np.abs(np.log(problem.rate)[None] - np.log(rate)[..., None])
    place = np.where(np.isnan(apart), np.inf, apart).argmin(axis=-1)
    line = np.arange(len(problem.rate))
    mean = [curve[line, at][:, some].mean(axis=1) for at, some in zip(place, seeds, strict=True)]
    least: Floats = np.minimum.accumulate(np.stack(mean), axis=-1)
    return least


def _inside(problem: Recorded, found: Study, band: str) -> Floats:
    """Whether each rate of the grid [replicate, line, rate] is in the band."""
    low, high = (found.column(f"{band}_{end}", len(problem.rate))[..., None] for end in ("low", "high"))
    rate = problem.rate[None, :, GRID]
    inside: Floats = (rate >= low * (1 - 1e-6)) & (rate <= high * (1 + 1e-6))
    return inside


def _end(problem: Recorded, found: Study, name: str) -> Ints:
    return position(problem, found.column(name, len(problem.rate)))
