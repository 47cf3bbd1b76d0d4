"""What following each rule costs, with intervals over problems, and what is found."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from lrbench.analysis.intervals import t_interval
from lrbench.experiments._finder_truth.suggested import DEFAULT, OTHERS, RULES
from lrbench.experiments.findings import NAN, Finding


def with_intervals(table: pd.DataFrame, rules: pd.DataFrame, good: float) -> pd.DataFrame:
    """Return the summary of rules with the mean excess and the share of good suggestions, means of the problems, and their intervals.

    Args:
        table: what `regret` returns.
        rules: its summary, a row per rule.
        good: the most that a good suggestion loses.
    """
    told = table[table["suggestion"].notna()]
    told = told.assign(good_share=(told["excess_normalised"] <= good).astype(float))
    out = rules
    for column, name in (("excess_normalised", "excess_mean"), ("good_share", "good_mean")):
        means = by_problem(told, column).reindex(columns=rules["rule"])
        low, high = t_interval(means.T.to_numpy())
        values = {
            name: means.mean().to_numpy(),
            f"{name}_low": low.clip(0, 1),
            f"{name}_high": high.clip(0, 1),
        }
        out = out.assign(**values)
    return out


def by_problem(table: pd.DataFrame, column: str) -> pd.DataFrame:
    """Return the mean of a column [problem, rule] over optimizers and seeds: problems are what intervals sample."""
    return table.pivot_table(index="problem", columns="rule", values=column, aggfunc="mean", sort=False)


def findings(table: pd.DataFrame, rules: pd.DataFrame) -> list[Finding]:
    """Return the best rule and what it loses, beside no finder at all; then every rule."""
    finders = rules[~rules["rule"].isin([DEFAULT, OTHERS])].sort_values("excess_mean", kind="stable")
    best = str(finders["rule"].iloc[0])
    rows = {str(row["rule"]): row for row in rules.to_dict("records")}
    lost = "share of ℓ₀ − ℓ* lost to the best rate"
    found = [_excess(f"{best}, the finder that loses least: {lost}", rows[best])]
    found += [_excess(f"{_words(rule)}: {lost}", rows[rule]) for rule in (DEFAULT, OTHERS)]
    found += [_against(table, best, DEFAULT), _against(table, best, OTHERS)]
    adam = table[table["optimizer"].str.partition("(")[0] == "adam"]
    for rule in (best, DEFAULT):
        means = by_problem(adam, "excess_normalised").reindex(columns=[rule])[rule]
        who = f"Adam at 0.001: {lost}" if rule == DEFAULT else f"{rule}, with Adam: {lost}"
        value, low, high = _mean(means)
        found.append(Finding(who, value, max(low, 0.0), min(high, 100.0), unit="%"))
    found += [_excess(f"{rule}: {lost}", rows[rule]) for rule in RULES if rule not in (best, DEFAULT, OTHERS)]
    shown = [*dict.fromkeys([best, "valley", DEFAULT, OTHERS])]
    found += [_good(rule, rows[rule]) for rule in shown]
    found += [
        Finding(f"{_words(rule)}: decades from the best rate, median", float(rows[rule]["decades"]))
        for rule in shown
    ]
    finders = table[~table["rule"].isin([DEFAULT, OTHERS])]
    found.append(
        Finding("finders without a suggestion", 100 * float(finders["suggestion"].isna().mean()), unit="%")
    )
    return found


def _words(rule: str) -> str:
    return {
        DEFAULT: "Keras's default rates, without a finder",
        OTHERS: "the rate that is best on the other problems, without a finder",
    }.get(rule, rule)


def _excess(what: str, row: Mapping[Any, Any]) -> Finding:
    return Finding(what, *_ends(row, "excess_mean"), unit="%")


def _good(rule: str, row: Mapping[Any, Any]) -> Finding:
    what = f"{_words(rule)}: suggestions that lose at most 5 %"
    return Finding(what, *_ends(row, "good_mean"), unit="%")


def _ends(row: Mapping[Any, Any], name: str) -> tuple[float, float, float]:
    """A share in %, and its interval."""
    return 100 * row[name], 100 * row[f"{name}_low"], 100 * row[f"{name}_high"]


def _against(table: pd.DataFrame, best: str, other: str) -> Finding:
    """The difference of what two rules lose, paired by problem."""
    means = by_problem(table, "excess_normalised").reindex(columns=[best, other])
    value, low, high = _mean(means[best] - means[other])
    what = f"{best} against {_words(other)}: difference of what they lose"
    met = None if np.isnan(high) else high < 0
    return Finding(what, value, low, high, "percentage points", "below 0, with its interval", met)


def _mean(values: pd.Series) -> tuple[float, float, float]:
    """The mean over problems in %, and its t interval."""
    if values.isna().all():
        return NAN, NAN, NAN
    low, high = t_interval(values)
    return 100 * float(values.mean()), 100 * float(low), 100 * float(high)
