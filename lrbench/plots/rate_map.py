"""Two numbers at a time: the loss by learning rate and one other hyper-parameter, and which rates are useful."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from matplotlib import colormaps
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.colors import LogNorm, Normalize
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from lrbench.analysis.groups import Floats, group, line_columns
from lrbench.analysis.interactions import Slice, best_lines, direction, short, slices
from lrbench.analysis.labels import label, rate_text
from lrbench.analysis.mean_loss import Bools, mean_loss
from lrbench.analysis.objective import objectives_of
from lrbench.analysis.rates import lines
from lrbench.analysis.thresholds import Thresholds
from lrbench.plots import base, theme
from lrbench.plots.lines import RankedLines
from lrbench.tables.base import StudyTables

MAX_PANELS, MAX_ROWS = 6, 24
Edges = list[tuple[tuple[float, float], tuple[float, float]]]


def rate_map(results: StudyTables) -> Figure:
    """The loss by learning rate and one other number, such as the batch size: a panel per problem, optimizer and varying parameter.

    A row per value, everything else as the best line of that problem and optimizer has it; where they do not all fit, the best lines' panels. Outlined: useful rates, at which a line
    makes at least half of its best progress; disc: best rate of the row; ring: rate to use. Nothing is drawn where no number but the rate varies.
    """
    cuts = _through_the_best(results.sensitivity)
    if not cuts:
        return base.nothing("no number but the rate varies")
    cuts = _by_rank(results, cuts)
    names = _titles(results, cuts)
    shown = cuts[:MAX_PANELS]
    rows = max((min(len(cut.values), MAX_ROWS) for cut in shown), default=0)
    every = _rows(results, shown)
    figure, grid = base.panels(
        len(shown),
        base.title_of(results, _finding(results, cuts)),
        columns=2,
        width=4.6,
        height=max(1.1, 0.24 * rows),
        foot=0.2,
        names=0.2,
        subtitle="loss by learning rate and one other number, mean over seeds",
    )
    for axes, cut, name in zip(grid, shown, names, strict=False):
        _panel(figure, axes, cut, results, every)
        base.name_panel(axes, name)
    base.legend(figure, _legend(), 3)
    base.note(figure, base.left_out(names, len(shown), "panels"))
    return figure


def _through_the_best(sensitivity: pd.DataFrame) -> list[Slice]:
    """The slices that go through the best line of a problem and optimizer, of all its schedules."""
    best = best_lines(sensitivity)
    return [cut for cut in slices(sensitivity) if np.isin(cut.lines, best).any()]


def _by_rank(results: StudyTables, cuts: list[Slice]) -> list[Slice]:
    """The slices, or, where they do not all fit, those of the best lines first."""
    if len(cuts) <= MAX_PANELS:
        return cuts
    lines = RankedLines(results)
    return sorted(cuts, key=lambda cut: min(lines.order(lines.names[line]) for line in cut.lines))


def _finding(results: StudyTables, cuts: list[Slice]) -> str:
    """What the best rate does as a number grows: as all panels of the number that moves it the most have it."""
    rows = [_moved(results, cut) for cut in cuts]
    if len(rows) == 1:
        return _alone(rows[0])
    names = list(dict.fromkeys(short(row["parameter"]) for row in rows))
    clear = [row for row in rows if direction(row) in {"grows", "falls"}]
    if not clear:
        if all(direction(row) == "stays" for row in rows):
            return f"the best rate stays within one grid step, whatever {' and '.join(names)}"
        return f"it cannot be told that the best rate depends on {' or '.join(names)}"
    most = max(clear, key=lambda row: abs(row["shift_decades"]))["parameter"]
    mine = [row for row in rows if row["parameter"] == most]
    up, down = ([row for row in mine if direction(row) == each] for each in ("grows", "falls"))
    many, few = sorted((up, down), key=len, reverse=True)
    verb, other = direction(many[0]), "falls" if many is up else "grows"
    further = f" and {other} {_preposition(mine)} {len(few)}" if few else ""
    factor = 10 ** max(abs(row["shift_decades"]) for row in up + down)
    far = f"by {'up to ' if len(up + down) > 1 else ''}{factor:.2g} ×"
    return f"the best rate {verb} as {short(most)} grows {_where(mine, len(many))}{further}, {far}"


def _moved(results: StudyTables, cut: Slice) -> dict[Any, Any]:
    """The row of a slice in the table of interactions."""
    names = [name for name in line_columns(results.sensitivity) if name != cut.parameter]
    table = results.interactions
    same = table["parameter"] == cut.parameter
    for name, value in results.sensitivity[names].iloc[int(cut.lines[0])].items():
        same &= table[str(name)].isna() if pd.isna(value) else table[str(name)] == value
    return dict(table[same].iloc[0])


def _alone(row: dict[Any, Any]) -> str:
    """What the best rate does in the one panel that there is."""
    name = short(row["parameter"])
    where = f"as {name} goes from {row['from_value']:g} to {row['to_value']:g}"
    found = direction(row)
    if found == "unknown":
        return f"the best rate is known at {row['values_fitted']} of {row['values']} values of {name}"
    if found == "stays":
        return f"the best rate stays within one grid step {where}"
    if found == "varies":
        return f"the best rate moves in no clear direction {where}"
    start, end = (rate_text(row[f"{side}_learning_rate"]) for side in ("from", "to"))
    return f"the best rate {found} from {start} to {end} {where}"


def _differ_in(rows: list[dict[Any, Any]]) -> str:
    """What the panels of a number are: one for each problem, or optimizer, or else for several of both."""
    for kind in ("problem", "optimizer"):
        if len({row[kind] for row in rows}) == len(rows):
            return f"{kind}s"
    return "panels"


def _preposition(rows: list[dict[Any, Any]]) -> str:
    return {"problems": "on", "optimizers": "with", "panels": "in"}[_differ_in(rows)]


def _where(rows: list[dict[Any, Any]], count: int) -> str:
    """So many of the panels of a number, in words."""
    kind, before = _differ_in(rows), _preposition(rows)
    if len(rows) == 1:
        return f"{before} {rows[0]['problem']}"
    if count < len(rows):
        return f"{before} {count} of {len(rows)} {kind}"
    return f"{before} {'both' if count == 2 else f'all {count}'} {kind}"


class _Row(NamedTuple):
    """The losses of a line."""

    rate: Floats  # [rate] ascending
    loss: Floats  # [rate] the mean over seeds; NaN where it is not known
    useful: Bools  # [rate] whether the line makes at least half of its best progress
    start: float  # ℓ₀


def _rows(results: StudyTables, cuts: list[Slice]) -> dict[int, _Row]:
    """The losses of the lines of some slices, by their numbers."""
    wanted = np.unique(np.concatenate([cut.lines for cut in cuts])) if cuts else np.arange(0)
    code = group(results.runs, line_columns(results.runs))[0]
    runs = results.runs[np.isin(code, wanted)]
    limits = Thresholds.of(results.manifest.get("thresholds", {}))
    found = {}
    for some in lines(runs, objectives_of(results.manifest)):
        mean = mean_loss(some, limits)
        useful = mean.gap <= limits.useful
        for at, line in enumerate(wanted[some.line].tolist()):
            found[line] = _Row(mean.rate[at], mean.loss[at], useful[at], float(mean.start[at]))
    return found


def _titles(results: StudyTables, cuts: list[Slice]) -> list[str]:
    """What each slice is of, without the parameter that varies in it."""
    names = results.sensitivity.iloc[[int(cut.lines[0]) for cut in cuts]].reset_index(drop=True)
    for row, cut in enumerate(cuts):
        names[cut.parameter] = names[cut.parameter].astype(object)
        names.loc[row, cut.parameter] = None
    kinds = ["problem", "optimizer"] + ["schedule"] * (results.sensitivity["schedule"].nunique() > 1)
    return [", ".join(row) for row in zip(*(label(names, kind) for kind in kinds), strict=True)]


def _panel(figure: Figure, axes: Axes, cut: Slice, results: StudyTables, every: dict[int, _Row]) -> None:
    some = np.unique(np.linspace(0, len(cut.lines) - 1, min(len(cut.lines), MAX_ROWS)).round().astype(int))
    numbers, values = cut.lines[some], cut.values[some]
    rows = [every[line] for line in numbers.tolist()]
    norm = _norm(rows)
    borders = []
    for at, row in enumerate(rows):
        edges = 10.0 ** _edges(np.log10(row.rate))
        borders.append((edges, row.useful))
        loss = np.ma.masked_invalid(row.loss[None])
        drawn = axes.pcolormesh(
            edges, [at - 0.5, at + 0.5], loss, norm=norm, cmap=colormaps[theme.MAP], rasterized=True
        )
    axes.add_collection(
        LineCollection(_outline(borders), colors="white", linewidths=3.4, capstyle="projecting")
    )
    axes.add_collection(
        LineCollection(_outline(borders), colors=base.INK, linewidths=1.6, capstyle="projecting")
    )
    _marks(axes, results.sensitivity.iloc[numbers])
    axes.grid(visible=False)
    base.log_rates(axes, np.concatenate([edges for edges, _ in borders]))
    axes.set_ylim(-0.5, len(rows) - 0.5)
    axes.set_yticks(range(len(rows)), [f"{value:g}" for value in values])
    axes.tick_params(axis="y", length=0)
    axes.set_ylabel(base.plain(short(cut.parameter), 24))
    if len(numbers) < len(cut.lines):
        text = f"{len(numbers)} of {len(cut.lines)} values"
        axes.text(1, 1.02, text, transform=axes.transAxes, ha="right", fontsize=theme.TINY, color=base.MUTED)
    bar = figure.colorbar(drawn, ax=axes, pad=0.02, aspect=22)
    problem = str(results.sensitivity["problem"].iloc[int(numbers[0])])
    bar.set_label(base.objective_label(results, problem), fontsize=theme.SMALL, color=base.INK)
    bar.ax.tick_params(labelsize=theme.TINY, length=2, colors=base.MUTED, labelcolor=base.INK)
    bar.outline.set_visible(False)
    if isinstance(norm, LogNorm):
        base.decades(bar.ax.yaxis)


def _marks(axes: Axes, lines: pd.DataFrame) -> None:
    """The best rate of each row, and the rate to use."""
    best = lines["best_learning_rate"].to_numpy(dtype=np.float64)
    use = lines["use_learning_rate"].to_numpy(dtype=np.float64) if "use_learning_rate" in lines else best
    for at, (disc, ring) in enumerate(zip(best, use, strict=True)):
        axes.plot(disc, at, "o", color="white", ms=5, mec=base.INK, mew=1, zorder=5)
        axes.plot(ring, at, "o", color="none", ms=10, mec="white", mew=3.2, zorder=3)
        axes.plot(ring, at, "o", color="none", ms=10, mec=base.INK, mew=1.4, zorder=4)


def _legend() -> dict[str, Artist]:
    disc = Line2D([], [], color="white", marker="o", ls="", ms=5, mec=base.INK, mew=1)
    ring = Line2D([], [], color="none", marker="o", ls="", ms=10, mec=base.INK, mew=1.4)
    return {"best rate": disc, "rate to use": ring, "useful rates": Line2D([], [], color=base.INK, lw=1.6)}


def _outline(rows: list[tuple[Floats, Bools]]) -> Edges:
    """The borders between useful cells and all else: each row has its own edges of cells, and whether each cell is useful."""
    edges = np.unique(np.concatenate([each for each, _ in rows]))
    middle = np.sqrt(edges[1:] * edges[:-1])
    cells = np.zeros((len(rows) + 2, len(middle) + 2), dtype=bool)
    for at, (own, useful) in enumerate(rows, start=1):
        inside = (middle > own[0]) & (middle < own[-1])
        cells[at, 1:-1][inside] = useful[np.searchsorted(own, middle[inside]) - 1]
    upright = np.argwhere(cells[:, 1:] != cells[:, :-1])
    level = np.argwhere(cells[1:] != cells[:-1])
    found: Edges = [((edges[e], row - 1.5), (edges[e], row - 0.5)) for row, e in upright]
    return found + [((edges[e - 1], row - 0.5), (edges[e], row - 0.5)) for row, e in level]


def _edges(centres: Floats) -> Floats:
    """The borders of cells around their centres."""
    if len(centres) == 1:
        return np.array([centres[0] - 0.1, centres[0] + 0.1])
    middle = 0.5 * (centres[1:] + centres[:-1])
    return np.concatenate([[2 * centres[0] - middle[0]], middle, [2 * centres[-1] - middle[-1]]])


def _norm(rows: list[_Row]) -> Normalize:
    """Colours from the least loss to ℓ₀, logarithmic where the losses allow it."""
    low = min((float(each) for row in rows for each in row.loss if np.isfinite(each)), default=0.0)
    high = max((row.start for row in rows if np.isfinite(row.start)), default=low)
    if not high > low:
        return Normalize(low - 0.5, low + 0.5)
    return LogNorm(low, high) if base.log_is_better([low, high], 3.0) else Normalize(low, high)
