"""The findings of `deepobs`: what is met, where it breaks, and what the order of the batches decides."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd

from lrbench.analysis.bootstrap import interval, resamples
from lrbench.analysis.groups import Floats
from lrbench.analysis.intervals import t_interval
from lrbench.experiments._deepobs.expected import PER_EPOCH, Noisy
from lrbench.experiments._deepobs.rows import MET, MOMENTUM, MOMENTUMS, SEVERAL, losses
from lrbench.experiments.findings import NAN, Finding, number

_MOMENTUM, _DESCENT = "momentum 0.99", "gradient descent"
_SMOOTH = {_DESCENT: 0.03, _MOMENTUM: 0.011, "Adam": 0.26}
"""Up to these rates no order stands out; above them the order of the batches decides."""
_HOW = {"fixed": "in fixed orders", "reshuffled": "with reshuffled examples"}
_ROUNDING = 1e-6
_START, _LARGEST = 353.4468, 53.13
"""The test loss at the start and the largest curvature, as published."""


@dataclass(frozen=True)
class MeasuredRows:
    """What the findings are read from.

    Args:
        rows: the table of that name.
        cliffs: likewise.
        definitions: likewise.
        theirs: the published rows, in the order of `rows`.
        several: our runs in other orders.
        noisy: the problem.
    """

    rows: pd.DataFrame
    cliffs: pd.DataFrame
    definitions: pd.DataFrame
    theirs: pd.DataFrame
    several: pd.DataFrame
    noisy: Noisy

    def of(self, name: str) -> pd.DataFrame:
        """The rows of an optimizer."""
        return self.rows[self.rows["optimizer"] == name]

    def losses(self, name: str, order: str) -> Floats:
        """The losses [rate, seed] of an optimizer in an order; infinite where a run is not finite."""
        found = losses(self.theirs, self.several, order)[(self.rows["optimizer"] == name).to_numpy()]
        return np.where(np.isfinite(found), found, np.inf)


def findings(evidence: MeasuredRows) -> list[Finding]:
    """Return all findings, the main ones first."""
    return [
        _met(evidence),
        _shift(evidence),
        *_cliffs(evidence),
        _adam(evidence),
        _rounding(evidence),
        *_facts(evidence),
        *_costs(evidence),
        *_other_orders(evidence),
        *_resonance(evidence),
        _expected(evidence),
        _agreeing(evidence),
        *_good(evidence),
    ]


def _met(evidence: MeasuredRows) -> Finding:
    count, met = len(evidence.rows), int(evidence.rows["met"].sum())
    return Finding(
        "rows that DeepOBS published and lrbench meets, trained in the order of their batches",
        met,
        unit=f"of {count}",
        rule=f"all, to {MET:g} of the loss",
        met=met == count,
    )


def _best(rates: Floats, mean: Floats) -> Floats:
    """The rate with the least mean loss [rate, ...]."""
    best: Floats = rates[np.argmin(mean, axis=0)]
    return best


def _best_expected(evidence: MeasuredRows) -> tuple[float, float]:
    """Momentum's best rate by the expected losses: of fixed orders, and of reshuffled examples."""
    rows = evidence.of(_MOMENTUM)
    found = (rows[f"{order}_expected"].fillna(np.inf).to_numpy() for order in SEVERAL)
    fixed, reshuffled = (float(_best(rows["learning_rate"].to_numpy(), mean)) for mean in found)
    return fixed, reshuffled


def _shift(evidence: MeasuredRows) -> Finding:
    """How far momentum's best rate moves, by the mean over seeds, with its bootstrap interval over the same seeds."""
    rates = evidence.of(_MOMENTUM)["learning_rate"].to_numpy()
    fixed, reshuffled = (evidence.losses(_MOMENTUM, order) for order in SEVERAL)

    def moved(index: np.ndarray) -> Floats:
        ends = [_best(rates, each[:, index].mean(axis=-1)) for each in (fixed, reshuffled)]
        return np.log10(ends[1] / ends[0])

    index, weight = resamples(fixed.shape[1])
    low, high = (float(end) for end in interval(moved(index), weight))
    of_fixed, of_reshuffled = _best_expected(evidence)
    expected = np.log10(of_reshuffled / of_fixed)
    return Finding(
        f"decades by which the best rate of {_MOMENTUM} moves if the examples are reshuffled in each epoch instead of once",
        float(moved(np.arange(fixed.shape[1]))),
        low,
        high,
        rule=f"{number(expected)} of the expected losses over all orders, in the interval",
        # The rates have seven digits.
        met=bool(low - 1e-6 <= expected <= high + 1e-6) if np.isfinite(low) else None,
    )


