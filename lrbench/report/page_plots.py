"""What the plots of the page draw: so few points that it opens at once."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from lrbench.analysis.groups import Ints, columns_of, group, line_columns, members
from lrbench.analysis.labels import labels
from lrbench.analysis.line_curves import CurvesByRun
from lrbench.analysis.loss_by_rate import loss_by_rate
from lrbench.plots.base import colour_of, log_is_better
from lrbench.tables.base import StudyTables

MAX_LINES = 200  # lines that the page can draw; the tables have all of them
_POINTS = 16_000  # rates of all lines together: about 0.8 MB; a line has at most 1,500
_CELLS = 200_000  # losses of all curves together: about 1.4 MB; a line has at most 400 curves
_DASHES = ("solid", "dash", "dot", "dashdot", "longdash")


def page_data(results: StudyTables) -> dict[str, Any]:
    """What the script of the page draws: final losses by rate and median curves, thinned to a fixed size.

    Returns:
        `lines`: a dict per problem × optimizer × schedule, the best `MAX_LINES` of them, in the study's
            order;
        `problems`: their names; `left_out`: how many lines are not drawn.
    """
    objectives = dict(results.manifest.get("objectives", {}))
    table = loss_by_rate(results.runs, objectives=objectives or None)
    kept = _kept(results.sensitivity)
    rows = members(group(results.runs, line_columns(results.runs))[0])
    names = labels(results.sensitivity)
    colours, dashes = colour_of(list(names["optimizer"])), list(dict.fromkeys(names["schedule"]))
    paths = CurvesByRun(results.runs, results.curves, objectives)
    lines = []
    for index in kept:
        problem, optimizer, schedule = (str(text) for text in names.iloc[index])
        own = str(results.sensitivity["problem"].iloc[index])
        look = {"colour": colours[optimizer], "dash": _DASHES[dashes.index(schedule) % len(_DASHES)]}
        title = f"{optimizer}, {schedule}" if len(dashes) > 1 else optimizer
        line: dict[str, Any] = {
            "problem": problem,
            "title": title,
            "loss": _loss_name(objectives.get(own)),
            **look,
        }
        best = results.sensitivity.iloc[index]
        line |= _rates(table[table["line"] == index], best, min(1500, max(12, _POINTS // len(kept))))
        line["path"] = _path(paths, rows[index], float(best["best_learning_rate"]), _CELLS // len(kept))
        lines.append(line)
    problems = list(dict.fromkeys(line["problem"] for line in lines))
    return {"lines": lines, "problems": problems, "left_out": len(results.sensitivity) - len(kept)}


def as_json(data: object) -> str:
    r"""JSON that cannot close its script element, whatever it contains; NaN and infinity become null.

    Example:
        >>> as_json({"name": "</script>", "loss": float("nan")})
        '{"name":"\\u003c/script\\u003e","loss":null}'
    """
    text = json.dumps(_clean(data), separators=(",", ":"), allow_nan=False, ensure_ascii=True)
    return text.replace("<", r"\u003c").replace(">", r"\u003e").replace("&", r"\u0026")


def _clean(item: Any) -> Any:
    if isinstance(item, dict):
        return {str(key): _clean(value) for key, value in item.items()}
    if isinstance(item, (list, tuple)):
        return [_clean(value) for value in item]
    if isinstance(item, float) and not np.isfinite(item):
        return None
    return item


def _kept(sensitivity: pd.DataFrame) -> list[int]:
    """The lines that the page draws: all, or the best of every problem in turn."""
    if len(sensitivity) <= MAX_LINES:
        return list(range(len(sensitivity)))
    problem = group(sensitivity, columns_of(sensitivity, "problem"))[0]
    rank = sensitivity["best_loss"].groupby(problem).rank(method="first", na_option="bottom")
    return sorted(np.argsort(rank.to_numpy(), kind="stable")[:MAX_LINES].tolist())


def _loss_name(objective: str | None) -> str:
    return "validation loss" if objective == "valid_loss" else "training loss"


def _rates(table: pd.DataFrame, best: pd.Series, room: int) -> dict[str, Any]:
    rate = table["learning_rate"].to_numpy(dtype=np.float64)
    marks = [float(best["best_learning_rate"]), float(best["max_stable_learning_rate"])]
    some = table.iloc[_thin(len(rate), room, np.flatnonzero(np.isin(rate, marks)))]
    columns = {"rate": "learning_rate", "median": "median", "low": "low", "high": "high"}
    out: dict[str, Any] = {key: _numbers(some[name]) for key, name in columns.items()}
    out |= {"zone": [str(zone).replace("_", " ") for zone in some["zone"]]}
    out |= {key: some[key].astype(int).tolist() for key in ("diverged", "seeds")}
    start = float(table["initial"].iloc[0])
    out |= {"start": _number(start), "best": _number(marks[0]), "cliff": _number(marks[1])}
    return out | {"log": log_is_better([float(table["low"].min()), start])}


def _path(paths: CurvesByRun, rows: Ints, best: float, room: int) -> dict[str, Any]:
    """Median curves [rate][evaluation] of a line, thinned evenly to `room` losses, including the best rate."""
    path = paths.of(rows)
    columns = _thin(len(path.step), int(min(120, max(8, room**0.5))))
    rates = min(400, max(6, room // max(1, len(columns))))
    chosen = _thin(len(path.rate), rates, np.flatnonzero(path.rate == best))
    middle = path.middle()[np.ix_(chosen, columns)]
    finite = middle[np.isfinite(middle)]
    return {
        "rate": _numbers(path.rate[chosen]),
        "step": path.step[columns].tolist(),
        "value": [_numbers(row) for row in middle],
        "log": bool(len(finite) and finite.min() > 0),
    }


def _thin(count: int, room: int, keep: Ints | None = None) -> Ints:
    """About `room` positions of `count` at most, evenly, with both ends and those to keep."""
    even = np.linspace(0, max(count - 1, 0), min(count, room)).round().astype(np.int64)
    return np.unique(even if keep is None else np.concatenate([even, keep]))


def _numbers(values: npt.ArrayLike | pd.Series) -> list[float | None]:
    return [_number(value) for value in np.asarray(values, dtype=np.float64).tolist()]


def _number(value: float) -> float | None:
    """Four digits are more than a screen can show."""
    return float(f"{value:.4g}") if np.isfinite(value) else None
