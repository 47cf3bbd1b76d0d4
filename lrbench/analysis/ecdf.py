"""Runtime distributions: how many steps lines take to targets, with restarts, and so with what it costs to find a learning rate.

A restart is a new draw of a run. Drawn from all runs of a line, whatever their rate, it is what somebody does who does not know the best
rate: the cost of tuning is then in the running time. Drawn from the runs at the best rate, it is what somebody does who was told.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from lrbench.analysis.bootstrap import interval, resamples
from lrbench.analysis.groups import Floats, Ints, columns_of, group, identity, line_columns, members
from lrbench.analysis.labels import label
from lrbench.analysis.multiple_comparisons import step_down_from
from lrbench.analysis.rates import stages
from lrbench.study.ladder import PER_DECADE, RUNGS, ladder

ANY, BEST = "any rate", "best rate"
"""What restarts are drawn from: all runs of a line, or those at its best rate."""
VIRTUAL = "virtual best"
"""The line that is, for each target, the one with the least expected running time."""
TARGETS, TRIALS, HORIZON = 51, 1000, 100
"""Targets of a problem, simulated trials of a line, and how many times the steps of the longest run they go on for."""
_MISSED = 10
"""A target that a run does not meet counts as so many times the steps of the longest run where the best rate is chosen."""


class Pool(NamedTuple):
    """The runs that restarts are drawn from."""

    cost: Floats  # [run] the steps that a run takes that does not meet its target
    hit: Floats  # [run, target] the first step at which it does; infinite for never
    rate: Floats  # [run] its learning rate
    seed: Ints  # [run]

    def take(self, some: npt.NDArray[np.bool_]) -> Pool:
        """Some of the runs."""
        return Pool(self.cost[some], self.hit[some], self.rate[some], self.seed[some])

    @property
    def spent(self) -> Floats:
        """The steps [run, target] that each run takes for each target."""
        return np.where(np.isfinite(self.hit), self.hit, self.cost[:, None])

    @property
    def best_rate(self) -> float:
        """The rate with the least mean log of the steps to a target, ten times those of the longest run for one that is not met."""
        met = np.isfinite(self.hit)
        # Not of the run itself: one that diverges at once would seem fast.
        steps = np.where(met, np.maximum(self.hit, 1), _MISSED * self.cost.max())
        rates, at = np.unique(self.rate, return_inverse=True)
        score = np.bincount(at, np.log(steps).mean(axis=1)) / np.bincount(at)
        return float(rates[score.argmin()])

    def of(self, draws: str) -> Pool:
        """The runs that restarts of a kind are drawn from."""
        return self if draws == ANY else self.take(self.rate == self.best_rate)


class LineHits(NamedTuple):
    """The lines of runs whose first hits are known."""

    identity: pd.DataFrame  # a row per line
    problem: Ints  # [line] the number of its problem
    pools: list[Pool]  # [line]
    targets: list[Floats]  # [problem] the rungs that are its targets

    def of_problem(self) -> list[Ints]:
        """The lines of every problem."""
        return members(self.problem)


def lines(runs: pd.DataFrame, first_hits: pd.DataFrame) -> LineHits:
    """Arrange the first hits of the runs of the grid, line by line.

    A problem has 51 targets, spread evenly over the rungs of the ladder: all of them where the optimum is known, so that the targets are the same in
    every study, else those down to the lowest one that any run met; of fewer rungs, each is a target.

    Args:
        runs: the table of runs.
        first_hits: the table of first hits; runs without any are left out.
    """
    runs = runs[(stages(runs) == "grid") & runs["run_id"].isin(first_hits["run_id"])].reset_index(drop=True)
    hits = _hits(runs, first_hits)
    code, first = group(runs, line_columns(runs))
    problem, _ = group(runs, columns_of(runs, "problem"))
    known = runs["optimum"].notna().to_numpy() if "optimum" in runs else np.zeros(len(runs), dtype=bool)
    rungs = [_rungs(hits[rows], known=bool(known[rows].all())) for rows in members(problem)]
    steps = runs["steps"].to_numpy(dtype=np.float64)
    # A run that is no longer finite is at its end there; what follows is a restart.
    ended = runs["diverged_step"].to_numpy(dtype=np.float64, na_value=np.nan)
    cost = np.maximum(np.fmin(steps, ended), 1)
    rate = runs["learning_rate"].to_numpy(dtype=np.float64)
    seed = runs["seed"].to_numpy(dtype=np.int64)
    pools = [
        Pool(cost[rows], hits[rows][:, rungs[problem[rows[0]]]], rate[rows], seed[rows])
        for rows in members(code)
    ]
    targets = [ladder()[each] for each in rungs]
    return LineHits(identity(runs, first, line_columns(runs)), problem[first], pools, targets)


def _hits(runs: pd.DataFrame, first_hits: pd.DataFrame) -> Floats:
    """The steps [run, rung] of first hits, infinite for never."""
    run = pd.Index(runs["run_id"]).get_indexer(pd.Index(first_hits["run_id"]))
    rung = np.rint(-PER_DECADE * np.log10(first_hits["target"].to_numpy())).astype(np.int64) - 1
    step = first_hits["step"].to_numpy(dtype=np.float64, na_value=np.nan)
    hits = np.full((len(runs), RUNGS), np.inf)
    mine = (run >= 0) & np.isfinite(step)
    hits[run[mine], rung[mine]] = step[mine]
    return hits


def _rungs(hits: Floats, *, known: bool) -> Ints:
    """The rungs that are the targets of a problem."""
    met = np.flatnonzero(np.isfinite(hits).any(axis=0))
    last = RUNGS - 1 if known or not len(met) else int(met[-1])
    return np.unique(np.linspace(0, last, TARGETS).round().astype(np.int64))


def expected_running_times(
    runs: pd.DataFrame, first_hits: pd.DataFrame, confidence: float = 0.95
) -> pd.DataFrame:
    """The expected running time of every line to every target, beside that of the fastest line.

    ERT = the steps of all runs, up to the target where they meet it, over the number of those that do: what restarts take on average. The interval is
    the bootstrap's over seeds. p is that of no difference to the fastest line, of Wilcoxon's signed ranks of the ERT of every seed, a seed
    without a success being slower than any with one; adjusted for all lines of the problem by flipping signs of whole seeds.

    Returns:
        A row per line, kind of draw and target: `draws`, `learning_rate` (missing for any rate), `target`, `runs`, `successes`, `ert`, `low`
        and `high` (missing where infinite), `ratio` to the fastest line, and `p`.

    Source: Hansen et al., COCO: performance assessment, arXiv:1605.03560; Auger & Hansen, Performance evaluation of an advanced local search
        evolutionary algorithm, CEC 2005.
    """
    found = lines(runs, first_hits)
    return pd.concat([_of_problem(found, mine, confidence) for mine in found.of_problem()], ignore_index=True)


def _of_problem(found: LineHits, mine: Ints, confidence: float) -> pd.DataFrame:
    targets = found.targets[found.problem[mine[0]]]
    frames = []
    for draws in (ANY, BEST):
        pools = [found.pools[line].of(draws) for line in mine]
        seeds = np.unique(np.concatenate([pool.seed for pool in pools]))
        each = [by_seed(pool, seeds) for pool in pools]
        mean = np.stack([ert(spent.sum(axis=0), met.sum(axis=0)) for spent, met in each])
        p = _p_values(np.stack([ert(*sums) for sums in each]), mean)
        least = mean.min(axis=0)
        fastest = np.where(np.isfinite(least), np.maximum(least, 1), np.nan)
        for at, (line, pool, (spent, met)) in enumerate(zip(mine, pools, each, strict=True)):
            low, high = _spread(spent, met, confidence)
            frame = {
                "draws": draws,
                "learning_rate": pool.rate[0] if draws == BEST else np.nan,
                "target": targets,
                "runs": len(pool.cost),
                "successes": met.sum(axis=0).astype(np.int64),
                "ert": mean[at],
                "low": low,
                "high": high,
                "ratio": mean[at] / fastest,
                "p": p[at],
            }
            rows = found.identity.iloc[np.full(len(targets), line)].reset_index(drop=True)
            frames.append(rows.assign(**frame))
    return pd.concat(frames, ignore_index=True).replace(np.inf, np.nan)


def ert(spent: Floats, met: Floats) -> Floats:
    """Steps over successes; infinite without any.

    >>> ert(np.array([300.0, 300.0]), np.array([2.0, 0.0])).tolist()
    [150.0, inf]
    """
    found: Floats = np.where(met > 0, spent / np.maximum(met, 1), np.inf)
    return found


def by_seed(pool: Pool, seeds: Ints) -> tuple[Floats, Floats]:
    """The steps and the successes [seed, target] of the runs of each seed."""
    at = np.searchsorted(seeds, pool.seed)
    spent, met = (np.zeros((len(seeds), pool.hit.shape[1])) for _ in range(2))
    np.add.at(spent, at, pool.spent)
    np.add.at(met, at, np.isfinite(pool.hit))
    return spent, met


def _spread(spent: Floats, met: Floats, confidence: float) -> tuple[Floats, Floats]:
    """The bootstrap interval of ERT [target] over seeds."""
    index, weight = resamples(len(spent))
    return interval(ert(spent[index].sum(axis=1), met[index].sum(axis=1)), weight, confidence)


def _p_values(of_seed: Floats, mean: Floats) -> Floats:
    """The adjusted p [line, target] of every line against the fastest, from the ERT [line, seed, target] of every seed."""
    p = np.full(mean.shape, np.nan)
    for target in range(mean.shape[1]):
        fastest = int(mean[:, target].argmin())
        if not np.isfinite(mean[fastest, target]):
            continue
        others = np.flatnonzero(np.arange(len(mean)) != fastest)
        times = of_seed[:, :, target]

        def difference(some: Ints, more: Ints, times: Floats = times) -> Floats:
            return signed_ranks(times[some], times[more])

        p[others, target] = step_down_from(fastest, others, difference)
    return p


def signed_ranks(some: Floats, others: Floats) -> Floats:
    """Signed ranks [pair, seed] of the differences of the logs of running times, 0 where they are equal or both infinite.

    >>> signed_ranks(np.array([[1.0, 4.0, np.inf, np.inf]]), np.array([[2.0, 1.0, 9.0, np.inf]])).tolist()
    [[-1.0, 2.0, 3.0, 0.0]]
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        difference = np.log(some) - np.log(others)
    difference = np.where(some == others, 0.0, difference)
    size = np.where(difference == 0, np.nan, np.abs(difference))
    ranks = pd.DataFrame(size).rank(axis=1).fillna(0.0).to_numpy()
    found: Floats = np.sign(difference) * ranks
    return found


