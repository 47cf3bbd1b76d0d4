"""The tables and findings of the experiment: the pairs, how far around their rates runs still converge, and who is fastest."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd

from lrbench.analysis.labels import rate_text
from lrbench.experiments._optax_convergence.pairs import PROBLEMS, Pair
from lrbench.experiments.findings import Finding


def of_pairs(judged: pd.DataFrame, pairs: Sequence[Pair]) -> pd.DataFrame:
    """Return a row per pair and problem: what its run did, and the band of rates around its rate that converge too."""
    lines = dict(iter(judged.groupby(["optimizer", "problem"], sort=False)))
    return pd.DataFrame(
        [
            {
                "suite": pair.suite,
                "optimizer": pair.label,
                "learning_rate": pair.rate,
                "problem": problem,
                "exempt": pair.exempt.get(problem, ""),
                **_band(lines[pair.label, problem], pair.rate),
            }
            for problem in PROBLEMS
            for pair in pairs
        ]
    ).astype({"converges": "boolean"})


def _band(line: pd.DataFrame, rate: float) -> dict[str, object]:
    """Return how the run at a rate ends, the unbroken band around it in which runs converge, and the fastest of all rates."""
    rates, steps = line["learning_rate"].to_numpy(), line["steps"].to_numpy()
    converges = np.isfinite(steps)
    out: dict[str, object] = {
        "converges": None,
        "distance": np.nan,
        "steps": np.nan,
        "band_low": np.nan,
        "band_high": np.nan,
        "fastest_learning_rate": np.nan,
        "fastest_steps": np.nan,
    }
    if converges.any():
        best = int(np.nanargmin(steps))
        out |= {"fastest_learning_rate": float(rates[best]), "fastest_steps": float(steps[best])}
    if np.isfinite(rate):
        (at,) = np.flatnonzero(np.isclose(rates, rate))
        out |= {"converges": bool(converges[at]), "distance": float(line["distance"].iloc[at])}
        out["steps"] = float(steps[at])
        if converges[at]:
            below, above = ~converges[:at][::-1], ~converges[at + 1 :]
            first = at - (int(below.argmax()) if below.any() else at)
            last = at + (int(above.argmax()) if above.any() else len(above))
            out |= {"band_low": float(rates[first]), "band_high": float(rates[last])}
    return out


def findings(table: pd.DataFrame, judged: pd.DataFrame, steps: int) -> list[Finding]:
    """Return the findings, the main ones first."""
    judgeable = table[table["learning_rate"].notna()]
    required = judgeable[judgeable["exempt"] == ""]
    parabola, rosenbrock = PROBLEMS
    return [
        *_required(required, steps),
        _width(required, rosenbrock),
        _fastest(required, rosenbrock),
        *_times(required, judged, rosenbrock),
        _width(required, parabola),
        _fastest(required, parabola),
        *_times(required, judged, parabola),
        *(_best_common(judged, problem) for problem in PROBLEMS),
        *(_slower_than_fastest(required, problem) for problem in PROBLEMS),
        _fastest_at_any_rate(judged, rosenbrock),
        _slowest(required),
        *(_narrowest(required, problem) for problem in PROBLEMS),
        *_exempt(judgeable, judged),
    ]


def _required(required: pd.DataFrame, steps: int) -> Iterator[Finding]:
    met, count = int(required["converges"].sum()), len(required)
    what = "runs that optax's tests require to end within 3 % of the optimum, and that do"
    yield Finding(what, met, unit=f"of {count}", rule="all", met=met == count)
    soon = int((required["converges"] & (required["steps"] <= steps)).sum())
    what = f"runs of optax's tests that stay within 3 % of the optimum from step {steps:,} on, or from an earlier one"
    yield Finding(what, soon, unit=f"of {count}")


def _slowest(required: pd.DataFrame) -> Finding:
    last = required.sort_values("steps", na_position="first").iloc[-1]
    what = f"steps of the slowest pair, {last['optimizer']} at {rate_text(last['learning_rate'])} on {last['problem']}"
    return Finding(what, float(last["steps"]), unit="steps")


def _of(table: pd.DataFrame, problem: str) -> pd.DataFrame:
    return table[(table["problem"] == problem) & table["converges"].fillna(value=False)]


def _decades(rows: pd.DataFrame) -> pd.Series:
    return (rows["band_high"] / rows["band_low"]).map(np.log10)


def _width(required: pd.DataFrame, problem: str) -> Finding:
    rows = _of(required, problem)
    what = f"{problem}: width of the band of rates around optax's that converge, median of {len(rows)} pairs"
    return Finding(what, float(_decades(rows).median()), unit="decades")


def _fastest(required: pd.DataFrame, problem: str) -> Finding:
    rows = _of(required, problem)
    least = rows["steps"].min()
    names = _named(rows[rows["steps"] == least])
    return Finding(f"{problem}: steps of the fastest pair, {names}", float(least), unit="steps")


def _fastest_at_any_rate(judged: pd.DataFrame, problem: str) -> Finding:
    rows = judged[(judged["problem"] == problem) & judged["steps"].notna()]
    least = rows["steps"].min()
    names = _named(rows[rows["steps"] == least])
    return Finding(
        f"{problem}: steps of the fastest at any rate of the grid, {names}", float(least), unit="steps"
    )


def _best_common(judged: pd.DataFrame, problem: str) -> Finding:
    rows = judged[(judged["problem"] == problem) & judged["steps"].notna()]
    count, optimizers = rows.groupby("learning_rate")["optimizer"].nunique(), judged["optimizer"].nunique()
    rate, most = "–", 0
    if len(count):
        at = int(count.to_numpy().argmax())
        rate, most = rate_text(float(count.index.to_numpy()[at])), int(count.iloc[at])
    what = f"{problem}: optimizers that converge at {rate}, the rate at which most do"
    return Finding(what, most, unit=f"of {optimizers}")


def _times(required: pd.DataFrame, judged: pd.DataFrame, problem: str) -> Iterator[Finding]:
    """Return how many pairs converge at ten times and at a tenth of their rate, where the grid has it."""
    pairs = _of(required, problem)
    lines = judged[judged["problem"] == problem].set_index("optimizer")
    for factor, words in ((10.0, "ten times"), (0.1, "a tenth of")):
        found: list[bool] = []
        for name, rate in zip(pairs["optimizer"], pairs["learning_rate"], strict=True):
            rows = lines.loc[[name]]
            found += rows["steps"].notna()[np.isclose(rows["learning_rate"], factor * rate)].tolist()
        what = f"{problem}: pairs that also converge at {words} optax's rate"
        yield Finding(what, sum(found), unit=f"of {len(found)}")


def _slower_than_fastest(required: pd.DataFrame, problem: str) -> Finding:
    """Return how much slower optax's rates are than the fastest of the grid."""
    rows = _of(required, problem)
    times = rows["steps"] / rows["fastest_steps"]
    what = f"{problem}: steps at optax's rate relative to those at the fastest rate of the grid, median"
    return Finding(what, float(times.median()), unit="times")


