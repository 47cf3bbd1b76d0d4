"""Which lines a plot tells apart, and by which colours and dashes."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from lrbench.analysis.labels import label
from lrbench.plots import theme
from lrbench.plots.base import colour_of
from lrbench.tables.base import StudyTables

MOST = len(theme.COLOURS)
"""The most lines that have a look of their own."""


class Look(NamedTuple):
    """How a line is drawn."""

    colour: str
    dash: Any


class RankedLines:
    """The lines of a study, an optimizer and a schedule each, by rank; the best few have looks of their own, the same in every plot.

    With few optimizers and schedules the colour is the optimizer's and the dash the schedule's; with many, or if there is one schedule alone, each line has a dash of its own, too.

    Args:
        results: of the study.
    """

    def __init__(self, results: StudyTables) -> None:
        """Rank the lines, and give the best a look."""
        lines = results.sensitivity
        optimizer, schedule = label(lines, "optimizer"), label(lines, "schedule")
        self.names = (optimizer + " + " + schedule).tolist()
        """[row of the sensitivity table]"""
        self.ranked = by_rank(lines, self.names)
        """All lines, the winners of problems first."""
        colours, schedules = colour_of(optimizer.tolist()), list(dict.fromkeys(schedule))
        few = len(colours) <= MOST and len(schedules) <= len(theme.DASHES)
        pair = dict(zip(self.names, zip(optimizer, schedule, strict=True), strict=True))
        self._looks = {}
        for number, name in enumerate(self.ranked[:MOST]):
            who, shape = pair[name]
            at = list(colours).index(who) if few and len(schedules) == 1 else number
            dash = schedules.index(shape) if few and len(schedules) > 1 else at
            colour = colours[who] if few else theme.COLOURS[number]
            self._looks[name] = Look(colour, theme.DASHES[dash % len(theme.DASHES)])

    def look(self, name: str) -> Look | None:
        """The look of a line; none if it is not among the best."""
        return self._looks.get(name)

    def order(self, name: str) -> int:
        """The place of a line, from 0."""
        return self.ranked.index(name)


def contenders(results: StudyTables) -> list[str]:
    """The names of the rows of the ranking."""
    return (label(results.ranking, "optimizer") + " + " + label(results.ranking, "schedule")).tolist()


def loss_to_rank_by(sensitivity: pd.DataFrame) -> pd.Series:
    """The loss of each line at its rate to use; of an older table, at its best rate."""
    name = "use_loss" if "use_loss" in sensitivity else "best_loss"
    return sensitivity[name].astype(np.float64)


def by_rank(sensitivity: pd.DataFrame, names: list[str]) -> list[str]:
    """The names of lines, best first: those that win a problem before all others, then by their average rank over problems.

    Args:
        sensitivity: the table.
        names: of the line of each of its rows.

    Example:
        >>> table = pd.DataFrame({"problem": ["p", "p", "q", "q"], "use_loss": [0.3, 0.1, None, 0.2]})
        >>> by_rank(table, ["adam", "sgd", "adam", "sgd"])
        ['sgd', 'adam']
    """
    loss, problem = loss_to_rank_by(sensitivity), label(sensitivity, "problem")
    rank = loss.groupby(problem).rank(na_option="bottom")
    wins = (rank == rank.groupby(problem).transform("min")) & loss.notna()
    table = pd.DataFrame({"wins": wins.to_numpy(), "rank": rank.to_numpy(), "name": names})
    found = table.groupby("name", sort=False).agg(wins=("wins", "any"), rank=("rank", "mean"))
    return [
        str(name)
        for name in found.sort_values(["wins", "rank"], ascending=[False, True], kind="stable").index
    ]
