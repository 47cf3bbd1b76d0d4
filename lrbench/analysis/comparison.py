"""Is this difference real? Lines of a problem against each other, paired by seed, answered with an interval."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pandas as pd

from lrbench.analysis.groups import PARTS, Floats, Ints, group, identity, members, part_columns
from lrbench.analysis.labels import label
from lrbench.analysis.objective import Objectives, best_final, losses, uses_validation
from lrbench.analysis.paired import differences
from lrbench.analysis.rates import best_rates, cubes, medians
from lrbench.analysis.thresholds import Thresholds

EACH_OTHER = 40
"""So many of the best lines of a problem are compared with each other; all further ones with the best alone."""
FEW = 4
"""Up to so many seeds an interval without 0 means that all agree, which is no rare chance: the answer says so."""
_NUMBERS = (
    "seeds learning_rate other_learning_rate loss other_loss difference difference_low difference_high "
    "difference_normalised difference_normalised_low difference_normalised_high"
).split()


def comparison(
    runs: pd.DataFrame, thresholds: Thresholds | None = None, objectives: Objectives = None
) -> pd.DataFrame:
    """Compare the lines of every problem in pairs: each at its best rate, run against run of the same seed.

    difference = interquartile mean over seeds of ℓ_a − ℓ_b, where ℓ = min(ℓ(T), ℓ₀) at the best rate of a and of
    b; below 0, a is better. Its interval is a bootstrap over seeds, the same for both, that chooses both rates anew
    in every resample. Normalised: over (ℓ₀ − ℓ*) of the problem.

    Args:
        runs: judged runs, a row each.
        thresholds: for `stable`, `confidence`, `resamples`.
        objectives: problem -> "valid_loss" or "train_loss"; None: validation where a problem has it.

    Returns:
        A row per pair: the problem; a as `optimizer`, `schedule` and their parameters, and b as the same
        columns after `other_`, a being the one of less loss; the numbers; and `answer`, in words.

    Example:
        >>> runs = pd.DataFrame({"problem": "a", "optimizer": ["sgd"] * 3 + ["adam"] * 3, "seed": [0, 1, 2] * 2,
        ...     "schedule": "constant", "learning_rate": 0.1, "status": "ok", "initial_train_loss": 1.0,
        ...     "final_train_loss": [0.5, 0.6, 0.7, 0.3, 0.5, 0.4]})
        >>> row = comparison(runs).iloc[0]
        >>> print(row["answer"].replace("; ", ", "))
        adam + constant is better: 0.1 to 0.3 lower, 3 seeds agree by chance 1 time in 4

    Source: Agarwal et al., arXiv:2108.13264 (interquartile mean); docs, "Comparison".
    """
    limits = thresholds or Thresholds()
    validated = uses_validation(runs, objectives)
    runs = runs.reset_index(drop=True)
    judged_by = pd.Series(np.where(validated, "valid_loss", "train_loss"))
    columns = part_columns(runs, *PARTS)
    code, first = group(runs, columns)
    initial, final = losses(runs, judged_by)
    problem, star = best_final(runs, initial, final, limits.stable)
    unit = medians(problem, initial, len(star)) - star
    best = best_rates(runs, limits.stable, judged_by)["loss"]
    rows = members(code)

    def runs_of(some: Ints) -> pd.DataFrame:
        return runs.iloc[np.concatenate([rows[line] for line in some])]

    lines = identity(runs, first, columns).assign(best_loss=best)
    return compare(
        lines, unit[problem[first]], np.zeros(len(lines), dtype=np.int64), runs_of, limits, judged_by
    )


def compare(
    lines: pd.DataFrame,
    unit: Floats,
    block: Ints,
    runs_of: Callable[[Ints], pd.DataFrame],
    limits: Thresholds,
    objectives: Objectives = None,
) -> pd.DataFrame:
    """Compare the lines of every problem, as `comparison` does, without all of their runs at once.

    Args:
        lines: the identity columns of every line, and its `best_loss`, NaN where it never trains.
        unit: [line] ℓ₀ − ℓ* of its problem.
        block: [line] the lines of one number are looked at together.
        runs_of: numbers of lines -> their judged runs, line by line in that order.
        limits: for `stable`, `confidence`, `resamples`.
        objectives: as in `comparison`.
    """
    columns = part_columns(lines, *PARTS)
    names = lines[columns]
    loss = lines["best_loss"].to_numpy(dtype=np.float64)
    found = []
    for mine in members(group(lines, part_columns(lines, "problem"))[0]):
        order = mine[np.argsort(loss[mine], kind="stable")]  # a line that never trains comes last
        leading, further = order[:EACH_OTHER], order[EACH_OTHER:]
        first, other = (leading[places] for places in np.triu_indices(len(leading), 1))
        leaders = len(first)
        first, other = np.append(first, np.full_like(further, order[0])), np.append(other, further)
        turns = [(np.sort(leading), np.arange(leaders))]
        for number in np.unique(block[further]):
            at = np.flatnonzero(block[further] == number)
            turns.append((np.sort(further[at]), leaders + at))
        best = runs_of(order[:1])  # once, as it may be in another block than any of the others
        numbers = []
        for some, at in turns:
            runs = runs_of(some)
            if order[0] not in some:
                runs, some = pd.concat([best, runs]), np.append(order[0], some)
            (cube,) = cubes(runs, columns, objectives)
            mine_at, other_at = (_places(some, each[at]) for each in (first, other))
            values = numbers_table(differences(cube, mine_at, other_at, limits), unit[order[0]])
            numbers.append(values.set_index(at))
        found.append(pd.concat([_rows(names, first, other), pd.concat(numbers).sort_index()], axis=1))
    table = pd.concat(found, ignore_index=True) if found else _rows(names, *[np.arange(0)] * 2)
    table = table.reindex(columns=[*table.columns, *(name for name in _NUMBERS if name not in table)])
    rows = zip(*pair_names(table), table[_NUMBERS].to_dict("records"), strict=True)
    return table.assign(answer=pd.Series([answer(a, b, row) for a, b, row in rows], dtype="str"))


def _places(some: Ints, each: Ints) -> Ints:
    """Where each of these numbers stands among `some`, whatever their order."""
    order = np.argsort(some)
    places: Ints = order[np.searchsorted(some, each, sorter=order)]
    return places


def _rows(names: pd.DataFrame, first: Ints, other: Ints) -> pd.DataFrame:
    """Who is compared: the identity columns of the first line, and those of the other but its problem."""
    mine, others = (names.iloc[rows].reset_index(drop=True) for rows in (first, other))
    others = others.drop(columns=part_columns(names, "problem"))
    return pd.concat([mine, others.add_prefix("other_")], axis=1)


def numbers_table(numbers: dict[str, Floats], unit: float) -> pd.DataFrame:
    """What `differences` returned, as columns, with the difference also over `unit`, ℓ₀ − ℓ* of the problem."""
    scale = unit if unit > 0 else np.nan
    ends = [f"difference{end}" for end in ("", "_low", "_high")]
    normal = {name.replace("difference", "difference_normalised"): numbers[name] / scale for name in ends}
    return pd.DataFrame({**numbers, **normal})[_NUMBERS].astype({"seeds": np.int64})


def pair_names(table: pd.DataFrame) -> tuple[list[str], list[str]]:
    """What both lines of every pair are called, by what tells them apart from any other line of the table."""
    own = [name.removeprefix("other_") for name in table.columns if name.startswith("other_")]
    own = [name for name in own if name not in ("learning_rate", "loss", "steps")]
    sides = [table[own], table[["other_" + name for name in own]].set_axis(own, axis=1)]
    both = pd.concat(sides, ignore_index=True)
    text = (label(both, "optimizer") + " + " + label(both, "schedule")).tolist()
    return text[: len(table)], text[len(table) :]


def answer(first: str, other: str, row: Mapping[Any, Any]) -> str:
    """Say whether a difference is real.

    Example:
        >>> numbers = {"seeds": 9, "loss": 1.0, "other_loss": 2.0, "difference": -0.01}
        >>> answer("a", "b", numbers | {"difference_low": -0.02, "difference_high": 0.01})
        'not told apart: −0.02 to 0.01'
    """
    seeds, low, high = int(row["seeds"]), row["difference_low"], row["difference_high"]
    if seeds == 0:
        return "no seed in common"
    if np.isnan(row["loss"]) or np.isnan(row["other_loss"]):
        trains = [name for name, key in ((first, "loss"), (other, "other_loss")) if np.isfinite(row[key])]
        return f"only {trains[0]} trains" if trains else "neither trains"
    if seeds == 1:
        return f"one seed: no interval; the difference is {_text(row['difference'])}"
    if low <= 0 <= high:
        return f"not told apart: {_text(low)} to {_text(high)}"
    better, ends = (first, (-high, -low)) if high < 0 else (other, (low, high))
    chance = f"; {seeds} seeds agree by chance 1 time in {2 ** (seeds - 1)}" if seeds <= FEW else ""
    return f"{better} is better: {_text(ends[0])} to {_text(ends[1])} lower{chance}"


def _text(value: float) -> str:
    """A number with three digits and a minus sign; 0 has none."""
    return f"{value + 0.0:.3g}".replace("-", "−")
