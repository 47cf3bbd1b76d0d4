"""Which runs a race stops, computed by hand, and what stopping leaves alone."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from lrbench.engine.race import Race

RATES = np.array([1.0, 2.0, 4.0, 8.0, 16.0])


def _stopped(losses: list[list[float]], at: list[int], steps: int = 100) -> list[list[bool]]:
    race = Race(np.zeros(5, dtype=int), RATES, steps)
    return [race.lost(step, np.array(row)).tolist() for step, row in zip(at, losses, strict=True)]


def test_a_slow_run_is_stopped_at_its_second_lost_evaluation() -> None:
    """Run 0 falls by 0.1 in 10 steps: at twice that pace 70 steps bring 1.4, and it would end above 8."""
    losses = [
        [10.0, 10.0, 10.0, 10.0, 10.0],
        [9.9, 5.0, 2.0, 1.0, 2.0],
        [9.8, 4.0, 1.5, 0.5, 2.0],
        [9.7, 3.0, 1.2, 0.4, 2.0],
        [9.6, 2.0, 1.0, 0.3, 2.0],
    ]
    found = _stopped(losses, [0, 10, 20, 30, 40])
    assert found[:4] == [[False] * 5] * 4  # before a quarter of the steps nothing counts
    assert found[4] == [True, False, False, False, False]


def test_a_run_whose_pace_still_reaches_goes_on() -> None:
    """Run 0 falls by 1 in 10 steps: twice that pace for 60 steps more takes 12, all that is left."""
    losses = [
        [10.0, 9.0, 9.0, 9.0, 9.0],
        [9.0, 5.0, 2.0, 1.0, 2.0],
        [8.0, 4, 1.5, 0.5, 2],
        [7.0, 4, 1, 0.5, 2],
    ]
    assert _stopped([*losses, [6.0, 4.0, 1.0, 0.5, 2.0]], [0, 10, 20, 30, 40])[-1][0] is False


def test_a_large_rate_is_stopped_only_above_the_initial_loss() -> None:
    high = [[10.0] * 5, [8, 2, 1, 4, 11], [8, 2, 1, 4, 12], [8, 2, 1, 4, 12.0]]
    assert _stopped(high, [0, 30, 60, 90])[2] == [False, False, False, False, True]
    below = [[10.0] * 5, [8, 2, 1, 4, 9], [8, 2, 1, 4, 9], [8, 2, 1, 4, 9.0]]
    assert not np.any([row[4] for row in _stopped(below, [0, 30, 60, 90])])


def test_the_leader_and_its_neighbours_are_never_stopped() -> None:
    flat = [[10.0] * 5, [9, 9, 1.0, 11, 11], [9, 9, 1.0, 11, 11], [9, 9, 1.0, 11, 11]]
    assert _stopped(flat, [0, 30, 60, 90])[2] == [True, False, False, False, True]


def test_lines_race_apart_and_runs_that_are_out_stay_out() -> None:
    """The second line never comes near the first, but nobody in it is slower than its own leader."""
    race = Race(np.array([0, 0, 0, 1, 1, 1]), np.array([1.0, 2, 4, 1, 2, 4]), 100)
    race.lost(0, np.full(6, 10.0))
    for at in (30, 60, 90):
        lost = race.lost(at, np.array([9.0, np.nan, 0.1, 9.5, 9.4, 9.3]))
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
