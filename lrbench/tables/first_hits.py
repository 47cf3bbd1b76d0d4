"""The table of first hits, as Arrow: long, and written while the parts are read."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pyarrow as pa

from lrbench.study.ladder import RUNGS, ladder


class Hits(NamedTuple):
    """The first hits of some runs."""

    run_ids: np.ndarray  # [run]
    step: np.ndarray  # [run, rung], -1 for never


def first_hits(hits: Hits) -> pa.Table:
    """A row per run and rung of the ladder: the first step at which its loss was that low; there is no such table without `first_hits = true`.

    The 200 rungs are log-spaced values of (ℓ − floor) / (ℓ₀ − floor): ℓ₀ is the loss that the run starts with, floor the `optimum` of the table of
    runs, or 0 where that is missing. The loss is the one that runs are judged by; where that is a metric, the problem's own. Of a problem without
    data it is computed at every step, of one with data at every evaluation. Runs that were trained without `first_hits` have no rows.

    Args:
        hits: of some runs.

    Columns:
        run_id: the run
        target: the rung, from 10^−0.04 down to 10⁻⁸
        step: how many steps were taken when it was first met; missing means never
    """
    each = pa.array(np.repeat(np.arange(len(hits.run_ids)), RUNGS))
    step = hits.step.reshape(-1).astype(np.int64)
    return pa.table(
        {
            "run_id": pa.array(hits.run_ids, pa.string()).take(each),
            "target": np.tile(ladder(), len(hits.run_ids)),
            "step": pa.array(step, pa.int64(), mask=step < 0),
        }
    )
