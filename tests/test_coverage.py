"""The benchmark of intervals, on few replicates; and that what manifests say of them is what it has measured."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from benchmarks import coverage, coverage_methods, coverage_recorded, coverage_simulated
from benchmarks.coverage_simulated import KINDS, Row, draws
from benchmarks.table import ROOT
from lrbench.analysis.intervals import t_interval
from lrbench.analysis.measured_coverage import COVERED, interval_methods
from tests.helpers import frames


@pytest.mark.parametrize("kind", KINDS)
def test_seeds_have_the_mean_and_deviation_that_they_promise(kind: str) -> None:
    values = draws(kind, (2, 400_000), np.random.default_rng(0))
    assert values.mean() == pytest.approx(0, abs=0.01)
    assert values.std() == pytest.approx(1, abs=0.01)
    assert 0.55 < np.corrcoef(values)[0, 1] < 0.62
    skewness = (values**3).mean()
    assert skewness == pytest.approx({"skewed": 1.75, "bimodal": 0.58}.get(kind, 0.0), abs=0.15)


def test_a_target_is_judged_with_the_error_of_the_share() -> None:
    found = [
        Row("losses", "a", "normal", 3, 2000, share, ours=ours)
        for share, ours in ((0.929, True), (0.9, True), (0.99, True), (0.5, False))
    ]
    table = coverage.judged([*found, Row("equal lines", "a", "normal", 3, 2000, 0.06, lines=2)])
    assert table["met"].tolist() == [True, False, False, None, False]
    assert table["target"].tolist() == ["0.93 to 0.98"] * 4 + ["0 to 0.05"]


def test_intervals_that_were_tried() -> None:
    """Without neighbours and with symmetric seeds, most of them are the t interval or nearly so."""
    rng = np.random.default_rng(1)
    half = rng.normal(size=(300, 20))
    own = np.concatenate([half, -half], axis=1) + 5
    low, high = t_interval(own)
    for method, ends in coverage_methods.alternatives(own, np.full((300, 4, 40), np.nan), rng):
        exact = not method.endswith("bootstrap")
        assert ends[0] == pytest.approx(low, abs=1e-9 if exact else 0.15)
        assert ends[1] == pytest.approx(high, abs=1e-9 if exact else 0.15)


def test_everything_is_simulated_and_summed_up() -> None:
    rows = list(coverage_simulated.rows(4, np.random.default_rng(2)))
    runs = frames.study(seeds=6, rates=np.logspace(-3, 0, 6).tolist())
    assert {row.measure for row in rows} == set(coverage.TARGETS)
    assert all(0 <= row.share <= 1 for row in rows)
    page = coverage.page(coverage.judged(rows))
    assert "| losses | 3 | **t, with its neighbours** |" in page
    assert "Real runs" not in page
    problems = [
        coverage_recorded.arranged("p", runs.runs[runs.runs["problem"] == name], runs.curves)
        for name in runs.runs["problem"].unique()[:1]
    ]
    recorded = [
        row
        for problem in problems
        for seeds in (3, 6)
        for row in coverage_recorded.rows(problem, seeds, 4, np.random.default_rng(3))
    ]
    assert {row.measure for row in recorded} >= {
        "losses",
        "paired differences",
        "rates",
        "steps, times as many",
    }
    assert "## Real runs, fresh seeds" in coverage.page(coverage.judged([*rows, *recorded]))


def test_manifests_name_the_coverage_that_was_measured() -> None:
    table = pd.read_csv(ROOT / "results" / "answers" / "coverage.csv")
    table = table[table["ours"] & table["data"].str.contains(", ", regex=False)]
    problem, chosen = (table["data"].str.split(", ").str[part] for part in (0, 1))
    mine = table[~problem.isin(coverage.TUNED) & (chosen.eq("fresh seeds") | table["measure"].eq("rates"))]
    found = mine.groupby(["measure", "seeds"])["share"].mean()
    said = {(measure, seeds): share for measure, each in COVERED.items() for seeds, share in each.items()}
    assert said == pytest.approx(found.to_dict(), abs=0.0005)
    described = interval_methods()
    assert set(described["methods"]) == set(described["covered"]) == set(COVERED)
