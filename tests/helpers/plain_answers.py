"""The definitions of docs/definitions.md once more, in plain Python over lists: slow, a line at a time, and written from the page alone.

The tables are compared with it; it shares no code with them.
"""

from __future__ import annotations

import itertools
import math
import statistics
from dataclasses import dataclass, field
from typing import Any

import pandas as pd

NAN = float("nan")


@dataclass
class Rate:
    """A learning rate of a line."""

    rate: float
    grid: list[dict[str, Any]] = field(default_factory=list)  # runs on the grid's seeds
    fresh: list[dict[str, Any]] = field(default_factory=list)  # runs on fresh seeds
    on_grid: bool = False

    @property
    def used(self) -> list[dict[str, Any]]:
        return self.fresh or self.grid

    @property
    def stopped(self) -> bool:
        return not self.fresh and any(run["status"] == "stopped" for run in self.grid)

    @property
    def not_falling(self) -> bool:
        return self.stopped and any(run["status"] == "stopped" and not trained(run) for run in self.grid)

    @property
    def stable(self) -> bool:
        return 2 * sum(map(trained, self.used)) >= len(self.used)

    def loss(self, start: float) -> float:
        if self.stopped:
            return NAN
        return statistics.fmean(capped(run, start) for run in self.used)


@dataclass
class Line:
    """What is known of a line before its problem is."""

    key: tuple[Any, ...]
    start: float
    rates: list[Rate]

    @property
    def candidates(self) -> list[Rate]:
        confirmed = [rate for rate in self.rates if rate.fresh]
        some = confirmed or self.rates
        return [rate for rate in some if rate.stable and not rate.stopped]

    @property
    def best(self) -> Rate | None:
        return min(self.candidates, key=lambda rate: (rate.loss(self.start), rate.rate), default=None)

    @property
    def least(self) -> float:
        return NAN if self.best is None else self.best.loss(self.start)

    def gap(self, rate: Rate) -> float:
        if rate.not_falling:
            return 1.0
        if rate.stopped:
            return NAN
        if not rate.stable:
            return 1.0
        span = self.start - self.least
        return max(0.0, (rate.loss(self.start) - self.least) / span) if span > 0 else NAN


def trained(run: dict[str, Any]) -> bool:
    fell = run["final_train_loss"] <= run["initial_train_loss"]
    return run["status"] == "ok" or (run["status"] == "stopped" and fell)


def capped(run: dict[str, Any], start: float) -> float:
    final = run["final_train_loss"]
    return min(final, start) if math.isfinite(final) else start


def lines_of(runs: pd.DataFrame) -> list[Line]:
    """The lines of runs judged by their training loss, in order of appearance."""
    found: dict[tuple[Any, ...], list[dict[str, Any]]] = {}
    for run in runs.to_dict("records"):
        found.setdefault((run["problem"], run["optimizer"], run["schedule"]), []).append(run)
    lines = []
    for key, mine in found.items():
        start = statistics.median(run["initial_train_loss"] for run in mine)
        start = min([start, *(c for c in [mine[0].get("constant_loss", NAN)] if math.isfinite(c))])
        rates: dict[float, Rate] = {}
        for run in mine:
            rate = rates.setdefault(run["learning_rate"], Rate(run["learning_rate"]))
            stage = run.get("stage", "grid")
            (rate.fresh if stage == "confirm" else rate.grid).append(run)
            rate.on_grid |= stage == "grid"
        lines.append(Line(key, start, [rates[rate] for rate in sorted(rates)]))
    return lines


def answers(runs: pd.DataFrame) -> list[dict[str, Any]]:
    """The columns of the sensitivity table that answer, a dict per line."""
    lines = lines_of(runs)
    out = []
    for line in lines:
        mine = [other for other in lines if other.key[0] == line.key[0]]
        some = [run for run in runs.to_dict("records") if run["problem"] == line.key[0]]
        star = min((each.least for each in mine if each.least < each.start), default=NAN)
        lowest = min(
            capped(run, other.start)
            for other in mine
            for rate in other.rates
            for run in (*rate.grid, *rate.fresh)
        )
        out.append(answer(line, star, lowest, some[0].get("optimum", NAN), some[0].get("pace_loss", NAN)))
    return out


