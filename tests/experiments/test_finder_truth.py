"""What rules lose, by tables that were written by hand."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from lrbench.analysis import regret, regret_summary
from lrbench.experiments._finder_truth import judged, suggested

RATES = [0.001, 0.01, 0.1]
LOSSES = {"a": (0.5, 0.0, 1.0), "b": (0.4, 0.2, 0.0), "c": (0.2, 0.0, 0.6)}
"""Of each problem at these rates; all start at 1."""


def _runs() -> pd.DataFrame:
    rows = [
        (problem, "adam", "constant", rate, seed, "ok", 1.0, loss)
        for problem, losses in LOSSES.items()
        for rate, loss in zip(RATES, losses, strict=True)
        for seed in (0, 1)
    ]
    names = ["problem", "optimizer", "schedule", "learning_rate", "seed", "status"]
    table = pd.DataFrame(rows, columns=[*names, "initial_train_loss", "final_train_loss"])
    return table.assign(verdict="good")


def test_rules_without_a_finder() -> None:
    found = suggested.without_finder(_runs(), None)
    assert len(found) == 3 * 2 * 2  # problems, rules, seeds
    rates = found.groupby(["rule", "problem"])["suggestion"].first()
    assert rates["default"].tolist() == [0.001] * 3
    # Of b and c together 0.01 loses least (0.1 on average, 0.3 at both others); of a and c, and of a and b, likewise.
    assert rates["other_problems"].tolist() == [0.01] * 3
    unknown = suggested.without_finder(_runs().assign(optimizer="yogi"), None)
    missing = unknown[unknown["rule"] == "default"]
    assert missing["suggestion"].isna().all()
    assert set(missing["reason"]) == {"no default"}
    alone = suggested.without_finder(_runs().query("problem == 'a'"), None)
    assert alone.loc[alone["rule"] == "other_problems", "reason"].tolist() == ["no other problem"] * 2


def _judged() -> tuple[pd.DataFrame, pd.DataFrame]:
    runs = _runs()
    rows = [
        {
            "problem": problem,
            "optimizer": "adam",
            "seed": seed,
            "rule": rule,
            "suggestion": rate,
            "reason": "",
        }
        for rule, rates in {
            "steep": (0.1, 0.1, 0.1),
            "minimum": (0.01, 0.1, 0.01),
            "valley": (0.01, 0.01, 0.01),
            "slide": (0.001, 0.1, np.nan),
            **{name: (0.001, 0.001, 0.001) for name in suggested.RULES if name.startswith("fastai")},
        }.items()
        for problem, rate in zip(LOSSES, rates, strict=True)
        for seed in (0, 1)
    ]
    found = pd.concat([pd.DataFrame(rows), suggested.without_finder(runs, None)], ignore_index=True)
    table = regret(found, runs)
    return table, judged.with_intervals(table, regret_summary(table), 0.05)


def test_what_rules_lose_with_intervals_over_problems() -> None:
    table, rules = _judged()
    rows = rules.set_index("rule")
    assert rows.loc["steep", "excess_mean"] == pytest.approx((1.0 + 0.0 + 0.6) / 3)
    assert rows.loc["steep", "good_mean"] == pytest.approx(1 / 3)
    assert rows.loc["minimum", ["excess_mean", "excess_mean_low", "excess_mean_high"]].tolist() == [0, 0, 0]
    values = np.array([0.0, 0.2, 0.0])  # of valley: 4.3027 is t of two degrees of freedom
    half = 4.3027 * values.std(ddof=1) / np.sqrt(3)
    ends = rows.loc["valley", ["excess_mean_low", "excess_mean_high"]].tolist()
    assert ends == pytest.approx([0, values.mean() + half], rel=1e-4)  # not below 0
    assert rows.loc["slide", "excess_mean"] == pytest.approx((0.5 + 0.0) / 2)  # of what it suggests
    found = {each.what: each for each in judged.findings(table, rules)}
    first, *_ = found.values()
    assert first.what.startswith("minimum, the finder that loses least")
    assert found["finders without a suggestion"].value == pytest.approx(100 * 2 / 48)
    against = next(each for what, each in found.items() if what.startswith("minimum against Keras"))
    assert against.value == pytest.approx(-100 * (0.5 + 0.4 + 0.2) / 3)
    assert against.met is (against.high < 0)
    adam = next(each for what, each in found.items() if what.startswith("Adam at 0.001"))
    assert adam.value == pytest.approx(100 * (0.5 + 0.4 + 0.2) / 3)
