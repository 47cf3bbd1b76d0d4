"""The runs of every optimizer at its best rate: which of them reach the minimum, and the points that they go through."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

from lrbench.results.results import Results

COORDINATES = ["first_coordinate", "second_coordinate"]
KEYS = ["problem", "optimizer"]
NEAR = 1 / 400
"""A point nearer than this share of the picture's side to the last one that was kept is left out."""
FAR = 5.0
"""A path that leaves the picture by so many of its sides is drawn no further."""


def lines(results: Results, optimum: Mapping[str, float], target: float) -> pd.DataFrame:
    """Return a row per problem and optimizer: its best rate, and how its runs at that rate end.

    Args:
        results: of the study.
        optimum: the minimum of each problem.
        target: how far above the minimum a run may be that has reached it.
    """
    found = results.sensitivity
    best = found["use_learning_rate"].fillna(found["best_learning_rate"])
    rates = found[KEYS].assign(best=best.fillna(results.runs["learning_rate"].min()))
    runs = results.runs.merge(rates, on=KEYS)
    runs = runs[runs["learning_rate"] == runs["best"]]
    arrival = arrivals(results, runs, optimum, target)
    runs = runs.assign(
        steps_needed=runs["run_id"].map(arrival).astype(float),
        gap=runs["final_train_loss"].fillna(np.inf) - runs["problem"].map(optimum),
    )
    rows = [
        {
            **dict(zip(KEYS, key, strict=True)),
            "learning_rate": float(line["learning_rate"].iloc[0]),
            "reached_share": float(np.isfinite(line["steps_needed"]).mean()),
            "steps_needed": float(np.median(line["steps_needed"])),
            "gap": float(np.median(line["gap"])),
            "run_id": str(line.sort_values("seed")["run_id"].iloc[0]),
        }
        for key, line in runs.groupby(KEYS, sort=False)
    ]
    table = pd.DataFrame(rows)
    order = table["problem"].map({name: place for place, name in enumerate(table["problem"].unique())})
    table = table.assign(order=order).sort_values(["order", "steps_needed", "gap"], kind="stable")
    return table.drop(columns="order").reset_index(drop=True)


def arrivals(results: Results, runs: pd.DataFrame, optimum: Mapping[str, float], target: float) -> pd.Series:
    """Return, of each run, the first step from which on its loss stays within the target; infinite if it does not end there."""
    curves = results.some_curves("step", "train_loss")
    curves = curves.assign(run_id=curves["run_id"].astype(str))
    curves = curves[curves["run_id"].isin(runs["run_id"])].sort_values(["run_id", "step"], kind="stable")
    problem = curves["run_id"].map(runs.set_index("run_id")["problem"])
    inside = curves["train_loss"].fillna(np.inf) - problem.map(optimum).astype(float) <= target
    steps = curves["step"].astype(float)
    last_outside = steps.where(~inside).groupby(curves["run_id"]).max().fillna(-1)
    after = steps.where(steps > curves["run_id"].map(last_outside))
    return after.groupby(curves["run_id"]).min().fillna(np.inf)


def paths(results: Results, table: pd.DataFrame) -> pd.DataFrame:
    """Return the points of the paths of a table's runs, without those that can not be told from the one before, or that are far outside."""
    curves = results.some_curves("step", *COORDINATES)
    curves = curves.assign(run_id=curves["run_id"].astype(str))
    curves = curves[curves["run_id"].isin(table["run_id"])].sort_values("step", kind="stable")
    ways = dict(list(curves.groupby("run_id")))
    pieces = []
    for row in table.to_dict("records"):
        way = ways[row["run_id"]]
        low, side = corner(results.surfaces, row["problem"])
        points = way[COORDINATES].to_numpy(dtype=float)
        kept = thinned((points - low) / side)
        pieces.append(
            pd.DataFrame(
                {
                    **{key: row[key] for key in KEYS},
                    "step": way["step"].to_numpy()[kept],
                    "w1": _short(points[kept, 0]),
                    "w2": _short(points[kept, 1]),
                }
            )
        )
    return pd.concat(pieces, ignore_index=True)


def thinned(points: np.ndarray) -> list[int]:
    """Return which points of a path are kept, in units of the picture's side, from 0 to 1 inside it; the first and the last always.

    >>> thinned(np.array([[0, 0], [0.001, 0], [0.5, 0], [0.5, 0.001], [np.nan, 0]]))
    [0, 2, 3]
    """
    outside = ~np.isfinite(points).all(axis=1) | (np.abs(points - 0.5).max(axis=1) > FAR)
    end = int(outside.argmax()) if outside.any() else len(points)
    kept = [0] if end else []
    for number in range(1, end):
        last = number == end - 1
        if last or np.abs(points[number] - points[kept[-1]]).max() >= NEAR:
            kept.append(number)
    return kept


def corner(surfaces: pd.DataFrame, problem: str) -> tuple[np.ndarray, np.ndarray]:
    """Return the lower left corner of the picture of a problem, and its width and height."""
    points = surfaces.loc[surfaces["problem"] == problem, COORDINATES].to_numpy(dtype=float)
    low = points.min(axis=0)
    return low, points.max(axis=0) - low


def heights(surfaces: pd.DataFrame, problem: str) -> pd.DataFrame:
    """Return the loss of a problem, with its first coordinate along the columns and its second along the rows."""
    mine = surfaces[surfaces["problem"] == problem]
    return mine.pivot(index=COORDINATES[1], columns=COORDINATES[0], values="loss")


def lowest(height: pd.DataFrame) -> np.ndarray:
    """Return the points of a surface that are the lowest, a row each: there may be several minima of equal depth."""
    loss = height.to_numpy()
    rows, columns = np.nonzero(loss <= loss.min() + 1e-6 * (np.median(loss) - loss.min()))
    return np.stack([height.columns.to_numpy(float)[columns], height.index.to_numpy(float)[rows]], axis=1)


def levels(height: pd.DataFrame, count: int) -> np.ndarray:
    """Return levels of contours at quantiles of the height, which show valley and walls alike, whatever their scale."""
    return np.unique(np.quantile(height.to_numpy(), np.linspace(0, 1, count + 2)[1:-1]))


def _short(values: np.ndarray) -> np.ndarray:
    """Return numbers with five significant digits, which is more than a picture shows."""
    return np.array([float(f"{value:.5g}") for value in values])
