"""How far the table `response`, and the choice of the best of many sampled points, can be trusted: on simulated losses whose lowest point is known.

`make bench BENCH=response_surface`, two minutes on one core, writes results/answers/response.csv, which docs/search-spaces.md quotes.

A loss is a bowl from 0.1 to 1, ℓ = 0.1 + 0.9 (1 − exp(−3 Σ wᵢ (uᵢ − oᵢ)²)), u the shares of the ranges, with random weights w from 1 to 8 and a random lowest
point o; beyond oᵢ + ¼ of the first parameter, the rate, it is 1, as after a collapse. A run multiplies it with log-normal noise of mean 1.
"""

from __future__ import annotations

import csv
from pathlib import Path
from typing import NamedTuple

import numpy as np
from scipy.stats import qmc

from lrbench.analysis.response_surface import Process, Score, Useful, fit, scale_of

FILE = Path(__file__).resolve().parents[1] / "results" / "answers" / "response.csv"
STUDIES = 40
"""Simulated studies of each kind."""
FRESH, CONFIRMED = 5, 5
"""How many points are confirmed, on how many fresh seeds."""
HELD_OUT = 400
"""Further points of each study, at which the surface is compared with the truth where it is at most ½."""


class Kind(NamedTuple):
    """What is simulated: points, parameters, seeds, and the standard deviation of the logarithm of a run's loss."""

    points: int
    dimensions: int
    seeds: int
    noise: float


KINDS = [
    Kind(64, 2, 3, 0.1),
    Kind(128, 2, 3, 0.3),
    Kind(256, 3, 3, 0.1),
    Kind(256, 3, 3, 0.3),
    Kind(256, 3, 1, 0.3),
    Kind(256, 4, 3, 0.2),
]


def simulated(kind: Kind, number: int) -> dict[str, float] | None:
    """Simulate one study; `None` if it has too few useful points for a surface."""
    rng = np.random.default_rng(number)
    optimum, weight = rng.uniform(0.25, 0.7, kind.dimensions), rng.uniform(1, 8, kind.dimensions)
    low = np.array([-3.0] + [0.0] * (kind.dimensions - 1))
    span = np.array([4.0] + [0.9] * (kind.dimensions - 1))

    def loss(shares: np.ndarray) -> np.ndarray:
        bowl = 0.1 + 0.9 * (1 - np.exp(-3 * (weight * (shares - optimum) ** 2).sum(axis=1)))
        return np.where(shares[:, 0] > optimum[0] + 0.25, 1.0, bowl)

    def values(shares: np.ndarray) -> np.ndarray:
        found = low + span * shares
        return np.column_stack([10 ** found[:, 0], found[:, 1:]])

    def runs(true: np.ndarray, seeds: int) -> np.ndarray:
        noise = kind.noise * rng.standard_normal((len(true), seeds)) - kind.noise**2 / 2
        return np.minimum(true[:, None] * np.exp(noise), 1.0)

    shares = qmc.Sobol(kind.dimensions, rng=rng).random(kind.points)
    true = loss(shares)
    mean = runs(true, kind.seeds).mean(axis=1)
    surface = fit(values(shares), mean, 1.0, 0.0, 0.05, 0.5)
    if surface is None:
        return None
    truth, best = values(optimum[None])[0], surface.best.copy()
    best[0] = np.log10(best[0])
    five = np.argsort(mean)[:FRESH]
    again = runs(true[five], CONFIRMED).mean(axis=1)
    # The surface itself: where is it the lowest among the points, and does it know how right it is elsewhere?
    able = mean - mean.min() <= 0.5 * (1.0 - mean.min())
    scale, score = scale_of(values(shares)), Score(1.0, 0.0, float(mean.min()))
    own = scale.shares(values(shares))
    process = Process(own[able], score.of(mean[able]), Useful(own, able))
    chosen = np.flatnonzero(able)[process.mean(own[able]).argmin()]
    held = rng.random((HELD_OUT, kind.dimensions))
    there = scale.shares(values(held))
    known = (loss(held) < 0.5) & process.useful(there)
    _, draws = process.posterior(there[known]) if known.any() else (None, np.empty((0, 1)))
    ends = np.quantile(draws, [0.025, 0.975], axis=1)
    truths = np.log(loss(held)[known])
    inside = (ends[0] <= truths) & (truths <= ends[1])
    return {
        "held_out_in_interval": float(inside.mean()) if len(inside) else np.nan,
        "loss_at_least_surface": float(true[chosen]),
        "interval_has_best": float(((surface.best_low <= truth) & (truth <= surface.best_high)).mean()),
        "loss_at_predicted_best": float(loss(((best - low) / span)[None])[0]),
        "predicted_loss": surface.loss,
        "least_loss_of_points": float(true.min()),
        "least_mean": float(mean.min()),
        "loss_at_least_mean": float(true[mean.argmin()]),
        "confirmed_mean": float(again.min()),
        "loss_at_confirmed": float(true[five[again.argmin()]]),
    }


def main() -> None:
    """Simulate every kind, and write the means."""
    rows = []
    for kind in KINDS:
        found = [each for number in range(STUDIES) if (each := simulated(kind, number))]
        means = {name: f"{np.nanmean([each[name] for each in found]):.4g}" for name in found[0]}
        rows.append({**kind._asdict(), "studies": len(found), **means})
        print(rows[-1], flush=True)
    with FILE.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


if __name__ == "__main__":
    main()
