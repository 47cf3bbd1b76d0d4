"""The answer in words: a sentence for each line, one for each problem, and the cells of their table."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from lrbench.analysis.labels import labels, rate_text
from lrbench.analysis.thresholds import Thresholds
from lrbench.errors import counted

Row = Mapping[str, Any]
"""A row of what `best` returns."""
LEFT = ("optimizer", "schedule")
"""The columns of the table that are names; the others are numbers."""
_NOT_CONFIRMED = "not confirmed: add confirm = 10"
_MOST_DECIMALS, _LARGEST = 5, 1e5


def rows_of(table: pd.DataFrame) -> list[Row]:
    """Return the rows of a table, each by the names of its columns."""
    return [{str(name): value for name, value in row.items()} for row in table.to_dict("records")]


def sentence(row: Row, winner: str | float, limits: Thresholds) -> str:
    """Return the answer of one line; `winner` is the name of the best line of its problem, missing if there is none."""
    name = f"{row['optimizer']} + {row['schedule']}"
    if not row["trains"]:
        return f"{name}: " + "; ".join(_no_rate(row))
    parts = [f"use {_rate(row['use'])}", *_around(row, limits), _reached(row)]
    if isinstance(winner, str) and not row["winner"]:
        parts += _behind(row, winner)
    return f"{name}: " + "; ".join(parts + _unconfirmed(row))


def headline(rows: Sequence[Row], limits: Thresholds) -> str:
    """Return the answer of a problem: its winner, how sure that is, and what is next to it.

    Args:
        rows: its lines, in the order of `best`.
        limits: the thresholds of the study.
    """
    first = rows[0]
    if not first["trains"]:
        return f"{first['problem']}: " + "; ".join(_no_rate(_together(rows)))
    around = "; ".join(_around(first, limits))
    head = f"{first['problem']}: {first['optimizer']} + {first['schedule']} at {_rate(first['use'])}"
    parts = [f"{head} ({around})" if around else head, _reached(first)]
    return "; ".join(parts + _unconfirmed(first) + _others(rows))


def cells(rows: Sequence[Row], *, brief: bool = False) -> list[dict[str, str]]:
    """Return the table of a problem: the cells of each line by their headings, names first.

    Args:
        rows: its lines, in the order of `best`.
        brief: whether in signs rather than in words; `legend` says what they mean.
    """
    paced = any(row["band"] == "pace" for row in rows)  # then a band that is not by pace is marked
    metric = next((row["headline"] for row in rows if has_value(row)), None)
    return [_cells(row, metric, paced=paced, brief=brief) for row in rows]


def _cells(row: Row, metric: str | None, *, paced: bool, brief: bool) -> dict[str, str]:
    to, none = ("–", "none trains") if brief else (" to ", "no rate trains")
    trains, objective = row["trains"], row["objective"]
    mark = "*" if paced and row["band"] != "pace" else ""
    out = {"optimizer": row["optimizer"], "schedule": row["schedule"], "use": _rate(row["use"])}
    band = _span(row["band_low"], row["band_high"], to) + mark
    band = "sampled" if row["sampled"] else band
    out["band"] = none if not trains else f"({band})" if _around_another(row) else band
    out["collapse"] = _collapse_cell(row, to, brief=brief) if trains else "–"
    out[_name(objective)] = with_half_width(*_three(row, "score"), percent=_is_share(objective))
    if metric is not None:
        heading = _name(metric) if _name(metric) not in out else metric
        out[heading] = rounded(*_three(row, "value"), percent=_is_share(metric)) if trains else "–"
    out["behind"] = _behind_cell(row, brief=brief)
    return out


def legend(rows: Sequence[Row], limits: Thresholds, *, brief: bool = False) -> list[str]:
    """Return what the cells of these lines mean, where their headings do not say it; a line for each."""
    within = f"within {100 * limits.good:g} % of "
    meanings = {
        "pace": f"at most {more_steps(limits)} more steps",
        "own": f"{within}the line's own best",
        "good": f"{within}the best of the problem",
    }
    bands = [band for band in meanings if any(row["band"] == band for row in rows)]
    out = ["band: " + "; *: ".join(meanings[band] for band in bands)] if bands else []
    if any(_around_another(row) for row in rows):
        out.append("( ): around the rate of the least loss, which is not the one to use")
    if brief and any(row["told_apart"] is False for row in rows):
        out.append("≈: cannot be told apart from the winner; +: so many more seeds would tell")
    return out


def moves(interactions: pd.DataFrame) -> list[str]:
    """Return how the best rate moves with other hyper-parameters: a sentence for each row of the interactions table."""
    if interactions.empty:
        return []
    names = labels(interactions)
    lines = names["problem"] + ", " + names["optimizer"] + " + " + names["schedule"] + ": "
    return (lines + interactions["answer"]).tolist()


def has_value(row: Row) -> bool:
    """Return whether a metric is shown beside the objective of this line: its problem has one, which is not the objective."""
    return isinstance(row["headline"], str) and row["headline"] != row["objective"]


def rounded(value: float, low: float, high: float, *, percent: bool = False) -> str:
    """Return a number with the digits that its interval leaves it.

    Example:
        >>> rounded(0.98873, 0.986, 0.992, percent=True), rounded(0.98873, float("nan"), float("nan"))
        ('98.9 %', '0.989')
    """
    number, _ = _digits(value, low, high, 100.0 if percent else 1.0, most=1)
    return number + (" %" if percent and math.isfinite(value) else "")


def with_half_width(value: float, low: float, high: float, *, percent: bool = False) -> str:
    """Return a number and half the width of its interval, which decides the digits of both.

    Example:
        >>> with_half_width(0.03527, 0.0313, 0.0393), with_half_width(3.21e-8, 3.17e-8, 3.25e-8)
        ('0.035 ± 0.004', '(3.21 ± 0.04)e-8')
    """
    number, half = _digits(value, low, high, 100.0 if percent else 1.0, most=2)
    power = ""
    if half and "e" in number:
        number, _, power = number.partition("e")
    text = f"{number} ± {half}" if half else number
    text = f"({text})e{power}" if power else text
    return text + (" %" if percent and math.isfinite(value) else "")


def _digits(value: float, low: float, high: float, times: float, most: int) -> tuple[str, str]:
    """A number as text, and half the width of its interval; empty where that is not known, or 0.

    Of a half width that begins with 1 there are `most` digits, of others one.
    """
    if not math.isfinite(value):
        return "–", ""
    value, half = times * value, times * (high - low) / 2
    if not (math.isfinite(half) and half > 0):
        return _minus(f"{value:.1f}" if times > 1 else f"{value:.3g}"), ""
    power = _power(half)
    last = power - (most - 1) * (half < 1.95 * 10.0**power)
    if -last <= _MOST_DECIMALS and max(abs(value), half) < _LARGEST:
        value, half = (round(number, -last) for number in (value, half))
        decimals = max(0, -last)
        return _minus(f"{value:.{decimals}f}"), f"{half:.{decimals}f}"
    scale = _power(max(abs(value), half))
    decimals = max(0, scale - last)
    return _minus(f"{value / 10.0**scale:.{decimals}f}e{scale}"), f"{half / 10.0**scale:.{decimals}f}"


def _power(number: float) -> int:
    """The power of ten of its first digit."""
    return int(f"{number:e}".partition("e")[2])


def _minus(number: str) -> str:
    return f"−{number[1:]}" if number.startswith("-") else number


def _three(row: Row, name: str) -> tuple[float, float, float]:
    return row[name], row[f"{name}_low"], row[f"{name}_high"]


def _rate(rate: float) -> str:
    return rate_text(rate) if math.isfinite(rate) else "–"


def _span(low: float, high: float, to: str) -> str:
    return _rate(low) if low == high or math.isnan(low) else f"{_rate(low)}{to}{_rate(high)}"


def _name(column: str) -> str:
    """What a curve is called beside others of the same problem: loss, training loss, accuracy."""
    which, _, name = column.partition("_")
    words = {"valid": "", "train": "training "}.get(which)
    return (column if words is None else words + name).replace("_", " ")


def _is_share(column: str) -> bool:
    return column.endswith("accuracy")


def _together(rows: Sequence[Row]) -> Row:
    """The rates of all lines of a problem, as one."""
    tried = {
        "rate_low": min(row["rate_low"] for row in rows),
        "rate_high": max(row["rate_high"] for row in rows),
    }
    shares = [row["diverged_fraction"] for row in rows]
    return {**rows[0], **tried, "diverged_fraction": sum(shares) / len(shares)}


def _no_rate(row: Row) -> list[str]:
    low, high, share = row["rate_low"], row["rate_high"], row["diverged_fraction"]
    if math.isnan(low):
        return ["no rate trains"]
    tried = f"at {_rate(low)}" if low == high else f"from {_rate(low)} to {_rate(high)}"
    lower, higher = (f"{_rate(a)} to {_rate(b)}" for a, b in ((low / 1e4, low), (high, high * 1e4)))
    if share > 0.5:
        advice = f"{'every run diverges' if share == 1 else 'most runs diverge'}: try {lower} next"
    elif share == 0:
        advice = f"no run diverges either: try {higher} next, or more steps"
    else:
        advice = "try rates below and between these next, or more steps"
    return [f"no rate trains {tried}", advice]


def _around(row: Row, limits: Thresholds) -> list[str]:
    """The band, where training collapses, and what to try next; of a sampled line, that it has neither."""
    if row["sampled"]:
        return [f"the best of {counted(row['rates'], 'sampled point')}, which have no band and no collapse"]
    return [*_band(row, limits), *_collapse(row), *_edge(row)]


def more_steps(limits: Thresholds) -> str:
    """Return how many more steps a rate of the band by pace costs at most, in words."""
    share = limits.faster - 1
    return "a fifth" if math.isclose(share, 0.2) else f"{100 * share:.3g} %"


def _band(row: Row, limits: Thresholds) -> list[str]:
    within, more = f"within {100 * limits.good:g} %", more_steps(limits)
    low, high, gap = row["band_low"], row["band_high"], row["gap"]
    if math.isnan(low):
        short = f"{100 * gap:.{0 if gap >= 0.1 else 1}f} %"
        return [f"even that is {short} short of the best of this problem"] if gap > limits.good else []
    alone, costs, cost = {
        "pace": (
            f"the rates beside it cost more than {more} more steps",
            "costs",
            f"at most {more} more steps",
        ),
        "own": (f"no rate beside it is {within} of its best", "is", f"{within} of its best"),
        "good": (f"no rate beside it is {within}", "is", within),
    }[row["band"]]
    text = alone if low == high else f"{_span(low, high, ' to ')} {costs} {cost}"
    return [
        text
        if not _around_another(row)
        else f"the least loss is at {_rate(row['best_learning_rate'])}; {text}"
    ]


def _around_another(row: Row) -> bool:
    """Whether the band, which is around the rate of the least loss, does not have the rate to use."""
    return not row["band_low"] <= row["use"] <= row["band_high"] and math.isfinite(row["band_low"])


def _collapse(row: Row) -> list[str]:
    low, high, top = row["collapse_low"], row["collapse_high"], row["rate_high"]
    if math.isfinite(row["degrades_from"]):
        return [f"degrades from {_rate(row['degrades_from'])} on"]
    if math.isfinite(high):
        return [f"collapses between {_rate(low)} and {_rate(high)}"]
    return [f"no collapse up to {_rate(top)}"] if row["no_collapse"] and row["use"] < top else []


def _edge(row: Row) -> list[str]:
    """What to try next where the best rate may lie outside the grid; not where the loss is least at its edge, but the rate to use in the same band."""
    low, high = row["rate_low"], row["rate_high"]
    if low == high:
        return [f"no other rate was tried: try {_rate(low / 100)} to {_rate(low * 100)} next"]
    use, best = row["use"], row["best_learning_rate"]
    if best in (low, high) and row["band_low"] <= use <= row["band_high"] and low < use < high:
        return [f"as good {'down to the smallest' if best == low else 'up to the largest'} rate tried"]
    for that, rate in (("that is", use), ("the least loss is at", best)):
        if rate == low:
            return [f"{that} the smallest rate tried: try {_rate(low / 100)} to {_rate(low)} next"]
        if rate == high:
            return [f"{that} the largest rate tried: try {_rate(high)} to {_rate(high * 100)} next"]
    return []


def _reached(row: Row) -> str:
    """The objective, with its interval and the seeds that it is of, and the metric beside it."""
    share = _is_share(row["objective"])
    text = f"{_name(row['objective'])} {with_half_width(*_three(row, 'score'), percent=share)}"
    text += " at the best evaluation" if row["at"] == "best" else ""
    seeds = row["confirmed_seeds"]
    text += f" on {counted(seeds, 'fresh seed') if seeds else counted(row['seeds'], 'seed')}"
    if has_value(row) and math.isfinite(row["value"]):
        value = rounded(*_three(row, "value"), percent=_is_share(row["headline"]))
        text += f", {_name(row['headline'])} {value}"
    return text


def _unconfirmed(row: Row) -> list[str]:
    return [] if row["confirmed_seeds"] else [_NOT_CONFIRMED]


def _behind(row: Row, winner: str) -> list[str]:
    apart = row["told_apart"]
    if apart is not True and apart is not False:
        return []
    if not apart:
        return [f"cannot be told apart from {winner}{_would_tell([row])}"]
    if math.isfinite(row["steps_factor"]):
        low, high = row["steps_factor_low"], row["steps_factor_high"]
        between = f" ({_times(low)} to {_times(high)})" if math.isfinite(low) and math.isfinite(high) else ""
        return [f"needs {_times(row['steps_factor'])} ×{between} the steps of {winner}"]
    return [f"ends {_higher(row)} than {winner}"]


def _higher(row: Row) -> str:
    """By how much the objective of a line is worse than the winner's."""
    low, high = row["behind_low"], row["behind_high"]
    amount = f"{low:.2g} to {high:.2g}" if low < high else f"{row['behind']:.2g}"
    return f"{amount} {'lower' if row['score'] != row['loss'] else 'higher'}"


