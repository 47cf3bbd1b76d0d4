"""Which runs a race stops, computed by hand, and what stopping leaves alone."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import lrbench as lb
from lrbench.engine import schedule_table
from lrbench.engine.race import Race
from lrbench.schedules.plateau import Plateau

RATES = np.array([1.0, 2.0, 4.0, 8.0, 16.0])
CONSTANT, STEP = np.ones(100), np.arange(100)
FALLING = 1 - STEP / 100
WARMED = np.minimum(1, STEP / 50)


def _race(shape: np.ndarray = CONSTANT, rule: Plateau | None = None, lines: int = 1) -> Race:
    """A race of lines of five rates, in runs of 100 steps."""
    line = np.repeat(np.arange(lines), 5)
    return Race(
        line, np.tile(RATES, lines), np.zeros(5 * lines, dtype=int), schedule_table.table([shape], [rule])
    )


def _stopped(race: Race, losses: list[list[float]], at: list[int]) -> list[list[bool]]:
    return [race.update(step, np.array(row)).tolist() for step, row in zip(at, losses, strict=True)]


def test_a_slow_run_is_stopped_at_its_third_lost_evaluation() -> None:
    """Run 0 falls by 0.1 in 10 steps: at twice that pace 50 steps bring 1, and it would end above 8."""
    losses = [
        [10.0, 10.0, 10.0, 10.0, 10.0],
        [9.9, 5.0, 2.0, 1.0, 2.0],
        [9.8, 4.0, 1.5, 0.5, 2.0],
        [9.7, 3.0, 1.2, 0.4, 2.0],
        [9.6, 2.0, 1.0, 0.3, 2.0],
        [9.5, 1.0, 1.0, 0.3, 2.0],
    ]
    found = _stopped(_race(), losses, [0, 10, 20, 30, 40, 50])
    assert found[:5] == [[False] * 5] * 5  # before a quarter of the steps nothing counts
    assert found[5] == [True, False, False, False, False]


def test_a_run_whose_pace_still_reaches_goes_on() -> None:
    """Run 0 falls by 0.6 in 10 steps: twice that pace for 50 steps more takes 6, and leaves 1 of 10, which is good."""
    losses = [[10.0 - 0.6 * number, *([5.0, 2.0, 1.0, 2.0] if number else [10.0] * 4)] for number in range(6)]
    assert not any(row[0] for row in _stopped(_race(), losses, [0, 10, 20, 30, 40, 50]))


@pytest.mark.parametrize(
    ("shape", "stopped"), [(CONSTANT, True), (WARMED, False), (np.maximum(0.01, WARMED**3), False)]
)
def test_a_slow_run_has_the_pace_of_the_rates_to_come(shape: np.ndarray, stopped: bool) -> None:
    """It falls by 0.2 in 10 steps of a warmup that has only begun, and no run is judged before the peak."""
    losses = [[10.0 - 0.2 * number, *([5.0, 2.0, 1.0, 2.0] if number else [10.0] * 4)] for number in range(6)]
    assert _stopped(_race(shape), losses, [0, 10, 20, 30, 40, 50])[-1][0] is stopped


def test_a_second_peak_counts_as_rate_to_come() -> None:
    """At step 60 a rate that was nearly 0 rises again: what 10 steps brought at 0.01, 40 steps at 1 may bring 400 times."""
    shape = np.where((STEP >= 20) & (STEP < 60), 0.01, 1.0)
    losses = [[10.0, *[10.0] * 4], *([9.0 - 0.1 * k, 5.0, 2.0, 1.0, 2.0] for k in range(6))]
    at = [0, 20, 30, 40, 50, 55, 60]
    assert not any(row[0] for row in _stopped(_race(shape), losses, at))
    assert _stopped(_race(), losses, at)[-1][0] is True


HIGH = [[10.0] * 5, *([8.0, 2.0, 1.0, 4.0, 11.0 + number] for number in range(4))]
HIGH_AT = [0, 30, 50, 70, 90]


def test_a_large_rate_is_stopped_only_above_the_initial_loss_and_while_it_does_not_fall() -> None:
    assert _stopped(_race(), HIGH, HIGH_AT)[3] == [False, False, False, False, True]
    below = [[min(loss, 9.9) for loss in row] for row in HIGH]
    assert not np.any([row[4] for row in _stopped(_race(), [HIGH[0], *below[1:]], HIGH_AT)])
    # It has jumped, as edges of stability do, and comes down again.
    falls = [HIGH[0], *([8.0, 2.0, 1.0, 4.0, 90.0 - number] for number in range(4))]
    assert not np.any([row[4] for row in _stopped(_race(), falls, HIGH_AT)])


@pytest.mark.parametrize(
    ("shape", "rule"),
    [
        (FALLING, None),
        (np.where(STEP < 95, 1.0, 0.1), None),
        (CONSTANT, Plateau(0.1, 3, 1e-4, True, 0, 0.0)),
    ],
)
def test_a_large_rate_that_will_be_smaller_goes_on(shape: np.ndarray, rule: Plateau | None) -> None:
    assert not np.any([row[4] for row in _stopped(_race(shape, rule), HIGH, HIGH_AT)])


def test_once_a_warmup_is_over_a_large_rate_stays_too_large() -> None:
    found = _stopped(_race(np.minimum(1, STEP / 40)), HIGH, HIGH_AT)
    assert [row[4] for row in found] == [False, False, False, False, True]


def test_the_leader_and_its_neighbours_are_never_stopped() -> None:
    flat = [[10.0] * 5, *([9.0, 9.0, 1.0, 11.0, 11.0] for _ in range(5))]
    assert _stopped(_race(), flat, [0, 30, 50, 60, 70, 90])[4] == [True, False, False, False, True]


def test_lines_race_apart_and_runs_that_are_out_stay_out() -> None:
    """The second line never comes near the first, but nobody in it is slower than its own leader."""
    table = schedule_table.table([CONSTANT], [None])
    race = Race(np.array([0, 0, 0, 1, 1, 1]), np.array([1.0, 2, 4, 1, 2, 4]), np.zeros(6, dtype=int), table)
    race.update(0, np.full(6, 10.0))
    for at in (30, 50, 60, 70):
        lost = race.update(at, np.array([9.0, np.nan, 0.1, 9.5, 9.4, 9.3]))
    assert lost.tolist() == [True, False, False, True, False, False]


def test_a_race_saves_steps_and_leaves_the_others_alone(train: Callable[..., Any]) -> None:
    study = {
        "name": "race",
        "steps": 200,
        "evaluate_every": 10,
        "seeds": 2,
        "problem": [{"name": "quadratic", "mu": 0.5}],
        "optimizer": ["sgd"],
        "learning_rate": {"min": 1e-4, "max": 1.9, "num": 24},
        "lanes_per_chunk": 2,
    }
    _, (full,) = train(study, devices=1)
    _, (raced,) = train({**study, "race": True}, devices=1)
    stopped = np.isfinite(raced.stopped_step)
    assert 0 < stopped.sum() < len(stopped)
    assert (raced.stopped_step[stopped] >= 50).all()
    assert np.isnan(full.stopped_step).all()
    assert full.stopped_lane_steps == 0
    assert raced.saved_lane_steps >= raced.stopped_lane_steps > 0
    loss, expected = raced.curves["train_loss"], full.curves["train_loss"]
    np.testing.assert_allclose(loss[~stopped], expected[~stopped], rtol=1e-5)
    evaluations = np.arange(0, 201, 10)
    seen = evaluations[None] <= raced.stopped_step[stopped, None]
    np.testing.assert_allclose(loss[stopped][seen], expected[stopped][seen], rtol=1e-5)
    assert np.isnan(loss[stopped][~seen]).all()
    best = expected[:, -1].min()
    assert (expected[stopped, -1] > best + 0.05 * (expected[stopped, 0] - best)).all()


SCHEDULES = [
    "constant",
    "linear",
    "cosine",
    "step",
    "warmup_cosine",
    "onecycle_cosine",
    "wsd",
    "cosine_restarts",
]


@pytest.mark.slow
def test_no_run_is_stopped_that_would_have_been_good(tmp_path: Path) -> None:
    """At rates up to 2 decades too large, too: where the rate decays, those recover, and no divergence is claimed."""
    study = {
        "name": "recovers",
        "steps": 200,
        "evaluate_every": 10,
        "seeds": 1,
        "problem": "house_prices",
        "optimizer": {"name": "sgd", "momentum": [0.0, 0.9]},
        "schedule": SCHEDULES,
        "learning_rate": {"min": 1e-4, "max": 10, "num": 16},
        "probes": [],
    }
    full = lb.run(study, tmp_path / "full", report=False)
    raced = lb.run({**study, "race": True}, tmp_path / "raced", report=False)
    pairs = full.runs.merge(raced.runs, on="run_id", suffixes=("", "_raced"), validate="one_to_one")
    stopped = pairs["status_raced"] == "stopped"
    assert len(pairs) == 256
    assert stopped.mean() > 0.1
    assert not (stopped & (pairs["verdict"] == "good")).any()
    assert (pairs["verdict"] == "good").equals(pairs["verdict_raced"] == "good")
    whole, said = (each.best().set_index(["optimizer", "schedule"]) for each in (full, raced))
    assert (said["use"] == whole["use"].reindex(said.index)).all()
    claimed = said["cliff"].dropna()
    assert (claimed == whole["cliff"].reindex(claimed.index)).all()
    decaying = raced.runs["schedule"] != "constant"
    above = raced.runs["final_train_loss"] > raced.runs["initial_train_loss"]
    assert not (decaying & above & (raced.runs["status"] == "stopped")).any()
