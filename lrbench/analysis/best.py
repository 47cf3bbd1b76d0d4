"""The answer: which learning rate each line should use, and how far it is behind the best line of its problem."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd

from lrbench.analysis.answer_words import rows_of, sentence
from lrbench.analysis.groups import Floats, Ints, columns_of, group, is_sampled, line_columns
from lrbench.analysis.labels import labels, with_sampled
from lrbench.analysis.objective import Objective, Objectives
from lrbench.analysis.thresholds import Thresholds

# Each column of the answer, and the columns of the sensitivity table that it is: the first that the table has.
_FROM = {
    "use": ("use_learning_rate", "best_learning_rate"),
    "use_low": ("best_learning_rate_low",),
    "use_high": ("best_learning_rate_high",),
    "from": ("good_low",),
    "to": ("good_high",),
    "best_learning_rate": ("best_learning_rate",),
    "collapse_low": ("collapse_low",),
    "collapse_high": ("collapse_high",),
    "degrades_from": ("degrades_from",),
    "loss": ("use_loss", "best_loss"),
    "loss_low": ("use_loss_low", "best_loss_low"),
    "loss_high": ("use_loss_high", "best_loss_high"),
    "value": ("use_value",),
    "value_low": ("use_value_low",),
    "value_high": ("use_value_high",),
    "confirmed_seeds": ("confirmed_seeds",),
    "seeds": ("seeds",),
    "rates": ("rates",),
    "rate_low": ("rate_low",),
    "rate_high": ("rate_high",),
    "diverged_fraction": ("diverged_fraction",),
    "gap": ("best_gap",),
}
_BANDS = ("pace", "own", "good")
_BEHIND = ("behind", "behind_low", "behind_high", "more_seeds", "steps_factor", "steps_factor_low", "steps_factor_high")  # fmt: skip
# What is read first stands first: of many columns, pandas shows the first and the last.
_OUT = (
    "problem optimizer schedule use band_low band_high collapse_low collapse_high score behind told_apart steps_factor confirmed_seeds line "
    "winner trains use_low use_high best_learning_rate band from to degrades_from no_collapse cliff objective at score_low score_high loss "
    "loss_low loss_high headline value value_low value_high sampled behind_low behind_high more_seeds steps_factor_low steps_factor_high seeds "
    "rates rate_low rate_high diverged_fraction gap answer"
).split()


def best(
    sensitivity: pd.DataFrame,
    thresholds: Thresholds | None = None,
    comparison: pd.DataFrame | None = None,
    objectives: Objectives = None,
) -> pd.DataFrame:
    r"""Answer which learning rate to use for each line, the lowest loss of a problem first.

    Args:
        sensitivity: the sensitivity table; of an older one, what it lacks is missing in the answer.
        thresholds: those of the table, for words such as "within 5 %".
        comparison: the comparison table, for how far a line is behind the winner; None: that is missing.
        objectives: problem → what its runs are judged by, for its name; None: a loss.

    Returns:
        problem, optimizer, schedule (labels; that of the optimizer with what is sampled, at the rate to use), and
        line: its row of the sensitivity table, which has its parameters;
        winner: whether it is the line with the lowest loss of its problem; trains: whether any rate trains;
        use: the rate to use, `best_learning_rate` that of the least loss, `use_low` and `use_high` its interval;
        band: "pace", "own" or "good", the narrowest that is known, from `band_low` to `band_high`;
        from, to: the good band of the problem;
        collapse_low, collapse_high: training collapses between them; degrades_from: where it degrades gradually;
        no_collapse: whether it collapses nowhere up to `rate_high`;
        cliff: the largest rate at which most seeds stay finite, missing if no larger one was tried, or a race
        stopped runs of larger rates before they were seen to diverge: training may collapse far below it;
        objective, at: what runs are judged by, and when; score: that at `use`, in its own units;
        loss: the same as a number that is better the smaller it is; headline, value: the metric shown beside it;
        sampled: whether other parameters are sampled together with its rates, so that it has no band and no collapse;
        told_apart: whether the line is told apart from the winner, <NA> where nobody knows;
        behind: how much higher its loss ends; steps_factor: how many times the winner's steps it needs, at equal
        loss; more_seeds: how many more seeds would tell them apart;
        seeds, confirmed_seeds: of the grid, and fresh ones;
        rates, rate_low, rate_high, diverged_fraction, gap: of the grid, for what to try next;
        answer: a sentence. `_low` and `_high` are intervals.

    Example:
        >>> table = pd.DataFrame({"problem": ["a"], "optimizer": "adam", "schedule": "constant", "trains": True,
        ...     "use_learning_rate": 0.01, "best_learning_rate": 0.02, "own_low": 0.01, "own_high": 0.1,
        ...     "collapse_low": 0.5, "collapse_high": 1.0, "use_loss": 0.1, "use_loss_low": 0.08, "use_loss_high": 0.12,
        ...     "rate_low": 0.001, "rate_high": 10.0, "rates": 5, "seeds": 3, "confirmed_seeds": 10})
        >>> print(best(table)["answer"].item().replace("; ", "\n"))
        adam + constant: use 0.01
        0.01 to 0.1 is within 5 % of its best
        collapses between 0.5 and 1
        loss 0.1 ± 0.02 on 10 fresh seeds
    """
    limits = thresholds or Thresholds()
    table = _columns(sensitivity, objectives)
    problem, _ = group(sensitivity, columns_of(sensitivity, "problem"))
    order = np.lexsort((table["loss"].to_numpy(), ~table["trains"].to_numpy(), problem))
    leads = np.diff(problem[order], prepend=-1) != 0
    first = order[leads][problem] if len(order) else order  # [line] the leading line of its problem
    table["line"] = np.arange(len(table))
    table["winner"] = (first == np.arange(len(table))) & table["trains"]
    table = pd.concat([table, _behind(sensitivity, comparison, first)], axis=1).iloc[order]
    table = table.reset_index(drop=True)
    names = (table["optimizer"] + " + " + table["schedule"]).where(table["winner"]).groupby(problem[order])
    winners = names.transform("first") if len(table) else names.first()
    rows = zip(rows_of(table), winners, strict=True)
    table["answer"] = pd.Series([sentence(row, winner, limits) for row, winner in rows], dtype="str")
    return table[_OUT]


def _columns(sensitivity: pd.DataFrame, objectives: Objectives) -> pd.DataFrame:
    """All columns that need no comparison, a row per line in the table's order."""
    sensitivity = sensitivity.reset_index(drop=True)
    table = labels(sensitivity)
    table["optimizer"] = with_sampled(sensitivity, table["optimizer"])
    table["sampled"] = is_sampled(sensitivity)
    for name, sources in _FROM.items():
        table[name] = _numbers(sensitivity, sources)
    known = "trains" in sensitivity
    table["trains"] = sensitivity["trains"].eq(True) if known else table["use"].notna()
    table["confirmed_seeds"] = table["confirmed_seeds"].fillna(0.0).astype(np.int64)
    table[["seeds", "rates"]] = table[["seeds", "rates"]].fillna(0.0).astype(np.int64)
    stable = _numbers(sensitivity, ["max_stable_learning_rate"])
    table["cliff"] = stable.where(stable < table["rate_high"])
    # Where a race stopped runs of larger rates, nobody knows: then the last stable rate is missing too.
    asked = pd.Series("collapse_high" in sensitivity, index=table.index)
    table["no_collapse"] = asked & table["trains"] & table["collapse_high"].isna() & stable.notna()
    found = pd.DataFrame({name: _numbers(sensitivity, [f"{name}_low"]).notna() for name in _BANDS})
    if (
        "own_low" in sensitivity
    ):  # the problem's band is no band of a weaker line: for tables without better ones
        found["good"] = False
    table["band"] = found.idxmax(axis=1).where(found.any(axis=1)).astype("str")
    for end in ("low", "high"):
        table[f"band_{end}"] = np.nan
        for name in _BANDS:
            mine = table["band"] == name
            table.loc[mine, f"band_{end}"] = _numbers(sensitivity, [f"{name}_{end}"])[mine]
    table["headline"] = _texts(sensitivity, "headline")
    return pd.concat([table, _scores(table, sensitivity["problem"], objectives)], axis=1)


