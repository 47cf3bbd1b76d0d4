"""How often intervals cover on real runs: studies whose seeds are drawn, with replacement, from folders with many seeds.

So the truth is known exactly: it is what all seeds of the folders say.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from benchmarks.coverage_methods import alternatives, percentile
from benchmarks.coverage_simulated import Floats, Ints, Row, leaving_one_out
from lrbench.analysis.groups import group, line_columns
from lrbench.analysis.intervals import FEW, median_interval, rate_interval, t_interval, t_quantile
from lrbench.analysis.line_answers import line_answers
from lrbench.analysis.objective import losses
from lrbench.analysis.paired_differences import AtRate, at_rates, differences
from lrbench.analysis.rates import median, starts
from lrbench.analysis.step_equivalents import SeedCurves, step_equivalent, steps_needed
from lrbench.analysis.thresholds import Thresholds

GRID_SEEDS = 3
"""On so many seeds a rate is chosen that is then confirmed on fresh ones."""
EVERY = 2
"""Studies have every second rate of the folders: a third of a decade apart."""
STUDY = "problem_study"
"""A parameter that tells studies in one frame apart, so that the answers of many are made at once."""
PAIRS = 12
"""How many pairs of lines of a study are compared."""
_LIMITS = Thresholds()


@dataclass(frozen=True)
class Recorded:
    """All runs of one problem, by line, rate and seed.

    Args:
        name: of the problem.
        runs: in the order of the arrays.
        values: what was measured, each [line, rate, seed]: `loss`, min(ℓ(T), ℓ₀); `metric`, an accuracy, NaN if there is none; `steps` to the target.
        curves: [line, rate, seed, evaluation] of the objective.
        step: [evaluation].
        constant: [line] whether the schedule is constant, so that a shorter run is the beginning of a longer one.
    """

    name: str
    runs: pd.DataFrame
    values: dict[str, Floats]
    curves: Floats
    step: Ints
    constant: np.ndarray

    @property
    def shape(self) -> tuple[int, int, int]:
        """How many lines, rates and seeds there are."""
        lines, rates, seeds = self.values["loss"].shape
        return lines, rates, seeds


def read(folders: Sequence[Path]) -> Iterator[Recorded]:
    """The problems of results folders; those of one problem are put together, which must have the same seeds and numbers of rates."""
    found: dict[str, list[Path]] = {}
    for folder in folders:
        name = str(pd.read_parquet(folder / "runs.parquet", columns=["problem"])["problem"].iloc[0])
        found.setdefault(name, []).append(folder)
    for name, mine in sorted(found.items()):
        runs = pd.concat([pd.read_parquet(each / "runs.parquet") for each in mine], ignore_index=True)
        columns = ["run_id", "step", "train_loss", "valid_loss"]
        curves = pd.concat([pd.read_parquet(each / "curves.parquet", columns=columns) for each in mine])
        yield arranged(name, runs.drop(columns="study"), curves)


def arranged(name: str, runs: pd.DataFrame, curves: pd.DataFrame) -> Recorded:
    """Sort the runs of a problem, with every second of its rates, and their curves; none may be missing."""
    code, first = group(runs, line_columns(runs))
    runs = runs.iloc[np.lexsort((runs["seed"], runs["learning_rate"], code))].reset_index(drop=True)
    rank = runs["learning_rate"].groupby(np.sort(code)).rank(method="dense").to_numpy(dtype=np.int64) - 1
    runs = runs[rank % EVERY == 0].reset_index(drop=True)
    seeds = runs["seed"].nunique()
    shape = (len(first), len(runs) // len(first) // seeds, seeds)
    if len(runs) != np.prod(shape):
        raise ValueError(f"{name}: some runs are missing")
    valid = bool(runs["initial_valid_loss"].notna().any())
    initial, final = losses(runs)
    code = group(runs, line_columns(runs))[0]
    start = starts(runs, code, initial, len(first))[code]
    wide = curves.pivot(index="run_id", columns="step", values="valid_loss" if valid else "train_loss")
    values = {
        "loss": np.fmin(final, start),
        "metric": _column(runs, "final_valid_accuracy"),
        "steps": np.nan_to_num(_column(runs, "steps_to_target"), nan=np.inf),
    }
    return Recorded(
        name,
        runs,
        {key: value.reshape(shape) for key, value in values.items()},
        np.fmin(wide.reindex(runs["run_id"]).to_numpy(), start[:, None]).reshape(*shape, -1),
        wide.columns.to_numpy(dtype=np.int64),
        (runs["schedule"] == "constant").to_numpy().reshape(shape)[:, 0, 0],
    )


def _column(runs: pd.DataFrame, name: str) -> Floats:
    if name not in runs:
        return np.full(len(runs), np.nan)
    return runs[name].to_numpy(dtype=np.float64, na_value=np.nan)


def rows(problem: Recorded, seeds: int, replicates: int, rng: np.random.Generator) -> Iterator[Row]:
    """Intervals from so many seeds: fresh ones at rates that three others have chosen, and the very seeds that have chosen them."""
    total = problem.shape[2]
    drawn = rng.integers(total, size=(replicates, seeds))
    for what, chosen_on in (
        ("fresh seeds", rng.integers(total, size=(replicates, GRID_SEEDS))),
        ("the same seeds", drawn),
    ):
        data = f"{problem.name}, {what}"
        row = _rows_of(data, seeds, replicates)
        use = _use(problem, chosen_on)
        study = at_rates(_frame(problem, drawn), _columns(problem), use.reshape(-1), _LIMITS)
        yield from _means(problem, study, use, drawn, row, rng)
        yield from _pairs(problem, study, use, row, rng)
        if seeds >= FEW:
            yield from _steps(problem, use, drawn, row, rng)
    if seeds >= FEW:
        yield from _rates(problem, drawn, _rows_of(f"{problem.name}, the same seeds", seeds, replicates), rng)


Make = Callable[..., Row]


def _rows_of(data: str, seeds: int, replicates: int) -> Make:
    """What makes a row of an interval's ends [any] and the truth [any]; NaN in an end is no limit, in the truth no case."""

    def make(
        measure: str,
        method: str,
        low: Floats,
        high: Floats,
        truth: Floats,
        plain: Floats | None = None,
        ours: bool = True,
    ) -> Row:
        known = np.isfinite(truth)
        slack = 1e-9 * np.abs(np.where(np.isfinite(truth), truth, 0.0))
        covers = ~(low > truth + slack) & ~(high < truth - slack)
        width = np.nan
        if plain is not None:
            wide = known & (plain > 0)
            width = (
                float(np.median(((high - low) / np.where(wide, plain, 1.0))[wide])) if wide.any() else np.nan
            )
        share = float(covers[known].mean()) if known.any() else np.nan
        return Row(measure, method, data, seeds, replicates, share, width, ours=ours)

    return make


