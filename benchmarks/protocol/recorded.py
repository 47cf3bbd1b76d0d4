"""All runs of a problem, in an order in which a run is found by arithmetic, and studies of few seeds drawn from them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

import lrbench as lb
from benchmarks.protocol.studies import RATES, grids
from lrbench.analysis.groups import group, line_columns
from lrbench.analysis.labels import labels
from lrbench.analysis.objective import Objective, losses

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
FRESH = 2**30
"""The first fresh seed: what `stages` calls fresh is numbered from here."""
GRID = np.arange(0, RATES, 2)
"""Positions of the rates of a study that is drawn: 16, a third of a decade apart."""
REPLICATE = "problem_replicate"
"""A parameter of the problem that tells studies in one frame apart, so that a table of many is made at once."""


@dataclass(frozen=True)
class Recorded:
    """All runs of a problem, sorted by line, rate and seed.

    Args:
        name: of the problem.
        runs: a row per run, as a study has them; their verdicts are those of all seeds, which no rate depends on.
        objective: what they are judged by.
        rate: [line, rate] ascending.
        loss: [line, rate, seed] min(ℓ(T), ℓ₀), ℓ₀ where that is not finite.
        ok: [line, rate, seed] whether the run trained.
        start: ℓ₀ of the lines, which have it in common.
        lines: the name of each line.
    """

    name: str
    runs: pd.DataFrame
    objective: Objective
    rate: Floats
    loss: Floats
    ok: npt.NDArray[np.bool_]
    start: float
    lines: tuple[str, ...]

    @property
    def seeds(self) -> int:
        """How many seeds every rate has."""
        return int(self.loss.shape[2])

    def at(self, line: npt.ArrayLike, rate: npt.ArrayLike, seed: npt.ArrayLike) -> Ints:
        """Rows of runs, by positions that are broadcast against each other."""
        first = np.asarray(line) * RATES + np.asarray(rate)
        return np.asarray(first * self.seeds + np.asarray(seed), dtype=np.int64)


def read(problem: str, folder: Path) -> Recorded:
    """Read the runs of a problem from the folders that `collect` has filled.

    Raises:
        RuntimeError: if a run is missing.
    """
    found = [lb.load(folder / study["name"]) for study in grids(problem)]
    runs = pd.concat([each.runs.drop(columns=["study"]) for each in found], ignore_index=True)
    return arranged(problem, runs, _objective(folder / f"{problem}-sgd", problem))


def _objective(folder: Path, problem: str) -> Objective:
    manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    return Objective.of(manifest["objectives"][problem])


def arranged(problem: str, runs: pd.DataFrame, objective: Objective) -> Recorded:
    """Sort the runs of a problem, and check that none is missing."""
    code, first = group(runs, line_columns(runs))
    runs = runs.iloc[np.lexsort((runs["seed"], runs["learning_rate"], code))].reset_index(drop=True)
    seeds = int(runs["seed"].nunique())
    shape = (len(first), RATES, seeds)
    if len(runs) != np.prod(shape):
        raise RuntimeError(f"{problem}: {len(runs)} runs instead of {np.prod(shape)}: run collect again")
    initial, final = losses(runs, {problem: objective})
    start = float(np.median(initial))
    if "constant_loss" in runs:
        start = float(np.fmin(start, runs["constant_loss"].iloc[0]))
    loss = np.fmin(np.where(np.isfinite(final), final, start), start).reshape(shape)
    names = labels(runs).iloc[:: RATES * seeds]
    return Recorded(
        problem,
        runs,
        objective,
        runs["learning_rate"].to_numpy().reshape(shape)[:, :, 0],
        loss,
        (runs["status"] == "ok").to_numpy().reshape(shape),
        start,
        tuple(f"{row.optimizer} + {row.schedule}" for row in names.itertuples()),
    )


class Draw(NamedTuple):
    """Seeds of studies, and of the truth, drawn apart: none of a study is one of its truth."""

    study: Ints  # [replicate, seed] for grids and, from the other end, as fresh seeds
    truth: Ints  # [replicate, seed]

    def grid(self, count: int) -> Ints:
        """The seeds of grids of this many."""
        return self.study[:, :count]

    def fresh(self, count: int) -> Ints:
        """The fresh seeds of as many; none of them is a grid's as long as both fit."""
        return self.study[:, self.study.shape[1] - count :]


def draw(seeds: int, replicates: int, truth: int, rng: np.random.Generator) -> Draw:
    """Split the seeds at random, once for each replicate."""
    order = np.array([rng.permutation(seeds) for _ in range(replicates)])
    return Draw(order[:, truth:], order[:, :truth])


def grid_runs(problem: Recorded, seeds: Ints, rates: Ints = GRID) -> pd.DataFrame:
    """The runs of a study of each replicate: all lines at these positions of rates, with its seeds."""
    replicate, line, rate, seed = np.meshgrid(
        np.arange(len(seeds)),
        np.arange(len(problem.rate)),
        rates,
        np.arange(seeds.shape[1]),
        indexing="ij",
        sparse=True,
    )
    rows = problem.at(line, rate, seeds[replicate, seed])
    return _frame(problem, rows, replicate, seed, "grid")


def further_runs(
    problem: Recorded, replicate: Ints, line: Ints, rate: Floats, seeds: Ints, stage: str
) -> pd.DataFrame:
    """Runs of a later stage: of some lines of some replicates, each at one rate, with all seeds of its replicate.

    Args:
        problem: what they are taken from.
        replicate, line, rate: [point] each.
        seeds: [replicate, seed].
        stage: `refine`, on the seeds of the grid, or `confirm`, on fresh ones.

    Raises:
        ValueError: if a rate is none of those that were trained.
    """
    position = np.abs(np.log(problem.rate[line] / rate[:, None])).argmin(axis=1)
    if not np.allclose(problem.rate[line, position], rate, rtol=1e-6):
        raise ValueError(f"{problem.name}: a rate was chosen that was not trained")
    number = np.arange(seeds.shape[1])
    rows = problem.at(line[:, None], position[:, None], seeds[replicate])
    first = FRESH if stage == "confirm" else 0
    return _frame(problem, rows, replicate[:, None], number + first, stage)


def _frame(
    problem: Recorded, rows: Ints, replicate: npt.ArrayLike, seed: npt.ArrayLike, stage: str
) -> pd.DataFrame:
    frame = problem.runs.take(rows.reshape(-1)).reset_index(drop=True)
    frame[REPLICATE] = np.broadcast_to(replicate, rows.shape).reshape(-1)
    frame["seed"] = np.broadcast_to(seed, rows.shape).reshape(-1)
    frame["stage"] = stage
    return frame
