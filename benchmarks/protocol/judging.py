"""Every method on every problem: what it recommends, judged on unseen seeds; and what its intervals are worth."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from benchmarks.process import say
from benchmarks.protocol import intervals
from benchmarks.protocol.methods import Advice, finders, least_median, study
from benchmarks.protocol.pace import paces as bands_by_pace
from benchmarks.protocol.recorded import Draw, Floats, Recorded, draw, read
from benchmarks.protocol.rules import compared
from benchmarks.protocol.tpe import tpe
from benchmarks.protocol.truth import collapse_found, frame, judged, true_collapse, truth


class Sizes(NamedTuple):
    """How much is judged."""

    seeds: tuple[int, ...] = (1, 2, 3, 5, 10)
    confirm: tuple[int, ...] = (0, 5, 10)
    refine: tuple[int, ...] = (0, 1)
    truth: int = 40
    replicates: int = 50
    searches: int = 3
    """Replicates of Optuna's search, which takes milliseconds a trial."""
    resamples: int = 60
    """Studies per problem for intervals."""
    comparisons: int = 150
    """Sets of lines per problem that are compared."""


QUICK = Sizes((1, 3), (0, 2), (0,), truth=4, replicates=2, searches=1, resamples=3, comparisons=3)
RATES_OF_A_GRID, CANDIDATES = 16, 5
RULE_SEEDS = 3
"""Seeds of the studies on which rules are compared."""


class Judged(NamedTuple):
    """What was measured."""

    lines: pd.DataFrame  # a row per line and method
    coverage: pd.DataFrame  # a row per problem, kind of interval and setting
    comparisons: pd.DataFrame  # a row per problem and question
    rules: pd.DataFrame  # a row per line and rule
    paces: pd.DataFrame  # a row per problem, band and setting


def judge_all(problems: list[str], folder: Path, sizes: Sizes) -> Judged:
    """Judge all methods on these problems, each with seeds drawn anew, the same in every call."""
    lines, coverage, comparisons, rules, paces = [], [], [], [], []
    for problem in problems:
        say(problem)
        recorded = read(problem, folder)
        rng = np.random.default_rng(0)
        drawn = draw(recorded.seeds, sizes.replicates, sizes.truth, rng)
        lines += list(_lines(recorded, drawn, folder, sizes))
        coverage += list(_coverage(recorded, sizes, rng))
        comparisons += list(_comparisons(recorded, sizes, rng))
        rules += list(_rules(recorded, drawn, sizes))
        settings = [(RULE_SEEDS, 0), (max(sizes.seeds), 0), (RULE_SEEDS, max(sizes.confirm))]
        paces += list(bands_by_pace(recorded, drawn, folder, settings))
    tables = (pd.concat(lines, ignore_index=True), pd.DataFrame(coverage), pd.DataFrame(comparisons))
    return Judged(*tables, pd.concat(rules, ignore_index=True), pd.DataFrame(paces))


def _lines(problem: Recorded, drawn: Draw, folder: Path, sizes: Sizes) -> Iterator[pd.DataFrame]:
    known, collapse = truth(problem, drawn), true_collapse(problem, drawn)

    def rows(method: str, advice: Advice, seeds: int = 0) -> pd.DataFrame:
        about = {"method": method, "seeds": seeds, "confirm": 0, "refine": 0, "runs": advice.runs}
        some = known.take(np.arange(len(advice.rate)) % len(drawn.truth))
        return frame(judged(problem, some, advice.rate), problem, **about)

    lines = len(problem.rate)
    for seeds in sizes.seeds:
        yield rows("least median", least_median(problem, drawn, seeds), seeds)
        for confirm in sizes.confirm:
            for refine in sizes.refine:
                found = study(problem, drawn, seeds, confirm, refine)
                about = {"seeds": seeds, "confirm": confirm, "refine": refine, "runs": found.cost}
                for method in ("use", "best"):
                    values = judged(problem, known, found.column(f"{method}_learning_rate", lines))
                    if method == "use":
                        values |= collapse_found(problem, collapse, found)
                    yield frame(values, problem, method=method, **about)
    for rule, advice in finders(problem, folder).items():
        yield rows(rule, advice, 1)
    searched = Draw(drawn.study[: sizes.searches], drawn.truth[: sizes.searches])
    for trials, advice in tpe(problem, searched, _trials(sizes)).items():
        yield rows("TPE", advice, trials)  # each trial has the next seed


def _rules(problem: Recorded, drawn: Draw, sizes: Sizes) -> Iterator[pd.DataFrame]:
    known, confirm = truth(problem, drawn), max(sizes.confirm)
    for stages in ((0, 0), (confirm, 0), (confirm, 1)):
        yield from compared(problem, drawn, known, RULE_SEEDS, *stages)


def _trials(sizes: Sizes) -> list[int]:
    """As many trials as the studies have runs per line, up to those of the largest plain grid."""
    grids = {RATES_OF_A_GRID * seeds for seeds in sizes.seeds}
    confirmed = {runs + CANDIDATES * max(sizes.confirm) for runs in grids}
    return sorted(grids | {runs for runs in confirmed if runs < max(grids)})


def _coverage(problem: Recorded, sizes: Sizes, rng: np.random.Generator) -> Iterator[dict[str, object]]:
    for seeds in [count for count in sizes.seeds if count > 2]:
        for confirm in (0, max(sizes.confirm)):
            drawn = intervals.resampled(problem, sizes.resamples, seeds + confirm, rng)
            for kind, covers in intervals.coverage(problem, drawn, seeds, confirm).items():
                known = np.isfinite(covers)
                if known.any():
                    about = {"problem": problem.name, "interval": kind, "seeds": seeds, "confirm": confirm}
                    yield {**about, "value": float(covers[known].mean()), "intervals": int(known.sum())}


def _comparisons(problem: Recorded, sizes: Sizes, rng: np.random.Generator) -> Iterator[dict[str, object]]:
    """Rates of errors: equal lines called different, and what `seeds = "enough"` says of equal and of real lines."""

    def row(what: str, seeds: int, value: Floats, error: bool = True) -> dict[str, object]:
        return {"problem": problem.name, "what": what, "seeds": seeds, "error": error, "value": value.mean()}

    most, sequence = intervals.ROUNDS[-1], 'seeds = "enough"'
    drawn = intervals.resampled(problem, sizes.comparisons, most, rng).study
    same = np.zeros(len(problem.rate))
    for name, shuffled in (("of one distribution", rng), ("of one mean", None)):
        equal = intervals.equal_lines(problem, drawn, shuffled)
        for seeds in [count for count in sizes.seeds if count > 2]:
            winner, every = intervals.called_different(problem, equal, seeds)
            yield row(f"lines {name}, the winner told apart from another", seeds, winner)
            yield row(f"lines {name}, any two told apart", seeds, every)
        found = intervals.enough(problem, equal, same)
        yield row(f"lines {name}, told apart with {sequence}", most, found.told_apart > 0)
    real = intervals.real_lines(problem)
    found = intervals.enough(problem, intervals.at_seeds(real, drawn), real.mean(axis=1))
    yield row(f"real lines, told apart from one that is no better, {sequence}", most, found.wrong)
    yield row(f"real lines, share told apart, {sequence}", most, found.told_apart, error=False)
    yield row(f"real lines, share of the runs of {most} seeds, {sequence}", most, found.runs, error=False)
