"""The table of packs that failed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

_COLUMNS = "pack_id problem optimizer schedule learning_rate_low learning_rate_high seeds runs error".split()


def failures(failed: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    """A row per pack that failed in the last command; there is no such table if none did.

    Args:
        failed: what the manifest records of each.

    Columns:
        pack_id: the pack
        problem, optimizer, schedule: their labels, with parameters; separated by `;` if there are several
        learning_rate_low, learning_rate_high: the smallest and the largest rate of its runs
        seeds: the seeds of its runs, separated by blanks
        runs: how many runs it has
        error: the message, in one line
    """
    return pd.DataFrame(failed, columns=_COLUMNS)
