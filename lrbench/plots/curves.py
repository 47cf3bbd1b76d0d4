"""Loss during training at three rates: one too small, the one to use, one too large."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from lrbench.analysis.groups import Floats, Ints, group, line_columns, members
from lrbench.analysis.labels import labels, rate_text
from lrbench.analysis.line_curves import LineCurves
from lrbench.analysis.loss_by_rate import loss_by_rate
from lrbench.analysis.objective import objectives_of
from lrbench.plots import base, findings, theme
from lrbench.plots.lines import by_rank, loss_to_rank_by
from lrbench.tables.base import StudyTables

MAX_PANELS = 6
COLOUR_OF_RATE = {"too small": theme.TOO_SMALL, "to use": theme.BEST, "too large": theme.TOO_LARGE}
DASH_OF_RATE = dict(zip(COLOUR_OF_RATE, (theme.DASHES[1], theme.DASHES[0], theme.DASHES[2]), strict=True))


class Panel(NamedTuple):
    """One problem × optimizer with one schedule: its name and where its runs are."""

    line: int
    title: str
    problem: str
    rows: Ints


def best_schedule(results: StudyTables) -> list[Panel]:
    """Every problem × optimizer with the best of its schedules: one panel each; a problem after the other, or, where they do not all fit, the best first."""
    runs = results.runs
    code, first = group(runs, line_columns(runs))
    names = labels(runs).iloc[first]
    kept = _best_of(names, loss_to_rank_by(results.sensitivity))
    many = names["problem"].nunique() > 1
    rows = members(code)
    found = []
    for line in kept:
        problem, optimizer, schedule = (str(text) for text in names.iloc[line])
        title = f"{problem}: {optimizer}" if many else optimizer
        title += f", {schedule}" if names["schedule"].nunique() > 1 else ""
        found.append(Panel(line, title, str(runs["problem"].iloc[first[line]]), rows[line]))
    if len(found) <= MAX_PANELS:
        return found
    ranked = by_rank(results.sensitivity, (names["optimizer"] + " + " + names["schedule"]).tolist())
    place = {name: at for at, name in enumerate(ranked)}
    known = names["optimizer"] + " + " + names["schedule"]
    return sorted(found, key=lambda panel: place[known.iloc[panel.line]])


def _best_of(names: pd.DataFrame, loss: pd.Series) -> list[int]:
    """Where the line of least loss of every problem and optimizer is; the first of those that do not train."""
    pairs = names[["problem", "optimizer"]].reset_index(drop=True)
    known = pairs.assign(loss=loss.fillna(np.inf).to_numpy())
    return known.groupby(["problem", "optimizer"], sort=False)["loss"].idxmin().tolist()


def curves(results: StudyTables) -> Figure:
    """Loss against step at three rates, too small, to use and too large: a panel per problem and optimizer, with its best schedule.

    Line: median over seeds; band: lowest to highest seed; a curve ends at a cross where it is no longer
    finite, at an arrow where it leaves the picture.
    """
    every = best_schedule(results)
    shown = every[:MAX_PANELS]
    title = base.title_of(results, findings.answer(results))
    size = (6.8, 3.6) if len(shown) == 1 else (3.6, 2.4)
    what = "training at a rate too small, the one to use, and one too large"
    figure, grid = base.panels(len(shown), title, width=size[0], height=size[1], subtitle=what)
    table = loss_by_rate(results.runs, objectives=objectives_of(results.manifest))
    paths = base.curves_by_run(results, results.runs)
    for axes, panel in zip(grid, shown, strict=True):
        rates = three_rates(table[table["line"] == panel.line], results.sensitivity.iloc[panel.line])
        chosen = np.isin(results.runs["learning_rate"].to_numpy()[panel.rows], list(rates.values()))
        _panel(axes, paths.of(panel.rows[chosen]), rates)
        base.name_panel(axes, panel.title)
        axes.set_xlabel("step")
        axes.set_ylabel(base.objective_label(results, panel.problem))
    rest = base.left_out([panel.title for panel in every], len(shown), "panels")
    base.note(figure, "; ".join(filter(None, ["upright line: not finite from this step on", rest])))
    return figure


def three_rates(line: pd.DataFrame, sensitivity: pd.Series) -> dict[str, float]:
    """Three typical rates: about 30 times below the one to use, that one, and the first at which training has collapsed.

    The one that is too small is the nearest in that zone; if no collapse is known, the one that is too large is the largest in
    that zone.
    """
    found = {}
    rate, use = line["learning_rate"], rate_to_use(sensitivity)
    small = rate[(line["zone"] == "too_small") & (rate < use)]
    if len(small):
        found["too small"] = float(small.loc[np.log(small * 30 / use).abs().idxmin()])
    if np.isfinite(use):
        found["to use"] = use
    large = rate[(line["zone"] == "too_large") & ~(rate <= use)]
    beyond = large[large >= sensitivity.get("collapse_high", np.nan)]
    if len(large):
        found["too large"] = float(beyond.min() if len(beyond) else large.max())
    return found or {"too large": float(rate.min())}


def rate_to_use(line: pd.Series) -> float:
    """The rate to use of a row of the sensitivity table; of an older table, its best rate."""
    return float(line["use_learning_rate" if "use_learning_rate" in line else "best_learning_rate"])


def _panel(axes: Axes, path: LineCurves, rates: dict[str, float]) -> None:
    middle, lines = path.middle(), {}
    at = {kind: int(np.searchsorted(path.rate, rate)) for kind, rate in rates.items() if rate in path.rate}
    _limits(axes, middle)
    for kind, row in at.items():
        colour, value = COLOUR_OF_RATE[kind], middle[row]
        low, high = _ends(path.value[row])
        alive = np.isfinite(value).tolist()
        axes.fill_between(path.step, low, high, where=alive, color=colour, alpha=0.18, lw=0)
        (line,) = axes.plot(
            path.step,
            value,
            color=colour,
            lw=theme.LINE,
            ls=DASH_OF_RATE[kind],
            marker="o" if len(path.step) == 1 else "",
        )
        lines[f"{kind}: {rate_text(rates[kind])}"] = line
        _end(axes, path.step, value, colour)
    _legend(axes, lines)


def _end(axes: Axes, step: Ints, value: Floats, colour: str) -> None:
    """A cross where a curve stops being finite; an arrow where it leaves the picture at the top."""
    top = axes.get_ylim()[1]
    above = np.flatnonzero(value > top)
    gone = np.flatnonzero(~np.isfinite(value))
    if len(above):
        before, after = max(above[0] - 1, 0), above[0]
        at = np.interp(top, value[[before, after]], step[[before, after]])
        axes.plot(at, top, "^", color=colour, ms=9, mec="white", mew=1, zorder=5, clip_on=False)
    elif len(gone) and gone[0] > 0:
        last = gone[0] - 1
        axes.plot(step[last], value[last], "X", color=colour, ms=9, mec="white", mew=1, zorder=5)
    if len(gone):
        axes.axvline(float(step[gone[0]]), color=colour, lw=1, ls=theme.DASHES[2], zorder=1)


def _ends(value: Floats) -> tuple[Floats, Floats]:
    low = np.where(np.isfinite(value), value, np.inf).min(axis=0)
    high = np.where(np.isfinite(value), value, -np.inf).max(axis=0)
    return np.where(np.isfinite(low), low, np.nan), np.where(np.isfinite(high), high, np.nan)


def _limits(axes: Axes, middle: Floats) -> None:
    """From the least loss to the height of the legend above the start; an explosion leaves the plot at its top."""
    finite = middle[np.isfinite(middle)]
    if not len(finite):
        axes.text(0.5, 0.5, "no finite loss", transform=axes.transAxes, ha="center", color=base.MUTED)
        return
    start = float(np.nanmax(middle[:, 0])) if np.isfinite(middle[:, 0]).any() else float(finite.max())
    low, top = float(finite.min()), max(start, float(finite.min()))
    if base.log_is_better([low, top], times=20):
        axes.set_yscale("log")
        axes.set_ylim(low / 1.3, top * (top / low) ** 0.42)
        base.decades(axes.yaxis)
    elif top > low:
        axes.set_ylim(low - 0.06 * (top - low), top + 0.42 * (top - low))


def _legend(axes: Axes, lines: dict[str, Line2D]) -> None:
    if lines:
        legend = axes.legend(
            list(lines.values()), list(lines), fontsize=theme.TINY, labelcolor=base.INK, framealpha=0.85
        )
        legend.get_frame().set_edgecolor("none")
