"""The rules of learning-rate finders: which rate each suggests after a range test.

A range test is a run whose rate rises from the smallest to the largest, a little at every step (the schedule `range_test`). Its
*sweep* is the loss ℓₖ of each step's minibatch, before the step, over the rate ηₖ of that step.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple

import numpy as np
import pandas as pd

from lrbench.analysis.groups import Floats, columns_of, group
from lrbench.errors import counted

RANGE_TEST, LOSS = "range_test", "minibatch_loss"
"""The schedule and the probe of a range test."""
WEIGHT = 0.05
"""Of the newest loss in the smoothed one."""
STOP = 4.0
"""The sweep ends where the smoothed loss exceeds so many times its minimum so far."""
LEFT_OUT = 10
"""One step in so many, at the start, which is left out because the smoothed loss has averaged too few losses."""
FASTAI_WEIGHT = 0.02
"""The weight of `valley`, which is fastai's rule: its loss is smoothed by β = 0.98."""
FASTAI_CUT = 5
"""The last steps that fastai leaves out, of those up to the one at which its sweep stops."""
FEWEST = 10
"""The fewest steps that a rule accepts."""
ROUNDING = 1e-6
"""A smaller relative fall does not count."""
SLIDE_DECADES = 15 * 0.08
"""The length of the interval that slides: fastai's 15 steps of a sweep of 8 decades in 100 steps."""
SLIDE_SLOPE = 0.005 / (0.08 * np.log(10))
"""The difference of slopes that it stops at: fastai's 0.005 a step of that sweep, over log η."""


class Sweep(NamedTuple):
    """One range test."""

    rate: Floats  # [step] η, rising
    loss: Floats  # [step] the minibatch's loss
    smoothed: Floats  # [step] s
    stop: int  # the first step at which s exceeds STOP times the least so far or is not finite; the number of steps if there is none
    begin: int  # the first step that the rules use
    end: int  # the first step after those

    @property
    def seen(self) -> tuple[Floats, Floats]:
        """What the rules use: rates and smoothed losses."""
        return self.rate[self.begin : self.end], self.smoothed[self.begin : self.end]


class Suggestion(NamedTuple):
    """A learning rate; or none (NaN), and why."""

    rate: float
    reason: str = ""


def _none(reason: str) -> Suggestion:
    return Suggestion(np.nan, reason)


def smooth(loss: Floats, weight: float = WEIGHT) -> Floats:
    """The exponential average of what came so far, over the sum of its weights; NaN from the first NaN on.

    Formula: sₖ = Σⱼ≤ₖ w(1 − w)ᵏ⁻ʲ ℓⱼ / (1 − (1 − w)ᵏ⁺¹)

    Args:
        loss: [step].
        weight: w, of the newest loss; fastai's `beta` is 1 − w.

    Example:
        >>> smooth(np.array([1.0, 1.0, 4.0]), 0.5).round(3).tolist()
        [1.0, 1.0, 2.714]
    """
    from scipy.signal import lfilter  # slow to import, and most studies have no range test

    weights = 1 - (1 - weight) ** np.arange(1, len(loss) + 1)
    averaged: Floats = lfilter([weight], [1, weight - 1], loss) / weights
    return averaged


