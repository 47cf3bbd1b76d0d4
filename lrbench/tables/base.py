"""What tables have in common: who takes them, their columns, which file of one people open, and which may be absent."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Protocol

from lrbench.study import catalog

if TYPE_CHECKING:
    import pandas as pd

GIVEN = frozenset(
    "evaluations failed grid hits landscapes line_runs measured metrics names objectives range_test_curves range_tests runs sampled_lines shorter thresholds".split()
)
"""What a table can be made from, beside other tables."""
OPTIONAL = frozenset(
    {"failed", "hits", "landscapes", "range_tests", "range_test_curves", "sampled_lines", "shorter"}
)
"""What a study may not have; a table made from it is then absent."""


class StudyTables(Protocol):
    """The tables of a study, each as an attribute of its name: what plots and the report draw. `lrbench.load` gives one.

    The rows of `sensitivity` are in the order in which their lines appear in `runs`.
    """

    @property
    def manifest(self) -> Mapping[str, Any]:
        """What was run, and with what."""

    def __getattr__(self, name: str) -> pd.DataFrame:
        """Return a table."""

    def some_curves(self, *names: str) -> pd.DataFrame:
        """Return `run_id` and those of some columns that the table of curves has: all of them may not fit into memory."""


def may_be_absent(name: str) -> bool:
    """Return whether a results folder may do without a table.

    >>> may_be_absent("finders"), may_be_absent("runs")
    (True, False)
    """
    takes = catalog.get("table", name).takes
    return bool(OPTIONAL.intersection(takes)) or any(
        may_be_absent(each) for each in takes if each not in GIVEN
    )


def columns(name: str) -> dict[str, str]:
    """Return the columns of a table with their meaning and unit, as its docstring has them; several may share a line.

    >>> columns("tuning_budget")["trials"]
    'how many rates are drawn'
    """
    return catalog.get("table", name).section("Columns")


def file_to_open(name: str, exists: Callable[[str], bool]) -> str:
    """Return the file of a table that people open: the CSV; Parquet if there is none, and for curves, which are long.

    >>> file_to_open("runs", lambda file: True), file_to_open("surfaces", lambda file: file.endswith(".parquet"))
    ('runs.csv', 'surfaces.parquet')
    """
    csv = f"{name}.csv"
    return csv if name != "curves" and exists(csv) else f"{name}.parquet"
