"""What was found, in the words of the titles of plots."""

from __future__ import annotations

import math

import numpy as np

from lrbench.analysis import best
from lrbench.analysis.answer_words import Row, rounded, rows_of
from lrbench.analysis.labels import label, labels, rate_text
from lrbench.analysis.objective import objectives_of
from lrbench.analysis.thresholds import Thresholds
from lrbench.errors import counted
from lrbench.plots.lines import loss_to_rank_by
from lrbench.tables.base import StudyTables

MOST_NAMED = 3
"""The most problems whose winners a title names."""


def winners(results: StudyTables) -> list[Row]:
    """The answer of the best line of every problem, as `analysis.best` gives it."""
    table = results.sensitivity
    if table.empty:
        return []
    names = labels(table)
    loss = loss_to_rank_by(table).fillna(math.inf)
    first = loss.groupby(names["problem"], sort=False).idxmin().to_numpy()
    found = best(
        table.loc[first],
        Thresholds.of(results.manifest.get("thresholds", {})),
        None,
        objectives_of(results.manifest),
    )
    named = names.loc[first].reset_index(
        drop=True
    )  # with all that tells a line apart from those that are left out here
    found[named.columns] = named.iloc[found["line"]].to_numpy()
    return rows_of(found)


def who(results: StudyTables, row: Row) -> str:
    """The name of a line in a sentence, with its schedule if there are several."""
    several = label(results.sensitivity, "schedule").nunique() > 1
    return f"{row['optimizer']} with {row['schedule']}" if several else str(row["optimizer"])


def answer(results: StudyTables) -> str:
    """Which rate is the one to use, what it reaches, and where training collapses; of several problems, who wins.

    Of one problem: "adam with cosine reaches 0.039 at 0.046; above 0.68 training collapses".
    """
    rows = winners(results)
    able = [row for row in rows if row["trains"]]
    if not able:
        return "no rate trains"
    if len(rows) == 1:
        return "; ".join([reaches(results, able[0]), *_collapse(able[0])])
    names = [who(results, row) for row in able]
    if len(rows) <= MOST_NAMED:
        wins: dict[str, list[str]] = {}
        for name, row in zip(names, able, strict=True):
            wins.setdefault(f"{name} at {rate_text(row['use'])}", []).append(str(row["problem"]))
        return "use " + ", ".join(f"{line} on {' and '.join(where)}" for line, where in wins.items())
    leader = max(dict.fromkeys(names), key=names.count)
    use = [row["use"] for row in able]
    span = _span(min(use), max(use))
    return f"{leader} is best on {names.count(leader)} of {counted(len(rows), 'problem')}; the rates to use of the winners: {span}"


def reaches(results: StudyTables, row: Row) -> str:
    """What a line reaches at its rate to use."""
    share = str(row["objective"]).endswith("accuracy")
    value = rounded(row["score"], row["score_low"], row["score_high"], percent=share)
    return f"{who(results, row)} reaches {value} at {rate_text(row['use'])}"


def _collapse(row: Row) -> list[str]:
    if math.isfinite(row["degrades_from"]):
        return [f"from {rate_text(row['degrades_from'])} on it degrades"]
    if math.isfinite(row["collapse_low"]):
        return [f"above {rate_text(row['collapse_low'])} training collapses"]
    return [f"no collapse up to {rate_text(row['rate_high'])}"] if row["no_collapse"] else []


def band(results: StudyTables) -> str:
    """How wide the band of each winner is: "the band of adam is 0.02 to 0.1, 0.7 decades wide"."""
    rows = [row for row in winners(results) if row["trains"]]
    if not rows:
        return "no rate trains"
    wide = [math.log10(row["band_high"] / row["band_low"]) for row in rows]
    if len(rows) > 1:
        low, high = (f"{each:.1f}" for each in (np.nanmin([*wide, math.inf]), np.nanmax([*wide, -math.inf])))
        if not any(map(math.isfinite, wide)):
            return answer(results)
        return f"the band of the best line is {low if low == high else f'{low} to {high}'} decades wide"
    if not math.isfinite(wide[0]):
        return answer(results)
    span = _span(rows[0]["band_low"], rows[0]["band_high"])
    if wide[0] == 0:
        return f"the band of {who(results, rows[0])} is one rate of the grid, {span}"
    return f"the band of {who(results, rows[0])} is {span}, {wide[0]:.1f} decades wide"


def schedules(results: StudyTables) -> str:
    """Which schedule the winners have."""
    rows = [row for row in winners(results) if row["trains"]]
    if not rows:
        return "no rate trains"
    names = [str(row["schedule"]) for row in rows]
    every = label(results.sensitivity, "schedule").nunique()
    leader = max(dict.fromkeys(names), key=names.count)
    if every == 1:
        return f"all runs have the schedule {leader}"
    if len(rows) == 1:
        return f"{leader} is the best of {every} schedules, with {rows[0]['optimizer']}"
    return f"{leader} is the best of {every} schedules on {names.count(leader)} of {counted(len(rows), 'problem')}"


def _span(low: float, high: float) -> str:
    return rate_text(low) if low == high else f"{rate_text(low)} to {rate_text(high)}"
