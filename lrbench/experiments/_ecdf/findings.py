"""What the experiment `ecdf` found, in numbers."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

import numpy as np
import pandas as pd

from lrbench.analysis.ecdf import ANY, BEST, VIRTUAL
from lrbench.errors import counted
from lrbench.experiments._ecdf.tuning import RUNS, Contenders, share_at
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
        times: the expected running times.
        contenders: the optimizers.
        distribution: the runtime distributions.
        steps: of a run.
    """
    rows: dict[str, Row] = {row["optimizer"]: row for row in table.to_dict("records")}
    tuned = next(iter(rows))
    told = min(rows, key=lambda name: rows[name]["place_at_best_rate"])
    return [
        _share(contenders, told, BEST, steps, "the most of all, at its best rate"),
        _share(contenders, tuned, ANY, steps, "the most of all, with the cost of tuning"),
        *_prices(table),
        _agreement(table),
        *_places(table, rows, told, tuned),
        *_one_run(rows[told]),
        *_free(rows, contenders),
        *_virtual(distribution, told, tuned, steps),
        *_told_apart(times),
        *_unsolved(times),
    ]


def _share(contenders: Contenders, optimizer: str, draws: str, steps: int, what: str) -> Finding:
    found = contenders.share_with_restarts(optimizer, draws, RUNS * steps)
    return Finding(
        f"targets that {optimizer} meets within the steps of {RUNS} runs, {what}", *_percent(*found), unit="%"
    )


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
    rank = table[["place_at_best_rate", "place_with_tuning"]].rank().to_numpy().T
    value = float(np.corrcoef(rank)[0, 1]) if len(table) > 2 and (rank.std(axis=1) > 0).all() else np.nan
    return Finding(
        "rank correlation between the order of optimizers at their best rates and that with the cost of tuning",
        value,
    )


def _places(table: pd.DataFrame, rows: dict[str, Row], told: str, tuned: str) -> list[Finding]:
    moved = (table["place_at_best_rate"] - table["place_with_tuning"]).abs()
    after, before = rows[told]["place_with_tuning"], rows[tuned]["place_at_best_rate"]
    return [
        Finding(f"place of {told}, the first at the best rate, once tuning is included", after),
        Finding(f"place of {tuned}, the first once tuning is included, at the best rate", before),
        Finding(
            "optimizers that move by three places or more", int((moved >= 3).sum()), unit=f"of {len(table)}"
        ),
    ]


def _one_run(row: Row) -> list[Finding]:
    found = []
    for column, how in (("at_best_rate", "at the best rate"), ("with_tuning", "at a random rate")):
        value, low, high = _percent(*(row[f"{column}_one_run{end}"] for end in ("", "_low", "_high")))
        found.append(
            Finding(f"targets that one run of {row['optimizer']} meets {how}", value, low, high, unit="%")
        )
    return found


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


def _virtual(distribution: pd.DataFrame, told: str, tuned: str, steps: int) -> list[Finding]:
    found = []
    for draws, best, how in ((BEST, told, "at best rates"), (ANY, tuned, "with the cost of tuning")):
        ahead = [share_at(distribution, name, draws, RUNS * steps) for name in (VIRTUAL, best)]
        found.append(
            Finding(
                f"targets that the virtual best optimizer meets within {RUNS} runs beyond those of {best}, {how}",
                100 * (ahead[0] - ahead[1]),
                unit="points",
            )
        )
    return found


def _told_apart(times: pd.DataFrame) -> list[Finding]:
    """How often an optimizer is told apart from the fastest one."""
    some = times[times["p"].notna()]
    return [
        Finding(
            f"problems, targets and optimizers in which the fastest one is told apart from the other, {how}",
            int((mine["p"] < _ALPHA).sum()),
            unit=f"of {len(mine):,}",
        )
        for draws, how in ((BEST, "at best rates"), (ANY, "with the cost of tuning"))
        for mine in [some[some["draws"] == draws]]
    ]


def _unsolved(times: pd.DataFrame) -> list[Finding]:
    columns = [name for name in times if name == "problem" or str(name).startswith("problem_")]
    of_all = times.groupby([*columns, "target"], dropna=False)["successes"].max()
    return [
        Finding("problems and targets that no run met", int((of_all == 0).sum()), unit=f"of {len(of_all):,}")
    ]
