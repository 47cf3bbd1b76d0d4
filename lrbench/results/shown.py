"""How results show themselves: as a few lines of text, and in a notebook as the answer with the plot of losses."""

from __future__ import annotations

import base64
import html
import io
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from lrbench.analysis import answer_words as words
from lrbench.analysis.thresholds import Thresholds
from lrbench.errors import counted, escaped
from lrbench.results.answer import wrapped

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MOST_PROBLEMS = 3
"""The most problems in the text: a result that is printed by itself, as in a list, should stay a few lines."""
MOST_LINES = 10
"""The most lines of a problem in a notebook."""
MOST_DRAWN = 100_000
"""The most runs that a notebook gets a plot of without having asked: more take seconds to read and draw."""
_WIDTH = 100
_DPI = 85


def as_short_text(folder: Path, manifest: Mapping[str, Any], answer: pd.DataFrame, limits: Thresholds) -> str:
    """Return the study, how many runs it has, the answer of its first problems, and the folder."""
    lines = [wrapped(words.headline(rows, limits), _WIDTH) for rows in _problems(answer)]
    more = [f"{counted(len(lines) - MOST_PROBLEMS, 'more problem')}: .best() has all"]
    return "\n".join(
        [_title(folder, manifest), *lines[:MOST_PROBLEMS], *(more if len(lines) > MOST_PROBLEMS else [])]
    )


def as_html(
    folder: Path,
    manifest: Mapping[str, Any],
    answer: pd.DataFrame,
    limits: Thresholds,
    figure: Figure | None,
) -> str:
    """Return the same for a notebook, with the table of each problem, and a plot of all."""
    problems = _problems(answer)
    blocks = [_paragraph(_title(folder, manifest))]
    for rows in problems:
        blocks.append(_paragraph(words.headline(rows, limits)))
        # Names and texts are escaped, as in all that is not ours.
        cells = pd.DataFrame(words.cells(rows[:MOST_LINES])).map(escaped)
        blocks.append(cells.to_html(index=False, border=0, justify="left"))
        if len(rows) > MOST_LINES:
            blocks.append(_paragraph(f"{counted(len(rows) - MOST_LINES, 'more line')}: .best() has all"))
    shown = [row for rows in problems for row in rows[:MOST_LINES]]
    blocks += map(_paragraph, words.legend(shown, limits) if shown else [])
    if figure is not None:
        file = io.BytesIO()
        figure.savefig(file, format="png", dpi=_DPI)
        data = base64.b64encode(file.getvalue()).decode()
        blocks.append(f'<img alt="loss against learning rate" src="data:image/png;base64,{data}">')
    return f"<div>{''.join(blocks)}</div>"


def _problems(answer: pd.DataFrame) -> list[list[words.Row]]:
    return [words.rows_of(rows) for _, rows in answer.groupby("problem", sort=False)]


def _title(folder: Path, manifest: Mapping[str, Any]) -> str:
    runs = manifest.get("runs", {})
    left = f" ({runs['left']:,} are missing)" if runs.get("left") else ""
    return f"{manifest.get('study', 'results')}: {counted(runs.get('done', 0), 'run')}{left} in {folder}"


def _paragraph(text: str) -> str:
    return f"<p>{html.escape(escaped(text))}</p>"
