"""The tables of the atlas: a row per line, per optimizer, and per problem."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import pandas as pd

from lrbench.analysis.groups import Floats
from lrbench.analysis.intervals import t_interval
from lrbench.analysis.multiple_comparisons import step_down_from
from lrbench.experiments._atlas.evidence import LIMITS, MeasuredLines
from lrbench.experiments._atlas.measures import Measures, is_rate_free, name_of, ranks
from lrbench.tables.base import StudyTables

_OF_LINE = (
    "use_learning_rate use_loss use_loss_low use_loss_high best_learning_rate best_loss own_low own_high collapse_high "
    "learning_rate_sensitivity_normalised best_at_edge diverged_fraction"
).split()
ACROSS = ("tuned", "untuned", "common")
"""The measures whose means and ranks over problems are in the table of optimizers."""


def rounded(frame: pd.DataFrame, digits: int = 5) -> pd.DataFrame:
    """A table whose numbers have so many digits: a published one is small."""
    text = f".{digits - 1}e"
    numbers = frame.select_dtypes("float").columns
    return frame.assign(**{name: [float(format(v, text)) for v in frame[name]] for name in numbers})


def by_line(evidence: MeasuredLines, found: Measures) -> pd.DataFrame:
    """A row per problem, optimizer and schedule."""
    columns = {
        name: evidence.table[name].to_numpy() for name in ("problem", "optimizer", "schedule", "trains")
    }
    columns |= {name: evidence.table[name].to_numpy() for name in _OF_LINE}
    columns |= {
        "tuned_gap": found.tuned.ravel(),
        "untuned_gap": found.untuned.ravel(),
        "common_gap": found.common.ravel(),
        "common_rate": found.common_rate.ravel(),
        "default_gap": found.default.ravel(),
        "default_rate": found.default_rate.ravel(),
        "own_decades": found.width.ravel(),
    }
    return rounded(pd.DataFrame(columns))


def by_optimizer(evidence: MeasuredLines, found: Measures) -> pd.DataFrame:
    """A row per optimizer and schedule: means, ranks and the worst over problems."""
    optimizers, schedules = evidence.shape[1:]
    columns: dict[str, npt.ArrayLike] = {
        "optimizer": np.repeat(evidence.optimizers, schedules),
        "schedule": np.tile(evidence.schedules, optimizers),
        "rate_free": np.repeat(is_rate_free(evidence), schedules),
        "trains": evidence.column("trains").sum(axis=0).astype(np.int64).ravel(),
    }
    for name in ACROSS:
        gap = getattr(found, name)
        rank = ranks(gap)
        columns |= _over_problems(f"{name}_gap", gap, 0.0, np.inf)
        columns |= _over_problems(f"{name}_rank", rank, 1.0, optimizers)
        columns[f"{name}_worst"] = gap.max(axis=0).ravel()
        columns[f"{name}_p"] = np.stack(
            [against_best(rank[..., s]) for s in range(schedules)], axis=1
        ).ravel()
    widest = float(np.log10(evidence.rate[-1] / evidence.rate[0]))
    columns |= _over_problems("own_decades", found.width, 0.0, widest)
    return rounded(pd.DataFrame(columns))


def _over_problems(name: str, values: Floats, least: float, most: float) -> dict[str, Floats]:
    """The mean of values [problem, ...] over problems, and its interval as far as there are such values."""
    low, high = t_interval(np.moveaxis(values, 0, -1), LIMITS.confidence)
    mean = values.mean(axis=0)
    ends = np.maximum(low, np.minimum(least, mean)), np.minimum(high, np.maximum(most, mean))
    return {
        name: mean.ravel(),
        f"{name}_low": ends[0].ravel(),
        f"{name}_high": ends[1].ravel(),
    }


def against_best(rank: Floats) -> Floats:
    """P of each optimizer against the one with the least mean rank, adjusted for all pairs that might have been it; 1 for itself.

    By joint sign flips of whole problems (Westfall and Young's step-down max-t): with 8 problems the least p is 1/128.

    Args:
        rank: [problem, optimizer].
    """
    best = int(rank.mean(axis=0).argmin())
    others = np.delete(np.arange(rank.shape[1]), best)
    p = np.ones(rank.shape[1])
    if len(others) and len(rank) > 1:
        p[others] = step_down_from(best, others, lambda first, other: (rank[:, first] - rank[:, other]).T)
    return p


def by_problem(evidence: MeasuredLines, found: Measures, studies: Mapping[str, StudyTables]) -> pd.DataFrame:
    """A row per problem: its best line, and how many others cannot be told apart from it on the same fresh seeds."""
    rows = []
    for number, problem in enumerate(evidence.problems):
        gap = found.tuned[number]
        at = np.unravel_index(int(np.nanargmin(gap)), gap.shape)
        line = evidence.table.iloc[int(np.ravel_multi_index((number, *at), evidence.shape))]
        results = studies[problem]
        pairs = results.comparison
        told = pairs[pairs["headline"] & pairs["decided"].astype(bool)]
        rows.append(
            {
                "problem": problem,
                "parameters": int(results.runs["parameters"].iloc[0]),
                "runs": len(results.runs),
                "diverged": int((results.runs["verdict"] == "diverged").sum()),
                "start_loss": evidence.start[number],
                "best_loss": evidence.star[number],
                "best_optimizer": line["optimizer"],
                "best_schedule": line["schedule"],
                "best_rate": line["use_learning_rate"],
                "lines": gap.size,
                "alike": int(pairs["headline"].sum()) - len(told),
                "within_5_percent": int((gap <= LIMITS.good).sum()),
                "does_not_train": int((~evidence.column("trains")[number].astype(bool)).sum()),
            }
        )
    return rounded(pd.DataFrame(rows))


def cost(studies: Mapping[str, StudyTables]) -> pd.DataFrame:
    """A row per problem and optimizer: what its runs took, from the manifests; both lines of sgd are one program."""
    rows = []
    for problem, results in studies.items():
        runs, packs = results.runs, pd.DataFrame(results.manifest["packs"]).set_index("pack_id")
        seconds = pd.DataFrame(packs["seconds"].tolist(), index=packs.index)
        runs = runs.assign(optimizer=runs["optimizer"].map(name_of))
        for optimizer, mine in runs.groupby("optimizer", sort=False):
            spent = seconds.loc[mine["pack_id"].unique()].sum()
            steps = int(mine["steps"].sum())
            rows.append(
                {
                    "problem": problem,
                    "optimizer": optimizer,
                    "runs": len(mine),
                    "compile_seconds": spent["compile"],
                    "train_seconds": spent["train"],
                    "evaluate_seconds": spent["evaluate"],
                    "milliseconds_per_run": 1e3 * spent["train"] / len(mine),
                    "model_steps_per_second": steps / spent["train"],
                }
            )
    table = pd.DataFrame(rows)
    plain = table[table["optimizer"] == "sgd"].set_index("problem")["milliseconds_per_run"]
    relative = table["milliseconds_per_run"] / table["problem"].map(plain)
    return rounded(table.assign(times_sgd=relative), 4)
