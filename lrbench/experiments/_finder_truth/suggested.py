"""What every rule suggests: the finders, and two that look at no range test."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

from lrbench.analysis import fastai_finders, range_tests
from lrbench.analysis.labels import label
from lrbench.analysis.loss_by_rate import loss_by_rate
from lrbench.analysis.objective import Objectives
from lrbench.results.results import Results

DEFAULTS: Mapping[str, float] = {"sgd": 1e-2, "rmsprop": 1e-3, "adam": 1e-3}
"""Keras's default rates, with or without momentum."""
DEFAULT, OTHERS = "default", "other_problems"
"""The rules that look at no range test."""
RULES = (*range_tests.RULES, *fastai_finders.RULES, DEFAULT, OTHERS)


def of_fastai(swept: Results) -> pd.DataFrame:
    """Return what fastai's rules suggest after its own range tests, in the columns of the table `finders`."""
    found = [
        (row, rule, *suggestion)
        for row, sweep in range_tests.sweeps(swept.runs, swept.curves)
        for rule, suggestion in fastai_finders.suggest(sweep).items()
    ]
    table = pd.DataFrame(found, columns=pd.Index(["row", "rule", "suggestion", "reason"]))
    runs = swept.runs.iloc[table.pop("row").to_numpy(dtype=int)].reset_index(drop=True)
    names = {kind: label(runs, kind) for kind in ("problem", "optimizer")}
    return pd.concat([pd.DataFrame(names).assign(seed=runs["seed"]), table], axis=1)


def without_finder(runs: pd.DataFrame, objectives: Objectives) -> pd.DataFrame:
    """Return what the defaults suggest, and the rate that loses least on the other problems with the same optimizer, from the runs of a grid."""
    grid = loss_by_rate(runs, objectives=objectives)
    keys = ["problem", "optimizer"]
    lowest = grid.groupby(keys)["loss"].transform("min")
    least = grid.groupby("problem")["loss"].transform("min")
    excess = grid.assign(excess=(grid["loss"] - lowest) / (grid["initial"] - least))
    rows = []
    for optimizer, mine in excess.groupby("optimizer", sort=False):
        by_rate = mine.pivot_table(index="problem", columns="learning_rate", values="excess", sort=False)
        default = DEFAULTS.get(str(optimizer).partition("(")[0], np.nan)
        for problem in by_rate.index:
            others = by_rate.drop(index=problem).mean()
            elsewhere = float(others.idxmin()) if others.notna().any() else np.nan
            for rule, rate, why in (
                (DEFAULT, default, "no default"),
                (OTHERS, elsewhere, "no other problem"),
            ):
                reason = why if np.isnan(rate) else ""
                rows.append(
                    {
                        "problem": problem,
                        "optimizer": optimizer,
                        "rule": rule,
                        "suggestion": rate,
                        "reason": reason,
                    }
                )
    seeds = pd.DataFrame({"seed": runs["seed"].unique()})
    return pd.DataFrame(rows).merge(seeds, how="cross")