def _others(rows: Sequence[Row]) -> list[str]:
    """What of the other lines cannot be told apart from the first, and how far the best that can be is behind."""
    same = len({row["schedule"] for row in rows}) == 1
    name = {id(row): row["optimizer"] + ("" if same else f" + {row['schedule']}") for row in rows}
    level = [row for row in rows if row["told_apart"] is False]
    worse = [row for row in rows if row["told_apart"] is True]
    out = []
    if level:
        who = name[id(level[0])]
        if len(level) > 1:
            who += f" and {counted(len(level) - 1, 'other line')}"
        out.append(f"{who} cannot be told apart from it{_would_tell(level)}")
    if worse and math.isfinite(worse[0]["steps_factor"]):
        out.append(f"{name[id(worse[0])]} needs {_times(worse[0]['steps_factor'])} × the steps")
    elif worse:
        out.append(f"{name[id(worse[0])]} ends {_higher(worse[0])}")
    return out


def _would_tell(rows: Sequence[Row]) -> str:
    many = _more_seeds(rows)
    return f" ({many} would tell)" if many else ""


def _more_seeds(rows: Sequence[Row]) -> str:
    """How many more seeds would tell lines apart; empty where that is not known of all of them."""
    more = sorted(row["more_seeds"] for row in rows)
    if not all(map(math.isfinite, more)):
        return ""
    least, most = int(more[0]), int(more[-1])
    many = counted(most, "more seed") if least == most else f"{least:,} to {most:,} more seeds"
    return f"{many}"


def _times(factor: float) -> str:
    return f"{factor:.1f}" if factor < 9.95 else f"{factor:,.0f}"


def _collapse_cell(row: Row, to: str, *, brief: bool) -> str:
    if math.isfinite(row["degrades_from"]):
        return f"{'from' if brief else 'degrades from'} {_rate(row['degrades_from'])}"
    if math.isfinite(row["collapse_high"]):
        return _span(row["collapse_low"], row["collapse_high"], to)
    top = _rate(row["rate_high"])
    return (f"> {top}" if brief else f"none up to {top}") if row["no_collapse"] else "–"


def _behind_cell(row: Row, *, brief: bool) -> str:
    apart, more, factor = row["told_apart"], row["more_seeds"], row["steps_factor"]
    if row["winner"]:
        return "winner"
    if apart is False:
        if brief:
            return f"≈ +{int(more):,}" if math.isfinite(more) else "≈"
        many = _more_seeds([row])
        return f"not told apart ({many})" if many else "not told apart"
    if apart is True:
        return f"{_times(factor)} ×{'' if brief else ' the steps'}" if math.isfinite(factor) else "worse"
    return "–"
