"""The best rate of each network, fitted between those of the grid, and how it changes with the size of the network."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from lrbench.analysis.fitted_rates import fitted_rates, half_width
from lrbench.analysis.interactions import Fits, Slice, shift
from lrbench.analysis.objective import objectives_of
from lrbench.experiments._transfer.grids import KINDS
from lrbench.experiments.findings import NAN, Finding
from lrbench.results.results import Results

_GRID_STEP = 2.0
_SLOPE = 0.25
"""How far a slope may be from its expected value: one grid step from width 64 to 1,024."""
_EXPECTED = {("width", "adam", "standard"): -1.0, ("width", "adam", "muP"): 0.0, ("width", "sgd", "muP"): 0.0}
"""The slopes that theory expects; of the others it says nothing that holds for networks of these sizes."""


class Measured(NamedTuple):
    """What the study of one optimizer and one way to grow says."""

    losses: pd.DataFrame  # a row per network and rate
    best: pd.DataFrame  # a row per network
    slopes: pd.DataFrame  # a row per parametrisation


def measured(results: Results, optimizer: str, grows: str) -> Measured:
    """Return the losses, the fitted best rates and their slopes of a study."""
    lines = results.sensitivity
    hidden = [json.loads(text) for text in lines["problem_hidden"]]
    known = pd.DataFrame(
        {
            "grows": grows,
            "optimizer": optimizer,
            "parametrisation": lines["problem_parametrisation"].map(KINDS).to_numpy(),
            "width": [widths[0] for widths in hidden],
            "depth": [len(widths) for widths in hidden],
        }
    )
    losses = _losses(results.runs, lines, known)
    fits = Fits.of(fitted_rates(results.runs, objectives=objectives_of(results.manifest)))
    best = known.join(_best(fits)).join(losses.groupby("line")["train_loss"].min())
    first = best.groupby("parametrisation", sort=False)["best_learning_rate"].transform("first")
    best["shift"] = np.log(best["best_learning_rate"] / first) / np.log(_GRID_STEP)
    best["transferred_loss"] = _at(losses, first)
    return Measured(losses.drop(columns="line"), best, _slopes(known, fits, grows))


def _losses(runs: pd.DataFrame, lines: pd.DataFrame, known: pd.DataFrame) -> pd.DataFrame:
    """The mean loss over seeds of each network and rate, each loss capped at its start."""
    keys = ["problem_hidden", "problem_parametrisation"]
    capped = runs.assign(train_loss=np.fmin(runs["final_train_loss"], runs["initial_train_loss"]))
    mean = capped.groupby([*keys, "learning_rate"], sort=False)["train_loss"].mean().reset_index()
    named = lines[keys].reset_index(drop=True).join(known).reset_index(names="line")
    found = named.merge(mean, on=keys)
    return found[["line", *known.columns, "learning_rate", "train_loss"]]


def _best(fits: Fits) -> pd.DataFrame:
    """The fitted best rate of each network, and its 95 % t interval over seeds; missing at an edge of the grid."""
    half = half_width(fits.rate, fits.left_out, fits.fresh)
    ends = {"": fits.rate, "_low": fits.rate - half, "_high": fits.rate + half}
    columns = {f"best_learning_rate{end}": 10.0**value for end, value in ends.items()}
    return pd.DataFrame(columns, index=fits.line).assign(best_at_edge=np.isnan(fits.rate))


def _at(losses: pd.DataFrame, rates: pd.Series) -> list[float]:
    """The loss of each network at a rate, log in log between the rates of the grid."""
    found = []
    for line, rows in losses.groupby("line", sort=True):
        at = np.log(rates.iloc[int(str(line))])
        where, height = np.log(rows["learning_rate"]), np.log(rows["train_loss"])
        found.append(float(np.exp(np.interp(at, where, height))))
    return found


def _slopes(known: pd.DataFrame, fits: Fits, grows: str) -> pd.DataFrame:
    """The slope of log η against the logarithm of the size, of each parametrisation."""
    rows = []
    for kind, mine in known.groupby("parametrisation", sort=False):
        mine = mine.sort_values(grows)
        found: dict[str, Any] = shift(
            Slice(grows, mine.index.to_numpy(), mine[grows].to_numpy(dtype=np.float64)), fits
        )
        names = {"from_value": "from_size", "to_value": "to_size"} | {
            name: name.replace("exponent", "slope") for name in ("exponent", "exponent_low", "exponent_high")
        }
        row = {"grows": grows, "optimizer": mine["optimizer"].iloc[0], "parametrisation": kind}
        rows.append(row | {after: found.get(name, NAN) for name, after in names.items()})
        rows[-1] |= {"sizes": len(mine), "sizes_fitted": found["values_fitted"], "seeds": found["seeds"]}
    return pd.DataFrame(rows)


def findings(best: pd.DataFrame, slopes: pd.DataFrame) -> list[Finding]:
    """Return the slopes, Adam's in width first, then how far best rates move and what it costs to keep the first."""
    found = [_slope(row) for row in slopes.to_dict("records") if row["sizes"] > 1]
    for _, rows in best.groupby(["grows", "optimizer", "parametrisation"], sort=False):
        found.extend(_moves(rows))
    return found


def _words(row: Mapping[Any, Any]) -> str:
    name = {"adam": "Adam", "sgd": "gradient descent"}[row["optimizer"]]
    kind = row["parametrisation"]
    return f"{name}, {'standard parametrisation' if kind == 'standard' else kind},"


def _slope(row: Mapping[Any, Any]) -> Finding:
    expected = _EXPECTED.get((row["grows"], row["optimizer"], row["parametrisation"]))
    who = _words(row)
    sizes = f"from {row['from_size']:,.0f} to {row['to_size']:,.0f}"
    what = f"{who} slope of log best rate against log {row['grows']}, {sizes}"
    ends = row["slope"], row["slope_low"], row["slope_high"]
    if expected is None:
        return Finding(what, *ends)
    met = abs(row["slope"] - expected) <= _SLOPE if np.isfinite(row["slope"]) else None
    rule = f"{expected:.0f} within {_SLOPE}".replace("-", "−")
    return Finding(what, *ends, rule=rule, met=met)


def _moves(rows: pd.DataFrame) -> Iterator[Finding]:
    """How far best rates are from that of the first network, and what it costs to keep that one; of a single network, its best rate."""
    grows = str(rows["grows"].iloc[0])
    first, last = rows.iloc[0], rows.iloc[-1]
    who = _words(first.to_dict())
    if len(rows) == 1:
        ends = [last[f"best_learning_rate{end}"] for end in ("", "_low", "_high")]
        yield Finding(f"{who} {grows} {last[grows]:,}: best rate", *ends)
        return
    who = f"{who} {grows} {first[grows]:,} to {last[grows]:,}"
    most = float(rows["shift"].abs().max())
    yield Finding(
        f"{who}: most that a best rate is from the first",
        most,
        unit="factors of 2",
        rule="at most 1",
        met=bool(rows["shift"].notna().all() and most <= 1) if np.isfinite(most) else None,
    )
    if first["optimizer"] == "adam":
        yield Finding(
            f"{who}: loss of the last with the best rate of the first, over its own best",
            float(last["transferred_loss"] / last["train_loss"]),
        )