def _narrowest(required: pd.DataFrame, problem: str) -> Finding:
    rows = _of(required, problem)
    decades = _decades(rows)
    names = _named(rows[np.isclose(decades, decades.min())])
    return Finding(f"{problem}: narrowest band, {names}", float(decades.min()), unit="decades")


def _exempt(judgeable: pd.DataFrame, judged: pd.DataFrame) -> Iterator[Finding]:
    for row in judgeable[judgeable["exempt"] != ""].to_dict("records"):
        line = judged[(judged["optimizer"] == row["optimizer"]) & (judged["problem"] == row["problem"])]
        outcome = "converges" if row["converges"] else "does not converge"
        what = f"exempt: {row['optimizer']} on {row['problem']} {outcome} at {rate_text(row['learning_rate'])}; rates at which it does"
        yield Finding(what, int(line["steps"].notna().sum()), unit=f"of {len(line)}")


def _named(rows: pd.DataFrame) -> str:
    """Return the optimizers of rows with their rates; of many, the first and how many more there are."""
    names = [
        f"{name} at {rate_text(rate)}"
        for name, rate in zip(rows["optimizer"], rows["learning_rate"], strict=True)
    ]
    more = len(names) - 3
    return " and ".join(names[:3]) + (f" and {more} more" if more > 0 else "")
