"""The shapes of the study's schedules."""

from __future__ import annotations

from matplotlib.figure import Figure

from lrbench.plots import base

MAX_PANELS = 12


def schedules(results: base.Tables) -> Figure:
    """The learning rate over a run as a share of its peak, a panel per schedule."""
    every = list(results.manifest.get("schedules", []))
    shown = every[:MAX_PANELS]
    columns = 2 if len(shown) in (2, 4) else 3 if len(shown) < 7 else 4
    title = base.title_of(results, "learning rate over a run, as a share of its peak")
    figure, grid = base.panels(len(shown), title, columns=columns, width=2.7, height=1.5)
    for axes, schedule in zip(grid, shown, strict=True):
        single = len(schedule["step"]) == 1
        axes.plot(
            schedule["step"], schedule["shape"], color=base.COLOURS[0], lw=1.9, marker="o" if single else ""
        )
        axes.fill_between(schedule["step"], schedule["shape"], color=base.COLOURS[0], alpha=0.12, lw=0)
        base.name_panel(axes, str(schedule["label"]))
        axes.set_ylim(-0.04, 1.08)
        axes.set_xlabel("step", fontsize=9, color=base.INK)
    names = [str(schedule["label"]) for schedule in every]
    base.note(figure, base.left_out(names, len(shown), "schedules"))
    return figure
