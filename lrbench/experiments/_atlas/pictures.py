"""The pictures of the atlas."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from lrbench.errors import counted
from lrbench.experiments._atlas.answers import ALPHA, FEW, Tables
from lrbench.experiments._atlas.evidence import MeasuredLines
from lrbench.experiments._atlas.measures import Measures
from lrbench.plots import base, theme

_ROW = 0.155
"""Inches of a row of a list of optimizers."""
_NAMES, _APART = 1.2, 0.35
"""Inches for the names of the rows, and between panels."""
_WIDEST = 10
"""So many of the widest bands are looked at for rate-free methods."""


def pictures(evidence: MeasuredLines, found: Measures, tables: Tables) -> Mapping[str, Figure]:
    """Draw all pictures, by their names."""
    drawn = {
        "untuned": _untuned(evidence, tables.by_optimizer),
        "map": _map(evidence, found),
        "flatness": _flatness(evidence, tables.by_optimizer),
        "gain": _gain(evidence, tables.by_schedule),
    }
    if not tables.few_seeds.empty and not tables.longer.lines.empty:
        drawn["holds"] = _holds(tables)
    return drawn


def _rows(
    count: int, panels: int, title: str, width: float, *, foot: float = 0.0, right: float = 0.25
) -> tuple[Figure, list[Axes]]:
    """Panels side by side with a row per optimizer, whose names stand at the left of the first one."""
    figure, axes = base.panels(
        panels, title, columns=panels, width=width, height=max(1.5, _ROW * count), names=_NAMES, foot=foot
    )
    left = 0.75 + _NAMES
    wide = left + panels * width + (panels - 1) * _APART + right
    figure.set_size_inches(wide, figure.get_size_inches()[1])
    figure.subplots_adjust(left=left / wide, right=1 - right / wide, wspace=_APART / width)
    return figure, axes


def _name_rows(axes: Axes, names: list[str], shown: bool = True) -> None:
    axes.set_yticks(range(len(names)), names if shown else [""] * len(names), fontsize=theme.TINY)
    axes.set_ylim(len(names) - 0.4, -0.6)


def _intervals(
    axes: Axes, y: npt.NDArray[Any], table: pd.DataFrame, name: str, colour: str, limit: float = np.inf
) -> None:
    low, high = (
        table[f"{name}_{end}"].to_numpy(dtype=np.float64).clip(-limit, limit) for end in ("low", "high")
    )
    axes.hlines(y, low, high, color=colour, lw=1, alpha=0.55)


def _untuned(evidence: MeasuredLines, table: pd.DataFrame) -> Figure:
    """Gap of every optimizer, untuned and tuned, in the order of its mean rank untuned."""
    table = table[table["schedule"] == evidence.schedules[0]]
    measure = "untuned" if table["untuned_rank"].notna().all() else "tuned"
    table = table.sort_values(f"{measure}_rank", kind="stable")
    untuned, tuned = (float(table[f"{name}_gap"].median()) for name in ("untuned", "tuned"))
    title = f"{table['optimizer'].iloc[0]} ranks best {measure}; the median gap is {untuned:.2g} untuned, {tuned:.2g} tuned"
    figure, panels = _rows(len(table), 2, title, 3.4, foot=0.25)
    handles = {}
    for axes, what, words in zip(panels, ("gap", "rank"), ("gap", "rank"), strict=True):
        for name, colour, shift in (("untuned", base.COLOURS[1], -0.16), ("tuned", base.COLOURS[0], 0.16)):
            y = np.arange(len(table)) + shift
            _intervals(axes, y, table, f"{name}_{what}", colour)
            handles[name] = axes.plot(table[f"{name}_{what}"], y, "o", color=colour, ms=3.5)[0]
        _name_rows(axes, list(table["optimizer"]), shown=what == "gap")
        axes.set_xlabel(f"mean {words} over {len(evidence.problems)} problems")
    panels[0].set_xlim(-0.05, 1.05)
    panels[1].set_xlim(0, len(table) + 1)
    base.name_panel(panels[0], "gap: 0 is the best line of a problem, 1 its start")
    base.name_panel(panels[1], "rank among all optimizers")
    base.legend(figure, handles, 2)
    base.note(figure, "lines: 95 % intervals, with problems as replicates; constant rate")
    return figure


def _map(evidence: MeasuredLines, found: Measures) -> Figure:
    """Gap of every optimizer on every problem."""
    tuned = found.tuned[:, :, 0]
    order = np.argsort(tuned.mean(axis=0), kind="stable")
    best = len(np.unique(tuned.argmin(axis=1)))
    title = f"{counted(len(tuned), 'problem')} have {counted(best, 'best optimizer')}"
    figure, panels = _rows(len(order), 2, title, max(1.6, 0.34 * len(tuned)), foot=0.75, right=1.0)
    for axes, values, name in zip(panels, (found.tuned, found.untuned), ("tuned", "untuned"), strict=True):
        image = axes.imshow(values[:, order, 0].T, cmap=theme.GAPS, vmin=0, vmax=0.5, aspect="auto")
        axes.grid(visible=False)
        axes.set_xticks(range(len(tuned)), evidence.problems, rotation=45, ha="right", fontsize=theme.TINY)
        _name_rows(axes, [evidence.optimizers[number] for number in order], shown=axes is panels[0])
        base.name_panel(axes, name)
    place = panels[-1].get_position()
    wide = figure.get_size_inches()[0]
    bar = figure.colorbar(
        image,
        cax=figure.add_axes((place.x1 + 0.15 / wide, place.y0, 0.14 / wide, place.height)),
        extend="max",
    )
    bar.ax.tick_params(labelsize=theme.SMALL, length=2, colors=base.MUTED, labelcolor=base.INK)
    bar.outline.set_visible(False)
    bar.set_label("gap", fontsize=theme.LABEL, color=base.INK)
    base.note(figure, "constant rate; in the order of the mean gap tuned")
    return figure


def _flatness(evidence: MeasuredLines, table: pd.DataFrame) -> Figure:
    """The band of good rates of every optimizer."""
    table = table[table["schedule"] == evidence.schedules[0]]
    table = table.sort_values("own_decades", ascending=False, kind="stable")
    wide, free = int(table["rate_free"].iloc[:_WIDEST].sum()), int(table["rate_free"].sum())
    title = f"{wide} of {free} rate-free methods are among the {_WIDEST} widest bands of good rates"
    figure, (axes,) = _rows(len(table), 1, title, 5.6, foot=0.25)
    handles = {}
    for name, mine, colour in (
        ("requires a rate", ~table["rate_free"].to_numpy(dtype=bool), base.COLOURS[7]),
        ("rate-free", table["rate_free"].to_numpy(dtype=bool), base.COLOURS[1]),
    ):
        y = np.flatnonzero(mine)
        _intervals(axes, y, table[mine], "own_decades", colour)
        handles[name] = axes.plot(table.loc[mine, "own_decades"], y, "o", color=colour, ms=4.5)[0]
    _name_rows(axes, list(table["optimizer"]))
    axes.set_xlim(0, 1.02 * float(np.log10(evidence.rate[-1] / evidence.rate[0])))
    axes.set_xlabel(
        "decades within 5 % of an optimizer's own best, mean over problems",
    )
    base.legend(figure, handles, 2)
    base.note(figure, "lines: 95 % intervals, with problems as replicates; constant rate")
    return figure


def _gain(evidence: MeasuredLines, table: pd.DataFrame) -> Figure:
    """What each schedule gives each optimizer."""
    others, first = evidence.schedules[1:], evidence.schedules[0]
    order = list(table.groupby("optimizer", sort=False)["gain"].median().sort_values(ascending=False).index)
    better, worse, all_pairs = (int(table[name].sum()) for name in ("better", "worse", "problems"))
    share = f"{100 * better / max(all_pairs, 1):.0f} % of lines, and worse on {100 * worse / max(all_pairs, 1):.0f} %"
    figure, panels = _rows(
        len(order), max(1, len(others)), f"A schedule is better than {first} on {share}", 2.4
    )
    limit = max(0.02, 1.3 * float(np.quantile(table["gain"].abs(), 0.93))) if len(table) else 1.0
    for axes, schedule in zip(panels, others, strict=False):
        mine = table[table["schedule"] == schedule].set_index("optimizer").loc[order]
        _forest(axes, mine, limit)
        _name_rows(axes, order, shown=axes is panels[0])
        axes.axvline(0, color=base.INK, lw=1)
        base.name_panel(axes, schedule)
        axes.set_xlabel("gain: lower gap, both tuned")
    base.note(
        figure,
        "lines: 95 % over problems; filled: told from 0 (Holm); right: better; triangles: beyond the axis",
    )
    return figure


def _forest(axes: Axes, table: pd.DataFrame, limit: float) -> None:
    """Gains with their intervals; a triangle at the edge where one is beyond the limit."""
    y, gain = np.arange(len(table)), table["gain"].to_numpy(dtype=np.float64)
    told, beyond = table["p"].to_numpy() <= ALPHA, np.abs(gain) > limit
    colour = base.COLOURS[2]
    _intervals(axes, y, table, "gain", base.MUTED, limit)
    for which, mark, face in (
        (told & ~beyond, "o", colour),
        (~told & ~beyond, "o", "white"),
        (beyond & (gain < 0), "<", colour),
        (beyond & (gain > 0), ">", colour),
    ):
        axes.plot(
            gain[which].clip(-limit, limit), y[which], mark, color=colour, mfc=face, ms=4, clip_on=False
        )
    axes.set_xlim(-limit, limit)
    axes.locator_params(axis="x", nbins=4)


def _holds(tables: Tables) -> Figure:
    """Ranks in runs of more steps, and how often conclusions from few seeds hold."""
    longer, seeds = tables.longer, tables.few_seeds
    tau, few = longer.rankings["tau"], 100 * seeds.loc[seeds["count"] == FEW, "orderings"]
    title = f"In longer runs rankings change (τ {tau.min():.2f} to {tau.max():.2f})"
    if len(few):
        title += f"; {few.min():.0f} to {few.max():.0f} % of orderings by {FEW} seeds hold"
    rankings = list(longer.lines.groupby(["problem", "schedule"], sort=False))
    figure, panels = base.panels(
        len(rankings) + 1,
        title,
        columns=3,
        width=2.9,
        height=2.9,
        foot=0.25,
    )
    for axes, ((problem, schedule), mine) in zip(panels, rankings, strict=False):
        row = longer.rankings[
            (longer.rankings["problem"] == problem) & (longer.rankings["schedule"] == schedule)
        ].iloc[0]
        for _, line in mine.iterrows():
            moved = abs(line["rank"] - line["longer_rank"]) > 3
            axes.plot(
                [0, 1],
                [line["rank"], line["longer_rank"]],
                "-o",
                ms=3,
                color=base.COLOURS[1 if moved else 0],
                lw=1.2,
            )
            axes.text(
                1.04, line["longer_rank"], line["optimizer"], fontsize=theme.TINY, va="center", color=base.INK
            )
        axes.set_xlim(-0.1, 1.75)
        axes.set_ylim(len(mine) + 0.6, 0.4)
        axes.set_xticks([0, 1], ["as the atlas", "longer runs"], fontsize=theme.SMALL)
        axes.grid(visible=False)
        axes.set_ylabel("rank")
        base.name_panel(
            axes,
            f"{problem}\n{schedule}: τ = {row['tau']:.2f} ({row['tau_low']:.2f} to {row['tau_high']:.2f})",
        )
    handles = _by_seeds(panels[-1], seeds)
    base.legend(figure, handles, 4)
    base.note(figure, "orange: moved by more than 3 ranks")
    return figure


def _by_seeds(axes: Axes, seeds: pd.DataFrame) -> dict[str, Artist]:
    handles: dict[str, Artist] = {}
    for number, (problem, mine) in enumerate(seeds.groupby("problem", sort=False)):
        for name, words, dash, mark in (
            ("orderings", "orderings", "-", "o"),
            ("winner", "the best", base.DASHES[1], "s"),
        ):
            label, colour = f"{words}, {problem}", base.COLOURS[number]
            style: dict[str, Any] = {"color": colour, "mfc": colour if mark == "o" else "white", "ms": 4.5}
            handles[label] = axes.plot(mine["count"], 100 * mine[name], marker=mark, ls=dash, **style)[0]
    axes.set_xscale("log")
    axes.set_xticks(sorted(seeds["count"].unique()), [str(each) for each in sorted(seeds["count"].unique())])
    axes.minorticks_off()
    axes.set_ylim(0, 103)
    axes.set_xlabel("seeds")
    axes.set_ylabel("% that other seeds confirm")
    base.name_panel(axes, "conclusions from few seeds")
    return handles
