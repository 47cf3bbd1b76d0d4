"""The price of tuning and the shares of the experiment `ecdf`, by hand."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from lrbench.analysis import ecdf
from lrbench.experiments._ecdf import tuning
from lrbench.experiments._ecdf.findings import _told_apart, _unsolved, findings
from lrbench.experiments.findings import of_table
from tests.helpers.frames import hits_at
from tests.helpers.paths import ROOT

# The 50th rung is 10⁻², and the 50th target (rung 50 of 1 … 200) is nearest to it. a meets rung 51 at its best rate in 10 and 20 steps,
# and b in 30 and 30; other rates of 100 steps never do.
A = [{"hits": {50: 10}, "seed": 0}, {"hits": {50: 20}, "seed": 1}]
B = [{"hits": {50: 30}, "seed": seed, "optimizer": "b"} for seed in range(2)]
LOST = [
    {"hits": {}, "learning_rate": 1.0, "seed": seed, "optimizer": name} for name in "ab" for seed in range(2)
]
BREAKS = [{**row, "diverged_step": 50} if row["optimizer"] == "b" else row for row in LOST]


def test_the_price_of_tuning_by_hand() -> None:
    found = tuning.Contenders(ecdf.lines(*hits_at([*A, *B, *BREAKS])))
    assert found.optimizers == ["a", "b"]
    assert found.priced == ["p"]
    # a: (10 + 20 + 200) / 2 over (10 + 20) / 2; b: (60 + 100) / 2 over 30.
    a, b = found.price("a"), found.price("b")
    assert a.value == pytest.approx(230 / 30)
    assert b.value == pytest.approx(80 / 30)
    # Both of a's seeds are 0: (10 + 100) / 10; both are 1: (20 + 100) / 20.
    assert (a.low, a.high) == (pytest.approx(6), pytest.approx(11))
    assert found.price("a", "b").value == pytest.approx(230 / 80)


def test_problems_that_an_optimizer_does_not_solve_are_not_priced() -> None:
    more = [{**row, "problem": "q"} for row in (*A, *LOST)]
    found = tuning.Contenders(ecdf.lines(*hits_at([*A, *B, *LOST, *more])))
    assert found.priced == ["p"]
    assert found.price("a").value == pytest.approx(230 / 30)
    nothing = tuning.Contenders(ecdf.lines(*hits_at(LOST)))
    assert nothing.priced == []
    assert np.isnan(nothing.price("a").value)


def test_shares_by_hand() -> None:
    lines = ecdf.lines(*hits_at([*A, *B, *LOST]))
    found = tuning.Contenders(lines)
    met = float(np.isfinite(lines.pools[0].hit).any(axis=0).mean())
    assert 0.2 < met < 0.3  # 51 of 200 rungs
    assert found.share("a", ecdf.BEST).value == pytest.approx(met)
    # At a random rate one run in two meets them.
    assert found.share("a", ecdf.ANY).value == pytest.approx(met / 2)
    restarts = found.share_with_restarts("a", ecdf.ANY, 1000)
    assert restarts.value == pytest.approx(met, rel=0.03)  # ten starts all miss once in 2¹⁰
    assert restarts.low <= restarts.value <= restarts.high


def test_the_table_is_in_the_order_of_shares_at_random_rates_and_findings_follow_it() -> None:
    # c meets fewer targets than a and b, but at both rates: it is last at the best rate and first at a random one.
    c = [
        {"hits": {40: 90}, "seed": seed, "optimizer": "c", "learning_rate": rate}
        for seed in range(2)
        for rate in (0.1, 1.0)
    ]
    runs, hits = hits_at([*A, *B, *LOST, *c])
    contenders = tuning.Contenders(ecdf.lines(runs, hits))
    distribution = ecdf.runtime_distribution(runs, hits)
    table = tuning.table(contenders, distribution, 100)
    assert table["optimizer"].tolist() == ["c", "a", "b"]
    assert table["place_at_random_rate"].tolist() == [1, 2, 2]
    assert table["place_at_best_rate"].tolist() == [3, 1, 1]
    assert table.loc[1, "at_random_rate_ten_runs"] == tuning.share_at(distribution, "a", ecdf.ANY, 1000)
    times = ecdf.expected_running_times(runs, hits)
    found = findings(table, times, contenders, distribution, 100)
    assert len(found) > 8
    by_words = {each.what: each for each in found}
    assert by_words[
        "levels of the loss (targets) that one run of c meets at a random rate, the most of all"
    ].value == pytest.approx(100 * table.loc[0, "at_random_rate_one_run"])
    assert by_words["place of c, the first at a random rate, at its best rate"].value == 3
    assert by_words["optimizers that move by three places or more"].value == 0
    # Every one of the two rates is the first or the last.
    assert by_words["best rates that are the first or the last of the grid"].line.endswith("3 of 3")
    assert by_words["problems and targets (one per decade) that no run met"].value == 51 - round(
        51 * float(table["at_best_rate_one_run"].max())
    )
    decades = tuning.by_decade(times)
    assert len(decades) == 3 * 2 * 8
    logs = np.log10(decades["target"])
    assert (np.abs(logs - logs.round()) < 0.09).all()


def test_every_third_number_of_steps_is_kept_and_the_last() -> None:
    distribution = ecdf.runtime_distribution(*hits_at([*A, *LOST]), points=12)
    steps = np.sort(distribution["steps"].unique())
    kept = np.sort(tuning.thinned(distribution)["steps"].unique())
    assert kept.tolist() == [*steps[::3], *([steps[-1]] if (len(steps) - 1) % 3 else [])]


def test_the_published_counts_are_those_of_the_published_running_times() -> None:
    published = ROOT / "results" / "ecdf"
    times, found = (pd.read_csv(published / f"{name}.csv") for name in ("running_times", "findings"))
    counted = [each.line for each in (*_told_apart(times), *_unsolved(times))]
    assert len(counted) == 3
    assert set(counted) <= {each.line for each in of_table(found)}
