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
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

from lrbench.analysis.labels import label
from lrbench.analysis.line_curves import CurvesByRun
from lrbench.analysis.objective import Objective, objectives_of
from lrbench.tables.base import StudyTables

INK, MUTED, GRID, SHADE = "#22262b", "#6a737d", "#e6e8eb", "#f0e4e1"
# Okabe & Ito's colours, which people with any colour blindness can tell apart (without yellow, too pale for a line).
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#7a5195", "#4d4d4d")
DASHES: tuple[Any, ...] = ("-", (0, (5, 2)), (0, (1.2, 1.6)), (0, (5, 2, 1.2, 2)))
_SUPERSCRIPT = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


class Picture(Figure):
    """A figure that a notebook shows although pyplot, which would tell it how, is not there."""

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
) -> tuple[Figure, list[Axes]]:
    """A figure with `count` panels of `width` × `height` inches, `foot` for a legend and `names` for long tick labels.

    Without pyplot, which is not thread-safe, and with explicit margins, because an
    automatic layout draws everything twice.
    """
    columns = min(columns, max(1, count))
    rows = -(-max(1, count) // columns)
    left, right, top, bottom, across, down = 0.75 + names, 0.25, 0.85, 0.85 + foot, 0.75 + names, 0.85
    wide = left + right + columns * width + (columns - 1) * across
    high = top + bottom + rows * height + (rows - 1) * down
    figure = Picture(figsize=(wide, high), dpi=110, facecolor="white")
    figure.subplots_adjust(
        left / wide, bottom / high, 1 - right / wide, 1 - top / high, across / width, down / height
    )
    figure.text(
        0.15 / wide, 1 - 0.18 / high, plain(title), va="top", fontsize=13, fontweight="bold", color=INK
    )
    for number in range(1, count + 1):
        style(figure.add_subplot(rows, columns, number))
    if count == 0:
        figure.text(0.5, 0.45, "no runs to show", ha="center", color=MUTED)
    return figure, list(figure.axes)


def style(axes: Axes) -> None:
    """Quiet axes: a light grid, no box."""
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(MUTED)
    axes.grid(color=GRID, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.tick_params(colors=MUTED, labelcolor=INK, labelsize=8.5, length=3)


def name_panel(axes: Axes, title: str) -> None:
    """Write the title of a panel, at its left."""
    axes.set_title(plain(title), loc="left", fontsize=10, color=INK)


def note(figure: Figure, text: str) -> None:
    """Write a remark below the panels: what is not shown, and how to read what is."""
    wide, high = figure.get_size_inches()
    figure.text(0.15 / wide, 0.12 / high, plain(text, int(14 * wide)), fontsize=8.5, color=MUTED)


def legend(figure: Figure, handles: Mapping[str, Artist], columns: int) -> None:
    """One legend for all panels, below them and above the note."""
    wide, high = figure.get_size_inches()
    names = [plain(name, 44) for name in handles]
    position: dict[str, Any] = {
        "loc": "lower left",
        "bbox_to_anchor": (0.1 / wide, 0.32 / high),
        "borderaxespad": 0.0,
    }
    figure.legend(
        list(handles.values()), names, ncols=columns, frameon=False, fontsize=8.5, labelcolor=INK, **position
    )


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
    axes.set_xlabel("learning rate", fontsize=9, color=INK)


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


def contenders(results: StudyTables) -> tuple[list[str], list[str]]:
    """The labels of the rows of the ranking, and their optimizers' colours, the same as in every picture."""
    table, colours = results.ranking, colour_of(list(label(results.sensitivity, "optimizer")))
    optimizer = label(table, "optimizer")
    return (optimizer + " + " + label(table, "schedule")).tolist(), [colours[name] for name in optimizer]


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
