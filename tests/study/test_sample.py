"""A sample: which points it has, that a larger one has them too, that its runs are those of other studies, and what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from lrbench.errors import StudyError
from lrbench.study import grid
from lrbench.study.sample import Range, points_of
from lrbench.study.spec import check

MOMENTUM = {"name": "sgd", "momentum": {"min": 0.0, "max": 0.99}}
STUDY = {
    "name": "few",
    "steps": 4,
    "seeds": 2,
    "sample": 6,
    "problem": "quadratic",
    "optimizer": [MOMENTUM, "adam"],
    "schedule": ["constant", "cosine"],
    "learning_rate": {"min": 1e-4, "max": 1.0},
}


EXPECTED_RATES = [0.00436313202, 0.0122506052, 0.654873993]
EXPECTED_MOMENTA = [0.954479016, 0.491757848, 0.659495246]


def _grid(**changed: Any) -> grid.Grid:
    table = {name: value for name, value in (STUDY | changed).items() if value is not None}
    return grid.of_study(check(table, "few.toml", trust=True))


def _columns(found: grid.Grid) -> pd.DataFrame:
    return pd.DataFrame(found.columns(np.arange(len(found))))


def test_the_points_are_the_first_of_one_sequence() -> None:
    """These values are part of what a study is: another version of SciPy must not change them."""
    runs = _columns(_grid(sample=3, optimizer=MOMENTUM, schedule="constant", seeds=1))
    assert runs["learning_rate"].tolist() == pytest.approx(EXPECTED_RATES, rel=1e-8)
    assert runs["sampled_optimizer_momentum"].tolist() == pytest.approx(EXPECTED_MOMENTA, rel=1e-8)


def test_a_point_has_one_value_of_everything_whatever_its_line_and_seed() -> None:
    runs = _columns(_grid())
    assert len(runs) == 6 * 2 * 2 * 2
    sgd = runs[runs["optimizer"] == "sgd"]
    assert sgd.groupby("learning_rate")["sampled_optimizer_momentum"].nunique().tolist() == [1] * 6
    assert sgd["sampled_optimizer_momentum"].between(0.0, 0.99).all()
    others = runs[runs["optimizer"] == "adam"]
    assert others["sampled_optimizer_momentum"].isna().all()
    assert others["learning_rate"].unique().tolist() == sgd["learning_rate"].unique().tolist()
    assert "optimizer_momentum" not in runs


@pytest.mark.parametrize("larger", [7, 8, 12, 40])
def test_a_larger_sample_has_the_runs_of_a_smaller_one(larger: int) -> None:
    smaller, found = _grid(), _grid(sample=larger)
    assert set(smaller.run_ids) < set(found.run_ids)
    assert len(set(found.run_ids)) == len(found)


def test_points_do_not_depend_on_how_many_parameters_are_sampled() -> None:
    more = {**MOMENTUM, "weight_decay": {"min": 1e-5, "max": 0.1, "log": True}}
    one, two = _columns(_grid(optimizer=MOMENTUM)), _columns(_grid(optimizer=more))
    for name in ("learning_rate", "sampled_optimizer_momentum"):
        assert one[name].tolist() == two[name].tolist()
    decay = np.log10(two["sampled_optimizer_weight_decay"])
    assert decay.between(-5, -1).all()


def test_a_sampled_run_is_the_run_of_a_study_that_lists_its_values() -> None:
    sampled = _columns(_grid(optimizer=MOMENTUM))
    for row in sampled.iloc[::5].to_dict("records"):
        optimizer = {"name": "sgd", "momentum": row["sampled_optimizer_momentum"]}
        rates = {"values": [row["learning_rate"]]}
        listed = _grid(sample=None, optimizer=optimizer, learning_rate=rates)
        assert row["run_id"] in set(listed.run_ids.astype(str))


def test_named_rates_are_sampled_too() -> None:
    rates = STUDY["learning_rate"] | {"output": {"min": 1e-2, "max": 1.0}}  # type: ignore[operator]
    found = _grid(problem="digits_mlp", optimizer="sgd", learning_rate=rates)
    runs = _columns(found)
    assert "learning_rate_output" not in runs
    assert runs["sampled_learning_rate_output"].between(1e-2, 1.0).all()
    assert runs["sampled_learning_rate_output"].nunique() == 6
    every = np.arange(len(found))
    assert found.rates(every)["output"].tolist() == runs["sampled_learning_rate_output"].tolist()
    row = runs.iloc[3]
    listed = {"values": [row["learning_rate"]], "output": {"values": [row["sampled_learning_rate_output"]]}}
    same = _grid(sample=None, problem="digits_mlp", optimizer="sgd", learning_rate=listed)
    assert row["run_id"] in set(same.run_ids.astype(str))


def test_listed_points_keep_their_values_together() -> None:
    rates, momenta = [0.3, 0.1, 0.2], [0.9, 0.0, 0.5]
    found = _grid(
        sample=3,
        learning_rate={"values": rates},
        optimizer={"name": "sgd", "momentum": {"values": momenta}},
    )
    runs = _columns(found)
    pairs = runs.drop_duplicates("learning_rate")[["learning_rate", "sampled_optimizer_momentum"]]
    assert sorted(map(tuple, pairs.to_numpy().tolist())) == sorted(zip(rates, momenta, strict=True))


def test_a_grid_is_restored_from_plain_data_and_a_study_from_its_table() -> None:
    found = _grid()
    assert grid.Grid.from_dict(found.asdict()) == found
    study = check(STUDY, "few.toml", trust=True)
    again = check(study.table(Path()), "few.toml", trust=True)
    assert (grid.of_study(again).run_ids == found.run_ids).all()


def test_numbers_of_an_optimizer_are_those_of_the_point() -> None:
    found = _grid()
    runs = _columns(found)
    momenta = found.numbers("momentum", np.arange(len(found)))
    sgd = (runs["optimizer"] == "sgd").to_numpy()
    assert momenta[sgd].tolist() == runs["sampled_optimizer_momentum"][sgd].tolist()
    assert np.isnan(momenta[~sgd]).all()


def test_linear_and_logarithmic_ranges() -> None:
    shares = np.array([0.0, 0.5, 1.0])
    assert Range(1.0, 100.0).at(shares) == (1.0, 50.5, 100.0)
    assert Range(1.0, 100.0, log=True).at(shares) == pytest.approx((1.0, 10.0, 100.0))


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "a range without a sample": (
        {"sample": None, "learning_rate": {"values": [0.1]}},
        "few.toml: optimizer.0.momentum: is a range, which only a sample is drawn from; add sample = 256, or give a list of values",
    ),
    "rates without a sample": (
        {"sample": None, "optimizer": "sgd"},
        "few.toml: learning_rate: requires min, max and num; or min, max and per_decade; or values; or min, max and a sample, as "
        "in sample = 256",
    ),
    "a sample without a range": (
        {"optimizer": "sgd"},
        "few.toml: sample = 6: nothing but the learning rate has a range; give a parameter of an optimizer one, such as "
        "momentum = {min = 0.0, max = 0.99}, or give learning_rate.num instead of sample",
    ),
    "a grid of rates": (
        {"learning_rate": {"min": 0.1, "max": 1.0, "num": 3}},
        "few.toml: sample = 6: draws learning rates, too; give [learning_rate] min and max alone, or 6 values",
    ),
    "a found range": (
        {"learning_rate": "auto"},
        "few.toml: sample = 6: draws learning rates, too; give [learning_rate] min and max alone, or 6 values",
    ),
    "refine": (
        {"refine": 1},
        "few.toml: refine = 1: halves the steps of a grid, and a sample has none; set refine = 0, and sample = 12",
    ),
    "a range of a schedule": (
        {"schedule": {"name": "warmup_cosine", "warmup": {"min": 0.0, "max": 0.3}}},
        "few.toml: schedule.warmup = {'min': 0.0, 'max': 0.3}: only a number of an optimizer can have a range; give a number or a list",
    ),
    "too few values": (
        {
            "learning_rate": {"values": [1, 2, 3, 4, 5, 6]},
            "optimizer": {"name": "sgd", "momentum": {"values": [0.1]}},
        },
        "few.toml: optimizer.0.momentum: has 1 value; a sample of 6 requires 6, and as many learning_rate.values",
    ),
    "ends in the wrong order": (
        {"optimizer": {"name": "sgd", "momentum": {"min": 0.9, "max": 0.0}}},
        "few.toml: optimizer.momentum: min = 0.9 must be below max = 0",
    ),
    "a logarithm of 0": (
        {"optimizer": {"name": "sgd", "momentum": {"min": 0, "max": 0.9, "log": True}}},
        "few.toml: optimizer.momentum: min = 0 must be above 0 with log = true",
    ),
    "an unknown key": (
        {"optimizer": {"name": "sgd", "momentum": {"min": 0, "mox": 0.9}}},
        "few.toml: optimizer.momentum = {'min': 0, 'mox': 0.9}: must be a number, a list, or a range {min = ..., max = ..., log = true or false}",
    ),
    "a boundary that is not finite": (
        {"optimizer": {"name": "sgd", "momentum": {"min": 0, "max": float("inf")}}},
        "few.toml: optimizer.momentum = {'min': 0, 'max': inf}: must be a number, a list, or a range {min = ..., max = ..., log = true or false}",
    ),
    "rates too close": (
        {"learning_rate": {"min": 0.1, "max": 0.1000000001}},
        "few: sample = 6: the range of the learning rate is too narrow for so many different ones",
    ),
    "lines that only the sample tells apart": (
        {"optimizer": [MOMENTUM, "sgd"]},
        "few: optimizer.1: only momentum, which is sampled, tells this sgd apart from optimizer.0; list momentum in the one that "
        "does not sample it, or leave one of them out",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_mistakes_are_answered_with_one_line(case: str) -> None:
    changed, message = REFUSED[case]
    with pytest.raises(StudyError) as raised:
        _grid(**changed)
    assert str(raised.value) == message


def test_a_plain_optimizer_beside_a_sampled_one_lists_the_parameter() -> None:
    runs = _columns(_grid(optimizer=[MOMENTUM, {"name": "sgd", "momentum": 0.0}]))
    assert runs["optimizer_momentum"].isna().sum() == runs["sampled_optimizer_momentum"].notna().sum() == 24


def test_no_sample_has_no_points() -> None:
    assert points_of(None, check(STUDY, "few.toml", trust=True).learning_rate).rates == ()
