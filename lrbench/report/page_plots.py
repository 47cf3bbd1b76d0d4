"""What the plots of the page draw: so few points that it opens at once."""

from __future__ import annotations

import json
import re
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from lrbench.analysis.groups import KINDS, Ints, columns_of, group, line_columns, members
from lrbench.analysis.labels import labels
from lrbench.analysis.line_curves import CurvesByRun
from lrbench.analysis.loss_by_rate import loss_by_rate
from lrbench.analysis.objective import Objective, objectives_of
from lrbench.analysis.rates import stages
from lrbench.plots import theme
from lrbench.plots.base import curves_by_run
from lrbench.plots.lines import Look, RankedLines
from lrbench.tables.base import StudyTables

MAX_LINES = 600  # lines that the page can draw; the tables have all of them
_POINTS = 16_000  # rates of all lines together: about 0.8 MB; a line has at most 400
_CELLS = 100_000  # losses of all curves together: about 0.7 MB; a line has at most 80 curves of 60 steps
_BANDS = ("pace", "own", "good")


def page_data(results: StudyTables) -> dict[str, Any]:
    """What the script of the page draws: final losses by rate and median curves, thinned to a fixed size.

    Returns:
        `lines`: a dict per problem × optimizer × schedule, the best `MAX_LINES` of them, in the study's
            order;
        `problems`: their names; `parameters`: those that lines differ in; `zones`: what a line's zones are
            numbers of; `left_out`: how many lines are not drawn; `looks`: the colours and dashes that the best
            lines have in every plot, of which `look` of a line is the number.
    """
    objectives = objectives_of(results.manifest)
    runs = without_range(results.runs)
    table = loss_by_rate(runs, objectives=objectives)
    of_line = dict(iter(table.groupby("line", sort=False)))
    kept = _kept(results.sensitivity)
    rows = members(group(runs, line_columns(runs))[0])
    names = labels(results.sensitivity)
    varied = [
        name
        for name in line_columns(results.sensitivity)
        if name not in KINDS and results.sensitivity[name].nunique() > 1
    ]
    zones = [str(zone) for zone in dict.fromkeys(table["zone"])]
    paths = curves_by_run(results, runs)
    ranked = RankedLines(results)
    looks = [look for look in map(ranked.look, ranked.ranked) if look]
    lines = []
    for index in kept:
        problem, optimizer, schedule = (str(text) for text in names.iloc[index])
        row = results.sensitivity.iloc[index]
        line: dict[str, Any] = {
            "problem": problem,
            "optimizer": optimizer,
            "schedule": schedule,
            "objective": objectives.get(str(row["problem"]), Objective("train_loss")).label,
            "params": {name: _plain(row[name]) for name in varied},
            "look": ranked.order(ranked.names[index]) if ranked.look(ranked.names[index]) else None,
            **_marks(row),
        }
        line |= _rates(of_line[index], line, zones, min(400, max(12, _POINTS // len(kept))))
        line["path"] = _path(paths, rows[index], line["use"], _CELLS // len(kept))
        lines.append(line)
    return {
        "name": re.sub(r"[^a-z0-9_-]+", "-", str(next(iter(runs.get("study", [])), "study")).lower()),
        "lines": lines,
        "problems": list(dict.fromkeys(line["problem"] for line in lines)),
        "parameters": varied,
        "zones": [zone.replace("_", " ") for zone in zones],
        "left_out": len(results.sensitivity) - len(kept),
        "looks": [_look(look) for look in looks],
    }


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


def _look(look: Look) -> dict[str, Any]:
    """A look as the page draws it: the number of its colour, and its dashes in widths of the line."""
    return {"hue": theme.COLOURS.index(look.colour), "dash": [] if look.dash == "-" else list(look.dash[1])}


def _marks(line: pd.Series) -> dict[str, Any]:
    """What is marked of a line: the rate to use, its bands and where it collapses; of an older lrbench, what it wrote.

    A line whose rate to use, or in an older table whose best one, diverges has no score, so that no chart opens on it.
    """

    def of(*names: str) -> list[float | None]:
        return [_number(float(line.get(name, np.nan))) for name in names]

    new = "use_learning_rate" in line
    use, score = of(*(("use_learning_rate", "use_loss") if new else ("best_learning_rate", "best_loss")))
    return {
        "use": use,
        "score": None if use is None else score,
        "collapse": of("collapse_low", "collapse_high"),
        "bands": {band: of(f"{band}_low", f"{band}_high") for band in _BANDS},
    }


def _rates(table: pd.DataFrame, marks: dict[str, Any], zones: list[str], room: int) -> dict[str, Any]:
    rate = table["learning_rate"].to_numpy(dtype=np.float64)
    wanted = [mark for mark in (marks["use"], *marks["collapse"]) if mark is not None]
    some = table.iloc[_thin(len(rate), room, _near(rate, wanted))]
    columns = {"rate": "learning_rate", "loss": "loss", "low": "low", "high": "high"}
    out: dict[str, Any] = {key: _numbers(some[name]) for key, name in columns.items()}
    out |= {"zone": [zones.index(str(zone)) for zone in some["zone"]]}
    out |= {"sampled": bool(table["sampled"].any())}
    out |= {key: some[key].astype(int).tolist() for key in ("diverged", "seeds")}
    return out | {"start": _number(float(table["initial"].iloc[0]))}


def _near(rate: npt.NDArray[np.float64], wanted: list[float]) -> Ints:
    """The positions of these rates, which have four digits here."""
    return np.flatnonzero(np.isclose(rate[:, None], wanted, rtol=1e-3, atol=0).any(axis=1))


def _path(paths: CurvesByRun, rows: Ints, use: float | None, room: int) -> dict[str, Any]:
    """Median curves [rate][evaluation] of a line, thinned evenly to `room` losses, including the rate to use."""
    path = paths.of(rows)
    columns = _thin(len(path.step), int(min(60, max(8, room**0.5))))
    rates = min(80, max(6, room // max(1, len(columns))))
    chosen = _thin(len(path.rate), rates, _near(path.rate, [] if use is None else [use]))
    middle = path.middle()[np.ix_(chosen, columns)]
    return {
        "rate": _numbers(path.rate[chosen]),
        "step": path.step[columns].tolist(),
        "value": [_numbers(row) for row in middle],
    }


def _plain(value: object) -> str | float | None:
    """The value of a parameter: a number, or its text; none if the line has no such parameter."""
    if pd.isna(value):  # type: ignore[call-overload]
        return None
    if isinstance(value, (int, float, np.number)) and not isinstance(value, bool):
        return _number(float(value))
    return str(value)


def _thin(count: int, room: int, keep: Ints | None = None) -> Ints:
    """About `room` positions of `count` at most, evenly, with both ends and those to keep."""
    even = np.linspace(0, max(count - 1, 0), min(count, room)).round().astype(np.int64)
    return np.unique(even if keep is None else np.concatenate([even, keep]))


def _numbers(values: npt.ArrayLike | pd.Series) -> list[float | None]:
    return [_number(value) for value in np.asarray(values, dtype=np.float64).tolist()]


def _number(value: float) -> float | None:
    """Four digits are more than a screen can show."""
    return float(f"{value:.4g}") if np.isfinite(value) else None