def _columns(problem: Recorded) -> list[str]:
    return [*line_columns(problem.runs), STUDY]


def _frame(problem: Recorded, drawn: Ints) -> pd.DataFrame:
    """The runs of studies with these seeds [study, seed], numbered from 0 in each."""
    lines, rates, total = problem.shape
    study, line, rate, seed = np.indices((len(drawn), lines, rates, drawn.shape[1]))
    number = ((line * rates + rate) * total + drawn[study, seed]).reshape(-1)
    return problem.runs.iloc[number].assign(seed=seed.reshape(-1), **{STUDY: study.reshape(-1)})


def _use(problem: Recorded, drawn: Ints) -> Floats:
    """The rate to use [study, line] that these seeds say."""
    answers = line_answers(_frame(problem, drawn).reset_index(drop=True))
    return answers["use_learning_rate"].to_numpy(dtype=np.float64).reshape(len(drawn), -1)


def _places(problem: Recorded, use: Floats) -> Ints:
    """The position of each rate to use [study, line]; 0 where there is none."""
    rate = _column(problem.runs, "learning_rate").reshape(problem.shape)[:, :, 0]
    apart = np.abs(np.log(rate)[None] - np.log(use)[..., None])
    return np.where(np.isfinite(apart), apart, np.inf).argmin(axis=-1)


def _truth(problem: Recorded, use: Floats, name: str) -> Floats:
    """The mean over all seeds [study, line] at the rate to use."""
    mean = problem.values[name].mean(axis=2)
    found = mean[np.arange(len(mean)), _places(problem, use)]
    return np.where(np.isfinite(use), found, np.nan)


def _means(
    problem: Recorded, study: AtRate, use: Floats, drawn: Ints, row: Make, rng: np.random.Generator
) -> Iterator[Row]:
    place = _places(problem, use)
    for measure, name in (("losses", "loss"), ("metrics", "metric")):
        truth = _truth(problem, use, name).reshape(-1)
        if not np.isfinite(truth).any():
            continue
        own, near = study.loss, study.near
        if name == "metric":
            own, near = _metric(problem, place, drawn, study)
        plain = t_interval(own)
        width = plain[1] - plain[0]
        yield row(measure, "t, with its neighbours", *t_interval(own, near=near), truth, width)
        for method, ends in alternatives(own, near, rng):
            yield row(measure, method, *ends, truth, width, ours=False)


def _metric(problem: Recorded, place: Ints, drawn: Ints, study: AtRate) -> tuple[Floats, Floats]:
    """The metric at the rate to use and at the neighbours that are good by their loss, as `study` has the losses."""
    lines, rates, _ = problem.shape
    offsets = np.array([0, -2, -1, 1, 2])
    at = np.clip(place[..., None] + offsets, 0, rates - 1)
    values = problem.values["metric"][
        np.arange(lines)[None, :, None, None], at[..., None], drawn[:, None, None]
    ]
    values = values.reshape(-1, *values.shape[2:])
    own = np.where(np.isfinite(study.loss), values[:, 0], np.nan)
    return own, np.where(np.isfinite(study.near), values[:, 1:], np.nan)


