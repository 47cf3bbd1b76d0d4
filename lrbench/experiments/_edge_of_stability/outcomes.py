"""What became of each rate: whether it reached the edge, and whether it stayed."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import pandas as pd

from lrbench.analysis.intervals import t_interval
from lrbench.experiments._edge_of_stability.kinds import KINDS, Kind
from lrbench.experiments.findings import NAN, Finding

HOVERS = 0.9, 1.3
"""A rate hovers at the edge if its median ratio over the second half is between these."""
REACHED = ("hovers", "above", "fell below")
"""The outcomes of rates that reached the edge by the middle of the run."""
_MOST = 0.9
"""The least share of rates of which "most" is said."""


def of_runs(curves: pd.DataFrame) -> pd.DataFrame:
    """Return a row per run, from the columns `optimizer`, `seed`, `learning_rate`, `step`, `train_loss` and `edge_ratio`."""
    keys = ["optimizer", "seed", "learning_rate"]
    rows = [
        {**dict(zip(keys, key, strict=True)), **_of_run(curve)}
        for key, curve in curves.groupby(keys, sort=False)
    ]
    return pd.DataFrame(rows)


def _of_run(curve: pd.DataFrame) -> dict[str, object]:
    step, loss, ratio = (curve[name].to_numpy() for name in ("step", "train_loss", "edge_ratio"))
    late, last = step >= step[-1] / 2, step > 0.75 * step[-1]
    # A median, because at the edge the loss has spikes, some of them in the last evaluation.
    trained = bool(np.isfinite(loss).all() and np.isfinite(ratio).all() and np.median(loss[last]) <= loss[0])
    there = (step > 0) & (ratio >= HOVERS[0])
    reached = float(step[there.argmax()]) if trained and there.any() else NAN
    middle = float(np.median(ratio[late])) if trained else NAN
    return {
        "start_ratio": float(ratio[0]),
        "late_ratio": middle,
        "reached_step": reached,
        "start_loss": float(loss[0]),
        "end_loss": float(np.median(loss[last])),
        "still_falls": trained and bool(np.median(loss[last]) < np.median(loss[late & ~last])),
        "outcome": _outcome(trained, reached <= step[-1] / 2, middle),
    }


def _outcome(trained: bool, reached: bool, middle: float) -> str:
    if not trained:
        return "diverged"
    if not reached:
        return "not reached"
    if middle > HOVERS[1]:
        return "above"
    return "hovers" if middle >= HOVERS[0] else "fell below"


def findings(runs: pd.DataFrame) -> list[Finding]:
    """Return what was found: the level at which each optimizer hovers, whether most rates do, and from where on they diverge."""
    kinds = [(KINDS[str(name)], rows) for name, rows in runs.groupby("optimizer", sort=False)]
    found = [_level(kind, rows) for kind, rows in kinds]
    found.append(
        _share("rates that hover at the edge of stability, of those that reached it by half of the run", runs)
    )
    found.append(
        _most(
            "rates whose loss still falls, of those that hover at the edge of stability",
            _percent(runs, _falling),
        )
    )
    for kind, rows in kinds:
        found.append(_share(f"{kind.words}: rates that hover, of those that reached the edge", rows))
        found.extend(_limits(kind, rows))
    return found


def _level(kind: Kind, rows: pd.DataFrame) -> Finding:
    """The level at which the rates that reached the edge end, in units of the published threshold."""
    low, high = (end * kind.edge for end in HOVERS)

    def level(some: pd.DataFrame) -> float:
        return kind.edge * float(some.loc[some["outcome"].isin(REACHED), "late_ratio"].median())

    value, least, most = _over_seeds(rows, level)
    return Finding(
        f"{kind.words}: rate × curvature (η·λ) over the second half of the run, median over the rates that reached the edge",
        value,
        least,
        most,
        rule=f"{low:.3g} to {high:.3g}, the edge being at {kind.formula}",
        met=low <= value <= high if np.isfinite(value) else None,
    )


def _share(what: str, runs: pd.DataFrame) -> Finding:
    def hovers(some: pd.DataFrame) -> pd.Series[bool]:
        return some.loc[some["outcome"].isin(REACHED), "outcome"] == "hovers"

    return _most(what, _percent(runs, hovers))


def _falling(some: pd.DataFrame) -> pd.Series[bool]:
    return some.loc[some["outcome"] == "hovers", "still_falls"]


def _most(what: str, percent: tuple[float, float, float]) -> Finding:
    met = percent[0] >= 100 * _MOST if np.isfinite(percent[0]) else None
    return Finding(what, *percent, unit="%", rule=f"{_MOST:.0%} or more", met=met)


def _limits(kind: Kind, rows: pd.DataFrame) -> Iterator[Finding]:
    """The rates between which the edge is reached."""

    def lowest(some: pd.DataFrame) -> float:
        return float(some.loc[some["reached_step"].notna(), "learning_rate"].min())

    def start(some: pd.DataFrame) -> float:
        trained = some[some["outcome"] != "diverged"].sort_values("learning_rate")
        return float(trained["start_ratio"].iloc[-1]) if len(trained) else NAN

    def highest(some: pd.DataFrame) -> float:
        return float(some.loc[some["outcome"] != "diverged", "learning_rate"].max())

    end = {
        rows["learning_rate"].min(): "(the lowest tried)",
        rows["learning_rate"].max(): "(the highest tried)",
    }
    for what, rate in (
        ("lowest rate that reaches the edge before the end", lowest),
        ("highest rate that trains", highest),
    ):
        known = {rate(some) for _, some in rows.groupby("seed")}
        unit = end.get(known.pop(), "") if len(known) == 1 else ""
        yield Finding(f"{kind.words}: {what}", *_rate(rows, rate), unit=unit)
    if kind.probe == "sharpness":  # Adam's preconditioner is that of a single gradient at the start
        yield Finding(
            f"{kind.words}: η·λ of that rate at the start, over the edge", *_over_seeds(rows, start)
        )
    yield Finding(
        f"{kind.words}: rates whose loss still falls, of those that hover",
        *_percent(rows, _falling),
        unit="%",
    )
    ends = rows.groupby("outcome")["end_loss"].median()
    if {"fell below", "hovers"} <= set(ends.index):
        yield Finding(
            f"{kind.words}: last loss of the rates that fell below the edge, over that of those that hover, medians",
            float(ends["fell below"] / ends["hovers"]),
        )


def _over_seeds(runs: pd.DataFrame, statistic: Callable[[pd.DataFrame], float]) -> tuple[float, float, float]:
    """Return the mean over seeds of a statistic of their runs, and the ends of its t interval."""
    values = pd.Series([statistic(rows) for _, rows in runs.groupby("seed")])
    low, high = t_interval(values)
    return float(values.mean()), float(low), float(high)


def _rate(runs: pd.DataFrame, rate: Callable[[pd.DataFrame], float]) -> tuple[float, float, float]:
    """Return the geometric mean over seeds of a rate, and the ends of its interval."""
    value, low, high = np.exp(_over_seeds(runs, lambda some: float(np.log(rate(some)))))
    return float(value), float(low), float(high)


def _percent(
    runs: pd.DataFrame, share: Callable[[pd.DataFrame], pd.Series[bool]]
) -> tuple[float, float, float]:
    """Return the mean over seeds of the percentage of rates of which something is true, and the ends of its interval within 0 and 100."""
    value, low, high = _over_seeds(runs, lambda some: 100 * float(share(some).mean()))
    return value, max(low, 0.0), min(high, 100.0)
