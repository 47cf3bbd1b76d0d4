"""The rate of gradient descent at which the mean training loss is the least: its study, its table, and its findings."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from lrbench.experiments._mnist1d.accuracies import SeedMean, mean_of
from lrbench.experiments._mnist1d.published import BEST_RATE, LEAST_LOSS
from lrbench.experiments.findings import Finding
from lrbench.results.results import Results

STEPS = 200
_LOW, _HIGH = 0.2, 2.0
FEWEST = 4
"""Rates per decade, with which a parabola has five rates."""
_REACH = 2
"""The parabola is fitted to the best rate and so many on each side of it."""


class Optimum(NamedTuple):
    """The lowest points of the parabolas, one per seed: the rate, geometric mean, and the loss."""

    rate: SeedMean
    loss: SeedMean


def study(per_decade: int, seeds: int) -> dict[str, Any]:
    """Return the study: the notebook's network, evaluated at every step for the loss of every minibatch."""
    return {
        "name": "optimum",
        "steps": STEPS,
        "evaluate_every": 1,
        "seeds": seeds,
        "objective": "train_loss",
        "probes": ["minibatch_loss"],
        "optimizer": "sgd",
        "learning_rate": {"min": _LOW, "max": _HIGH, "num": per_decade + 1},
        "problem": {"name": "mnist1d_mlp", "hidden": [50], "activation": "tanh", "batch_size": 50},
    }


def losses(results: Results) -> pd.DataFrame:
    """Return the mean loss of the minibatches of a run, each before its step: a row per rate, a column per seed."""
    runs = results.runs[["run_id", "learning_rate", "seed"]].rename(columns={"learning_rate": "rate"})
    # After the last step there is no further minibatch.
    before = results.curves.loc[results.curves["step"] < STEPS, ["run_id", "minibatch_loss"]]
    mean = (
        before.groupby("run_id")["minibatch_loss"].agg(lambda losses: losses.mean(skipna=False)).reset_index()
    )
    return runs.merge(mean, on="run_id").pivot(index="rate", columns="seed", values="minibatch_loss")


def table(found: pd.DataFrame) -> pd.DataFrame:
    """Return a row per rate: the mean loss over seeds, with its interval."""
    rows = [{"learning_rate": rate, **mean_of(row.to_numpy())._asdict()} for rate, row in found.iterrows()]
    frame = pd.DataFrame(rows).rename(columns={"mean": "mean_loss"})
    return frame[["learning_rate", "mean_loss", "low", "high"]]


def optimum(found: pd.DataFrame) -> Optimum:
    """Return the lowest point of a parabola in log rate through each seed's losses around the rate that is the best on average."""
    position = np.log10(found.index.to_numpy(dtype=np.float64))
    best = int(np.argmin(found.mean(axis=1)))
    at = min(max(best, _REACH), len(position) - 1 - _REACH)
    near = slice(max(at - _REACH, 0), at + _REACH + 1)
    x = position[near] - position[at]
    height, slope, curved = np.polynomial.polynomial.polyfit(x, found.to_numpy()[near], 2)
    lowest = -slope / (2 * np.where(curved > 0, curved, np.nan))
    rates = mean_of(position[at] + lowest)
    return Optimum(SeedMean(*(10.0**each for each in rates)), mean_of(height + slope * lowest / 2))


def findings(best: Optimum) -> Iterator[Finding]:
    """Yield the best rate and the least loss, beside those of the notebook, which are of one seed."""
    rate, excess = best.rate, SeedMean(*(each - LEAST_LOSS for each in best.loss))
    yield Finding(
        "rate of SGD with the least mean training loss of a tanh MLP 40-50-10",
        *(rate.mean, rate.low, rate.high),
        rule=f"printed: {BEST_RATE:g}; one more seed: {rate.one_low:.2f} to {rate.one_high:.2f}",
        met=rate.holds(BEST_RATE),
    )
    ends = f"{excess.one_low:.3f} to {excess.one_high:.3f}".replace("-", "−")
    yield Finding(
        f"that loss less the printed {LEAST_LOSS:g}",
        *(excess.mean, excess.low, excess.high),
        rule=f"printed: 0; one more seed: {ends}",
        met=excess.holds(0.0),
    )
