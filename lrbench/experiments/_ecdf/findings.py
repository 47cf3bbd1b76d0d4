"""What the experiment `ecdf` found, in numbers."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

import numpy as np
import pandas as pd

from lrbench.analysis.ecdf import ANY, BEST, VIRTUAL
from lrbench.errors import counted
from lrbench.experiments._ecdf.tuning import COLUMNS, RUNS, Contenders, share_at
from lrbench.experiments.findings import Finding

Row = dict[Hashable, Any]
_ALPHA = 0.05
_FREE = ("prodigy", "dog")
"""Optimizers that are said to need no tuning."""


def findings(
    table: pd.DataFrame, times: pd.DataFrame, contenders: Contenders, distribution: pd.DataFrame, steps: int
) -> list[Finding]:
    """Return the findings, the main ones first.

    Args:
        table: of the optimizers, `tuning.table`.
        times: the expected running times, of one target per decade.
        contenders: the optimizers.
        distribution: the runtime distributions.
        steps: of a run.
    """
    rows: dict[str, Row] = {row["optimizer"]: row for row in table.to_dict("records")}
    drawn = next(iter(rows))
    told = min(rows, key=lambda name: rows[name]["place_at_best_rate"])
    edge, of = contenders.at_edge
    return [
        _one_run(rows[told], "at_best_rate", "at its best rate, the most of all"),
        _one_run(rows[drawn], "at_random_rate", "at a random rate, the most of all"),
        *_prices(table),
        _agreement(table),
        *_places(table, rows, told, drawn),
        _one_run(rows[told], "at_random_rate", "at a random rate"),
        *_with_restarts(rows, contenders, steps),
        *_free(rows, contenders),
        *_virtual(rows, distribution, steps),
        *_told_apart(times),
        *_unsolved(times),
        Finding("best rates that are the first or the last of the grid", edge, unit=f"of {of}"),
    ]


def _one_run(row: Row, column: str, how: str) -> Finding:
    value, low, high = _percent(*(row[f"{column}_one_run{end}"] for end in ("", "_low", "_high")))
    return Finding(
        f"levels of the loss (targets) that one run of {row['optimizer']} meets {how}",
        value,
        low,
        high,
        unit="%",
    )


def _with_restarts(rows: dict[str, Row], contenders: Contenders, steps: int) -> list[Finding]:
    """Return what ten runs meet with the cost of tuning, and how many optimizers meet about as much."""
    first = max(rows, key=lambda name: rows[name]["at_random_rate_ten_runs"])
    found = contenders.share_with_restarts(first, ANY, RUNS * steps)
    close = sum(row["at_random_rate_ten_runs"] >= found.low for row in rows.values()) - 1
    return [
        Finding(
            f"targets that {first} meets within the steps of {RUNS} runs, each at a random rate, the most of all",
            *_percent(*found),
            unit="%",
        ),
        Finding(
            "further optimizers whose share of these is within that interval",
            close,
            unit=f"of {len(rows) - 1}",
        ),
    ]


def _percent(value: float, low: float, high: float) -> tuple[float, float, float]:
    return 100 * value, 100 * low, 100 * high


def _prices(table: pd.DataFrame) -> list[Finding]:
    known: list[Row] = table.dropna(subset=["price"]).sort_values("price").to_dict("records")
    if not known:
        return []
    counts = counted(int(known[0]["problems_priced"]), "problem")
    return [
        Finding(
            f"price of tuning of {row['optimizer']}, the {which}: running time at random rates over that at the best rate, {counts}",
            row["price"],
            row["price_low"],
            row["price_high"],
            "times",
        )
        for which, row in (("least", known[0]), ("greatest", known[-1]))
    ]


def _agreement(table: pd.DataFrame) -> Finding:
    rank = table[["place_at_best_rate", "place_at_random_rate"]].rank().to_numpy().T
    value = float(np.corrcoef(rank)[0, 1]) if len(table) > 2 and (rank.std(axis=1) > 0).all() else np.nan
    what = "rank correlation between the order of optimizers by one run at their best rates and that at random rates"
    return Finding(what, value)


def _places(table: pd.DataFrame, rows: dict[str, Row], told: str, drawn: str) -> list[Finding]:
    moved = (table["place_at_best_rate"] - table["place_at_random_rate"]).abs()
    after, before = rows[told]["place_at_random_rate"], rows[drawn]["place_at_best_rate"]
    return [
        Finding(f"place of {told}, the first at its best rate, at a random rate", after),
        Finding(f"place of {drawn}, the first at a random rate, at its best rate", before),
        Finding(
            "optimizers that move by three places or more", int((moved >= 3).sum()), unit=f"of {len(table)}"
        ),
    ]


def _free(rows: dict[str, Row], contenders: Contenders) -> list[Finding]:
    found = []
    for name in _FREE:
        if {name, "adam"} <= rows.keys():
            price = contenders.price(name, "adam")
            met = None if np.isnan(price.high) else price.high < 1
            found.append(
                Finding(f"price of tuning of {name} over that of adam", *price, rule="below 1", met=met)
            )
    return found


def _virtual(rows: dict[str, Row], distribution: pd.DataFrame, steps: int) -> list[Finding]:
    found = []
    for draws, how in ((BEST, "at best rates"), (ANY, "each at a random rate")):
        column = f"{COLUMNS[draws]}_ten_runs"
        best = max(rows, key=lambda name, column=column: rows[name][column])  # type: ignore[misc]
        ahead = share_at(distribution, VIRTUAL, draws, RUNS * steps) - rows[best][column]
        what = (
            f"targets that the virtual best optimizer meets within {RUNS} runs, {how}, beyond those of {best}"
        )
        found.append(Finding(what, 100 * ahead, unit="points"))
    return found


def _told_apart(times: pd.DataFrame) -> list[Finding]:
    """How often an optimizer is told apart from the fastest one."""
    some = times[times["p"].notna()]
    return [
        Finding(
            f"problems, targets (one per decade) and optimizers in which the fastest one is told apart from the other, {how}",
            int((mine["p"] < _ALPHA).sum()),
            unit=f"of {len(mine):,}",
        )
        for draws, how in ((BEST, "at best rates"), (ANY, "at random rates"))
        for mine in [some[some["draws"] == draws]]
    ]


def _unsolved(times: pd.DataFrame) -> list[Finding]:
    columns = [name for name in times if name == "problem" or str(name).startswith("problem_")]
    of_all = times.groupby([*columns, "target"], dropna=False)["successes"].max()
    return [
        Finding(
            "problems and targets (one per decade) that no run met",
            int((of_all == 0).sum()),
            unit=f"of {len(of_all):,}",
        )
    ]
