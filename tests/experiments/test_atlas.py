"""The atlas: its measures against hand-computed cases and other implementations, and its published tables against each other."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from lrbench.experiments._atlas import closer, page, studies, tables
from lrbench.experiments._atlas.evidence import MeasuredLines
from lrbench.experiments._atlas.measures import DEFAULTS, RATE_FREE, from_others, measures, ranks
from lrbench.experiments._atlas.schedules import by_schedule
from lrbench.study import catalog, spec

PUBLISHED = Path(__file__).parents[2] / "results" / "atlas"
PROBLEMS, OPTIMIZERS, SCHEDULES = ["a", "b", "c"], ["adam", "prodigy"], ["constant", "cosine"]
RATES = np.array([0.1, 1.0, 10.0])


def evidence(tuned: Any, grid: Any = None) -> MeasuredLines:
    """Lines of three problems, whose gaps at three rates are the same for both schedules."""
    tuned = np.broadcast_to(np.asarray(tuned, dtype=float), (3, 2, 2, 10))
    if grid is None:
        grid = np.full((3, 2, 3), 0.5)
    grid = np.broadcast_to(np.asarray(grid, dtype=float)[:, :, None], (3, 2, 2, 3))
    rows = pd.MultiIndex.from_product(
        [PROBLEMS, OPTIMIZERS, SCHEDULES], names=["problem", "optimizer", "schedule"]
    )
    table = rows.to_frame(index=False).assign(
        trains=True,
        use_learning_rate=1.0,
        use_loss=0.2,
        use_loss_low=0.1,
        use_loss_high=0.3,
        own_low=0.1,
        own_high=[10.0, 10.0, 0.1, 0.1] * 3,
        learning_rate_sensitivity_normalised=0.5,
    )
    return MeasuredLines(PROBLEMS, OPTIMIZERS, SCHEDULES, RATES, np.ones(3), np.zeros(3), grid, tuned, table)


def test_a_rate_is_chosen_without_the_problem_that_it_is_for() -> None:
    gap = np.random.default_rng(0).random((5, 3, 2, 7))
    expected = np.array(
        [np.delete(gap, problem, axis=0).mean(axis=0).argmin(axis=-1) for problem in range(5)]
    )
    np.testing.assert_array_equal(from_others(gap), expected)
    assert (from_others(gap[:1]) == -1).all()


def test_untuned_is_the_default_where_there_is_one() -> None:
    # Of adam each problem has another best rate; prodigy's default, 1, is never the best.
    grid = [
        [[0.0, 0.2, 0.9], [0.0, 0.3, 0.0]],
        [[0.4, 0.1, 0.9], [0.0, 0.3, 0.0]],
        [[0.9, 0.5, 0.0], [0.0, 0.3, 0.0]],
    ]
    found = measures(evidence(0.05, grid))
    others = [np.delete(np.array(grid)[:, 0], problem, axis=0).mean(axis=0).argmin() for problem in range(3)]
    assert found.common_rate[:, 0, 0].tolist() == RATES[others].tolist()
    np.testing.assert_allclose(
        found.untuned[:, 0, 0], [grid[problem][0][at] for problem, at in enumerate(others)]
    )
    assert np.isnan(found.default[:, 0]).all()
    np.testing.assert_allclose(found.untuned[:, 1], 0.3)
    np.testing.assert_allclose(found.width[:, :, 0], [[2.0, 0.0]] * 3)


def test_defaults_are_of_the_catalogue_and_rate_free_methods_have_one() -> None:
    assert set(DEFAULTS) <= set(catalog.names("optimizer"))
    assert {DEFAULTS[name] for name in RATE_FREE} == {1.0}


def test_ranks_are_those_of_scipy() -> None:
    gap = np.random.default_rng(0).integers(0, 5, (4, 6, 3)).astype(float)
    expected = stats.rankdata(gap, axis=1)
    np.testing.assert_array_equal(ranks(gap), expected)


def test_kendall_is_that_of_scipy() -> None:
    first, second = np.random.default_rng(0).integers(0, 5, (2, 20, 8)).astype(float)
    expected = [stats.kendalltau(a, b).statistic for a, b in zip(first, second, strict=True)]
    np.testing.assert_allclose(closer.kendall(first, second), expected)


def test_the_interval_of_tau_is_a_point_without_noise_and_wide_with_it() -> None:
    clear = np.arange(5.0)[:, None] + np.zeros((5, 10))
    assert closer.tau_interval(clear, clear) == (1.0, 1.0, 1.0)
    assert closer.repeated(clear) == 1.0
    noise = np.random.default_rng(0).normal(size=(2, 5, 10))
    tau, low, high = closer.tau_interval(*noise)
    assert low < tau < high
    assert high - low > 0.5
    assert abs(closer.repeated(noise[0])) < 0.4


def test_an_optimizer_that_is_always_the_best_is_told_apart_only_from_those_that_never_are() -> None:
    order = np.random.default_rng(0).permuted(np.tile(np.arange(2.0, 5), (9, 1)), axis=1)
    rank = np.concatenate([np.ones((9, 1)), order], axis=1)
    p = tables.against_best(rank)
    assert p[0] == 1.0
    assert (p[1:] <= 0.05).all()
    assert (tables.against_best(np.full((9, 4), 2.5)) == 1.0).all()


def test_a_gain_is_the_lower_gap_with_the_schedule() -> None:
    noise = 1e-3 * np.random.default_rng(0).normal(size=(3, 2, 2, 10))
    level = np.array([[0.3, 0.1], [0.2, 0.2]])  # the schedule helps adam alone
    level = np.broadcast_to(level[None, :, :, None], noise.shape) + noise
    rows: dict[Any, dict[str, Any]] = by_schedule(evidence(level)).set_index("optimizer").to_dict("index")
    adam, prodigy = rows["adam"], rows["prodigy"]
    assert adam["gain"] == pytest.approx(0.2, abs=2e-3)
    assert [adam[name] for name in ("better", "worse", "problems")] == [3, 0, 3]
    assert [prodigy[name] for name in ("better", "worse")] == [0, 0]
    assert adam["p"] < 0.05 < prodigy["p"]
    mean = (level[:, 0, 0] - level[:, 0, 1]).mean(axis=1)
    assert adam["p"] == pytest.approx(2 * stats.ttest_1samp(mean, 0).pvalue, rel=1e-3)  # Holm of two


def cube(noise: float) -> np.ndarray[Any, Any]:
    """Losses [optimizer, rate, seed] of four optimizers a tenth apart, whose second rate is the best."""
    level = np.array([[0.5, 0.1, 0.5], [0.5, 0.2, 0.5], [0.5, 0.3, 0.5], [0.5, 0.4, 0.5]])
    return level[..., None] + noise * np.random.default_rng(0).normal(size=(4, 3, 40))


def test_conclusions_hold_without_noise_and_are_chance_with_it() -> None:
    names = closer.MEASURES
    clear = dict(zip(names, closer.judged(cube(1e-6), 1.0, np.arange(3)), strict=True))
    assert clear == {
        "orderings": 1.0,
        "significant": 1.0,
        "significant_hold": 1.0,
        "winner": 1.0,
        "regret": 0.0,
    }
    parts = [closer.judged(cube(100.0), 1.0, np.arange(3 * part, 3 * part + 3)) for part in range(13)]
    blurred = dict(zip(names, np.nanmean(parts, axis=0), strict=True))
    assert 0.3 < blurred["orderings"] < 0.7
    assert blurred["significant"] < 0.3
    single = dict(zip(names, closer.judged(cube(1e-6), 1.0, np.array([7])), strict=True))
    assert single["significant"] == 0.0
    assert np.isnan(single["significant_hold"])


def test_the_loss_of_a_wrong_winner_is_its_regret() -> None:
    losses = cube(0.0)
    losses[3, 1, :3] = 0.0  # the worst optimizer is lucky on three seeds
    found = dict(zip(closer.MEASURES, closer.judged(losses, 1.1, np.arange(3)), strict=True))
    assert found["winner"] == 0.0
    assert found["regret"] == pytest.approx((0.4 - 0.1) / (1.1 - 0.1))


def test_the_page_loads_nothing_and_its_data_cannot_end_their_element() -> None:
    one = evidence(0.05)
    cost = pd.DataFrame({"optimizer": ["adam", "prodigy"], "times_sgd": [1.5, 2.5]})
    facts = {"runs": 1234, "steps": 200, "confirm": 10}
    odd = one._replace(problems=["a</script><b>", "b", "c"])
    text = page.page(odd, measures(odd), cost, ["1 < 2"], facts)
    assert text.count("</script>") == 2
    assert "1 &lt; 2" in text
    assert "1,234 complete runs" in text
    assert not re.search(r"https?://|src=|@import|url\(", text)
    data = json.loads(re.search(r'id="data">(.*?)</script>', text, flags=re.DOTALL)[1])  # type: ignore[index]
    assert data["problems"][0] == "a</script><b>"
    assert [each["free"] for each in data["optimizers"]] == [False, True]
    assert [each["times"] for each in data["optimizers"]] == [1.5, 2.5]
    assert data["values"]["tuned"] == [0.05] * 12
    assert {each["key"] for each in data["measures"]} <= set(data["values"])


def test_the_studies_are_those_that_are_counted() -> None:
    """All 52 optimizers, sgd twice; with the runs that confirm, they can be 100,000."""
    names = studies.optimizers([studies.ALL])
    assert [each["name"] for each in names] == catalog.names("optimizer")
    shapes = ["constant", "cosine", "warmup_cosine", "wsd"]
    study = spec.check(
        studies.atlas("digits_softmax", [studies.ALL], shapes, rate_count=13, steps=200, seeds=3, confirm=10),
        "test",
        trust=True,
    )
    lines = (len(names) + 1) * len(shapes)
    assert study.lines == lines
    assert study.shorter_steps() == []
    assert study.runs == lines * (13 * 3 + 5 * 10)
    assert 8 * study.runs > 100_000
    assert studies.rates(13)[-1] == 100.0


@pytest.fixture(scope="module")
def published() -> dict[str, pd.DataFrame]:
    return {path.stem: pd.read_csv(path) for path in PUBLISHED.glob("*.csv")}


def test_published_means_are_those_of_the_lines(published: dict[str, pd.DataFrame]) -> None:
    lines, found = published["by_line"], published["by_optimizer"].set_index(["optimizer", "schedule"])
    each = lines.groupby(["optimizer", "schedule"], sort=False)
    for name in ("tuned", "untuned", "common"):
        np.testing.assert_allclose(
            found[f"{name}_gap"], each[f"{name}_gap"].mean()[found.index], rtol=2e-4, atol=1e-5
        )
        np.testing.assert_allclose(found[f"{name}_worst"], each[f"{name}_gap"].max()[found.index], rtol=1e-4)
    constant = lines[lines["schedule"] == "constant"].pivot(
        index="problem", columns="optimizer", values="tuned_gap"
    )
    mean = constant.mean()
    half = stats.t.ppf(0.975, len(constant) - 1) * constant.sem()
    mine = found.xs("constant", level="schedule")
    np.testing.assert_allclose(mine["tuned_gap_high"], (mean + half)[mine.index], rtol=1e-3)
    assert lines["optimizer"].str.split("(").str[0].nunique() == 52
    assert lines["problem"].nunique() >= 8


def test_published_gaps_are_those_of_the_losses(published: dict[str, pd.DataFrame]) -> None:
    problems = published["by_problem"].set_index("problem")
    lines = published["by_line"].merge(
        problems[["start_loss", "best_loss"]], left_on="problem", right_index=True
    )
    lines = lines[lines["trains"]]
    gap = (lines["use_loss"] - lines["best_loss_y"]) / (lines["start_loss"] - lines["best_loss_y"])
    np.testing.assert_allclose(lines["tuned_gap"], gap, atol=2e-3)
    best = lines.loc[lines.groupby("problem")["tuned_gap"].idxmin()].set_index("problem")
    for name in ("optimizer", "schedule"):
        assert problems[f"best_{name}"].to_dict() == best[name].to_dict()


def test_published_files_are_small() -> None:
    sizes = {path.name: path.stat().st_size for path in PUBLISHED.iterdir() if path.is_file()}
    assert max(size for name, size in sizes.items() if not name.endswith(".svg")) < 1e6
    assert sizes["index.html"] > 1e4