def _costs(evidence: MeasuredRows) -> Iterator[Finding]:
    """What it costs to take momentum's best rate from the other kind of order."""
    rates = evidence.of(_MOMENTUM)["learning_rate"].to_numpy()
    best = dict(zip(SEVERAL, _best_expected(evidence), strict=True))
    for order, other in (SEVERAL, SEVERAL[::-1]):
        found = evidence.losses(_MOMENTUM, order)
        own, taken = (found[rates == best[each]][0] for each in (order, other))
        yield _mean(
            f"loss that {_MOMENTUM} ends above that of its best rate, {number(best[order])}, at {number(best[other])}, {_HOW[order]}",
            100 * (taken / own - 1),
            unit="%",
        )


def _mean(what: str, values: Floats, unit: str) -> Finding:
    """A mean over seeds with its bootstrap interval."""
    index, weight = resamples(len(values))
    low, high = interval(values[index].mean(axis=1), weight)
    return Finding(what, float(values.mean()), float(low), float(high), unit)


def _cliffs(evidence: MeasuredRows) -> Iterator[Finding]:
    """The last stable rate of each linear optimizer, theirs and ours, beside the threshold of theory."""
    by = {(row["source"], row["optimizer"]): row for row in evidence.cliffs.to_dict("records")}
    for name, momentum in MOMENTUMS.items():
        ours, theirs = by["given", name], by["published", name]
        last, threshold = theirs["last_stable_rate"], "2(1 + β)/λ" if momentum else "2/λ"
        yield Finding(
            f"last stable rate of {name}",
            ours["last_stable_rate"],
            rule=f"{number(last)} of the published rows, whose next one is {number(theirs['first_unstable_rate'])}, with "
            f"{threshold} = {number(ours['threshold'])} between",
            met=ours["between"] and theirs["between"] and ours["last_stable_rate"] == last,
        )


def _adam(evidence: MeasuredRows) -> Finding:
    """Where the rows of Adam differ, and where ours depend on rounding."""
    rows = evidence.of("Adam")
    own = (rows["float64_loss"] / rows["given_loss"] - 1).abs()
    first = _first(rows["learning_rate"], ~rows["met"])
    rounded = _first(rows["learning_rate"], own > MET)
    ours = f"our own losses in float32 and in float64 differ by more than {MET:g}"
    return Finding(
        "lowest rate at which the loss of Adam differs from the published one",
        first,
        rule=f"none, as at no rate {ours}"
        if np.isnan(rounded)
        else f"none below {rounded:.3g}, from which on {ours}",
        met=None if np.isnan(first) else bool(first >= rounded),
    )


def _first(rates: pd.Series, which: pd.Series) -> float:
    """The lowest rate that is meant; NaN if none is."""
    found = rates[which]
    return float(found.min()) if len(found) else NAN


def _rounding(evidence: MeasuredRows) -> Finding:
    linear = evidence.rows[evidence.rows["optimizer"].isin(list(MOMENTUMS))]
    largest = float(linear["relative_difference"].abs().max())
    return Finding(
        "largest difference of the finite rows of gradient descent and momentum, as a share of the loss",
        largest,
        rule=f"below {_ROUNDING:g}, the rounding of float32",
        met=largest < _ROUNDING,
    )


def _facts(evidence: MeasuredRows) -> Iterator[Finding]:
    start, largest = evidence.noisy.start, evidence.noisy.largest
    yield Finding(
        "largest curvature λ", largest, rule=f"{_LARGEST}, as published", met=round(largest, 2) == _LARGEST
    )
    yield Finding(
        "test loss at the start", start, rule=f"{_START}, as published", met=round(start, 4) == _START
    )


