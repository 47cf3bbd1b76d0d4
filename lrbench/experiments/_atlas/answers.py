"""The findings of the atlas: its questions, answered with numbers."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pandas as pd

from lrbench.analysis.rank_tests import friedman
from lrbench.experiments._atlas.closer import Longer
from lrbench.experiments._atlas.evidence import LIMITS, MeasuredLines, mean_interval
from lrbench.experiments._atlas.measures import Measures, is_rate_free
from lrbench.experiments._atlas.schedules import gains
from lrbench.experiments.findings import Finding

CROWDED_VALLEY = 53_760
"""Runs of Schmidt et al. (arXiv:2007.01547)."""
ENOUGH = 100_000
FEW = 3
"""As many seeds as most comparisons have."""
ALPHA = 1 - LIMITS.confidence


class Tables(NamedTuple):
    """What was found, as the tables that are written."""

    by_line: pd.DataFrame
    by_optimizer: pd.DataFrame
    by_schedule: pd.DataFrame
    by_problem: pd.DataFrame
    cost: pd.DataFrame
    longer: Longer
    few_seeds: pd.DataFrame

    def named(self) -> dict[str, pd.DataFrame]:
        """The tables to write, by their names; without those that have no rows."""
        found = {name: each for name, each in self._asdict().items() if name != "longer"}
        found |= {"longer_lines": self.longer.lines, "longer_runs": self.longer.rankings}
        return {name: table for name, table in found.items() if len(table)}


def findings(evidence: MeasuredLines, found: Measures, tables: Tables) -> list[Finding]:
    """Return all findings; the first five answer the questions."""
    optimizers = tables.by_optimizer[tables.by_optimizer["schedule"] == evidence.schedules[0]]
    runs = int(tables.by_problem["runs"].sum())
    return [
        _untuned(optimizers, len(evidence.problems)),
        _tuned(optimizers, len(evidence.problems)),
        _flatness(evidence, found),
        *_schedules(evidence, tables.by_schedule)[:1],
        Finding(
            "complete runs, with the best rates of every line confirmed on fresh seeds",
            runs,
            rule=f"at least {ENOUGH:,} (Crowded Valley: {CROWDED_VALLEY:,})",
            met=runs >= ENOUGH,
        ),
        *_alike(evidence, found, optimizers),
        *_tuning(evidence, found),
        *_common_choice(optimizers),
        _flatness(evidence, found, but="cocob"),
        *_rate_free(evidence, found, optimizers),
        *_schedules(evidence, tables.by_schedule)[1:],
        *_longer(tables.longer),
        *_seeds(tables.few_seeds),
        *_cost(tables.cost),
    ]


def _with_interval(row: pd.Series, name: str) -> tuple[float, float, float]:
    """A number of a row, and the ends of its interval."""
    return float(row[name]), float(row[f"{name}_low"]), float(row[f"{name}_high"])


def _untuned(optimizers: pd.DataFrame, problems: int) -> Finding:
    row = optimizers.iloc[int(optimizers["untuned_rank"].fillna(np.inf).argmin())]
    return Finding(
        f"{row['optimizer']}, the safest untuned optimizer by mean rank: mean gap over {problems} problems, of {row['untuned_worst']:.2g} at worst",
        *_with_interval(row, "untuned_gap"),
    )


def _tuned(optimizers: pd.DataFrame, problems: int) -> Finding:
    row = optimizers.iloc[int(optimizers["tuned_rank"].argmin())]
    return Finding(
        f"{row['optimizer']}, the best tuned optimizer by mean rank: mean gap over {problems} problems, of {row['tuned_worst']:.2g} at worst",
        *_with_interval(row, "tuned_gap"),
    )


def _common_choice(optimizers: pd.DataFrame) -> list[Finding]:
    """What most people take."""
    row = optimizers[optimizers["optimizer"] == "adam"]
    return [
        Finding(
            f"gap of adam {name}, whose mean rank is {row[f'{name}_rank'].iloc[0]:.1f} of {len(optimizers)}",
            *_with_interval(row.iloc[0], f"{name}_gap"),
        )
        for name in ("untuned", "tuned")
        if len(row)
    ]


def _flatness(evidence: MeasuredLines, found: Measures, but: str = "") -> Finding:
    free, width = is_rate_free(evidence), found.width[:, :, 0]
    mine = free & np.array([name != but for name in evidence.optimizers])
    if not mine.any() or free.all():
        return Finding(
            "width of the band of good rates: of rate-free methods minus that of the others", np.nan
        )
    value = mean_interval(width[:, mine].mean(axis=1) - width[:, ~free].mean(axis=1))
    those = f"{mine.sum()} rate-free methods" + (f", without {but}," if but else "")
    return Finding(
        f"width of the band of good rates: mean of {those} minus that of the others",
        *value,
        unit="decades",
        rule="interval above 0",
        met=value[1] > 0 if np.isfinite(value[1]) else None,
    )


def _schedules(evidence: MeasuredLines, table: pd.DataFrame) -> list[Finding]:
    """The gain of each schedule, the best first; then how often it is real."""
    first, others = evidence.schedules[0], evidence.schedules[1:]
    each = np.median(gains(evidence).mean(axis=3), axis=1)  # [problem, schedule]
    out = []
    for number in np.argsort(-each.mean(axis=0), kind="stable"):
        name, value = others[number], mean_interval(each[:, number])
        out.append(
            Finding(
                f"gap with a {first} rate minus gap with the schedule {name}, both tuned: median over optimizers, mean over problems",
                *value,
                rule="interval above 0",
                met=value[1] > 0 if np.isfinite(value[1]) else None,
            )
        )
    better, worse, pairs = (int(table[name].sum()) for name in ("better", "worse", "problems"))
    words = f"schedules than {first}, on one problem (paired by seed, Holm over all)"
    return [
        *out,
        Finding(f"better {words}", better, unit=f"of {pairs:,} lines"),
        Finding(f"worse {words}", worse, unit=f"of {pairs:,} lines"),
        Finding(
            "gains of an optimizer by a schedule that are told from 0 over all problems (Holm)",
            int((table["p"] <= ALPHA).sum()),
            unit=f"of {len(table)}",
        ),
    ]


def _alike(evidence: MeasuredLines, found: Measures, optimizers: pd.DataFrame) -> list[Finding]:
    """Which optimizers cannot be told apart from the best one: by all problems together, and by their ranks."""
    count, problems = len(optimizers), len(evidence.problems)
    out = []
    for name, words in (("untuned", "safest untuned"), ("tuned", "best tuned")):
        alike = int((optimizers[f"{name}_p"] > ALPHA).sum()) - 1
        out.append(
            Finding(
                f"optimizers not told apart from the {words} one over {problems} problems (sign flips, step-down)",
                alike,
                unit=f"of {count - 1}",
            )
        )
    still = evidence.table[~evidence.table["trains"].astype(bool)]
    gap = found.tuned[:, :, 0].T
    _, p = friedman(gap)
    return [
        *out,
        Finding(
            "p that all optimizers are alike, tuned (Friedman)",
            p,
            rule=f"at most {ALPHA:.2g}",
            met=p <= ALPHA,
        ),
        Finding(
            f"lines that train at no rate ({', '.join(still['optimizer'].unique()) or 'none'})",
            len(still),
            unit=f"of {found.tuned.size:,}",
        ),
        Finding(
            "lines whose best rate is the first or the last of the grid",
            int(evidence.table["best_at_edge"].to_numpy(dtype=bool).sum()),
            unit=f"of {found.tuned.size:,}",
        ),
        Finding(
            "lines within 5 % of the best of their problem, tuned",
            100 * float((found.tuned <= LIMITS.good).mean()),
            unit="%",
        ),
    ]


def _tuning(evidence: MeasuredLines, found: Measures) -> list[Finding]:
    cost = found.common[:, :, 0] - found.tuned[:, :, 0]
    if not np.isfinite(cost).any():
        return []
    return [
        Finding(
            "what tuning gives: gap at the rate that is best for the other problems minus gap tuned, mean over optimizers",
            *mean_interval(np.nanmean(cost, axis=1)),
        )
    ]


def _rate_free(evidence: MeasuredLines, found: Measures, optimizers: pd.DataFrame) -> list[Finding]:
    """How many bands are wide, and what a rate of 1 costs."""
    free = is_rate_free(evidence)
    out = []
    width, mine = (optimizers.set_index("optimizer")[name] for name in ("own_decades", "rate_free"))
    if mine.any() and not mine.all():
        wider = width[mine][width[mine] > width[~mine].median()]
        out.append(
            Finding(
                f"rate-free methods with a wider band than the median of the others ({', '.join(wider.index) or 'none'})",
                len(wider),
                unit=f"of {int(mine.sum())}",
                rule="all of them",
                met=len(wider) == mine.sum(),
            )
        )
    if free.any():
        cost = found.default[:, free, 0] - found.tuned[:, free, 0]
        close = int((cost <= LIMITS.good).sum())
        out += [
            Finding(
                "gap of rate-free methods at a rate of 1 minus gap tuned, mean over methods",
                *mean_interval(cost.mean(axis=1)),
                rule=f"interval below {LIMITS.good:g}",
                met=mean_interval(cost.mean(axis=1))[2] < LIMITS.good,
            ),
            Finding(
                "rate-free methods × problems where a rate of 1 is within 5 % of the tuned rate",
                close,
                unit=f"of {cost.size}",
                rule="all of them",
                met=close == cost.size,
            ),
        ]
    return out


def _longer(longer: Longer) -> list[Finding]:
    out = []
    for _, row in longer.rankings.iterrows():
        where = f"{row['problem']}, {row['schedule']}"
        out.append(
            Finding(
                f"Kendall's τ of the ranking of {row['lines']} lines with that in longer runs, {where}"
                f" (of two halves of the seeds: {row['tau_repeated']:.2f})",
                *_with_interval(row, "tau"),
            )
        )
    if out:
        held = int((longer.rankings["best"] == longer.rankings["longer_best"]).sum())
        out.append(
            Finding(
                "rankings whose best line is also the best in longer runs",
                held,
                unit=f"of {len(longer.rankings)}",
            )
        )
        out.append(
            Finding(
                "change of the best rate in longer runs, median over lines",
                float(longer.lines["shift"].median()),
                unit="decades",
            )
        )
    return out


def _seeds(table: pd.DataFrame) -> list[Finding]:
    out = []
    for _, row in table[table["count"] == FEW].iterrows():
        for name, words in (
            ("orderings", f"orderings of two tuned optimizers by {FEW} seeds that other seeds confirm"),
            ("winner", f"best optimizers by {FEW} seeds that are the best on other seeds"),
            (
                "regret",
                f"what the best optimizer by {FEW} seeds, at its rate, loses on other seeds, of ℓ₀ − ℓ*",
            ),
        ):
            value, low, high = _with_interval(100 * row[[name, f"{name}_low", f"{name}_high"]], name)
            out.append(Finding(f"{words}, {row['problem']}", value, low, high, unit="%"))
    return out


def _cost(table: pd.DataFrame) -> list[Finding]:
    times = table.groupby("optimizer")["times_sgd"].median().sort_values()
    seconds = {name: float(table[f"{name}_seconds"].sum()) for name in ("train", "compile")}
    rate = 1e3 * seconds["train"] / float(table["runs"].sum())
    return [
        Finding(
            "time to train all lines, on cores shared with other work", seconds["train"] / 60, unit="minutes"
        ),
        Finding("time to compile them", seconds["compile"] / 60, unit="minutes"),
        Finding("time to train a run, mean", rate, unit="ms"),
        Finding(
            f"a run of {times.index[-1]}, the dearest optimizer, against one of sgd, median over problems",
            float(times.iloc[-1]),
            unit="times as long",
        ),
    ]
