"""The published rows, our runs of the same rates, and the table that has them side by side."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from lrbench.analysis.groups import Floats
from lrbench.datasets import deepobs
from lrbench.experiments._deepobs.expected import PER_EPOCH, Noisy

MOMENTUM = 0.99
OPTIMIZERS = {
    "GradientDescentOptimizer": "gradient descent",
    "MomentumOptimizer": "momentum 0.99",
    "AdamOptimizer": "Adam",
}
"""Their names, and ours."""
MOMENTUMS = {"gradient descent": 0.0, "momentum 0.99": MOMENTUM}
"""β of those that are linear in w: stable below the rate 2(1 + β)/λ, and whose expected losses are known."""
SEVERAL = ("fixed", "reshuffled")
MET = 1e-5
"""A row is met if the two losses differ by at most this share, or neither is finite."""
_PER_DECADE = 5
_LOSS = "final_valid_loss"


def published(thin: int) -> pd.DataFrame:
    """The published rows, each so many-th rate of them, by optimizer and number of the rate."""
    table = pd.read_csv(deepobs.PUBLISHED)
    table = table.assign(optimizer=table["optimizer"].map(OPTIMIZERS), at=_number(table["learning_rate"]))
    finite = table["final_test_loss"].where(np.isfinite(table["final_test_loss"]))
    return table.assign(final_test_loss=finite)[table["at"] % thin == 0].reset_index(drop=True)


def studies(epochs: int, seeds: int, thin: int) -> dict[str, dict[str, Any]]:
    """The studies by what they train."""
    rates = published(thin)["learning_rate"]
    steps = epochs * PER_EPOCH
    several = [{"name": "sgd", "momentum": [0.0, MOMENTUM]}, "adam"]
    common = {
        "steps": steps,
        "evaluate_every": steps,
        "probes": [],
        "optimizer": several,
        # Those that their seven digits are of: 10 to multiples of 1/5.
        "learning_rate": {"values": sorted({float(f"{10 ** (at / 5):.9g}") for at in _number(rates)})},
    }
    problem = {"name": "quadratic_deep", "draw": "deepobs"}
    given = common | {"seeds": 1, "problem": problem | {"order": "given"}}
    orders = common | {"seeds": seeds, "problem": problem | {"order": list(SEVERAL)}}
    return {
        "given": given | {"name": "published_order"},
        "float64": given | {"name": "published_order_float64", "precision": "float64", "optimizer": "adam"},
        "several": orders | {"name": "other_orders"},
    }


def named(runs: pd.DataFrame) -> pd.DataFrame:
    """Runs with our names of the optimizers, and with the numbers of their rates."""
    return runs.assign(line=names(runs), at=_number(runs["learning_rate"]))


def names(table: pd.DataFrame) -> list[str]:
    """Our names of the optimizers of runs or lines."""
    momenta = table.get("optimizer_momentum", pd.Series(np.nan, table.index))
    return [
        "Adam" if optimizer == "adam" else "momentum 0.99" if momentum else "gradient descent"
        for optimizer, momentum in zip(table["optimizer"], momenta, strict=True)
    ]


def rows(theirs: pd.DataFrame, runs: Mapping[str, pd.DataFrame], noisy: Noisy, epochs: int) -> pd.DataFrame:
    """A row for each published one; `runs` are named, by what they train."""
    table = pd.DataFrame(
        {
            "optimizer": theirs["optimizer"],
            "learning_rate": theirs["learning_rate"],
            "published_loss": theirs["final_test_loss"],
            "given_loss": _of(theirs, runs["given"])[:, 0],
            "float64_loss": _of(theirs, runs["float64"])[:, 0],
        }
    )
    difference = table["given_loss"] / table["published_loss"] - 1
    neither = table["given_loss"].isna() & table["published_loss"].isna()
    table.insert(4, "relative_difference", difference)
    table.insert(5, "met", (difference.abs() <= MET) | neither)
    for order in SEVERAL:
        found = losses(theirs, runs["several"], order)
        whole = np.where(np.isfinite(found), found, np.inf)
        for name, value in (
            ("low", whole.min(axis=1)),
            ("median", np.median(whole, axis=1)),
            ("high", whole.max(axis=1)),
        ):
            table[f"{order}_{name}"] = _finite(value)
    expected = np.array(
        [
            noisy.losses(rate, MOMENTUMS[name], epochs) if name in MOMENTUMS else (np.nan, np.nan)
            for name, rate in zip(theirs["optimizer"], theirs["learning_rate"], strict=True)
        ]
    )
    for order, values in zip(SEVERAL, expected.T, strict=True):
        table[f"{order}_expected"] = _finite(values)
    return table


def losses(theirs: pd.DataFrame, runs: pd.DataFrame, order: str) -> Floats:
    """The losses [row, seed] of named runs of an order, at each published row; NaN where a run is not finite."""
    return _of(theirs, runs[runs["problem_order"] == order])


def _of(theirs: pd.DataFrame, runs: pd.DataFrame) -> Floats:
    """The losses [row, seed] of runs at each published row."""
    by_seed = runs.set_index(["line", "at", "seed"])[_LOSS].unstack("seed")
    wanted = pd.MultiIndex.from_frame(theirs[["optimizer", "at"]])
    return by_seed.reindex(wanted).to_numpy(dtype=np.float64)


def _finite(values: Floats) -> Floats:
    return np.where(np.isfinite(values), values, np.nan)


def _number(rates: pd.Series) -> Any:
    """The numbers of rates, which are 10^(number/5)."""
    return np.round(_PER_DECADE * np.log10(rates.to_numpy(dtype=np.float64))).astype(int)
