"""What every built-in problem, optimizer and schedule trained at each of its revisions, in entries.csv.

The same name with the same parameters must go on to train the same, or earlier results would be taken for new ones. Where a change is
meant, raise the entry's revision, `@history(revision=2)`, and write its row; a row that is there is never written again:

    LRBENCH_WRITE_GOLDEN=1 .venv/bin/python -m pytest -n 0 tests/test_contracts.py tests/optimizers/test_optimizers.py
"""

from __future__ import annotations

import csv
import os
from pathlib import Path

import numpy as np

from lrbench.study import catalog

PATH = Path(__file__).with_suffix(".csv")
COLUMNS = ["kind", "name", "revision", "parameters", "values"]


def rows() -> dict[tuple[str, str, int], dict[str, str]]:
    """Return the table by kind, name and revision."""
    with PATH.open(newline="", encoding="utf-8") as file:
        return {(row["kind"], row["name"], int(row["revision"])): row for row in csv.DictReader(file)}


def check(kind: str, name: str, values: np.ndarray, rtol: float) -> None:
    """Compare what an entry trains, and the parameters that are part of its identity, with its row."""
    entry = catalog.get(kind, name)
    parameters = " ".join(sorted(set(entry.parameters) - set(entry.added)))
    key = kind, name, entry.revision
    if key not in rows() and os.environ.get("LRBENCH_WRITE_GOLDEN"):
        with PATH.open("a", newline="", encoding="utf-8") as file:
            csv.writer(file, lineterminator="\n").writerow(
                [*key, parameters, " ".join(f"{value:.8g}" for value in values)]
            )
    assert key in rows(), f"{kind} {name} has no row for its revision {entry.revision}: see {__name__}"
    row = rows()[key]
    assert parameters == row["parameters"], (
        f"{kind} {name}: a parameter that came later is declared with @history(added=...), so that earlier runs are found"
    )
    np.testing.assert_allclose(
        values,
        np.array(row["values"].split(), float),
        rtol=rtol,
        atol=1e-7,
        err_msg=f"{kind} {name} trains otherwise than its revision {entry.revision} did; if that is meant, raise it",
    )
