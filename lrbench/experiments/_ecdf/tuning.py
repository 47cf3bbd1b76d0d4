"""What finding the rate costs each optimizer, as a table."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd

from lrbench.analysis.bootstrap import interval, resamples
from lrbench.analysis.ecdf import ANY, BEST, VIRTUAL, LineHits, Pool, by_seed, ert, simulated
from lrbench.analysis.groups import Floats, Ints, line_columns
from lrbench.analysis.labels import label

TARGET = 1e-2
"""The price of tuning is that of the target nearest to this one."""
RUNS = 10
"""Shares with restarts are those within the steps of so many runs."""
_RESAMPLES, _TRIALS = 200, 200
"""Resamples of seeds in which restarts are simulated, and how often each."""
COLUMNS = {BEST: "at_best_rate", ANY: "at_random_rate"}


class Measure(NamedTuple):
    """A number, and the ends of its 95 % interval."""

    value: float
    low: float
    high: float


class Contenders:
    """The optimizers, each with its lines; no line of theirs has another schedule.

    Args:
        lines: of all problems.
    """

    def __init__(self, lines: LineHits) -> None:
        """Add up the runs of every line, seed by seed."""
        self.names = label(lines.identity, "optimizer").tolist()
        self.problems = label(lines.identity, "problem").tolist()
        self._pools = lines.pools
        self._seeds = np.unique(np.concatenate([pool.seed for pool in lines.pools]))
        # Steps and successes [seed, target] of each line.
        self._sums = {
            draws: [by_seed(pool.of(draws), self._seeds) for pool in lines.pools] for draws in COLUMNS
        }
        self._runs = {draws: [len(pool.of(draws).cost) for pool in lines.pools] for draws in COLUMNS}
        self._at = [int(np.abs(np.log(lines.targets[at] / TARGET)).argmin()) for at in lines.problem]
        self.priced = self._priced()

    @property
    def at_edge(self) -> tuple[int, int]:
        """On how many lines the best rate is the first or the last one, and how many lines there are."""
        edges = [pool.best_rate in (pool.rate.min(), pool.rate.max()) for pool in self._pools]
        return sum(edges), len(edges)

    @property
    def optimizers(self) -> list[str]:
        """Their names."""
        return list(dict.fromkeys(self.names))

    def share(self, optimizer: str, draws: str) -> Measure:
        """The share of problems and targets that one run meets."""
        mine = [
            self._sums[draws][line][1].mean(axis=1) / self._runs[draws][line] for line in self._of(optimizer)
        ]
        each = np.mean(mine, axis=0) * len(self._seeds)
        return self._measured(lambda seeds: each[seeds].mean(axis=1))

    def share_with_restarts(self, optimizer: str, draws: str, steps: float) -> Measure:
        """The share of problems and targets that restarts meet within so many steps; the interval is that of some resamples."""
        pools = [self._pools[line].of(draws) for line in self._of(optimizer)]
        chance = np.random.default_rng(0)
        drawn = [self._seeds, *chance.choice(self._seeds, (_RESAMPLES, len(self._seeds)))]
        shares = np.array([np.mean([_share(pool, seeds, steps) for pool in pools]) for seeds in drawn])
        low, high = interval(shares[1:], np.full(_RESAMPLES, 1 / _RESAMPLES))
        return Measure(float(shares[0]), float(low), float(high))

    def price(self, *optimizers: str) -> Measure:
        """The price of tuning; of two optimizers, that of the first over that of the second."""
        lines = [
            [line for line in self._of(name) if self.problems[line] in self.priced] for name in optimizers
        ]

        def statistic(seeds: Ints) -> Floats:
            logs = [np.mean([self._log_price(line, seeds) for line in mine], axis=0) for mine in lines]
            return np.exp(logs[0] - (logs[1] if len(logs) > 1 else 0))

        return self._measured(statistic) if self.priced else Measure(np.nan, np.nan, np.nan)

    def _priced(self) -> list[str]:
        """The problems on which every optimizer meets the target, also at its best rate."""
        all_seeds = np.arange(len(self._seeds))[None]
        known = [bool(np.isfinite(self._log_price(line, all_seeds)[0])) for line in range(len(self.names))]
        missed = {name for name, there in zip(self.problems, known, strict=True) if not there}
        return [name for name in dict.fromkeys(self.problems) if name not in missed]

    def _log_price(self, line: int, seeds: Ints) -> Floats:
        """The log of the price [resample] of a line; NaN where the target is never met."""
        logs = []
        for draws in (ANY, BEST):
            spent, met = (each[:, self._at[line]][seeds].sum(axis=1) for each in self._sums[draws][line])
            logs.append(np.log(np.maximum(ert(spent, met), 1)))
        with np.errstate(invalid="ignore"):
            found: Floats = logs[0] - logs[1]
        return np.where(np.isfinite(found), found, np.nan)

    def _of(self, optimizer: str) -> list[int]:
        return [line for line, name in enumerate(self.names) if name == optimizer]

    def _measured(self, statistic: Callable[[Ints], Floats]) -> Measure:
        """Return a statistic of numbers of seeds [resample, seed] with its bootstrap interval."""
        index, weight = resamples(len(self._seeds))
        low, high = interval(statistic(index), weight)
        return Measure(float(statistic(np.arange(len(self._seeds))[None])[0]), float(low), float(high))


def _share(pool: Pool, seeds: Ints, steps: float) -> float:
    """The share of targets that restarts meet within so many steps, drawn from the runs of some seeds."""
    rows = np.concatenate([np.flatnonzero(pool.seed == seed) for seed in seeds])
    some = Pool(pool.cost[rows], pool.hit[rows], pool.rate[rows], pool.seed[rows])
    return float(np.isfinite(simulated(some, _TRIALS, steps)).mean())


def table(contenders: Contenders, distribution: pd.DataFrame, steps: int) -> pd.DataFrame:
    """Return a row per optimizer, in the order of the shares of targets that a run at a random rate meets.

    Args:
        contenders: the optimizers.
        distribution: the runtime distributions.
        steps: of a run.
    """
    rows = []
    for optimizer in contenders.optimizers:
        row: dict[str, object] = {"optimizer": optimizer}
        for draws, column in COLUMNS.items():
            row |= _columns(f"{column}_one_run", contenders.share(optimizer, draws))
            row[f"{column}_ten_runs"] = share_at(distribution, optimizer, draws, RUNS * steps)
        rows.append(row | _columns("price", contenders.price(optimizer)))
    found = pd.DataFrame(rows).assign(problems_priced=len(contenders.priced))
    for column in COLUMNS.values():
        place = found[f"{column}_one_run"].rank(ascending=False, method="min")
        found[f"place_{column}"] = place.astype(int)
    return found.sort_values("at_random_rate_one_run", ascending=False, kind="stable", ignore_index=True)


def _columns(name: str, measure: Measure) -> dict[str, float]:
    return {name: measure.value, f"{name}_low": measure.low, f"{name}_high": measure.high}


def share_at(distribution: pd.DataFrame, optimizer: str, draws: str, steps: float) -> float:
    """Return the share of problems and targets that an optimizer, or the virtual best, has met after so many steps."""
    of = distribution["line"] if optimizer == VIRTUAL else distribution["optimizer"]
    mine = distribution[(of == optimizer) & (distribution["draws"] == draws)]
    return float(mine.loc[mine["steps"] <= steps, "share"].iloc[-1])


def by_decade(times: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of one target per decade, the nearest one."""
    power = -np.log10(times["target"])
    decade = power.round().clip(lower=1)
    ordered = times.assign(decade=decade, off=(power - decade).abs()).sort_values("off", kind="stable")
    kept = ordered.drop_duplicates([*line_columns(times), "draws", "decade"]).sort_index()
    return kept.drop(columns=["decade", "off", "schedule"])


def thinned(distribution: pd.DataFrame) -> pd.DataFrame:
    """Return every third of the numbers of steps of the distributions, the first and the last among them."""
    steps = np.sort(distribution["steps"].unique())
    kept: Sequence[float] = sorted({*steps[::3], steps[-1]})
    return distribution[distribution["steps"].isin(kept)].drop(columns="schedule")
