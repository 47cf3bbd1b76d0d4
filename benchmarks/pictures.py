"""The pictures of the benchmarks, in the look of `lrbench.plots`: rows or points in, figure out."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from benchmarks.process import Point
from benchmarks.table import Row
from lrbench.plots import base, theme

OURS, THEIRS, LIMIT = base.COLOURS[0], theme.REST, base.COLOURS[1]
ROOM = 1.9
"""How much longer than the longest bar a panel is, for the text behind it."""
BAR_INCHES, NAMES = 0.24, 2.7
"""How high a row of bars is, and how much room their names have beside what a panel has without names."""


def save(figure: Figure, path: Path) -> Path:
    """Write a figure as PNG, and return its path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path)
    return path


def throughput(rows: Sequence[Row]) -> Figure:
    """Model-steps per second: a panel per workload, lrbench's bar above those of its peers.

    Behind a peer's bar stands lrbench's ratio to it, and the target of that; red where it is missed.
    """
    works = {row.what: [other for other in rows if other.what == row.what] for row in rows}
    bars = [1 + len(found) for found in works.values()]
    figure, panels = base.panels(
        len(works),
        "model-steps per second, beside peers",
        columns=1,
        width=5.6,
        height=BAR_INCHES * sum(bars) / len(bars),
        names=NAMES,
    )
    panels[0].get_gridspec().set_height_ratios(bars)
    figure.subplots_adjust()  # by those ratios
    for axes, (what, found) in zip(panels, works.items(), strict=True):
        _bars(axes, found)
        base.name_panel(axes, what)
    panels[-1].set_xlabel("model-steps/s")
    return figure


def _bars(axes: Axes, rows: Sequence[Row]) -> None:
    lengths = [rows[0].value, *(float(row.peer_value or 0) for row in rows)]
    axes.barh(range(len(lengths)), lengths, color=[OURS, *[THEIRS] * len(rows)], height=0.7)
    axes.set_yticks(
        range(len(lengths)),
        ["lrbench", *(base.fit(row.peer or "", NAMES + 0.5, theme.SMALL) for row in rows)],
    )
    axes.set_ylim(len(lengths) - 0.5, -0.5)
    axes.set_xlim(0, ROOM * max(lengths))
    axes.xaxis.set_major_formatter("{x:,.0f}")
    axes.grid(visible=False, axis="y")
    look: dict[str, Any] = {"va": "center", "fontsize": theme.SMALL}
    axes.text(lengths[0], 0, f"  {lengths[0]:,.0f}", color=base.INK, **look)
    for place, (length, row) in enumerate(zip(lengths[1:], rows, strict=True), start=1):
        target = f", target {row.target}" if row.target else ""
        colour = LIMIT if row.met is False else base.INK
        text = f"  {length:,.0f}: lrbench {row.ratio:.3g} ×{target}" if row.ratio else "  could not run"
        axes.text(length, place, text, color=colour, **look)


def scaling(sizes: Sequence[Point], memories: Sequence[Point]) -> Figure:
    """Seconds per run, and peak resident memory, against the number of runs of a study."""
    figure, (cost, memory) = base.panels(
        2, "a study with ever more runs", columns=2, width=4.4, height=3.0, foot=-0.2
    )
    runs = [point.runs for point in sizes]
    whole = [1e3 * point.whole / point.runs for point in sizes]
    cost.plot(runs, whole, "o", color=THEIRS, label="whole process", ls=base.DASHES[1])
    judged = [1e3 * point.cost for point in sizes]
    cost.plot(runs, judged, "o-", color=OURS, label="training, evaluating, writing, tables")
    cost.legend(frameon=False, fontsize=theme.SMALL, labelcolor=base.INK)
    peaks = [point.peak_mib for point in memories]
    memory.plot([point.runs for point in memories], peaks, "o-", color=OURS)
    memory.set_ylim(min(100.0, *peaks), max(1000.0, 2 * max(peaks)))
    names = {
        cost: ("cost of a run of digits_softmax", "ms per run"),
        memory: ("peak resident memory, house_prices", "MiB"),
    }
    for axes, (title, unit) in names.items():
        axes.set_xscale("log")
        axes.set_yscale("log")
        base.decades(axes.xaxis)
        base.decades(axes.yaxis)
        base.name_panel(axes, title)
        axes.set_xlabel("runs of the study")
        axes.set_ylabel(unit)
    return figure