def _other_orders(evidence: MeasuredRows) -> Iterator[Finding]:
    """How far other fixed orders are from the published one, up to the rates at which no order stands out."""
    for name, largest in _SMOOTH.items():
        rows = evidence.of(name)
        some = (rows["learning_rate"] <= largest).to_numpy() & rows["published_loss"].notna().to_numpy()
        if not some.any():
            continue
        published = rows["published_loss"].to_numpy()[some, None]
        apart = np.abs(evidence.losses(name, "fixed")[some] / published - 1)
        at = number(rows["learning_rate"].to_numpy()[some].max())
        yield _mean(
            f"largest difference from the published rows of {name} up to the rate {at}, in other fixed orders",
            100 * apart.max(axis=0),
            unit="%",
        )


def _resonance(evidence: MeasuredRows) -> Iterator[Finding]:
    """The rate of momentum at which the published loss is the highest of all: a direction swings once in an epoch."""
    rows = evidence.of(_MOMENTUM).reset_index(drop=True)
    beyond = rows.index[rows["learning_rate"] > _SMOOTH[_MOMENTUM]]
    if not len(beyond):
        return
    place = int(beyond[0])
    rate = float(rows["learning_rate"][place])
    periods = evidence.noisy.periods(rate, MOMENTUM)
    yield Finding(
        f"steps in which a direction swings once with {_MOMENTUM} at the rate {number(rate)}, the nearest to the {PER_EPOCH} of an epoch",
        float(periods[np.argmin(np.abs(periods - PER_EPOCH))]),
    )
    yield Finding(f"published loss of {_MOMENTUM} at that rate", float(rows["published_loss"][place]))
    for order in SEVERAL:
        found = evidence.losses(_MOMENTUM, order)[place]
        low, high = t_interval(found)
        expected = float(rows[f"{order}_expected"][place])
        yield Finding(
            f"loss of {_MOMENTUM} at that rate, {_HOW[order]}",
            float(found.mean()),
            float(low),
            float(high),
            rule=f"{number(expected)}, expected over all orders, in the interval",
            met=bool(low <= expected <= high) if np.isfinite(low) else None,
        )


def _expected(evidence: MeasuredRows) -> Finding:
    """How many of our means have the closed form in their interval."""
    inside = total = 0
    for name in MOMENTUMS:
        rows = evidence.of(name)
        for order in SEVERAL:
            found, expected = evidence.losses(name, order), rows[f"{order}_expected"].to_numpy()
            # Where float32 overflows, there is nothing to compare.
            some = np.isfinite(found).all(axis=1) & np.isfinite(expected)
            low, high = t_interval(found[some])
            total += int(some.sum())
            inside += int(((low <= expected[some]) & (expected[some] <= high)).sum())
    return Finding(
        "mean losses of gradient descent and momentum over seeds whose 95 % interval contains the one that is expected over all orders",
        inside,
        unit=f"of {total}",
        rule="95 %, less where losses are skewed",
        met=inside >= 0.85 * total,
    )


def _agreeing(evidence: MeasuredRows) -> Finding:
    """In how many entries of the table of definitions the published rows and ours agree to three digits."""
    table = evidence.definitions
    theirs, ours = (
        table[table["source"] == source].set_index("optimizer").drop(columns="source")
        for source in ("published", "given")
    )
    same = np.isclose(theirs, ours, rtol=1e-3, equal_nan=True)
    sensitivity = np.array([name.startswith("learning_rate_sensitivity") for name in theirs.columns])
    of_rounding = np.outer(theirs.index == "Adam", sensitivity)
    return Finding(
        "entries of the table of definitions that are the same of the published rows and of ours",
        int(same.sum()),
        unit=f"of {same.size}",
        rule="all but the sensitivity of Adam, which includes the rates where rounding decides",
        met=bool((same | of_rounding).all()),
    )


def _good(evidence: MeasuredRows) -> Iterator[Finding]:
    largest = evidence.definitions.set_index(["source", "optimizer"])["good_high"]
    for source, how in (("published", "in the published rows"), ("reshuffled", _HOW["reshuffled"])):
        yield Finding(f"largest good rate of {_MOMENTUM}, {how}", float(largest[(source, _MOMENTUM)]))
