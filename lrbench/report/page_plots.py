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
from lrbench.analysis.objective import Objective, objectives_of
from lrbench.analysis.rates import stages
from lrbench.plots.base import colour_of, curves_by_run, log_is_better
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
    objectives = objectives_of(results.manifest)
    runs = without_range(results.runs)
    table = loss_by_rate(runs, objectives=objectives)
    kept = _kept(results.sensitivity)
    rows = members(group(runs, line_columns(runs))[0])
    names = labels(results.sensitivity)
    colours, dashes = colour_of(list(names["optimizer"])), list(dict.fromkeys(names["schedule"]))
    paths = curves_by_run(results, runs)
    lines = []
    for index in kept:
        problem, optimizer, schedule = (str(text) for text in names.iloc[index])
        own = str(results.sensitivity["problem"].iloc[index])
        look = {"colour": colours[optimizer], "dash": _DASHES[dashes.index(schedule) % len(_DASHES)]}
        title = f"{optimizer}, {schedule}" if len(dashes) > 1 else optimizer
        line: dict[str, Any] = {
            "problem": problem,
            "title": title,
            "objective": objectives.get(own, Objective("train_loss")).label,
            **look,
        }
        row = results.sensitivity.iloc[index]
        line |= _rates(table[table["line"] == index], row, min(1500, max(12, _POINTS // len(kept))))
        line["path"] = _path(paths, rows[index], _rate_to_use(row), _CELLS // len(kept))
        lines.append(line)
    problems = list(dict.fromkeys(line["problem"] for line in lines))
    return {"lines": lines, "problems": problems, "left_out": len(results.sensitivity) - len(kept)}


def without_range(runs: pd.DataFrame) -> pd.DataFrame:
    """The runs without those that only looked for a range of rates."""
    return runs[stages(runs) != "range"].reset_index(drop=True)


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


def _rates(table: pd.DataFrame, line: pd.Series, room: int) -> dict[str, Any]:
    rate = table["learning_rate"].to_numpy(dtype=np.float64)
    marks = {"use": _rate_to_use(line), "collapse": float(line.get("collapse_high", np.nan))}
    some = table.iloc[_thin(len(rate), room, np.flatnonzero(np.isin(rate, list(marks.values()))))]
    columns = {"rate": "learning_rate", "loss": "loss", "low": "low", "high": "high"}
    out: dict[str, Any] = {key: _numbers(some[name]) for key, name in columns.items()}
    out |= {"zone": [str(zone).replace("_", " ") for zone in some["zone"]]}
    out |= {"sampled": bool(table["sampled"].any())}
    out |= {key: some[key].astype(int).tolist() for key in ("diverged", "seeds")}
    start = float(table["initial"].iloc[0])
    out |= {"start": _number(start), **{name: _number(mark) for name, mark in marks.items()}}
    return out | {"log": log_is_better([float(table["low"].min()), start])}


def _rate_to_use(line: pd.Series) -> float:
    """The rate to use; in a table of an older lrbench, the best one."""
    return float(line["use_learning_rate" if "use_learning_rate" in line else "best_learning_rate"])


def _path(paths: CurvesByRun, rows: Ints, use: float, room: int) -> dict[str, Any]:
    """Median curves [rate][evaluation] of a line, thinned evenly to `room` losses, including the rate to use."""
    path = paths.of(rows)
    columns = _thin(len(path.step), int(min(120, max(8, room**0.5))))
    rates = min(400, max(6, room // max(1, len(columns))))
    chosen = _thin(len(path.rate), rates, np.flatnonzero(path.rate == use))
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
