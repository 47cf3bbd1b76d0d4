"""The shapes of the study's schedules."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from lrbench.plots import base, findings, theme
from lrbench.tables.base import StudyTables

MAX_PANELS = 25
MAX_RUNS = 60
"""The most runs that are drawn for a schedule that depends on the losses."""


def schedules(results: StudyTables) -> Figure:
    """The learning rate over a run as a share of its peak, a panel per schedule.

    For a schedule that depends on the losses, the rates of runs that did not diverge: a thin line per run. Nothing is drawn where the only schedule is constant.
    """
    every = list(results.manifest.get("schedules", []))
    shown = every[:MAX_PANELS]
    count = len(shown)
    columns = 2 if count in (2, 4) else 3 if count < 7 else 4 if count < 13 else 5
    if not count or (
        count == 1 and set(shown[0]["shape"]) == {1.0} and not shown[0].get("depends_on_losses")
    ):
        return base.nothing("the only schedule is constant" if count else "there is no schedule")
    what = "learning rate during a run, as a share of its peak"
    title = base.title_of(results, findings.schedules(results))
    figure, grid = base.panels(count, title, columns=columns, width=2.7, height=1.5, subtitle=what)
    for number, (axes, schedule) in enumerate(zip(grid, shown, strict=True)):
        if schedule.get("depends_on_losses"):
            _draw_runs(axes, results, schedule)
        else:
            _draw_shape(axes, schedule)
        base.name_panel(axes, "\n".join(base.wrapped(str(schedule["label"]), 2.7, theme.PANEL, 2)))
        axes.set_ylim(-0.04, 1.08)
        if number + columns >= count:  # the lowest panel of its column
            axes.set_xlabel("step")
    notes = [base.left_out([str(schedule["label"]) for schedule in every], count, "schedules")]
    if any(schedule.get("depends_on_losses") for schedule in shown):
        notes.append("thin lines: the rates of runs, as the schedule depends on the losses")
    base.note(figure, "; ".join(filter(None, notes)))
    return figure


def _draw_shape(axes: Axes, schedule: Mapping[str, Any]) -> None:
    step, shape = schedule["step"], schedule["shape"]
    axes.plot(step, shape, color=base.COLOURS[0], lw=theme.LINE, marker="o" if len(step) == 1 else "")
    axes.fill_between(step, shape, color=base.COLOURS[0], alpha=0.12, lw=0)


def _draw_runs(axes: Axes, results: StudyTables, schedule: Mapping[str, Any]) -> None:
    """Draw the rates of runs, evenly chosen among those that did not diverge."""
    runs = results.runs
    mine = (runs["schedule"] == schedule["name"]) & runs["diverged_step"].isna()
    for name, value in schedule["params"].items():
        mine &= runs[f"schedule_{name}"] == value
    peaks: pd.Series = runs[mine].set_index("run_id")["learning_rate"]
    chosen = (
        peaks.iloc[np.unique(np.linspace(0, len(peaks) - 1, MAX_RUNS).round().astype(int))]
        if len(peaks)
        else peaks
    )
    curves = results.some_curves("step", "learning_rate")
    curves = curves[curves["run_id"].isin(chosen.index)]
    for run_id, rows in curves.groupby("run_id", sort=False):
        rows = rows.sort_values("step")
        factor = rows["learning_rate"].to_numpy() / chosen[str(run_id)]
        axes.step(rows["step"], factor, where="post", color=base.COLOURS[0], lw=1.0, alpha=0.35)