def _pairs(
    problem: Recorded, study: AtRate, use: Floats, row: Make, rng: np.random.Generator
) -> Iterator[Row]:
    replicates, lines = use.shape
    first, other = np.triu_indices(lines, 1)
    some = np.sort(rng.choice(len(first), size=min(PAIRS, len(first)), replace=False))
    begin = lines * np.arange(replicates)[:, None]
    first, other = ((begin + each[some]).reshape(-1) for each in (first, other))
    real = _truth(problem, use, "loss").reshape(-1)
    truth = real[first] - real[other]
    found = differences(study, first, other, _LIMITS)
    plain = t_interval(found.each)
    width = plain[1] - plain[0]
    yield row("paired differences", "t, with its neighbours", found.low, found.high, truth, width)
    yield row("paired differences", "t of these seeds alone", *plain, truth, width, ours=False)
    yield row(
        "paired differences", "percentile bootstrap", *percentile(found.each, rng), truth, width, ours=False
    )


def _rates(problem: Recorded, drawn: Ints, row: Make, rng: np.random.Generator) -> Iterator[Row]:
    """The best rate of each line, against that of all seeds."""
    rate = _column(problem.runs, "learning_rate").reshape(problem.shape)[:, :, 0]
    mean = problem.values["loss"].mean(axis=2)
    best = rate[np.arange(len(rate)), mean.argmin(axis=1)]
    losses_drawn = np.moveaxis(problem.values["loss"][:, :, drawn], 2, 0).reshape(
        -1, rate.shape[1], drawn.shape[1]
    )
    grid = np.tile(rate, (len(drawn), 1))
    truth = np.tile(best, len(drawn))
    yield row(
        "rates",
        "those not told apart, jackknife t",
        *rate_interval(grid, *leaving_one_out(losses_drawn)),
        truth,
    )
    index = rng.integers(drawn.shape[1], size=(200, drawn.shape[1]))
    at = np.stack([losses_drawn[..., each].mean(axis=-1).argmin(axis=1) for each in index], axis=-1)
    low, high = np.quantile(at, [0.025, 0.975], axis=-1, method="nearest").astype(np.int64)
    lines = np.arange(len(grid))
    yield row("rates", "percentile bootstrap", grid[lines, low], grid[lines, high], truth, ours=False)


def _steps(problem: Recorded, use: Floats, drawn: Ints, row: Make, rng: np.random.Generator) -> Iterator[Row]:
    """Steps to the target at the rate to use; and how many times the steps one line needs of what another one does."""
    lines, place = np.arange(problem.shape[0]), _places(problem, use)
    steps = problem.values["steps"]
    middle = median(steps)[lines, place]
    low, high = median_interval(steps[lines[None, :, None], place[..., None], drawn[:, None]])
    yield row(
        "steps to the target",
        "order statistics (sign test)",
        low,
        high,
        np.where(np.isfinite(use), middle, np.nan),
    )
    constant = np.flatnonzero(problem.constant)
    pairs = [(a, b) for a in constant for b in constant if a != b]
    found = np.array(
        [
            _factors(problem, place[study], drawn[study], pair, rng)
            for study in range(len(drawn))
            for pair in pairs
        ]
    )
    truth = np.where(np.isfinite(found[:, 0]), found[:, 1], np.nan)
    methods = ("inverted paired t", "jackknife t of the logarithm", "percentile bootstrap")
    for number, method in enumerate(methods):
        low, high = found[:, 2 + 2 * number], found[:, 3 + 2 * number]
        yield row("steps, times as many", method, low, high, truth, ours=number == 0)


def _factors(
    problem: Recorded, place: Ints, drawn: Ints, pair: tuple[int, int], rng: np.random.Generator
) -> list[float]:
    """The factor of a pair as it seems and as it is (less than 1 where the first line is not the better one), and the ends of three intervals."""
    first, other = (problem.curves[line, place[line]] for line in pair)
    last = float(problem.step[-1])

    def factor(weight: Floats, a: Floats, b: Floats) -> Floats:
        return last / steps_needed(problem.step, weight @ a, weight @ b[:, -1])

    whole = float(factor(np.full((1, len(first)), 1 / len(first)), first, other)[0])
    n = len(drawn)
    mine, others = first[drawn], other[drawn]
    seen = step_equivalent(
        *(SeedCurves(np.arange(n), problem.step, each) for each in (mine, others)), np.arange(n)
    )
    without = np.log(factor((1 - np.eye(n)) / (n - 1), mine, others))
    half = t_quantile(n - 1, 0.95) * np.sqrt((n - 1) * without.var())
    resampled = rng.multinomial(n, np.full(n, 1 / n), size=200) / n
    drawn_again = factor(resampled, mine, others)
    known = drawn_again[np.isfinite(drawn_again)]
    ends = np.quantile(known, [0.025, 0.975]) if len(known) else [np.nan, np.nan]
    log = np.log(seen.factor)
    truth = whole if np.isfinite(whole) else 0.999
    return [seen.factor, truth, seen.low, seen.high, *np.exp([log - half, log + half]), *ends]
