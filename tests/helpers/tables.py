"""The tables of a results folder, as they are compared between processes."""

from __future__ import annotations

from pathlib import Path

import pandas as pd


def written(folder: Path) -> dict[str, str]:
    """Return every digit of the tables, by file; without `pack_id`, which shows how the runs were cut."""
    tables = {path.name: pd.read_csv(path, dtype=str) for path in folder.glob("*.csv")}
    assert tables
    return {name: table.drop(columns="pack_id", errors="ignore").to_csv() for name, table in tables.items()}
