"""Further processes that make tables: as many as there are cores, where there is enough to do for them."""

from __future__ import annotations

from lrbench import machine
from lrbench.results.helpers import HelperPool

SHARED_RUNS = 150_000
"""Of fewer runs, one process makes the tables sooner than others are ready to help."""
_MEMORY = 2**29
"""Bytes that a helper has at most."""


def for_tables(runs: int) -> HelperPool:
    """Return helpers, not yet started, for the tables of so many runs."""
    cores = machine.cores()
    most = min(cores, machine.memory().free // _MEMORY) if cores > 1 and runs >= SHARED_RUNS else 0
    return HelperPool(most, f"{__name__}:prepare")


def prepare() -> None:
    """Import what makes tables, in a helper, which has one core."""
    import pyarrow as pa

    from lrbench.results.building import objective_curves, of_group  # noqa: F401

    pa.set_cpu_count(1)
