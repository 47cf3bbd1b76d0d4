"""The answer as text: for each problem its winner, then the table of its lines, or a sentence for each."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Sequence

import pandas as pd

from lrbench.analysis import answer_words as words
from lrbench.analysis.thresholds import Thresholds
from lrbench.errors import StudyError, counted, escaped
from lrbench.results.text_table import aligned
from lrbench.study.catalog import unknown

MOST_LINES = 20
"""The most lines of a problem in a table, unless another number is asked for."""
MOST_MOVES = 10
"""The most sentences about how the best rate moves with other hyper-parameters."""
_LEFT = (*words.LEFT, "band", "collapse", "behind")
_LONGEST_LINE = 100
_STAYS = "\u00a0"  # a blank at which no line ends; `escaped` leaves none in a text
_Rows = Sequence[words.Row]


def as_text(
    answer: pd.DataFrame,
    limits: Thresholds,
    interactions: pd.DataFrame | None = None,
    *,
    width: int = 110,
    top: int | None = None,
    sentences: bool = False,
) -> str:
    """Return the answer as text: the winner of each problem in a sentence, then its lines.

    Args:
        answer: what `best` returns.
        limits: the thresholds of the study.
        interactions: the table of that name, of these problems; None: nothing is said of it.
        width: how many columns there are for the tables.
        top: the most lines of a problem; None: all sentences, and `MOST_LINES` in a table.
        sentences: a sentence for each line, in place of the tables.
    """
    if answer.empty:
        return "no run is finished yet, so there is no answer"
    problems = [words.rows_of(rows) for _, rows in answer.groupby("problem", sort=False)]
    heads = [wrapped(words.headline(rows, limits), width) for rows in problems]
    if sentences:
        tails = ["".join(f"\n  {escaped(row['answer'])}" for row in rows[:top]) for rows in problems]
        blocks = [head + tail for head, tail in zip(heads, tails, strict=True)]
        meanings = []
    else:
        shown = [rows[: top or MOST_LINES] for rows in problems]
        tables, brief = _tables(shown, width)
        tails = [
            _left_out(len(rows) - len(some), len(rows)) for rows, some in zip(problems, shown, strict=True)
        ]
        blocks = [f"{head}\n\n{table}{tail}" for head, table, tail in zip(heads, tables, tails, strict=True)]
        meanings = words.legend([row for rows in shown for row in rows], limits, brief=brief)
    moves = words.moves(interactions) if interactions is not None else []
    more = (
        [f"{counted(len(moves) - MOST_MOVES, 'more sentence')} in interactions.csv"]
        if len(moves) > MOST_MOVES
        else []
    )
    notes = (meanings, [*moves[:MOST_MOVES], *more])
    blocks += ["\n".join(wrapped(text, width) for text in lines) for lines in notes if lines]
    return "\n\n".join(blocks)


def of_problem(answer: pd.DataFrame, sensitivity: pd.DataFrame, problem: str) -> pd.DataFrame:
    """Return the rows of a problem, by its label or, of all of that name, by its name.

    Raises:
        StudyError: if there is no such problem.
    """
    names = sensitivity["problem"].iloc[answer["line"]].to_numpy()
    rows = answer[(answer["problem"] == problem) | (names == problem)]
    if rows.empty and not answer.empty:
        known = list(dict.fromkeys(answer["problem"]))
        raise StudyError(f"--problem: {unknown('problem', problem, known)}")
    return rows


def wrapped(text: str, width: int) -> str:
    """Return a text in lines; a number stays with its sign and its unit."""
    together = re.sub(r" ([±×%]) ?", lambda found: found[0].replace(" ", _STAYS), escaped(text))
    lines = textwrap.wrap(
        together,
        min(width, _LONGEST_LINE),
        subsequent_indent="  ",
        break_long_words=False,
        break_on_hyphens=False,
    )
    return "\n".join(lines).replace(_STAYS, " ")


def _left_out(count: int, every: int) -> str:
    return f"\n{counted(count, 'more line')}: --top {every} shows all" if count else ""


def _tables(problems: Sequence[_Rows], width: int) -> tuple[list[str], bool]:
    """The table of each problem, in the first of four forms that fits, and whether its cells are brief.

    Cells are in words or brief, and the names of a line are in columns or on a line of their own.
    """
    tables, brief = [], False
    for brief, above in ((False, False), (True, False), (False, True), (True, True)):
        tables = [_table(rows, width, brief=brief, above=above) for rows in problems]
        if max(len(line) for table in tables for line in table.splitlines()) <= width:
            break
    return tables, brief


def _table(rows: _Rows, width: int, *, brief: bool, above: bool) -> str:
    cells = words.cells(rows, brief=brief)
    if not above:
        return aligned(cells, _LEFT)
    names = [wrapped(f"{row['optimizer']} + {row['schedule']}", width) for row in rows]
    numbers = [{name: text for name, text in row.items() if name not in words.LEFT} for row in cells]
    head, *lines = (f"  {line}" for line in aligned(numbers, _LEFT).splitlines())
    return "\n".join([head, *(f"{name}\n{line}" for name, line in zip(names, lines, strict=True))])
