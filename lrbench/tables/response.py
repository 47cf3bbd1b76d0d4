"""How the loss of a line depends on all that is sampled."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from lrbench.analysis.groups import Floats, line_columns
from lrbench.analysis.labels import rate_text
from lrbench.analysis.line_answers import each_shape
from lrbench.analysis.objective import Objectives
from lrbench.analysis.response_surface import Response, fit
from lrbench.analysis.thresholds import Thresholds
from lrbench.errors import counted
from lrbench.study import sample
from lrbench.tables.comparison import LineRuns

_NUMBERS = ("best best_low best_high region_low region_high best_loss length_scale importance").split()


def response(
    sensitivity: pd.DataFrame,
    line_runs: LineRuns,
    sampled_lines: np.ndarray,
    thresholds: Thresholds | None = None,
    objectives: Objectives = None,
) -> pd.DataFrame:
    """A row per line of sampled points and sampled parameter, including the learning rate: where the best value is, and how much the parameter matters.

    A Gaussian process is fitted to log ℓ, the mean loss of each point, where that is useful, with a gap of at most ½; all parameters are shares of their ranges, on
    a logarithmic scale where they were drawn so. A line with fewer than eight useful points has no row. There is no such table if a study has no sample, or if scikit-learn is not installed.

    Args:
        sensitivity: the sensitivity table.
        line_runs: the runs of its lines.
        sampled_lines: the positions of those of its lines whose parameters are sampled.
        thresholds: for `good` and `useful`.
        objectives: by problem, as in the manifest.

    Columns:
        problem, optimizer, schedule: names of the line; with its parameters
        parameter: `learning_rate`, or the column that the parameter would have if it were not sampled, such as `optimizer_momentum`
        scale: `log` or `linear`
        best: its value at the point of the lowest predicted loss
        best_low, best_high: the middle 95 % of where draws from the fitted process have their lowest point, widened to the best point that was tried
        region_low, region_high: between these values, with all other parameters at their best, the predicted loss is above the best by at most 5 % of the way to ℓ₀
        best_loss: the predicted loss at the best point, the same for all parameters of a line; it has no interval, because none had the right coverage: `confirm` measures it
        length_scale: the share of its range over which the loss changes; the largest value, 20, means that the loss hardly depends on it
        importance: the share of the variance of log ℓ, over all useful points, that depends on this parameter alone
        points: how many useful points of the line the process is fitted to, at most 512
        answer: the same in words

    Source: Rasmussen & Williams, Gaussian Processes for Machine Learning, 2006; Sobol, Math. Comput. Simul. 55 (2001), 271 (importance).
    """
    limits = thresholds or Thresholds()
    rows: list[dict[str, Any]] = []
    lines: list[int] = []
    for line in sampled_lines.tolist():
        runs = line_runs.fetch(np.array([line]))
        surface, columns = _surface(runs, limits, objectives)
        if surface is not None:
            rows += [_row(surface, number, name, limits) for number, name in enumerate(columns)]
            lines += [line] * len(columns)
    identity = sensitivity[line_columns(sensitivity)].iloc[lines].reset_index(drop=True)
    kinds = {"parameter": "str", "scale": "str", **dict.fromkeys(_NUMBERS, "float64")}
    names = ["parameter", "scale", *_NUMBERS, "points", "answer"]
    table = pd.DataFrame(rows, columns=names).astype({**kinds, "points": "int64", "answer": "str"})
    return pd.concat([identity, table], axis=1)


def _surface(
    runs: pd.DataFrame, limits: Thresholds, objectives: Objectives
) -> tuple[Response | None, list[str]]:
    """The surface of a line, and the names of its parameters."""
    some, mean, problems, _ = next(each_shape(runs, limits, objectives))
    named = [name for name in sample.columns(runs.columns) if runs[name].notna().any()]
    points = runs.drop_duplicates("learning_rate").set_index("learning_rate")[named].loc[some.rate[0]]
    values = np.column_stack([some.rate[0], points.to_numpy(dtype=np.float64)])
    start = float(mean.start[0])
    loss: Floats = np.where(mean.stable[0], mean.loss[0], start)
    optimum, lowest = float(problems.optimum[0]), float(problems.lowest[0])
    floor = optimum if np.isfinite(optimum) else np.nan if lowest < 0 else 0.0
    found = fit(values, loss, start, floor, limits.good, limits.useful)
    return found, ["learning_rate", *(name.removeprefix(sample.column("")) for name in named)]


def _row(surface: Response, number: int, name: str, limits: Thresholds) -> dict[str, Any]:
    row = {each: getattr(surface, each)[number] for each in _NUMBERS if each != "best_loss"}
    row |= {
        "best_loss": surface.loss,
        "parameter": name,
        "scale": "log" if surface.log[number] else "linear",
        "points": surface.points,
    }
    short = name.removeprefix("optimizer_").replace("_", " ")
    return row | {"answer": _answer(short, row, limits)}


def _answer(name: str, row: dict[str, Any], limits: Thresholds) -> str:
    best, low, high, region_low, region_high = (
        rate_text(row[each]) if row["scale"] == "log" else f"{row[each]:.3g}"
        for each in ("best", "best_low", "best_high", "region_low", "region_high")
    )
    return (
        f"{name}: lowest predicted loss at {best} (95 %: {low} to {high}); within {100 * limits.good:g} % of it from {region_low} "
        f"to {region_high}; {100 * row['importance']:.0f} % of the variance alone; {counted(row['points'], 'point')}"
    )
