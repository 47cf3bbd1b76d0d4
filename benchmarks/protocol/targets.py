"""The targets, each a row beside what was measured on the half of the problems on which nothing was tuned."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any

import pandas as pd

from benchmarks.protocol import measures
from benchmarks.protocol.judging import Judged
from benchmarks.protocol.measures import Setting
from benchmarks.protocol.studies import halves
from benchmarks.table import Row, compare

TUNED, REPORTED = "tuned", "reported"
CONFIRM = 10
STAGES = ((0, 0), (CONFIRM, 0), (CONFIRM, 1))
"""Confirm and refine."""
LEAST, MOST = 0.93, 0.98
"""What an interval that is called 95 % may cover; those of rates and of steps, which are some of a few, may cover more."""
ERRORS = 0.05
_LIMITS: dict[tuple[str, str], tuple[str, dict[str, float]]] = {
    ("use", "loses"): ("lines that lose more than 5 % at use", {"at_most": 0.01}),
    ("use", "excess"): ("mean excess loss at use", {"at_most": 0.10}),
    ("best", "excess"): ("mean excess loss at best", {"at_most": 0.03}),
    ("use", "too_large"): ("use 2.15 × too large costs", {"at_most": 0.015}),
    ("use", "too_small"): ("use 2.15 × too small costs", {"at_most": 0.07}),
    ("use", "collapse_steep"): ("collapse found within a step, where it is steep", {"at_least": 0.99}),
    ("use", "collapse_gradual"): ("collapse found within a step, elsewhere", {"at_least": 0.85}),
}


def both_halves() -> dict[str, list[str]]:
    """The names of the problems of each half."""
    return dict(zip((TUNED, REPORTED), halves(), strict=True))


def target_rows(table: pd.DataFrame, found: Judged) -> list[Row]:
    """All rows.

    Args:
        table: the summary of `found.lines`.
        found: what was measured.
    """
    return [*_answers(table), *_intervals(found), *_comparisons(found), *_bands(found), *_costs(table)]


def _answers(table: pd.DataFrame) -> Iterator[Row]:
    for (method, measure), (what, limit) in _LIMITS.items():
        for seeds in (3, 5, 10):
            for confirm, refine in STAGES:
                setting = Setting(method, seeds, confirm, refine)
                here, tuned = (measures.value(table, half, setting, measure) for half in (REPORTED, TUNED))
                note = f"{_interval(here._asdict())}; tuned half {tuned.value:.2%}"
                yield _row(f"{what}: {_setting(seeds, confirm, refine)}", here.value, note, **limit)


def _intervals(found: Judged) -> Iterator[Row]:
    for row in _pooled(found.coverage, ("interval", "seeds", "confirm")):
        wide = row["value"] > MOST and row["interval"] not in ("rates", "steps")
        note = _interval(row) + (f"; more than {MOST:.0%}" if wide else "")
        what = f"coverage, {row['interval']}: {_setting(row['seeds'], row['confirm'])}"
        made = _row(what, row["value"], note, at_least=LEAST)
        yield dataclasses.replace(made, met=False) if wide else made


def _comparisons(found: Judged) -> Iterator[Row]:
    for row in _pooled(found.comparisons, ("what", "seeds", "error")):
        limit = {"at_most": ERRORS} if row["error"] else {}
        yield _row(f"{row['what']}: {row['seeds']} seeds", row["value"], _interval(row), **limit)


def _bands(found: Judged) -> Iterator[Row]:
    for band in ("pace", "own"):
        bands = found.paces[found.paces["band"] == band].rename(columns={"within": "value"})
        for row in _pooled(bands, ("seeds", "confirm")):
            what = f"rates in the band {band} that are at most a fifth more steps, or within 1 % of the gap"
            yield _row(f"{what}: {_setting(row['seeds'], row['confirm'])}", row["value"], _interval(row))


def _costs(table: pd.DataFrame) -> Iterator[Row]:
    """Runs for the regret of the plain grid of 10 seeds, at the setting that is cheapest on the tuned half: of both answers, and of each alone."""
    for methods in (("use", "best"), ("use",), ("best",)):
        plain = Setting(methods[0], 10, 0, 0)
        chosen = measures.cheapest(table, TUNED, methods, plain)
        share = measures.runs_of(table, chosen) / measures.runs_of(table, plain)
        regrets = [_regrets(table, method, chosen, plain) for method in methods]
        texts = [
            f"{method} loses {reached:.2%} and {wanted:.2%}"
            for method, (reached, wanted) in zip(methods, regrets, strict=True)
        ]
        note = f"{_setting(*chosen[1:])}; {', '.join(texts)} on the plain grid"
        what = f"runs for the regret of {' and '.join(methods)} on a plain grid of 10 seeds"
        row = _row(what, share, note, at_most=0.4)
        yield (
            row
            if all(reached <= wanted for reached, wanted in regrets)
            else dataclasses.replace(row, met=False)
        )
    for refine in (0, 1):
        usual, plain = Setting("use", 3, CONFIRM, refine), Setting("use", 10, 0, 0)
        share = measures.runs_of(table, usual) / measures.runs_of(table, plain)
        note = f"use loses {_regrets(table, 'use', usual, plain)[0]:.2%}, best {_regrets(table, 'best', usual, plain)[0]:.2%}"
        yield _row(f"runs of {_setting(*usual[1:])}, over those", share, note)


def _regrets(table: pd.DataFrame, method: str, *settings: Setting) -> list[float]:
    """The mean regret of a method at each setting, against the best of all rates, on the reported half."""
    return [
        measures.value(table, REPORTED, each._replace(method=method), "regret_finest").value
        for each in settings
    ]


def _pooled(rows: pd.DataFrame, by: tuple[str, ...]) -> list[dict[Any, Any]]:
    """Means over the problems of the reported half."""
    return measures.pooled(rows, {REPORTED: both_halves()[REPORTED]}, by).to_dict("records")


def _row(what: str, value: float, note: str, **limit: float) -> Row:
    return compare("answers", what, value, "share", note=note, **limit)  # type: ignore[arg-type]


def _interval(row: dict[Any, Any]) -> str:
    return f"95 % interval {row['low']:.2%} to {row['high']:.2%} over {row['problems']} problems"


def _setting(seeds: int, confirm: int, refine: int = 0) -> str:
    stages = (f"{count} {name}" for name, count in (("confirm", confirm), ("refine", refine)) if count)
    return ", ".join([f"{seeds} seed{'s' if seeds > 1 else ''}", *stages])
