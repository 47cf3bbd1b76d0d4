"""Writes what docs/speed.md says was measured, from the tables in results/speed/: `python docs/make_speed.py`."""

from __future__ import annotations

import re
from pathlib import Path

import pandas as pd

PAGE = Path(__file__).with_name("speed.md")
SPEED = Path(__file__).parents[1] / "results" / "speed"
TABLES = ("throughput", "mnist1d", "overhead", "scaling")
"""The tables whose rows are shown."""
_MARKED = re.compile(r"(?<=<!-- measured -->\n).*?(?=<!-- end -->)", re.DOTALL)
_SPACE = "\u00a0"
"""Keeps a number and its sign in one line."""
_VERDICTS = {True: "met", False: "**missed**"}


def page() -> str:
    """Return the page, with the rows of the tables after `<!-- measured -->`."""
    rows = pd.concat(pd.read_csv(SPEED / f"{name}.csv") for name in TABLES)
    head = ("measure", "what", "lrbench", "unit", "against", "ratio", "target"), ("---",) * 7
    lines = [*head, *(_cells(row) for _, row in rows.iterrows())]
    made = "".join(f"| {' | '.join(line)} |\n" for line in lines)
    return _MARKED.sub(lambda _: f"\n{made}\n", PAGE.read_text(encoding="utf-8"))


def _cells(row: pd.Series) -> tuple[str, ...]:
    """Return a row as the page shows it."""
    ratio = pd.notna(row["ratio"])
    return (
        row["measure"],
        row["what"],
        _number(row["value"]),
        row["unit"],
        f"{row['peer']}: {_number(row['peer_value'])}" if ratio else "–",
        f"{_number(row['ratio'])}{_SPACE}×" if ratio else "–",
        f"{row['target'].replace(' ', _SPACE)}: {_VERDICTS[row['met']]}" if pd.notna(row["target"]) else "–",
    )


def _number(value: float) -> str:
    """Return a number with three digits, or with all those before the point."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