def runtime_distribution(
    runs: pd.DataFrame, first_hits: pd.DataFrame, trials: int = TRIALS, points: int = 121
) -> pd.DataFrame:
    """The share of problems and targets that each line has met after so many steps, restarts included, and that of the virtual best line.

    A trial draws runs with replacement until one meets the target; its running time is the steps of those that did not, and the
    steps of the one that did up to the target. Each problem has the same weight.

    Args:
        runs: the table of runs.
        first_hits: the table of first hits.
        trials: of every line and problem.
        points: how many numbers of steps there are, log-spaced from 1 to 100 times the steps of the longest run.

    Returns:
        A row per line, kind of draw and number of steps: `line`, `optimizer` and `schedule` (labels; empty for the virtual best),
        `draws`, `steps`, `share`.

    Source: Hansen et al., COCO: performance assessment, arXiv:1605.03560.
    """
    found = lines(runs, first_hits)
    frames = [
        rows for draws in (ANY, BEST) for rows in _distributions(found, draws, trials, _budgets(runs, points))
    ]
    return pd.concat(frames, ignore_index=True)


def _budgets(runs: pd.DataFrame, points: int) -> Floats:
    longest = float(runs["steps"].max())
    return np.unique(np.geomspace(1, HORIZON * longest, points).round())