_MISSING = dict.fromkeys(
    "use_learning_rate use_loss best_learning_rate best_loss good_low good_high own_low own_high pace_low pace_high collapse_low collapse_high".split(),
    NAN,
)


def answer(line: Line, star: float, lowest: float, optimum: float, pace: float) -> dict[str, Any]:
    """The answer of one line."""
    trains = line.start > star and line.start - line.least > 0.05 * (line.start - star)
    best = line.best
    if not trains or best is None:
        return {"trains": False, **_MISSING}
    use = rate_to_use(line, lowest, optimum)
    out: dict[str, Any] = {
        "trains": True,
        "use_learning_rate": use.rate,
        "use_loss": use.loss(line.start),
        "best_learning_rate": best.rate,
        "best_loss": best.loss(line.start),
    }
    bar = star + 0.05 * (line.start - star)
    bands = {
        "good": lambda rate: rate.stable and rate.loss(line.start) <= bar,
        "own": lambda rate: line.gap(rate) <= 0.05,
        "pace": lambda rate: (
            math.isfinite(pace)
            and ((rate.stable and rate.loss(line.start) <= pace) or line.gap(rate) <= 0.01)
        ),
    }
    for name, inside in bands.items():
        out[f"{name}_low"], out[f"{name}_high"] = stretch(line.rates, best, inside)
    below = max(best.rate, use.rate)
    out |= {"collapse_low": NAN, "collapse_high": NAN}
    known = below
    for rate in line.rates:
        if rate.rate > below:
            if line.gap(rate) > 0.5:
                out |= {"collapse_low": known, "collapse_high": rate.rate}
                break
            if math.isfinite(line.gap(rate)):
                known = rate.rate
    return out


def stretch(rates: list[Rate], best: Rate, inside: Any) -> tuple[float, float]:
    """The ends of the unbroken stretch around the best rate."""
    if not inside(best):
        return NAN, NAN
    at = rates.index(best)
    low, high = at, at
    while low > 0 and inside(rates[low - 1]):
        low -= 1
    while high < len(rates) - 1 and inside(rates[high + 1]):
        high += 1
    return rates[low].rate, rates[high].rate


def scores(line: Line, lowest: float, optimum: float) -> dict[float, float]:
    """What the rate to use has the least of, by rate; without those whose loss is not known."""
    floor = optimum if math.isfinite(optimum) else (NAN if lowest < 0 else 0.0)
    rates, points = [], []
    for rate in line.rates:
        if rate.stopped and not rate.not_falling:
            continue
        loss = line.start if line.gap(rate) == 1.0 else rate.loss(line.start)
        if math.isfinite(floor):
            y = math.log(max(loss - floor, 1e-6 * (line.start - floor)))
        else:
            y = math.log(line.gap(rate) + 0.01)
        rates.append(rate.rate)
        points.append((math.log10(rate.rate), y))
    kernel = ((-1 / 3, 0.15), (0.0, 0.5), (1 / 3, 0.35))
    return {
        rate: sum(weight * between(points, math.log10(rate) + shift) for shift, weight in kernel)
        for rate in rates
    }


def rate_to_use(line: Line, lowest: float, optimum: float) -> Rate:
    score = scores(line, lowest, optimum)
    first = min(line.candidates, key=lambda rate: (score[rate.rate], rate.rate))

    def alike(rate: Rate) -> bool:
        near = abs(line.gap(rate) - line.gap(first)) <= 0.01
        return near and score[rate.rate] <= score[first.rate] + 0.01

    low, high = stretch(line.rates, first, alike)
    middle = (math.log10(low) + math.log10(high)) / 2
    return min(line.candidates, key=lambda rate: (round(abs(math.log10(rate.rate) - middle), 6), rate.rate))


def between(points: list[tuple[float, float]], x: float) -> float:
    """Linear interpolation, with the edge values beyond."""
    if x <= points[0][0]:
        return points[0][1]
    for (x_low, low), (x_high, high) in itertools.pairwise(points):
        if x <= x_high:
            return low + (x - x_low) / (x_high - x_low) * (high - low)
    return points[-1][1]
