"""What lrbench's definitions say of the published table and of ours, and between which rates each breaks."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

from lrbench.experiments._deepobs.expected import Noisy
from lrbench.experiments._deepobs.rows import MOMENTUMS, OPTIMIZERS, SEVERAL, names
from lrbench.tables.sensitivity import sensitivity

SOURCES = ("published", "given", *SEVERAL)
_COLUMNS = (
    "best_learning_rate",
    "best_loss",
    "use_learning_rate",
    "good_low",
    "good_high",
    "tolerance_decades",
    "collapse_low",
    "collapse_high",
    "learning_rate_sensitivity",
    "learning_rate_sensitivity_normalised",
)


def sources(theirs: pd.DataFrame, runs: Mapping[str, pd.DataFrame]) -> dict[str, pd.DataFrame]:
    """Named runs by where they are from; the published rows are runs that ended at the published losses."""
    given = runs["given"]
    by_row = theirs.set_index(["optimizer", "at"])
    place = pd.MultiIndex.from_frame(given[["line", "at"]])
    ends = {
        "final_valid_loss": by_row["final_test_loss"].reindex(place).to_numpy(),
        "final_train_loss": by_row["final_train_loss"].reindex(place).to_numpy(),
        "initial_valid_loss": by_row["initial_test_loss"].reindex(place).to_numpy(),
    }
    finite = np.isfinite(ends["final_valid_loss"])
    published = given.assign(**ends, status=np.where(finite, "ok", "nonfinite"))
    several = runs["several"]
    return {
        "published": published,
        "given": given,
        **{order: several[several["problem_order"] == order] for order in SEVERAL},
    }


def definitions(by_source: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """A row per source and optimizer: the rate to use, the bands, the collapse and the sensitivity."""
    tables = []
    for source, runs in by_source.items():
        found = sensitivity(runs.drop(columns=["line", "at"]))
        tables.append(found.assign(source=source, optimizer=names(found))[["source", "optimizer", *_COLUMNS]])
    return pd.concat(tables, ignore_index=True)


def cliffs(by_source: Mapping[str, pd.DataFrame], noisy: Noisy) -> pd.DataFrame:
    """A row per source and optimizer: the last rate whose runs stay finite, the first whose runs do not, and the threshold of theory."""
    return pd.DataFrame(
        [
            {"source": source, "optimizer": name, **_cliff(runs[runs["line"] == name], name, noisy)}
            for source, runs in by_source.items()
            for name in OPTIMIZERS.values()
        ]
    )


def _cliff(runs: pd.DataFrame, name: str, noisy: Noisy) -> dict[str, float | bool]:
    rates = np.sort(runs["learning_rate"].unique())
    broken = rates[np.isin(rates, runs.loc[runs["status"] == "nonfinite", "learning_rate"])]
    first = float(broken.min(initial=np.inf))
    last = float(rates[rates < first].max(initial=0.0))
    threshold = 2 * (1 + MOMENTUMS[name]) / noisy.largest if name in MOMENTUMS else np.nan
    return {
        "last_stable_rate": last or np.nan,
        "first_unstable_rate": first if np.isfinite(first) else np.nan,
        "threshold": threshold,
        "between": last < threshold < first,
    }
