"""What a recommended rate really gives, on seeds that no study has seen."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pandas as pd

from benchmarks.protocol.methods import Study
from benchmarks.protocol.recorded import GRID, Draw, Floats, Ints, Recorded, grid_runs
from lrbench.tables.sensitivity import sensitivity

LOSES = 0.05
"""A line loses if its loss is this share of (ℓ₀ − ℓ*) above that of its best rate."""
STEP = 10 ** (1 / 3)
"""2.15, a step of the grid: by how much a rate may be too large or too small."""
STEEP = 2
"""A collapse is steep if the gap rises from ¼ to ¾ within so many steps of the grid."""
NEGLIGIBLE = 1e-3
"""Lines whose best loss is below this share of ℓ₀ have no mean excess loss: the excess of nearly nothing is any number."""


class Truth(NamedTuple):
    """The mean losses of each replicate's unseen seeds."""

    loss: Floats  # [replicate, line, rate]
    best: Floats  # [replicate, line] least, over the rates of the grid
    finest: Floats  # [replicate, line] least, over all rates that were trained
    unit: Floats  # [replicate] ℓ₀ − ℓ*

    def take(self, some: Ints) -> Truth:
        """That of some replicates."""
        return Truth(*(each[some] for each in self))


class Collapse(NamedTuple):
    """The first useless rate above those that are recommended, as a position on the grid; one beyond it where there is none."""

    position: Ints  # [replicate, line]
    steep: np.ndarray  # [replicate, line] whether the gap rises from ¼ to ¾ within two steps


def truth(problem: Recorded, drawn: Draw) -> Truth:
    """The mean over unseen seeds at every rate; a rate counts as best only if at least half of them train there."""
    loss = np.stack([problem.loss[..., some].mean(axis=-1) for some in drawn.truth])
    stable = np.stack([problem.ok[..., some].mean(axis=-1) >= 0.5 for some in drawn.truth])
    able = np.where(stable, loss, np.inf)
    finest = able.min(axis=-1)
    return Truth(loss, able[..., GRID].min(axis=-1), finest, problem.start - finest.min(axis=-1))


def at(problem: Recorded, known: Truth, rate: Floats) -> Floats:
    """The mean loss at any rates [replicate, line], linear in log η between those trained, and as at the ends beyond them."""
    logs = np.log10(problem.rate)
    step = logs[:, 1] - logs[:, 0]
    place = np.clip((np.log10(rate) - logs[:, 0]) / step, 0, logs.shape[1] - 1)
    missing = np.isnan(place)
    place = np.where(missing, 0.0, np.where(np.abs(place - place.round()) < 1e-4, place.round(), place))
    low = np.minimum(np.floor(place).astype(np.int64), logs.shape[1] - 2)
    share = place - low
    ends = (np.take_along_axis(known.loss, (low + k)[..., None], axis=-1)[..., 0] for k in (0, 1))
    first, second = ends
    return np.where(missing, np.nan, (1 - share) * first + share * second)


def judged(problem: Recorded, known: Truth, rate: Floats) -> dict[str, Floats]:
    """What each recommended rate [replicate, line] gives, as [replicate, line]; NaN where none is recommended.

    Returns:
        `regret`: (ℓ(η) − that of the best rate of the grid) / (ℓ₀ − ℓ*); `loses`: whether that is above 5 %; `regret_finest` and `loses_finest`: the
        same against the best of all rates that were trained, twice as dense; `excess`: ℓ(η) over that of the best rate of the grid, minus 1, missing for
        lines that reach nearly nothing; `excess_all`: without that exception; `too_large`, `too_small`: what a rate 2.15 × too large or too
        small costs in addition, as a share of (ℓ₀ − ℓ*).
    """
    unit = known.unit[:, None]
    here = at(problem, known, rate)
    regret, finest = (here - known.best) / unit, (here - known.finest) / unit
    excess = here / known.best - 1
    missing = np.isnan(here)
    return {
        "regret": regret,
        "loses": np.where(missing, np.nan, regret > LOSES),
        "regret_finest": finest,
        "loses_finest": np.where(missing, np.nan, finest > LOSES),
        "excess": np.where(known.best < NEGLIGIBLE * problem.start, np.nan, excess),
        "excess_all": excess,
        "too_large": (at(problem, known, rate * STEP) - here) / unit,
        "too_small": (at(problem, known, rate / STEP) - here) / unit,
    }


def true_collapse(problem: Recorded, drawn: Draw) -> Collapse:
    """Where training collapses on the unseen seeds, by lrbench's own definition."""
    objectives = {problem.name: problem.objective}
    runs = grid_runs(problem, drawn.truth)
    table = sensitivity(runs, objectives=objectives)
    found = Study(runs, table, np.nan)
    lines = len(problem.rate)
    gradual = found.column("degrades_from", lines)
    return Collapse(position(problem, found.column("collapse_high", lines)), np.isnan(gradual))


def position(problem: Recorded, rate: Floats) -> Ints:
    """The positions of rates [replicate, line] on the grid, the next one above if between two; its length where there is none."""
    grid = problem.rate[:, GRID]
    above = (grid[None] < rate[..., None] * (1 - 1e-6)).sum(axis=-1)
    found: Ints = np.where(np.isnan(rate), len(GRID), above)
    return found


def collapse_found(problem: Recorded, real: Collapse, found: Study) -> dict[str, Floats]:
    """Whether the collapse of a study is that of the truth, or within one step of it; as [replicate, line], apart for steep ones."""
    away = np.abs(position(problem, found.column("collapse_high", len(problem.rate))) - real.position)
    exact, near = (away == 0).astype(float), (away <= 1).astype(float)
    return {
        "collapse_exact": exact,
        "collapse_steep": np.where(real.steep, near, np.nan),
        "collapse_gradual": np.where(real.steep, np.nan, near),
    }


def frame(values: dict[str, Floats], problem: Recorded, **about: object) -> pd.DataFrame:
    """Mean over replicates of each measure: a row per line."""
    with np.errstate(invalid="ignore"):
        means = {
            name: pd.DataFrame(np.asarray(each, dtype=np.float64)).mean().to_numpy()
            for name, each in values.items()
        }
    return pd.DataFrame({"problem": problem.name, "line": problem.lines, **about, **means})
