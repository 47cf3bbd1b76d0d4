"""Means over lines, with intervals that know that lines of a problem are alike."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

RESAMPLES = 5000
KEYS = ("method", "seeds", "confirm", "refine")
MEASURES = (
    "loses",
    "regret",
    "excess",
    "excess_all",
    "too_large",
    "too_small",
    "regret_finest",
    "loses_finest",
    "collapse_exact",
    "collapse_steep",
    "collapse_gradual",
)


class Estimate(NamedTuple):
    """A mean over lines and its 95 % interval; NaN where there is nothing to take a mean of."""

    value: float
    low: float
    high: float
    problems: int


def clustered(problem: Sequence[str] | pd.Series, values: Sequence[float] | pd.Series) -> Estimate:
    """The mean of values, and the percentile interval of it over problems that are drawn with replacement.

    >>> clustered(["a", "a", "b"], [1.0, 1.0, 1.0])
    Estimate(value=1.0, low=1.0, high=1.0, problems=2)

    Source: Field & Welsh, Journal of the Royal Statistical Society B 69 (2007), the cluster bootstrap.
    """
    each = np.asarray(values, dtype=np.float64)
    known = np.isfinite(each)
    if not known.any():
        return Estimate(np.nan, np.nan, np.nan, 0)
    _, code = np.unique(np.asarray(problem, dtype=str)[known], return_inverse=True)
    total, count = np.bincount(code, each[known]), np.bincount(code)
    times = _times(len(total))
    means = (times @ total) / (times @ count)
    low, high = np.quantile(means, [0.025, 0.975])
    return Estimate(float(total.sum() / count.sum()), float(low), float(high), len(total))


@functools.cache
def _times(problems: int) -> npt.NDArray[np.float64]:
    """How many times each problem [resample, problem] is in each of the resamples, which are the same every time."""
    each = np.full(problems, 1 / problems)
    return np.random.default_rng(0).multinomial(problems, each, size=RESAMPLES).astype(np.float64)


def summary(
    lines: pd.DataFrame, halves: Mapping[str, Sequence[str]], keys: Sequence[str] = KEYS
) -> pd.DataFrame:
    """A row per half, method and measure: `value`, `low`, `high` and `problems`, and the mean `runs` that the method takes per line."""
    rows = []
    for half, problems in halves.items():
        mine = lines[lines["problem"].isin(problems)]
        for key, some in mine.groupby(list(keys), sort=False):
            about = dict(zip(keys, key, strict=True))
            if "runs" in some:
                about["runs"] = some["runs"].mean()
            for name in MEASURES:
                if name in some and some[name].notna().any():
                    found = clustered(some["problem"], some[name])
                    rows.append({"half": half, **about, "measure": name, **found._asdict()})
    return pd.DataFrame(rows)


def by_problem(lines: pd.DataFrame) -> pd.DataFrame:
    """The means of each problem: a row per problem and method."""
    present = [name for name in MEASURES if name in lines]
    return lines.groupby(["problem", *KEYS], sort=False)[["runs", *present]].mean().reset_index()


class Setting(NamedTuple):
    """How many seeds a study has, and how it is confirmed."""

    method: str
    seeds: int
    confirm: int
    refine: int


def cheapest(table: pd.DataFrame, half: str, methods: Sequence[str], plain: Setting) -> Setting:
    """The setting with the fewest runs at which each of these methods has at most the mean regret that it has on a plain grid, on one half.

    Args:
        table: what `summary` returns.
        half: on which it is chosen.
        methods: the answers that are asked for; a study gives all of them.
        plain: the setting whose regret is to be reached.
    """
    found = table[(table["half"] == half) & (table["measure"] == "regret_finest")]
    wide = found.pivot_table(index=list(KEYS[1:]), columns="method", values="value")[list(methods)]
    reached = (wide <= wide.loc[plain[1:]]).all(axis=1)
    runs = found[found["method"].isin(methods)].groupby(list(KEYS[1:]))["runs"].mean()
    return Setting(methods[0], *runs[reached[reached].index].idxmin())


def value(table: pd.DataFrame, half: str, setting: Setting, measure: str) -> Estimate:
    """One estimate of a summary."""
    rows = table[(table["half"] == half) & (table["measure"] == measure)]
    for name, given in setting._asdict().items():
        rows = rows[rows[name] == given]
    (row,) = rows.to_dict("records")
    return Estimate(row["value"], row["low"], row["high"], row["problems"])


def runs_of(table: pd.DataFrame, setting: Setting) -> float:
    """Runs per line of a setting, over all problems."""
    rows = table
    for name, given in setting._asdict().items():
        rows = rows[rows[name] == given]
    return float(rows["runs"].mean())


def pooled(table: pd.DataFrame, halves: Mapping[str, Sequence[str]], by: Sequence[str]) -> pd.DataFrame:
    """Means over problems of rates `value` of each problem, with their clustered intervals: a row per half and `by`."""
    found = []
    for half, problems in halves.items():
        mine = table[table["problem"].isin(problems)]
        for key, some in mine.groupby(list(by), sort=False):
            estimate = clustered(some["problem"], some["value"])
            found.append({"half": half, **dict(zip(by, key, strict=True)), **estimate._asdict()})
    return pd.DataFrame(found)
