"""How often intervals cover and comparisons err, on studies whose seeds are drawn with replacement from all that were trained.

So the truth is known exactly: it is the mean over all seeds.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from benchmarks.protocol.methods import Study
from benchmarks.protocol.methods import study as study_of
from benchmarks.protocol.recorded import GRID, REPLICATE, Draw, Floats, Ints, Recorded, further_runs
from lrbench.analysis.groups import group, line_columns
from lrbench.tables.comparison import LineRuns, comparison, undecided
from lrbench.tables.sensitivity import sensitivity

ROUNDS = (5, 10, 20, 40)
ALPHA = 0.0125
"""Of each round of `seeds = "enough"`."""


class Sequence(NamedTuple):
    """How `seeds = "enough"` went, a value per replicate."""

    told_apart: Floats  # share of the lines other than the best that were told apart
    wrong: Floats  # whether a line was told apart from one that is worse, or no better
    runs: Floats  # share of the runs that 40 seeds for every line would take


def resampled(problem: Recorded, replicates: int, seeds: int, rng: np.random.Generator) -> Draw:
    """Seeds of studies drawn with replacement; the truth is all seeds."""
    everything = np.broadcast_to(np.arange(problem.seeds), (replicates, problem.seeds))
    return Draw(rng.integers(problem.seeds, size=(replicates, seeds)), everything)


def coverage(problem: Recorded, drawn: Draw, seeds: int, confirm: int) -> dict[str, Floats]:
    """Whether each interval of a study covers the truth, an array per kind of interval; NaN where there is no interval."""
    found = study_of(problem, drawn, seeds, confirm)
    lines = len(problem.rate)
    use = found.column("use_learning_rate", lines)
    place = _places(problem, use)
    mean = problem.loss.mean(axis=-1)
    stable = problem.ok.mean(axis=-1) >= 0.5
    best = np.where(stable, mean, np.inf)[:, GRID].argmin(axis=-1)
    rate = problem.rate[np.arange(lines), GRID[best]][None]
    covered = {
        "losses": _covers(found, "use_loss", _at(mean, place)),
        "rates": _covers(found, "best_learning_rate", np.broadcast_to(rate, use.shape)),
    }
    metric = _metric(problem)
    if metric is not None:
        covered["metrics"] = _covers(found, "use_value", _at(metric, place))
    covered["paired differences"] = _pairs(problem, found, mean)
    covered["steps"] = _steps(problem, found)
    return covered


def _steps(problem: Recorded, found: Study) -> Floats:
    """Whether each interval of the steps to the target covers their median over all seeds at the same rate; never is infinite."""
    lines = len(problem.rate)
    steps = problem.runs["steps_to_target"].to_numpy(dtype=np.float64, na_value=np.nan)
    median = np.median(np.where(np.isnan(steps), np.inf, steps).reshape(problem.loss.shape), axis=-1)
    real = _at(median, _places(problem, found.column("best_learning_rate", lines)))
    low, high = (found.column(f"steps_to_target_{end}", lines) for end in ("low", "high"))
    high = np.where(np.isnan(high), np.inf, high)
    return np.where(np.isnan(low), np.nan, (low <= real) & (real <= high))


def _metric(problem: Recorded) -> Floats | None:
    """The mean [line, rate] of the metric that is shown beside the loss; None where the problem has none."""
    if problem.runs.get("final_valid_accuracy") is None:
        return None
    values = problem.runs["final_valid_accuracy"].to_numpy(dtype=np.float64, na_value=np.nan)
    mean: Floats = values.reshape(problem.loss.shape).mean(axis=-1)
    return mean if np.isfinite(mean).any() else None


def _places(problem: Recorded, rate: Floats) -> Ints:
    """Positions of trained rates [replicate, line]; 0 where there is none."""
    apart = np.abs(np.log(problem.rate)[None] - np.log(rate)[..., None])
    return np.where(np.isnan(apart), np.inf, apart).argmin(axis=-1)


def _at(values: Floats, place: Ints) -> Floats:
    """Values [line, rate] at a rate of each line [replicate, line]."""
    return values[np.arange(len(values)), place]


def _covers(found: Study, name: str, real: Floats) -> Floats:
    low, high = (found.column(f"{name}_{end}", real.shape[1]) for end in ("low", "high"))
    close = 1e-9 * np.abs(real)  # rates are rounded to nine digits
    return np.where(np.isnan(low), np.nan, (low - close <= real) & (real <= high + close))


def _pairs(problem: Recorded, found: Study, mean: Floats) -> Floats:
    """Whether the interval of each difference covers that of the means over all seeds at the same rates."""
    objectives = {problem.name: problem.objective}
    table = comparison(found.table, line_runs(found.runs), objectives=objectives)
    loss = []
    for prefix in ("", "other_"):
        line = _line_numbers(problem, table, prefix)
        rate = table[f"{prefix}learning_rate"].to_numpy(dtype=np.float64)
        place = np.abs(np.log(problem.rate[line]) - np.log(rate)[:, None]).argmin(axis=1)
        loss.append(mean[line, place])
    real = loss[0] - loss[1]
    low, high = table["difference_low"].to_numpy(), table["difference_high"].to_numpy()
    covers: Floats = np.where(np.isnan(low), np.nan, (low <= real) & (real <= high))
    return covers


def _line_numbers(problem: Recorded, table: pd.DataFrame, prefix: str) -> Ints:
    """The number of the line of each row, by its optimizer and schedule."""
    columns = [name for name in line_columns(problem.runs) if not name.startswith("problem")]
    lines = problem.runs[columns].drop_duplicates().astype(str)
    known = {tuple(row): number for number, row in enumerate(lines.itertuples(index=False))}
    rows = table[[prefix + name for name in columns]].astype(str).itertuples(index=False)
    return np.array([known[tuple(row)] for row in rows], dtype=np.int64)


def line_runs(runs: pd.DataFrame) -> LineRuns:
    """The runs of every line, as `comparison` asks for them."""
    code, first = group(runs, line_columns(runs))
    order = np.argsort(code, kind="stable")
    begin = np.searchsorted(code[order], np.arange(len(first) + 1))

    def fetch(some: Ints) -> pd.DataFrame:
        return runs.iloc[np.concatenate([order[begin[line] : begin[line + 1]] for line in some])]

    return LineRuns(np.ones(len(first)), np.zeros(len(first), dtype=np.int64), fetch)


def equal_lines(problem: Recorded, drawn: Ints, rng: np.random.Generator | None) -> Floats:
    """Losses [replicate, line, seed] at the drawn seeds [replicate, seed] of lines that are equal: those at the best rates, each moved to the same mean.

    With a generator, the losses of each drawn seed are also shuffled between the lines, so that the lines have the same distribution; without,
    lines of different spread and skewness stay so.
    """
    real = real_lines(problem)
    equal: Floats = real - real.mean(axis=1, keepdims=True)
    # Far below ℓ₀, so that every line trains, and far above 0, which is no loss's business here.
    equal = equal / np.abs(equal).max() * 0.1 * problem.start + 0.3 * problem.start
    each = at_seeds(equal, drawn)
    return each if rng is None else rng.permuted(each, axis=1)


def real_lines(problem: Recorded) -> Floats:
    """Losses [line, seed] of the lines, each at its best rate of all seeds."""
    able = np.where(problem.ok.mean(axis=-1) >= 0.5, problem.loss.mean(axis=-1), np.inf)
    best = GRID[able[:, GRID].argmin(axis=-1)]
    return problem.loss[np.arange(len(best)), best]


def at_seeds(losses: Floats, drawn: Ints) -> Floats:
    """Losses [line, seed] at drawn seeds [replicate, seed], as [replicate, line, seed]."""
    return np.swapaxes(losses[:, drawn], 0, 1)


def called_different(problem: Recorded, losses: Floats, seeds: int) -> tuple[Floats, Floats]:
    """For each replicate whether the winner is told apart from any line, and whether any two lines are, by their first losses [replicate, line, seed]."""
    table = _compared(problem, _one_rate(problem, losses, np.full(losses.shape[:2], seeds)))
    decided = pd.DataFrame(
        {
            "replicate": table[REPLICATE],
            "winner": table["decided"].astype(bool) & table["headline"].astype(bool),
            "any": table["decided"].astype(bool),
        }
    )
    each = decided.groupby("replicate").any()
    return each["winner"].to_numpy(dtype=np.float64), each["any"].to_numpy(dtype=np.float64)


def _compared(problem: Recorded, runs: pd.DataFrame) -> pd.DataFrame:
    objectives = {problem.name: problem.objective}
    return comparison(sensitivity(runs, objectives=objectives), line_runs(runs), objectives=objectives)


def enough(problem: Recorded, losses: Floats, mean: Floats) -> Sequence:
    """`seeds = "enough"` with each line at one rate: rounds of ever more seeds for the lines not yet told apart.

    Args:
        problem: whose lines they are.
        losses: [replicate, line, seed] in the order in which seeds are trained.
        mean: [line] what they really are.
    """
    replicates, lines = losses.shape[:2]
    objectives = {problem.name: problem.objective}
    seeds = np.full((replicates, lines), ROUNDS[0])
    open_, wrong = np.ones((replicates, lines), dtype=bool), np.zeros(replicates)
    for following in [*ROUNDS[1:], None]:
        runs = _one_rate(problem, losses, seeds)
        table = sensitivity(runs, objectives=objectives)
        left = np.zeros(replicates * lines, dtype=bool)
        left[undecided(table, line_runs(runs), objectives=objectives, alpha=ALPHA)] = True
        left = left.reshape(replicates, lines) & open_
        winner = table["use_loss"].to_numpy().reshape(replicates, lines).argmin(axis=1)
        told = open_ & ~left
        told[np.arange(replicates), winner] = False
        wrong = np.maximum(wrong, (told & (mean <= mean[winner][:, None])).any(axis=1))
        open_ = left
        if following:
            seeds = np.where(open_, following, seeds)
    apart = lines - np.maximum(open_.sum(axis=1), 1)
    return Sequence(apart / (lines - 1), wrong, seeds.mean(axis=1) / ROUNDS[-1])


def _one_rate(problem: Recorded, losses: Floats, seeds: Ints) -> pd.DataFrame:
    """Runs whose final losses are given [replicate, line, seed]: line l of replicate r has the first `seeds[r, l]` of them."""
    replicate, line = (each.reshape(-1) for each in np.indices(seeds.shape))
    middle = problem.rate[line, GRID[len(GRID) // 2]]
    # Any runs will do: all that is measured of them is replaced.
    drawn = np.broadcast_to(np.arange(losses.shape[2]) % problem.seeds, losses.shape[::2])
    runs = further_runs(problem, replicate, line, middle, drawn, "grid")
    kept = (np.arange(losses.shape[2]) < seeds.reshape(-1)[:, None]).reshape(-1)
    for name, values in _columns(problem, losses.reshape(-1)).items():
        runs[name] = values
    return runs[kept].reset_index(drop=True)


def _columns(problem: Recorded, value: Floats) -> dict[str, Any]:
    """What a run has that trained well to this final loss."""
    found: dict[str, Any] = {"status": "ok"}
    for name in ("train_loss", problem.objective.column):
        found |= {f"initial_{name}": problem.start, f"final_{name}": value, f"best_{name}": value}
    return found