def sweep(rate: Floats, loss: Floats) -> Sweep:
    """Smooth a range test, and find the steps that the rules use.

    The sweep ends before the first step with s > b + 3|b|, where b is the least s so far: 4b for losses above 0.

    Args:
        rate: [step], rising.
        loss: [step] of the minibatches.

    Example:
        >>> sweep(np.logspace(-3, 0, 40), np.r_[np.full(30, 1.0), np.full(10, 1e4)])[3:]
        (30, 4, 30)
    """
    smoothed, stop = _stopped(loss, WEIGHT)
    return Sweep(rate, loss, smoothed, stop, len(loss) // LEFT_OUT, stop)


def fastai_sweep(rate: Floats, loss: Floats) -> Sweep:
    """Smooth and cut a range test as fastai's `lr_find` does, for `valley`.

    Its smoothed loss remembers longer. Of the steps up to and with the one that exceeds b + 3|b|, the last 5 are left out;
    a NaN loss does not stop fastai's sweep, which is cut there afterwards.

    Args:
        rate: [step], rising.
        loss: [step] of the minibatches.

    Example:
        >>> fastai_sweep(np.logspace(-3, 0, 40), np.r_[np.full(30, 1.0), np.full(10, 1e4)])[3:]
        (30, 4, 26)

    Source: fastai 2, callback.schedule: LRFinder, lr_find.
    """
    smoothed, stop = _stopped(loss, FASTAI_WEIGHT)
    steps = len(loss)
    finite = stop < steps and bool(np.isfinite(smoothed[stop]))
    end = (stop + 1 if finite else steps) - FASTAI_CUT
    begin = steps // LEFT_OUT
    return Sweep(rate, loss, smoothed, stop, begin, max(begin, min(end, stop)))


def _stopped(loss: Floats, weight: float) -> tuple[Floats, int]:
    """The smoothed loss, and the first step at which it explodes; the number of steps, if it never does."""
    smoothed = smooth(np.where(np.isfinite(loss), loss, np.nan), weight)
    least = np.fmin.accumulate(smoothed)
    over = ~(smoothed <= least + (STOP - 1) * np.abs(least))
    return smoothed, int(over.argmax()) if over.any() else len(loss)


def steep(rate: Floats, loss: Floats) -> Suggestion:
    """The rate at which the loss falls fastest: argmin dℓ/dlog η, by central differences."""
    return Suggestion(float(rate[np.gradient(loss, np.log(rate)).argmin()]))


def minimum(rate: Floats, loss: Floats) -> Suggestion:
    """A tenth of the rate at which the loss is least: argmin ℓ / 10."""
    at = int(loss.argmin())
    if at == len(loss) - 1:
        return _none("the loss falls up to the last rate; try larger ones")
    return Suggestion(float(rate[at]) / 10)


def valley(rate: Floats, loss: Floats) -> Suggestion:
    """The middle of the longest fall, as fastai's rule has it: half of a third after the first third of so many steps.

    Formula: η at step e − L + ⌊L/3⌋ + ⌊L/6⌋, where L is the length of the longest series of steps, not all of them next to
    each other, of which each has a lower loss than the one before, and e the first step at which so long a one ends. The
    stretch that is parted is thus that of the L steps up to e, wherever the series begins.

    Source: fastai 2, callback.schedule: valley.
    """
    length, last = _longest_fall(loss)
    # With L = 2 from the first step on, that is −1, where fastai takes the last rate of all.
    return Suggestion(float(rate[max(0, last - length + length // 3 + length // 6)]))


def slide(rate: Floats, loss: Floats) -> Suggestion:
    """Where the last rise begins: an interval slides down from the end until the slopes at its ends agree.

    Its length is 1.2 decades and slopes agree within 0.027 per unit of log η: in fastai's sweep of 8 decades and 100 steps,
    15 steps and 0.005 a step. The suggestion is the lower end of the last interval whose slopes differ.
    """
    width = max(1, round(SLIDE_DECADES / np.log10(rate[-1] / rate[0]) * (len(rate) - 1)))
    if width >= len(rate):
        return _none("the sweep ends within 1.2 decades, which are too few to slide over")
    slope = np.gradient(loss, np.log(rate))
    differ = np.abs(slope[width:] - slope[:-width])[::-1] > SLIDE_SLOPE
    slid = len(differ) if differ.all() else int(differ.argmin())
    return Suggestion(float(rate[len(differ) - max(1, slid)]))


RULES: Mapping[str, Callable[[Floats, Floats], Suggestion]] = {
    rule.__name__: rule for rule in (steep, minimum, valley, slide)
}
"""Each takes the rates and the smoothed losses of the steps that it uses: those of `sweep`, and `valley` of `fastai_sweep`."""


def suggest(found: Sweep) -> dict[str, Suggestion]:
    """What each rule suggests after a sweep.

    Example:
        >>> rate = np.logspace(-4, 0, 200)
        >>> found = suggest(sweep(rate, 1 / (1 + 100 * rate) + rate))
        >>> {rule: f"{suggestion.rate:.1g}" for rule, suggestion in found.items()}
        {'steep': '0.02', 'minimum': '0.02', 'valley': '0.009', 'slide': '0.005'}
    """
    looked = dict.fromkeys(RULES, found) | {valley.__name__: fastai_sweep(found.rate, found.loss)}
    reasons = {name: _unfit(each) for name, each in looked.items()}
    return {
        name: _none(reasons[name]) if reasons[name] else rule(*looked[name].seen)
        for name, rule in RULES.items()
    }


def _unfit(found: Sweep) -> str:
    """Why no rule can use a sweep; empty if they can."""
    rate, loss = found.seen
    steps = len(found.rate)
    if not (np.diff(found.rate) > 0).all():
        return "the rate does not rise"
    if len(rate) < FEWEST and found.stop == steps:
        return f"{counted(steps, 'step')} {'is' if steps == 1 else 'are'} too few"
    if len(rate) < FEWEST:
        return f"the loss explodes after {found.stop} of {steps} steps; try smaller rates"
    falls = loss.min() < loss[0] - ROUNDING * abs(loss[0])
    return "" if falls else "the loss never falls"


def _longest_fall(loss: Floats) -> tuple[int, int]:
    """The length of the longest strictly falling subsequence, and the first position at which one ends, by patience sorting."""
    tails: list[float] = []  # the least −ℓ that a subsequence of each length ends with
    last = 0
    for position, value in enumerate((-loss).tolist()):
        length = bisect_left(tails, value)
        if length == len(tails):
            tails.append(value)
            last = position
        else:
            tails[length] = value
    return len(tails), last


def sweeps(runs: pd.DataFrame, curves: pd.DataFrame) -> Iterator[tuple[int, Sweep]]:
    """Every range test among runs: the number of its row in `runs`, and its sweep.

    Args:
        runs: a row per run.
        curves: a row per run and evaluation; without a column `minibatch_loss` there is no range test.
    """
    if LOSS not in curves:
        return
    tests = pd.Series(np.arange(len(runs)), runs["run_id"])[(runs["schedule"] == RANGE_TEST).to_numpy()]
    mine = curves[curves["run_id"].isin(tests.index)].sort_values("step", kind="stable")
    for run_id, rows in mine.groupby("run_id", sort=False):
        # The last evaluation comes after the last step, so that no step belongs to it.
        rate, loss = (rows[name].to_numpy(dtype=np.float64)[:-1] for name in ("learning_rate", LOSS))
        yield int(tests[run_id]), sweep(rate, loss)


def suggestions(table: pd.DataFrame) -> pd.DataFrame:
    """The suggestions of a problem, an optimizer and a rule, over seeds.

    Args:
        table: what `finders` returns.

    Returns:
        A row per problem × optimizer × rule: their identity, `suggestion` (the median), `lowest` and `highest` of those that
        exist; `seeds`, `none` (how many have no suggestion) and `reason` (the most frequent one).
    """
    columns = [*columns_of(table, "problem", "optimizer"), "rule"]
    code, first = group(table, columns)
    rows = table["suggestion"].groupby(code, sort=True)
    found = table[columns].iloc[first].reset_index(drop=True)
    found = found.assign(suggestion=rows.median(), lowest=rows.min(), highest=rows.max(), seeds=rows.size())
    modes = table["reason"].groupby(code, sort=True).agg(_most_frequent)
    return found.assign(none=found["seeds"] - rows.count(), reason=modes)


def _most_frequent(reasons: pd.Series) -> str | float:
    return next((str(reason) for reason in reasons.mode()), np.nan)