def _numbers(table: pd.DataFrame, names: Sequence[str]) -> pd.Series:
    """The first of these columns that the table has, as numbers; missing if it has none of them."""
    for name in names:
        if name in table:
            return table[name].astype(np.float64)
    return pd.Series(np.nan, index=table.index)


def _texts(table: pd.DataFrame, name: str) -> pd.Series:
    column = table[name] if name in table else pd.Series(pd.NA, index=table.index)
    return column.astype("str")


def _scores(table: pd.DataFrame, problem: pd.Series, objectives: Objectives) -> pd.DataFrame:
    """The objective of each line: its column, when it counts, and the loss as a number of that column."""
    default = Objective("valid_loss")
    each = [(objectives or {}).get(str(name), default) for name in problem]
    sign = np.array([-1.0 if found.larger else 1.0 for found in each])
    zero = np.array([found.bound if found.larger and found.bound is not None else 0.0 for found in each])
    names = [found.column for found in each]
    out = pd.DataFrame({"objective": names, "at": [found.at for found in each]}, dtype="str")
    low, high = table["loss_low"], table["loss_high"]
    out["score"] = zero + sign * table["loss"]
    out["score_low"] = zero + sign * low.where(sign > 0, high)
    out["score_high"] = zero + sign * high.where(sign > 0, low)
    return out


