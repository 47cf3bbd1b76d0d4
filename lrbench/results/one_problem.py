"""The results of a study as if one of its problems were all of it, for plots."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from lrbench.analysis.labels import label
from lrbench.errors import StudyError
from lrbench.study.catalog import unknown

if TYPE_CHECKING:
    from lrbench.tables.base import StudyTables


class OneProblem:
    """The rows of each table that are of one problem.

    Args:
        results: of the study.
        problem: the label of a problem, or the name of one or of several.

    Raises:
        StudyError: if there is no such problem.
    """

    def __init__(self, results: StudyTables, problem: str) -> None:
        """Find the problem among those of the study."""
        self._results, self._problem = results, problem
        labels = list(dict.fromkeys(label(results.sensitivity, "problem")))
        if problem not in {*labels, *results.sensitivity["problem"]}:
            raise StudyError(f"--problem: {unknown('problem', problem, labels)}")

    @property
    def manifest(self) -> Mapping[str, Any]:
        """How the results were made."""
        return self._results.manifest

    def __getattr__(self, name: str) -> pd.DataFrame:
        """Return the rows of a table.

        Raises:
            StudyError: if the table is about several problems at once.
        """
        table: pd.DataFrame = getattr(self._results, name)
        if table.empty:
            return table
        if "problem" not in table:
            raise StudyError(f"--problem {self._problem}: this plot compares over all problems; leave it out")
        mine = (table["problem"] == self._problem) | (label(table, "problem") == self._problem)
        found = self.__dict__[name] = table[mine].reset_index(drop=True)
        return found

    @property
    def first_hits(self) -> pd.DataFrame:
        """The first hits of the problem's runs."""
        hits = self._results.first_hits
        return hits if hits.empty else hits[hits["run_id"].isin(self.runs["run_id"])].reset_index(drop=True)

    def some_curves(self, *names: str) -> pd.DataFrame:
        """Return `run_id` and some columns of the curves of the problem's runs."""
        curves = self._results.some_curves(*names)
        mine = np.isin(curves["run_id"].cat.categories, self.runs["run_id"])
        return curves[mine[curves["run_id"].cat.codes]].reset_index(drop=True)
