"""What exporters of single runs share: the runs, their names, settings and scalars."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from typing import Any, NamedTuple

import pandas as pd

from lrbench.analysis.groups import KINDS, point_columns
from lrbench.analysis.labels import labels
from lrbench.errors import StoreError, counted, escaped
from lrbench.results.results import Results

MOST_RUNS = 1000
"""The most runs that are exported one by one; a tool that draws a line for each is of no use beyond that."""
LONGEST_NAME = 100
_RESULTS = ("final_", "best_", "initial_")
_KEYS = ("run_id", "step")


class Run(NamedTuple):
    """A run as experiment trackers represent it."""

    run_id: str
    name: str  # what tells it apart from the others, such as "sgd(momentum=0.9) lr=0.01 seed=1"; unique
    file: str  # the same, usable as the name of a file or folder; unique too
    group: str  # the grid point: its name without the seed
    settings: dict[str, Any]  # problem, optimizer, schedule and their parameters, rate and seed
    outcome: dict[str, float]  # its last losses and metrics
    scalars: list[tuple[int, dict[str, float]]]  # step, and the finite values of its curves there


def runs(results: Results, tool: str) -> list[Run]:
    """Return every run of some results.

    Raises:
        StoreError: if there are none, or too many.
    """
    table = results.runs
    if not 0 < len(table) <= MOST_RUNS:
        raise StoreError(
            f"{results.folder}: has {counted(len(table), 'run')}; the export to {tool} takes 1 to {MOST_RUNS:,}; `--to csv` takes any number"
        )
    return list(_each(table, results.curves))


def _each(table: pd.DataFrame, curves: pd.DataFrame) -> Iterator[Run]:
    identity = [*point_columns(table), "seed"]
    outcome = [name for name in table.columns if name.startswith(_RESULTS)]
    of_run = dict(list(curves.sort_values("step").groupby("run_id")))
    for row, (name, file, group) in zip(table.to_dict("records"), _names(table), strict=True):
        yield Run(
            row["run_id"],
            name,
            file,
            group,
            {name: row[name] for name in identity if not _missing(row[name])},
            {name: float(row[name]) for name in outcome if not _missing(row[name])},
            list(_scalars(of_run[row["run_id"]])),
        )


def _names(table: pd.DataFrame) -> Iterator[tuple[str, str, str]]:
    """Yield the name, the file name and the group of each run: its optimizer, its rate and seed, and whatever differs within the table.

    Those that are long, or the same (with three digits of a rate, or as names of files), end with the run_id.
    """
    parts = labels(table)
    shown = [kind for kind in KINDS if kind == "optimizer" or parts[kind].nunique() > 1]
    groups = parts[shown].agg(" ".join, axis=1) + table["learning_rate"].map(" lr={:.3g}".format)
    if table["steps"].nunique() > 1:
        groups += table["steps"].map(" steps={}".format)
    names = groups + table["seed"].map(" seed={}".format)
    files = names.map(slug)
    clear = (names.str.len() <= LONGEST_NAME) & ~files.str.casefold().duplicated(keep=False)
    names = names.where(clear, names.str[:LONGEST_NAME] + " " + table["run_id"])
    files = files.where(clear, files + "-" + table["run_id"])
    yield from zip(names.map(escaped), files, groups.map(escaped), strict=True)


def _scalars(rows: pd.DataFrame) -> Iterator[tuple[int, dict[str, float]]]:
    for row in rows.to_dict("records"):
        found = {
            str(name): float(value)
            for name, value in row.items()
            if name not in _KEYS and not _missing(value)
        }
        yield int(row["step"]), found


def _missing(value: Any) -> bool:
    """Whether a value is missing or not finite, of which trackers make warnings or nonsense."""
    return value is None or value is pd.NA or (isinstance(value, float) and not math.isfinite(value))


def slug(text: str) -> str:
    """Return a text as part of a file name: no separators, no characters that are special to a shell or another system."""
    return re.sub(r"[^A-Za-z0-9_.=+-]+", "_", text)[:LONGEST_NAME].lstrip(".-")
