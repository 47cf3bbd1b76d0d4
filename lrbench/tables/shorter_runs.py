"""The table of runs with fewer steps."""

from __future__ import annotations

import pandas as pd

_INTERNAL = ["study", "stage", "rise", "late_pace", "parameters", "pack_id", "line"]


def shorter_runs(shorter: pd.DataFrame) -> pd.DataFrame:
    """A row per run of fewer steps than the study has, with the same schedule over them; there is no such table if no confirmed schedule decays.

    Cut short, a run of a schedule that decays is not a shorter run; so the bands by pace and the steps that lines need are measured with
    these, at the rates to use and on the same fresh seeds. The table has the columns that identify a run, too; `steps` are its own.

    Args:
        shorter: what was measured of them.

    Columns:
        status: `ok`, `diverged` or `nonfinite`
        diverged_step: the first step with a value that is not finite; missing if all are
        initial_train_loss, final_train_loss, best_train_loss: as in the table of runs
        initial_valid_loss, final_valid_loss, best_valid_loss: likewise
        best_step: the first evaluated step with the lowest objective
    """
    return shorter.drop(columns=_INTERNAL, errors="ignore").reset_index(drop=True)
