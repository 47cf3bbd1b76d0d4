"""Trajectories on a landscape of two coordinates, at a rate too small, the one to use, and one too large."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.colors import BoundaryNorm, LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from lrbench.analysis.labels import label, rate_text
from lrbench.analysis.loss_by_rate import loss_by_rate
from lrbench.analysis.objective import objectives_of
from lrbench.plots import base, findings, theme
from lrbench.plots.curves import Panel, best_schedule, three_rates
from lrbench.tables.base import StudyTables

MAX_PROBLEMS = 6
MAX_OPTIMIZERS = 4
RATES = ("too small", "to use", "too large")
COORDINATES = ["first_coordinate", "second_coordinate"]
LEVELS = 14
_HEIGHTS = LinearSegmentedColormap.from_list("heights", theme.HEIGHTS)


def contours(results: StudyTables) -> Figure:
    """Trajectories of one seed over the contours of a problem with two coordinates, a row per problem.

    Requires the probes `first_coordinate` and `second_coordinate`. Colour: optimizer, at its own three rates; ring: the
    start; star: the lowest point; a trajectory that leaves the picture ends at its edge. Darker is higher.
    """
    curves = results.some_curves("step", *COORDINATES) if len(results.surfaces) else pd.DataFrame()
    every = _by_problem(results) if set(COORDINATES) <= set(curves.columns) else {}
    shown = list(every)[:MAX_PROBLEMS]
    if not shown:
        return base.nothing(
            "it requires a problem of two coordinates, and the probes first_coordinate and second_coordinate"
        )
    title = base.title_of(results, findings.answer(results))
    what = "trajectories at a rate too small, the one to use, and one too large"
    figure, grid = base.panels(3 * len(shown), title, width=3.2, height=2.7, foot=0.3, subtitle=what)
    table = loss_by_rate(results.runs, objectives=objectives_of(results.manifest))
    optimizers = list(dict.fromkeys(_optimizer(results, panel) for name in shown for panel in every[name]))
    colours = base.colour_of(optimizers)
    for row, name in enumerate(shown):
        axes = dict(zip(RATES, grid[3 * row : 3 * row + 3], strict=True))
        _landscapes(results, name, axes)
        for panel in every[name][:MAX_OPTIMIZERS]:
            rates = three_rates(table[table["line"] == panel.line], results.sensitivity.iloc[panel.line])
            for kind in RATES:
                if kind in rates:
                    _walk(
                        results.runs.iloc[panel.rows],
                        curves,
                        rates[kind],
                        axes[kind],
                        colours[_optimizer(results, panel)],
                    )
    _explain(figure, results, every, shown, {name: colours[name] for name in optimizers[:MAX_OPTIMIZERS]})
    return figure


def _optimizer(results: StudyTables, panel: Panel) -> str:
    """The optimizer of a panel, with the parameters that tell it apart."""
    return str(label(results.sensitivity, "optimizer").iloc[panel.line])


def _by_problem(results: StudyTables) -> dict[str, list[Panel]]:
    """The problem × optimizer pairs of every problem that has a landscape, with its best schedule."""
    known = set(label(results.surfaces, "problem"))
    names = label(results.sensitivity, "problem")
    found: dict[str, list[Panel]] = {}
    for panel in best_schedule(results):
        name = str(names.iloc[panel.line])
        if name in known:
            found.setdefault(name, []).append(panel)
    return found


def _landscapes(results: StudyTables, name: str, panels: dict[str, Axes]) -> None:
    """Draw a problem's contours into its three panels, with a star at the lowest point."""
    surface = results.surfaces[(label(results.surfaces, "problem") == name).to_numpy()]
    wide = surface.pivot(index="second_coordinate", columns="first_coordinate", values="loss")
    height = wide.to_numpy()
    # Contours at quantiles of the height show valley and walls alike, whatever their scale.
    levels = np.unique(np.quantile(height, np.linspace(0, 1, LEVELS)))
    norm = BoundaryNorm(levels, _HEIGHTS.N, clip=True) if len(levels) > 1 else None
    column, row = wide.columns.to_numpy(dtype=float), wide.index.to_numpy(dtype=float)
    lowest = np.unravel_index(int(height.argmin()), height.shape)
    for kind, axes in panels.items():
        if len(levels) > 1:
            # As vectors, thousands of edges would make the SVG large and slow to open.
            axes.contourf(column, row, height, levels=levels, cmap=_HEIGHTS, norm=norm).set_rasterized(True)
        axes.plot(
            column[lowest[1]], row[lowest[0]], "*", color=base.INK, ms=9, mec="white", mew=0.8, zorder=6
        )
        axes.set_xlim(column[0], column[-1])
        axes.set_ylim(row[0], row[-1])
        axes.grid(visible=False)
        base.name_panel(axes, f"{name}: {kind}")
        axes.set_xlabel("w₁")
        axes.set_ylabel("w₂")


def _walk(runs: pd.DataFrame, curves: pd.DataFrame, rate: float, axes: Axes, colour: str) -> None:
    """Draw the trajectory of the first seed of some runs at a rate, and note the rate."""
    runs = runs[runs["learning_rate"] == rate].sort_values("seed")
    way = curves[curves["run_id"] == runs["run_id"].iloc[0]].sort_values("step")
    points = way[COORDINATES].to_numpy(dtype=float)
    finite = np.isfinite(points).all(axis=1)
    points = points[finite]
    # A run that explodes goes further than can be drawn; its direction is enough.
    sides = np.array([axes.get_xlim(), axes.get_ylim()])
    reach = 10 * (sides[:, 1] - sides[:, 0])
    points = np.clip(points, sides[:, 0] - reach, sides[:, 1] + reach)
    if not len(points):
        return
    name = rate_text(rate) + (", not finite" if len(points) == 1 < len(finite) else "")
    axes.plot(*points.T, color=colour, lw=1.4, marker="o", ms=2.2, alpha=0.9, label=name)
    axes.plot(*points[0], "o", color="white", ms=6, mec=base.INK, mew=1.2, zorder=5)
    legend = axes.legend(
        fontsize=theme.TINY, labelcolor=base.INK, framealpha=0.8, loc="upper right", handlelength=1.2
    )
    legend.get_frame().set_edgecolor("none")


def _explain(
    figure: Figure,
    results: StudyTables,
    every: dict[str, list[Panel]],
    shown: list[str],
    colours: dict[str, str],
) -> None:
    """Write the legend, and what is not shown."""
    handles: dict[str, Artist] = {
        name: Line2D([], [], color=colour, lw=1.6, marker="o", ms=3) for name, colour in colours.items()
    }
    handles["start"] = Line2D([], [], ls="", marker="o", color="white", mec=base.INK, ms=6)
    handles["lowest point"] = Line2D([], [], ls="", marker="*", color=base.INK, ms=9)
    base.legend(figure, handles, len(handles))
    names = list(dict.fromkeys(_optimizer(results, panel) for panels in every.values() for panel in panels))
    notes = [
        base.left_out(list(every), len(shown), "problems"),
        base.left_out(names, len(colours), "optimizers"),
    ]
    base.note(
        figure, "; ".join(filter(None, ["numbers: learning rates; trajectories of the first seed", *notes]))
    )
