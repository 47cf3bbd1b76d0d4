"""What a schedule gives: tuned with it against tuned without, on the same fresh seeds."""

from __future__ import annotations

import numpy as np
import pandas as pd

from lrbench.analysis.groups import Floats
from lrbench.analysis.intervals import t_interval, t_p
from lrbench.analysis.multiple_comparisons import holm
from lrbench.experiments._atlas.evidence import LIMITS, MeasuredLines
from lrbench.experiments._atlas.tables import rounded


def gains(evidence: MeasuredLines) -> Floats:
    """Gap with the first schedule − gap with each other one, [problem, optimizer, other schedule, seed]; above 0 the other one is better."""
    return evidence.tuned[:, :, :1] - evidence.tuned[:, :, 1:]


def by_schedule(evidence: MeasuredLines) -> pd.DataFrame:
    """A row per optimizer and schedule but the first: its mean gain over problems, and on how many it is better or worse.

    The gain over problems has Student's t with problems as replicates; p are adjusted after Holm over all optimizers and
    schedules. On a problem a gain counts if a paired t test over the fresh seeds, adjusted after Holm over everything, finds it.
    """
    each = gains(evidence)
    mean = each.mean(axis=3)
    low, high = t_interval(np.moveaxis(mean, 0, -1), LIMITS.confidence)
    p = holm(_paired_p(np.moveaxis(mean, 0, -1)).ravel())
    own = holm(_paired_p(each).ravel()).reshape(mean.shape)
    found = own <= 1 - LIMITS.confidence
    others = evidence.schedules[1:]
    return rounded(
        pd.DataFrame(
            {
                "optimizer": np.repeat(evidence.optimizers, len(others)),
                "schedule": np.tile(others, len(evidence.optimizers)),
                "gain": mean.mean(axis=0).ravel(),
                "gain_low": low.ravel(),
                "gain_high": high.ravel(),
                "p": p,
                "better": (found & (mean > 0)).sum(axis=0).ravel(),
                "worse": (found & (mean < 0)).sum(axis=0).ravel(),
                "problems": len(evidence.problems),
            }
        )
    )


def _paired_p(difference: Floats) -> Floats:
    """Two-sided p of the mean over the last axis; 1 where nothing differs, NaN below two values."""
    count = difference.shape[-1]
    if count < 2:
        return np.full(difference.shape[:-1], np.nan)
    mean, spread = difference.mean(axis=-1), difference.std(axis=-1, ddof=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        t = mean / (spread / np.sqrt(count))
    same = (spread == 0) & (mean == 0)
    return np.where(same, 1.0, t_p(np.where(same, 0.0, t), count - 1))
