"""What exporters of single runs share: the runs, their names, settings and scalars."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from typing import Any, NamedTuple

import pandas as pd

from lrbench.analysis.groups import point_columns
from lrbench.errors import StoreError, counted
from lrbench.results.results import Results

MOST_RUNS = 1000
"""The most runs that are exported one by one; a tool that draws a line for each is of no use beyond that."""
LONGEST_NAME = 100
_RESULTS = ("final_", "best_", "initial_")
_KEYS = ("run_id", "step")


class Run(NamedTuple):
    """A run as experiment trackers represent it."""

    run_id: str
    name: str  # unique, and usable as a file name
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
    for row in table.to_dict("records"):
        settings = {name: row[name] for name in identity if not _missing(row[name])}
        group = "-".join(str(row[part]) for part in ("problem", "optimizer", "schedule"))
        group += f"-{row['learning_rate']:.3g}"
        yield Run(
            row["run_id"],
            f"{_slug(group)}-seed{row['seed']}-{row['run_id']}",
            _slug(group),
            settings,
            {name: float(row[name]) for name in outcome if not _missing(row[name])},
            list(_scalars(of_run[row["run_id"]])),
        )


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


def _slug(text: str) -> str:
    """Return a text as part of a file name: no separators, no characters that are special to a shell or another system."""
    return re.sub(r"[^A-Za-z0-9_.=+-]+", "_", text)[:LONGEST_NAME].lstrip(".-")