def _distributions(found: LineHits, draws: str, trials: int, steps: Floats) -> Iterator[pd.DataFrame]:
    """Yield the distribution of every optimizer and schedule over all problems, and that of the virtual best."""
    names = pd.DataFrame({kind: label(found.identity, kind) for kind in ("optimizer", "schedule")})
    contender, first = group(names, ["optimizer", "schedule"])
    shares = np.zeros((len(first) + 1, len(steps)))
    problems = found.of_problem()
    for mine in problems:
        pools = [found.pools[line].of(draws) for line in mine]
        each = [simulated(pool, trials, steps[-1]) for pool in pools]
        expected = np.stack([ert(pool.spent.sum(0), np.isfinite(pool.hit).sum(0)) for pool in pools])
        virtual = np.stack([each[best][:, at] for at, best in enumerate(expected.argmin(axis=0))], axis=1)
        for row, times in zip([*contender[mine], len(first)], [*each, virtual], strict=True):
            reached = np.searchsorted(np.sort(times.reshape(-1)), steps, side="right")
            shares[row] += reached / times.size / len(problems)
    for share, at in zip(shares, [*first, None], strict=True):
        name = {"optimizer": "", "schedule": ""} if at is None else dict(names.iloc[at])
        text = VIRTUAL if at is None else f"{name['optimizer']} + {name['schedule']}"
        yield pd.DataFrame({"line": text, **name, "draws": draws, "steps": steps, "share": share})


def simulated(pool: Pool, trials: int, horizon: float) -> Floats:
    """Simulate running times [trial, target] with restarts; infinite beyond so many steps, and where no run meets the target.

    The draws are the same every time, and the same for all targets.
    """
    generator = np.random.default_rng(0)
    found = np.full((trials, pool.hit.shape[1]), np.inf)
    left = np.tile(np.isfinite(pool.hit).any(axis=0), (trials, 1))
    spent = np.zeros(trials)
    while left.any():
        run = generator.integers(len(pool.cost), size=trials)
        found = np.where(left, np.minimum(found, spent[:, None] + pool.hit[run]), found)
        spent += pool.cost[run]
        left &= np.isinf(found) & (spent < horizon)[:, None]
    return np.where(found <= horizon, found, np.inf)
