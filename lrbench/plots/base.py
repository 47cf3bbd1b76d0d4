"""What plots share: colours, panels, axes, legends and notes."""

from __future__ import annotations

import io
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.textpath import text_to_path
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

from lrbench.analysis.line_curves import CurvesByRun
from lrbench.analysis.objective import Objective, objectives_of
from lrbench.plots import theme
from lrbench.tables.base import StudyTables

INK, MUTED, GRID, SHADE = theme.INK, theme.MUTED, theme.GRID, theme.SHADE
COLOURS, DASHES = theme.COLOURS, theme.DASHES
MOST_TITLE_LINES = 3
HINTED = 1.04
"""How much wider letters are drawn at most, as their edges are moved to pixels, than their outlines are."""
_EDGE = 0.15
"""Inches between the edge of a figure and its texts."""
_SUPERSCRIPT = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


class Picture(Figure):
    """A figure that a notebook shows although pyplot, which would tell it how, is not there."""

    why = ""
    """Why it shows nothing, if it does."""

    def _repr_png_(self) -> bytes:
        file = io.BytesIO()
        self.savefig(file, format="png")
        return file.getvalue()


def panels(
    count: int,
    title: str,
    *,
    columns: int = 3,
    width: float = 3.5,
    height: float = 2.4,
    foot: float = 0.0,
    names: float = 0.0,
    subtitle: str = "",
) -> tuple[Figure, list[Axes]]:
    """A figure with `count` panels of `width` × `height` inches, `foot` for a legend and `names` for long tick labels.

    The title says what was found, in as many lines as the figure's width asks for; the subtitle what is shown.
    Without pyplot, which is not thread-safe, and with explicit margins, because an
    automatic layout draws everything twice.
    """
    columns = min(columns, max(1, count))
    rows = -(-max(1, count) // columns)
    left, right, bottom, across, down = 0.75 + names, 0.3, 0.85 + foot, 0.75 + names, 0.85
    wide = left + right + columns * width + (columns - 1) * across
    heading = wrapped(title, wide - 2 * _EDGE, theme.TITLE, MOST_TITLE_LINES, bold=True)
    below = 0.18 + 0.215 * len(heading) + 0.035
    top = 0.85 + 0.215 * (len(heading) - 1) + (0.16 if subtitle else 0.0)
    high = top + bottom + rows * height + (rows - 1) * down
    figure = Picture(figsize=(wide, high), dpi=110, facecolor="white")
    figure.subplots_adjust(
        left / wide, bottom / high, 1 - right / wide, 1 - top / high, across / width, down / height
    )
    look: dict[str, Any] = {"va": "top", "fontsize": theme.TITLE, "fontweight": "bold", "color": INK}
    figure.text(_EDGE / wide, 1 - 0.18 / high, "\n".join(heading), linespacing=1.15, **look)
    if subtitle:
        text = fit(subtitle, wide - 2 * _EDGE, theme.LABEL)
        figure.text(_EDGE / wide, 1 - below / high, text, va="top", fontsize=theme.LABEL, color=MUTED)
    for number in range(1, count + 1):
        style(figure.add_subplot(rows, columns, number))
    if count == 0:
        figure.text(0.5, 0.45, "no runs to show", ha="center", color=MUTED)
    return figure, list(figure.axes)


def nothing(why: str) -> Figure:
    """A figure without axes, which is not written, and why."""
    figure = Picture(figsize=(6.0, 1.0), facecolor="white")
    figure.why = why
    figure.text(
        0.5, 0.5, fit(why, 6.0 - 2 * _EDGE, theme.LABEL), ha="center", fontsize=theme.LABEL, color=MUTED
    )
    return figure


def inches(text: str, size: float, *, bold: bool = False) -> float:
    """How wide a line of text is, in letters of `size` points."""
    font = FontProperties(size=size, weight="bold" if bold else "normal")
    points: float = text_to_path.get_text_width_height_descent(text, font, False)[0]
    return HINTED * points / 72


def wrapped(text: str, width: float, size: float, most: int, *, bold: bool = False) -> list[str]:
    """Text as at most so many lines of so many inches; what does not fit ends with …."""
    lines: list[str] = []
    words = text.split()
    while words and len(lines) < most:
        count = len(words)
        if len(lines) < most - 1:
            while count > 1 and inches(" ".join(words[:count]), size, bold=bold) > width:
                count -= 1
        lines.append(fit(" ".join(words[:count]), width, size, bold=bold))
        words = words[count:]
    return lines or [""]


def fit(text: str, width: float, size: float, *, bold: bool = False) -> str:
    """A line of text of at most so many inches, shortened at its end, and without mathematics between dollars."""
    kept = text
    while len(kept) > 1 and inches(kept if kept == text else kept + "…", size, bold=bold) > width:
        kept = kept[: max(1, min(len(kept) - 1, int(len(kept) * width / inches(kept, size, bold=bold))))]
    return plain(kept if kept == text else kept.rstrip() + "…", len(text) + 1)


def style(axes: Axes) -> None:
    """Quiet axes: a light grid, no box; their labels are as large and dark as in every plot."""
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(MUTED)
    axes.grid(color=GRID, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.tick_params(colors=MUTED, labelcolor=INK, labelsize=theme.SMALL, length=3)
    for axis in (axes.xaxis, axes.yaxis):
        axis.label.set(fontsize=theme.LABEL, color=INK)


def name_panel(axes: Axes, title: str) -> None:
    """Write the title of a panel, at its left; a line that is wider than the panel becomes two."""
    width = _width(axes)
    lines = [part for line in title.split("\n") for part in wrapped(line, width, theme.PANEL, 2)]
    axes.set_title("\n".join(lines), loc="left", fontsize=theme.PANEL, color=INK)


def _width(axes: Axes) -> float:
    """How wide a panel is, in inches."""
    figure = axes.figure
    assert figure is not None, "a panel is always in a figure"
    return float(axes.get_position(original=True).width * figure.get_figure(root=True).get_size_inches()[0])


def note(figure: Figure, text: str) -> None:
    """Write a remark below the panels: what is not shown, and how to read what is."""
    wide, high = figure.get_size_inches()
    text = fit(text, wide - 2 * _EDGE, theme.SMALL)
    figure.text(_EDGE / wide, 0.12 / high, text, fontsize=theme.SMALL, color=MUTED)


def legend(figure: Figure, handles: Mapping[str, Artist], columns: int) -> None:
    """One legend for all panels, below them and above the note; names that are too long for its columns are shortened."""
    wide, high = figure.get_size_inches()
    columns = max(1, min(columns, len(handles)))
    names = _fit_columns(list(handles), columns, wide - 2 * _EDGE)
    position: dict[str, Any] = {
        "loc": "lower left",
        "bbox_to_anchor": (0.1 / wide, 0.32 / high),
        "borderaxespad": 0.0,
    }
    look: dict[str, Any] = {"frameon": False, "fontsize": theme.SMALL, "labelcolor": INK}
    figure.legend(list(handles.values()), names, ncols=columns, handlelength=2.4, **look, **position)


def _fit_columns(names: list[str], columns: int, width: float) -> list[str]:
    """The names of a legend, which is filled column by column, shortened so far that its columns fit."""
    sizes = np.array([inches(name, theme.SMALL) for name in names])
    parts = np.array_split(
        np.arange(len(names)), columns
    )  # the first columns have one more, as in matplotlib's
    most = float(sizes.max(initial=0.0))
    while most > 0.3 and sum(sizes[part].clip(max=most).max() + 0.65 for part in parts) > width:
        most *= 0.95
    return [fit(name, most, theme.SMALL) for name in names]


def plain(text: str, width: int = 160) -> str:
    r"""Text as it is: no mathematics between dollars, and of limited length.

    Example:
        >>> plain("a$b", 9), plain("abcdefghijk", 4)
        ('a\\$b', 'abc…')
    """
    text = text if len(text) <= width else text[: width - 1] + "…"
    return text.replace("$", r"\$")


def log_rates(axes: Axes, rates: Iterable[float]) -> None:
    """A logarithmic axis that fits these learning rates, even a single one."""
    values = np.fromiter(rates, dtype=np.float64)
    low, high = float(values.min()), float(values.max())
    margin = (high / low) ** 0.02 if high > low else 3.0
    axes.set_xscale("log")
    axes.set_xlim(low / margin, high * margin)
    decades(axes.xaxis)
    axes.set_xlabel("learning rate")


def decades(axis: Any) -> None:
    """Ticks at powers of ten, written 10⁻³; narrower ranges get plain numbers."""
    low, high = sorted(axis.get_view_interval())
    wide = np.floor(np.log10(high)) - np.ceil(np.log10(low)) >= 1
    axis.set_major_locator(LogLocator(numticks=8) if wide else LogLocator(subs=(1.0, 2.0, 5.0), numticks=12))
    axis.set_minor_locator(NullLocator())
    axis.set_major_formatter(FuncFormatter(lambda value, _: _power(value) if wide else f"{value:g}"))


def _power(value: float) -> str:
    power = round(np.log10(value)) if value > 0 else 0
    return {0: "1", 1: "10", 2: "100", -1: "0.1", -2: "0.01"}.get(
        power, "10" + str(power).translate(_SUPERSCRIPT)
    )


def log_is_better(values: Iterable[float], times: float = 8.0) -> bool:
    """Whether values are positive and span so much that a logarithmic axis shows them better."""
    finite = np.array([value for value in values if np.isfinite(value)])
    return bool(len(finite) and finite.min() > 0 and finite.max() > times * finite.min())


def colour_of(names: Sequence[str]) -> dict[str, str]:
    """A colour per name, in order of appearance: the same optimizer has the same colour in every picture."""
    return {name: COLOURS[index % len(COLOURS)] for index, name in enumerate(dict.fromkeys(names))}


def curves_by_run(results: StudyTables, runs: pd.DataFrame) -> CurvesByRun:
    """The curves of what runs are judged by, found by run."""
    objectives = objectives_of(results.manifest)
    columns = dict.fromkeys(each.column for each in (Objective("train_loss"), *objectives.values()))
    return CurvesByRun(runs, results.some_curves("step", *columns), objectives)


def title_of(results: StudyTables, what: str) -> str:
    """The title of a plot: the study, and what is shown."""
    study = results.manifest.get("study") or next(iter(results.runs.get("study", [])), "")
    study = study.get("name", "") if isinstance(study, Mapping) else study
    return f"{study}: {what}" if study else what


def left_out(names: Sequence[str], shown: int, kind: str) -> str:
    """A note that names what is not shown for lack of room.

    Example:
        >>> left_out(["a", "b", "c"], 1, "problems")
        'not shown: 2 more problems (b, c)'
    """
    rest = list(names[shown:])
    if not rest:
        return ""
    listed = ", ".join(rest[:4]) + (", …" if len(rest) > 4 else "")
    return f"not shown: {len(rest)} more {kind} ({listed})"


def objective_label(results: StudyTables, problem: str) -> str:
    """The label of the y axis of a problem's curves: "validation loss", "training loss" or "1 − validation accuracy"."""
    return objectives_of(results.manifest).get(problem, Objective("train_loss")).label


def outcome_label(results: StudyTables, problem: str) -> str:
    """The label of the y axis of how a problem's runs come out: that of its curves, or the best of them."""
    objective = objectives_of(results.manifest).get(problem, Objective("train_loss"))
    return f"best {objective.label}" if objective.at == "best" else objective.label
