"""Two or more results side by side: the same lines in each, and whether they differ."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pandas as pd

from lrbench.analysis import Thresholds
from lrbench.analysis.groups import group, line_columns, members
from lrbench.analysis.labels import labels, rate_text
from lrbench.analysis.mean_loss import levels
from lrbench.analysis.objective import Objective, losses, objectives_of
from lrbench.analysis.paired_differences import (
    adjusted,
    answer,
    at_rates,
    differences,
    numbers_table,
    rates_to_use,
)
from lrbench.analysis.rates import medians
from lrbench.errors import StoreError
from lrbench.results.run_lookup import RunLookup
from lrbench.results.text_table import aligned
from lrbench.study.grid import Grid
from lrbench.study.variant import Variant

CLOSE = 1e-3
"""Relative difference of two losses up to which a run counts as the same on another machine."""
_KEYS = ["problem", "problem_key", "line"]
_LOSSES = [f"{when}_{which}_loss" for when in ("initial", "final") for which in ("train", "valid")]


class Side(Protocol):
    """What is compared: the runs of a results folder."""

    @property
    def folder(self) -> Path:
        """The results folder."""

    @property
    def runs(self) -> pd.DataFrame:
        """A row per run."""

    @property
    def sensitivity(self) -> pd.DataFrame:
        """A row per line, in the order in which lines appear in the runs."""

    @property
    def manifest(self) -> Mapping[str, Any]:
        """The manifest."""


def side_by_side(first: Side, others: Sequence[Side]) -> pd.DataFrame:
    """Return the table of `lrbench.compare`: each of the others against the first."""
    return pd.concat([_compare(first, other) for other in others], ignore_index=True)


def as_text(table: pd.DataFrame) -> str:
    """Return what `compare` found, for a terminal."""
    first = str(table["folder"].iloc[0])
    others = list(dict.fromkeys(table["other_folder"]))
    letters = {name: chr(ord("B") + at) if at < 25 else str(at + 1) for at, name in enumerate(others)}
    out = [f"A: {first}", *(f"{letter}: {name}" for name, letter in letters.items())]
    named = table.assign(**labels(table))
    for problem, rows in named.groupby("problem", sort=False):
        lines = [_row(row, letters[row["other_folder"]], len(others) > 1) for row in rows.to_dict("records")]
        text = aligned(lines, left=("optimizer", "schedule", "answer"))
        out += ["", str(problem), *("  " + line for line in text.splitlines())]
    return "\n".join(out)


def _row(row: Mapping[Any, Any], letter: str, several: bool) -> dict[str, str]:
    def point(prefix: str) -> str:
        rate, loss = row[prefix + "learning_rate"], row[prefix + "loss"]
        return f"{loss:.4g} at {rate_text(rate)}" if np.isfinite(loss) else "never trains"

    return {
        "optimizer": row["optimizer"],
        "schedule": row["schedule"],
        **({"against": letter} if several else {}),
        "A": point(""),
        "other" if several else letter: point("other_"),
        "seeds": str(row["seeds"]),
        "same runs": str(row["same_runs"]),
        "changed": str(row["changed_runs"]),
        "answer": row["answer"],
    }


def _compare(first: Side, other: Side) -> pd.DataFrame:
    both = pd.concat([_keyed(first, 0), _keyed(other, 1)], ignore_index=True)
    limits, objectives = Thresholds(), _objectives(first, other)
    same = _same(both, objectives)
    code, begins = group(both, [*_KEYS, "folder"])
    lines = both.iloc[begins].assign(place=range(len(begins)))
    pairs = lines[lines["folder"] == 0].merge(lines[lines["folder"] == 1], on=_KEYS, suffixes=("", "_other"))
    if pairs.empty:
        raise StoreError(
            f"{first.folder} and {other.folder}: no problem, optimizer and schedule in common; nothing to compare"
        )
    mine, others = (pairs[name].to_numpy(dtype=np.int64) for name in ("place", "place_other"))
    rate = both["use"].to_numpy(dtype=np.float64)[begins]
    initial, _ = losses(both, objectives)
    level = levels(both, limits, objectives)
    problem = level.code
    unit = medians(problem, initial, len(level.least)) - level.least
    found = []
    for number, rows in enumerate(members(problem)):
        some, here = np.unique(code[rows]), problem[begins[mine]] == number
        at = at_rates(both.iloc[rows], [*_KEYS, "folder"], rate[some], limits, objectives)
        places = np.searchsorted(some, mine[here]), np.searchsorted(some, others[here])
        apart = differences(at, *places, limits)
        numbers = numbers_table(at, *places, apart, adjusted(apart), unit[number], limits)
        found.append(numbers.assign(place=mine[here]))
    numbers = pd.concat(found).sort_values("place", ignore_index=True)
    rows = begins[numbers.pop("place").to_numpy(dtype=np.int64)]
    names = first.runs[line_columns(first.runs)].iloc[rows].reset_index(drop=True)
    counts = same.reindex(code[rows]).fillna(0).astype(np.int64).reset_index(drop=True)
    table = pd.concat([names, numbers, counts], axis=1)
    where = str(first.folder), str(other.folder)
    table.insert(len(names.columns), "folder", where[0])
    table.insert(len(names.columns) + 1, "other_folder", where[1])
    answers = [_answer(*where, row) for row in table.to_dict("records")]
    return table.assign(answer=pd.Series(answers, dtype="str"))


def _answer(first: str, other: str, row: Mapping[Any, Any]) -> str:
    if row["same_runs"] and not row["changed_runs"] and row["difference"] == 0:
        return "the same runs, with the same losses"
    return answer(first, other, row)


def _same(both: pd.DataFrame, objectives: Mapping[str, Objective]) -> pd.DataFrame:
    """By line of the first results: how many of its runs the others have, and how many of those end elsewhere."""
    code, _ = group(both, [*_KEYS, "folder"])
    _, final = losses(both, objectives)
    runs = both[["run_id", "folder"]].assign(line=code, loss=final)
    found = runs[runs["folder"] == 0].merge(runs[runs["folder"] == 1], on="run_id", suffixes=("", "_other"))
    close = np.isclose(found["loss"], found["loss_other"], rtol=CLOSE, atol=0, equal_nan=True)
    counted = found.assign(same_runs=1, changed_runs=~close).groupby("line")
    return counted[["same_runs", "changed_runs"]].sum()


def _objectives(first: Side, other: Side) -> dict[str, Objective]:
    """What each problem is judged by in both; the training loss, which all have, where they disagree."""
    mine, others = (objectives_of(each.manifest) for each in (first, other))
    training = Objective("train_loss")
    return {
        name: objective if others.get(name, objective) == objective else training
        for name, objective in mine.items()
    }


def _keyed(results: Side, folder: int) -> pd.DataFrame:
    """The runs with what their line is, all parameters included, whether the study set them or not."""
    runs = results.runs
    if "grid" not in results.manifest:
        raise StoreError(
            f"{results.folder}: its manifest.json has no grid; `lrbench run` with its study writes it again"
        )
    grid = Grid.from_dict(results.manifest["grid"])
    number = RunLookup(grid.run_ids).numbers(runs["run_id"].to_numpy().astype(grid.run_ids.dtype))
    if (number == len(grid)).any():
        raise StoreError(
            f"{results.folder}: the runs of its tables are not those of its manifest.json; `lrbench run` with its study makes "
            "both again"
        )
    at = grid.positions(number)
    keys = {
        kind: np.array([_key(variant) for variant in variants], dtype=object)[at[kind]]
        for kind, variants in grid.variants.items()
    }
    measured = [
        f"{when}_{objective.column}"
        for objective in objectives_of(results.manifest).values()
        for when in ("initial", "final", "best")
    ]
    columns = ["run_id", "problem", "learning_rate", "seed", "stage", "status", *_LOSSES, *measured]
    kept = runs[[name for name in dict.fromkeys(columns) if name in runs]]
    line = pd.Series(keys["optimizer"] + keys["schedule"], index=runs.index)
    for name in grid.named_rates.keys() - grid.sampled_rates.keys():
        line = line + f" {name}=" + runs[f"learning_rate_{name}"].map(repr)
    use = rates_to_use(results.sensitivity)[group(runs, line_columns(runs))[0]]
    return kept.assign(problem_key=keys["problem"], line=line, folder=folder, use=use)


def _key(variant: Variant) -> str:
    """What a variant is, as text; of the user's code, its name alone, so that it can be compared after a change."""
    params = {name: value for name, value in variant.params.items() if name not in variant.off}
    params |= dict.fromkeys(variant.sampled, "sampled")
    return json.dumps([variant.name, params | dict(variant.files)], sort_keys=True)
