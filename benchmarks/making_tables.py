"""What tables take in one process and with helpers, and how much of that cannot be shared: for `parts` and `cluster_model`."""

from __future__ import annotations

import resource
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from unittest import mock

from lrbench.analysis import Thresholds
from lrbench.analysis.objective import Objective
from lrbench.results.building import build, table_writer, workers
from lrbench.results.folder import ResultsFolder
from lrbench.results.helpers import HelperPool
from lrbench.results.part_file import PartSummary
from lrbench.study.grid import Grid

CORES = 16
"""Of the machine that is modelled."""


@dataclass(frozen=True)
class Seconds:
    """What the tables of a study take.

    Args:
        alone: in one process.
        one, two: with so many helpers.
        serial: of `one`, while this process did not wait for its helper.
        shared: of the helper's core.
        memory: the most of this process beside helpers, in MiB.
        helper: the most of one of them, in MiB.
    """

    alone: float
    one: float
    two: float
    serial: float
    shared: float
    memory: float
    helper: float

    @property
    def modelled(self) -> float:
        """With a helper on each of `CORES` cores, if none ever waits for this process, nor this one for the disk."""
        return self.serial + self.shared / CORES


def measure(
    store: ResultsFolder, grid: Grid, parts: Callable[[], list[PartSummary]], problem: Mapping[str, Any]
) -> Seconds:
    """Make the tables of a folder with two helpers, with one and with none; without CSV files, as of over a million rows.

    Args:
        store: the folder.
        grid: its runs.
        parts: finds the parts that have them, each time.
        problem: what the manifest says of their problem.
    """
    objectives = {problem["name"]: Objective("valid_loss" if problem["validated"] else "train_loss")}

    def make(helpers: int) -> float:
        pool = HelperPool(helpers, f"{workers.__name__}:prepare")
        with mock.patch.object(workers, "for_tables", return_value=pool):
            began = time.perf_counter()
            build.build(store, grid, parts(), Thresholds(), objectives, [problem])
            return time.perf_counter() - began

    waits: list[float] = []
    wait = HelperPool._wait

    def timed(*given: Any) -> Any:
        began = time.perf_counter()
        try:
            return wait(*given)
        finally:
            waits.append(time.perf_counter() - began)

    with mock.patch.object(table_writer, "CSV_ROWS", 0), mock.patch.object(HelperPool, "_wait", timed):
        two = make(2)
        waits.clear()
        before = _of_helpers()
        one = make(1)
        shared = _of_helpers() - before
        memory, helper = (_memory(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
        return Seconds(make(0), one, two, one - sum(waits), shared, memory, helper)


def _of_helpers() -> float:
    """The seconds that processes which this one started, and which have ended, were busy."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _memory(who: int) -> float:
    """The most memory of this process, or of one that it started, so far, in MiB."""
    return resource.getrusage(who).ru_maxrss / 1024
