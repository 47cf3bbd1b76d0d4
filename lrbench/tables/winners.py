"""One row per problem × optimizer: its best setting of everything that the study varies."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from lrbench.analysis.groups import Floats, Ints, columns_of, group, line_columns
from lrbench.analysis.interactions import BATCH_SIZE, losses_of, problem_columns
from lrbench.analysis.labels import label, rate_text, with_sampled
from lrbench.errors import counted

_USED = {
    "use_learning_rate": "best_learning_rate",
    "use_loss": "best_loss",
    "use_loss_low": "best_loss_low",
    "use_loss_high": "best_loss_high",
}
"""Columns of the sensitivity table, and what stands for them in one without a rate to use."""
_FLOATS = [*_USED, "use_value", "use_value_low", "use_value_high"]
_TAKEN = [*_FLOATS, "headline", "confirmed_seeds", "seeds"]
Bools = npt.NDArray[np.bool_]


def winners(sensitivity: pd.DataFrame, comparison: pd.DataFrame, interactions: pd.DataFrame) -> pd.DataFrame:
    """A row per problem and optimizer: the best of its lines, and how sure that is; lines of all batch sizes compete.

    The best line has the lowest loss at its rate to use, whatever its parameters and its schedule. Another line is told apart from it as the
    table `comparison` says; a pair that is not there, such as two batch sizes, is told apart if its losses differ by more than
    √(a² + b²), a and b the half widths of their intervals.

    Args:
        sensitivity: the sensitivity table.
        comparison: the comparison table.
        interactions: the table of that name, which knows whether batch sizes had equal steps or equal epochs.

    Columns:
        problem, optimizer, schedule: names of the best line; with its parameters
        use_learning_rate: the rate to use
        use_loss, use_loss_low, use_loss_high: the loss at that rate, and its interval
        use_value, use_value_low, use_value_high: the headline metric there, and its interval
        headline: the name of that metric; missing if the problem has none
        confirmed_seeds: how many fresh seeds these values are from; 0 if the grid was not confirmed
        seeds: how many seeds the grid has
        lines: how many lines the optimizer has on this problem, this one included
        alike: how many of the others cannot be told apart from it
        second: the line that comes second; missing if there is only one
        second_loss: its loss
        told_apart: whether the second can be told apart from it
        budget: what lines of different batch sizes have in common, `steps` or `epochs`; missing if there is only one batch size
        answer: all of it in words

    Example:
        >>> table = pd.DataFrame({"problem": "a", "optimizer": "sgd", "schedule": "constant",
        ...     "optimizer_momentum": [0.0, 0.9], "best_learning_rate": [0.1, 0.01], "best_loss": [0.5, 0.3],
        ...     "best_loss_low": [0.4, 0.2], "best_loss_high": [0.6, 0.4], "seeds": 3})
        >>> winners(table, pd.DataFrame(), pd.DataFrame())["answer"].item()
        'sgd(momentum=0.9) + constant at 0.01: loss 0.3 (0.2 to 0.4); better than the other line'

    Source: docs, "Several hyper-parameters".
    """
    columns, loss = line_columns(sensitivity), losses_of(sensitivity)
    code, _ = group(sensitivity, [*problem_columns(sensitivity), "optimizer"])
    best, second, lines = _two_best(code, loss)
    apart = _apart(sensitivity, comparison, columns, best[code], loss)
    alike = np.bincount(code, ~apart, len(best)).astype(np.int64) - 1  # a line is like itself
    taken = _taken(sensitivity)
    out = pd.concat([sensitivity[columns], taken], axis=1).iloc[best].reset_index(drop=True)
    names = _names(sensitivity).to_numpy(dtype=object)
    alone = lines < 2
    out["lines"], out["alike"] = lines, np.where(np.isfinite(loss[best]), alike, 0)
    out["second"] = pd.Series(names[second], dtype="str").mask(alone)
    out["second_loss"] = np.where(alone | np.isinf(loss[second]), np.nan, loss[second])
    out["told_apart"] = apart[second] & ~alone
    out["budget"] = _budgets(sensitivity.iloc[best], interactions)
    rows = zip(names[best], out.to_dict("records"), strict=True)
    return out.assign(answer=pd.Series([_answer(name, row) for name, row in rows], dtype="str"))


def _two_best(code: Ints, loss: Floats) -> tuple[Ints, Ints, Ints]:
    """The best and the second line of each group, and how many it has; the best again where it is alone."""
    order = np.lexsort((loss, code))
    lines = np.bincount(code).astype(np.int64)
    begin = np.cumsum(lines) - lines
    return order[begin], order[begin + np.minimum(1, lines - 1)], lines


def _apart(
    sensitivity: pd.DataFrame, comparison: pd.DataFrame, columns: list[str], best: Ints, loss: Floats
) -> Bools:
    """Whether each line can be told apart from the best one [line] of its group; the best itself cannot."""
    taken = _taken(sensitivity)
    half = (taken["use_loss_high"] - taken["use_loss_low"]).to_numpy(dtype=np.float64) / 2
    with np.errstate(invalid="ignore"):
        apart: Bools = loss - loss[best] > np.hypot(half, half[best])
    if len(comparison):
        first, other = _pairs(sensitivity, comparison, columns)
        decided = _decided(comparison)
        for mine, its in ((first, other), (other, first)):
            here = best[mine] == its
            apart[mine[here]] = decided[here]
    apart[np.isinf(loss) & np.isfinite(loss[best])] = True
    apart[best] = False
    return apart


def _decided(comparison: pd.DataFrame) -> Bools:
    """Whether the lines of each pair can be told apart."""
    if "decided" in comparison:
        return comparison["decided"].to_numpy(dtype=bool)
    low, high = (comparison[f"difference_{end}"].to_numpy(dtype=np.float64) for end in ("low", "high"))
    return (low > 0) | (high < 0)


def _pairs(sensitivity: pd.DataFrame, comparison: pd.DataFrame, columns: list[str]) -> tuple[Ints, Ints]:
    """The numbers of both lines of each pair."""
    same = columns_of(sensitivity, "problem")
    named = {name: name if name in same else f"other_{name}" for name in columns}
    others = comparison[list(named.values())].set_axis(columns, axis=1)
    every = pd.concat([sensitivity[columns], comparison[columns], others], ignore_index=True)
    code = group(every, columns)[0]  # lines are distinct, so that the first ones are 0, 1, 2, ...
    first, other = np.split(code[len(sensitivity) :], 2)
    return first, other


def _taken(sensitivity: pd.DataFrame) -> pd.DataFrame:
    """The columns of the sensitivity table that are shown, whatever of them it has."""
    if "use_loss" not in sensitivity:
        sensitivity = sensitivity.assign(**{name: sensitivity[other] for name, other in _USED.items()})
    found = sensitivity.reindex(columns=_TAKEN)
    kinds = dict.fromkeys(_FLOATS, "float64") | {"headline": "str"}
    counts = found[["confirmed_seeds", "seeds"]].astype("float64").fillna(0).astype("int64")
    return found.astype(kinds).assign(confirmed_seeds=counts["confirmed_seeds"], seeds=counts["seeds"])


def _names(sensitivity: pd.DataFrame) -> pd.Series:
    """The label of each line; the batch size is part of it where there are several."""
    optimizer = with_sampled(sensitivity, label(sensitivity, "optimizer"))
    name = optimizer + " + " + label(sensitivity, "schedule")
    if BATCH_SIZE in sensitivity and sensitivity[BATCH_SIZE].nunique() > 1:
        size = sensitivity[BATCH_SIZE].map(lambda value: f", batch_size {value:g}", na_action="ignore")
        name += size.fillna("").astype("str")
    return name


def _budgets(best: pd.DataFrame, interactions: pd.DataFrame) -> pd.Series:
    """Whether lines of different batch sizes have equal steps or epochs; missing if there is only one batch size."""
    out = pd.Series(pd.NA, index=range(len(best)), dtype="str")
    if BATCH_SIZE not in best or "parameter" not in interactions:
        return out
    known = interactions[interactions["parameter"] == BATCH_SIZE]
    keys = [*problem_columns(best), "optimizer"]
    every = pd.concat([best[keys], known[keys]], ignore_index=True)
    number = group(every, keys)[0]
    found = dict(zip(number[len(best) :].tolist(), known["budget"], strict=True))
    return pd.Series([found.get(each, pd.NA) for each in number[: len(best)].tolist()], dtype="str")


def _answer(name: str, row: Mapping[Any, Any]) -> str:
    if np.isnan(row["use_loss"]):
        return f"{row['optimizer']}: no rate trains in any of {counted(row['lines'], 'line')}"
    loss = f"loss {row['use_loss']:.3g}"
    if np.isfinite(row["use_loss_low"]):
        loss += f" ({row['use_loss_low']:.3g} to {row['use_loss_high']:.3g})"
    if row["confirmed_seeds"]:
        loss += f" on {counted(row['confirmed_seeds'], 'fresh seed')}"
    if isinstance(row["headline"], str) and np.isfinite(row["use_value"]):
        loss += f", {row['headline'].removeprefix('valid_')} {row['use_value']:.3g}"
    parts = [f"{name} at {rate_text(row['use_learning_rate'])}: {loss}", *_sure(row)]
    if isinstance(row["budget"], str):
        parts.append(f"batch sizes at equal {row['budget']}")
    return "; ".join(parts)


def _sure(row: Mapping[Any, Any]) -> list[str]:
    others, alike = int(row["lines"]) - 1, int(row["alike"])
    if not others:
        return []
    if not alike:
        return ["better than the other line" if others == 1 else f"better than the {others} other lines"]
    which = "the other line" if others == 1 else f"{alike} of the {others} other lines"
    return [f"cannot be told apart from {which}"]