def _behind(sensitivity: pd.DataFrame, comparison: pd.DataFrame | None, first: Ints) -> pd.DataFrame:
    """How far each line is behind the first of its problem, which is the line `first` [line]."""
    count = len(sensitivity)
    out = pd.DataFrame(np.nan, index=range(count), columns=list(_BEHIND))
    out["told_apart"] = pd.array([pd.NA] * count, dtype="boolean")
    if comparison is None or comparison.empty or not count:
        return out
    forward, backward = _pairs(sensitivity, comparison, first)
    sides = ((forward, 1.0), (backward, -1.0))  # the winner is the first line of the pair, or the other one
    for rows, sign in sides:
        at = np.flatnonzero(rows >= 0)
        found = comparison.iloc[rows[at]].reset_index(drop=True)
        ends = [-sign * _numbers(found, [f"difference{end}"]).to_numpy() for end in ("", "_low", "_high")]
        behind, low, high = ends[0], np.fmin(*ends[1:]), np.fmax(*ends[1:])
        apart = found["decided"].eq(True).to_numpy(dtype=bool) if "decided" in found else low > 0
        apart = apart & (behind > 0)
        out.loc[at, ["behind", "behind_low", "behind_high"]] = np.column_stack([behind, low, high])
        out.loc[at, "told_apart"] = pd.array(apart, dtype="boolean")
        out.loc[at[np.isnan(behind)], "told_apart"] = pd.NA
        out.loc[at, "more_seeds"] = _known(found, "more_seeds", ~apart)
        if sign > 0:
            for name in _BEHIND[-3:]:
                out.loc[at, name] = _known(found, name, apart)
    return out


def _known(table: pd.DataFrame, name: str, where: npt.NDArray[np.bool_]) -> Floats:
    return np.where(where, _numbers(table, [name]), np.nan)


def _pairs(sensitivity: pd.DataFrame, comparison: pd.DataFrame, first: Ints) -> tuple[Ints, Ints]:
    """The row of the comparison of each line with the line `first`: as its other line, and as its first; -1 if none."""
    columns = line_columns(sensitivity)
    problem = columns_of(sensitivity, "problem")
    sides = [
        comparison.reindex(columns=[name if name in problem else prefix + name for name in columns])
        for prefix in ("", "other_")
    ]
    names = [sensitivity[columns], *(side.set_axis(columns, axis=1) for side in sides)]
    code, _ = group(pd.concat(names, ignore_index=True), columns)
    line, ours, others = np.split(code, np.cumsum([len(sensitivity), len(comparison)]))
    rows = pd.Series(np.arange(len(comparison)), index=pd.MultiIndex.from_arrays([ours, others]))
    rows = rows[~rows.index.duplicated()]
    found = [rows.index.get_indexer(pd.MultiIndex.from_arrays(pair)) for pair in ((line[first], line), (line, line[first]))]  # fmt: skip
    forward, backward = (np.where(at >= 0, rows.to_numpy()[at], -1) if len(rows) else at for at in found)
    return forward, backward
