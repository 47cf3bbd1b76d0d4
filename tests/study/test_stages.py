"""Stages against what a study of a few lines has to train, written by hand."""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import Any

import numpy as np
import pytest

from lrbench.errors import StudyError
from lrbench.study.grid import Grid, of_study
from lrbench.study.spec import read
from lrbench.study.stages import (
    FRESH,
    Shorter,
    Stage,
    Step,
    fresh,
    most_ranged,
    range_rates,
    shorter,
    stage_of,
    steps,
)

STUDY: dict[str, Any] = {
    "name": "s",
    "steps": 10,
    "seeds": 2,
    "problem": "quadratic",
    "optimizer": [{"name": "sgd", "momentum": [0.0, 0.9]}],
    "schedule": "constant",
    "learning_rate": {"values": [0.1, 0.2, 0.3]},
}


def _records(**changes: Any) -> list[tuple[Any, ...]]:
    asked: dict[str, Any] = {
        "seeds": (3, 4),
        "refine": 0,
        "confirm": 0,
        "most_seeds": None,
        "per_decade": None,
    }
    return [tuple(step) for step in steps(**(asked | changes))]


def test_a_plain_grid_chooses_nothing() -> None:
    assert _records() == []


def test_what_is_chosen_in_which_order() -> None:
    assert _records(refine=2, confirm=3, per_decade=3.0) == [
        ("grid", "grid", 31, (3, 4), False),
        ("refine", "refine-1", 3, (3, 4), False),
        ("refine", "refine-2", 3, (3, 4), False),
        ("confirm", "confirm", 5, (FRESH, FRESH + 1, FRESH + 2), False),
    ]


@pytest.mark.parametrize(
    ("confirm", "most", "counts"),
    [
        (3, 40, [5, 10, 20, 40]),
        (5, 40, [10, 20, 40]),  # five are confirmed already
        (4, 20, [5, 10, 20]),
        (20, 21, [21]),
        (0, 5, [5]),
    ],
)
def test_rounds_with_enough_seeds_add_the_seeds_that_are_missing(
    confirm: int, most: int, counts: list[int]
) -> None:
    rounds = [step for step in _records(confirm=confirm, most_seeds=most) if step[4]]
    assert [step[1] for step in rounds] == [f"confirm-{count}" for count in counts]
    assert {step[2] for step in rounds} == {5}
    seeds = [seed for step in rounds for seed in step[3]]
    assert seeds == list(range(FRESH + confirm, FRESH + most))


def test_shorter_runs_are_of_two_rates_on_the_fresh_seeds() -> None:
    assert shorter(0) == []
    found = shorter(2)
    assert [factor for factor, _ in found] == [1.2, 1.5, 2.0, 3.0]
    assert found[1][1] == Step("shorter", "shorter-1.5", 2, (FRESH, FRESH + 1))


def test_numbers_of_seeds_and_rates() -> None:
    assert fresh(3, 1) == (FRESH + 1, FRESH + 2)
    assert fresh(0) == ()
    assert (most_ranged(1), most_ranged(2.55)) == (11, 26)
    rates = range_rates()
    assert (rates[0], rates[-1]) == (1e-7, 1e3)
    np.testing.assert_allclose(np.diff(np.log10(rates)), 0.5, rtol=1e-6)


def test_a_stage_comes_back_from_plain_data() -> None:
    stage = Stage("refine", ((0.1,), ()), (0, 1))
    plain = {"name": "refine", "rates": [[0.1], []], "seeds": [0, 1]}
    assert stage_of(asdict(stage)) == stage_of(plain) == stage
    assert Shorter.from_dict({"factor": 1.5, "stage": plain}) == Shorter(1.5, stage)
    assert Shorter.from_dict(Shorter(1.5, stage).asdict()) == Shorter(1.5, stage)


def _runs(grid: Grid, stage: Stage) -> set[tuple[int, float, int]]:
    """(line, rate, seed) of each run of a stage."""
    found = np.flatnonzero(grid.in_stage(stage))
    shape = grid.lines, len(grid.learning_rates), len(grid.seeds)
    places = np.array(np.unravel_index(found, shape)).T
    return {(int(line), grid.learning_rates[rate], grid.seeds[seed]) for line, rate, seed in places}


def test_the_runs_of_a_stage_are_its_rates_of_each_line_with_its_seeds() -> None:
    grid = replace(of_study(read(STUDY)), learning_rates=(0.3, 0.1, 0.2), seeds=(0, 1, 7))
    each = Stage("refine", ((0.1, 0.3), (0.2,)), (1, 7))
    assert _runs(grid, each) == {(0, rate, seed) for rate in (0.1, 0.3) for seed in (1, 7)} | {
        (1, 0.2, 1),
        (1, 0.2, 7),
    }
    assert _runs(grid, Stage("range", ((0.2, 0.3),), (0,))) == {
        (line, rate, 0) for line in (0, 1) for rate in (0.2, 0.3)
    }
    assert _runs(grid, Stage("confirm", ((), (0.3,)), (7,))) == {(1, 0.3, 7)}


def test_a_range_is_found_with_the_first_seed_alone() -> None:
    auto = of_study(read(STUDY | {"learning_rate": "auto"}))
    assert (auto.seeds, auto.learning_rates) == ((0,), range_rates())
    assert auto.stages == (Stage("range", (range_rates(),), (0,)),)
    given = of_study(read(STUDY))
    assert (given.seeds, given.stages) == ((0, 1), ())
    assert Grid.from_dict(asdict(auto)) == auto


def test_equal_epochs_are_those_of_the_first_batch_size_of_each_problem() -> None:
    mine = [{"name": "digits_mlp", "batch_size": [16, 24, 64]}, {"name": "digits_cnn", "batch_size": [32, 8]}]
    epochs = of_study(read(STUDY | {"problem": mine, "budget": "epochs", "evaluate_every": 4}))
    # ⌈10·16/b⌉ and ⌈10·32/b⌉, each in ⌈10/4⌉ = 3 evaluations.
    assert epochs.lengths == ((10, 4), (7, 3), (3, 1), (10, 4), (40, 14))
    assert of_study(read(STUDY | {"problem": mine})).lengths == ()
    with pytest.raises(StudyError) as raised:
        of_study(read(STUDY | {"budget": "epochs"}))
    assert (
        'budget = "epochs": problem.0: quadratic has no batch_size; leave budget out, or set it to "steps"'
        in str(raised.value)
    )


def test_rates_of_their_own_are_parts_of_a_line() -> None:
    both = {"learning_rate": {"values": [0.1, 0.2, 0.3], "output": {"values": [1.0, 2.0]}}}
    grid = of_study(read(STUDY | {"optimizer": "sgd"} | both))
    assert grid.lines == 2
    found = np.flatnonzero(grid.in_stage(Stage("refine", ((0.1,), (0.2, 0.3)), (1,))))
    names = list(grid.sizes)
    at = np.array(np.unravel_index(found, tuple(grid.sizes.values())))
    rate, seed = (at[names.index(name)].tolist() for name in ("learning_rate", "seed"))
    output = next(at[number] for number, name in enumerate(names) if "output" in name).tolist()
    assert set(zip(output, rate, seed, strict=True)) == {(0, 0, 1), (1, 1, 1), (1, 2, 1)}
