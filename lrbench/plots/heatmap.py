"""Every rate at every step: where training progresses, stalls and diverges."""

from __future__ import annotations

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm, Normalize
from matplotlib.figure import Figure

from lrbench.analysis.groups import Floats
from lrbench.analysis.line_curves import LineCurves
from lrbench.plots import base, findings, theme
from lrbench.plots.curves import best_schedule, rate_to_use
from lrbench.tables.base import StudyTables

MAX_PANELS, MAX_CELLS = 6, 240


def heatmap(results: StudyTables) -> Figure:
    """The loss by learning rate and step, median over seeds, a panel per problem and optimizer, with its best schedule.

    Colour is logarithmic where the losses allow it and ends at ℓ₀; grey: at least half the seeds are not
    finite; triangle: the rate to use. Nothing is drawn for one rate.
    """
    every = best_schedule(results)
    shown = every[:MAX_PANELS]
    if results.runs["learning_rate"].nunique() < 2:
        return base.nothing("it compares learning rates, and there is one alone")
    title = base.title_of(results, findings.band(results))
    size = (6.8, 3.6) if len(shown) == 1 else (4.0, 2.6)
    what = "loss by learning rate and step, median over seeds"
    figure, grid = base.panels(len(shown), title, width=size[0], height=size[1], subtitle=what)
    paths = base.curves_by_run(results, results.runs)
    for axes, panel in zip(grid, shown, strict=True):
        use = rate_to_use(results.sensitivity.iloc[panel.line])
        _panel(figure, axes, paths.of(panel.rows), use, base.objective_label(results, panel.problem))
        base.name_panel(axes, panel.title)
    rest = base.left_out([panel.title for panel in every], len(shown), "panels")
    base.note(
        figure,
        "; ".join(
            filter(None, ["red: above the initial loss; grey: no longer finite; triangle: rate to use", rest])
        ),
    )
    return figure


def _panel(figure: Figure, axes: Axes, path: LineCurves, use: float, name: str) -> None:
    if not path.value.size:
        return
    value = path.middle()
    rows, columns = _thin(len(path.rate)), _thin(len(path.step))
    rate, step, value = path.rate[rows], path.step[columns], value[np.ix_(rows, columns)]
    colours = colormaps[theme.MAP].with_extremes(bad=theme.GONE, over=theme.ABOVE)
    drawn = axes.pcolormesh(
        10 ** _edges(np.log10(rate)),
        _edges(step.astype(np.float64)),
        np.ma.masked_invalid(value.T),
        norm=_norm(value),
        cmap=colours,
        rasterized=True,
    )
    axes.grid(visible=False)
    axes.set_facecolor(theme.GONE)
    base.log_rates(axes, rate)
    axes.set_ylabel("step")
    axes.set_ylim(float(step[0]), float(step[-1]) if len(step) > 1 else float(step[0]) + 1)
    if np.isfinite(use):
        top = axes.get_xaxis_transform()
        axes.plot(use, 0.96, "v", color=base.INK, ms=8, mec="white", mew=1, transform=top, zorder=5)
    bar = figure.colorbar(drawn, ax=axes, pad=0.02, aspect=28)
    bar.set_label(name, fontsize=theme.SMALL, color=base.INK)
    bar.ax.tick_params(labelsize=theme.TINY, length=2, colors=base.MUTED, labelcolor=base.INK)
    bar.outline.set_visible(False)
    if isinstance(drawn.norm, LogNorm):
        base.decades(bar.ax.yaxis)


def _thin(count: int) -> Floats:
    """At most MAX_CELLS positions, evenly, both ends included: more cells than pixels only cost time."""
    return np.unique(np.linspace(0, count - 1, min(count, MAX_CELLS)).round()).astype(np.int64)


def _edges(centres: Floats) -> Floats:
    """The borders of cells around their centres."""
    if len(centres) == 1:
        return np.array([centres[0] - 0.5, centres[0] + 0.5])
    middle = 0.5 * (centres[1:] + centres[:-1])
    return np.concatenate([[2 * centres[0] - middle[0]], middle, [2 * centres[-1] - middle[-1]]])


def _norm(value: Floats) -> Normalize:
    finite = value[np.isfinite(value)]
    if not len(finite):
        return Normalize(0.0, 1.0)
    start = value[:, 0][np.isfinite(value[:, 0])]
    low = float(finite.min())
    # A hair above the start, so that noise around ℓ₀ is not red. Rates that not all seeds have start elsewhere.
    top = 1.02 * float(start.max()) if len(start) else float(finite.max())
    if top <= low:
        return Normalize(low - 0.5, low + 0.5)
    return LogNorm(low, top) if low > 0 else Normalize(low, top)
