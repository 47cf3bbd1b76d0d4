"""First hits that lanes keep are those of a curve with an evaluation at every step, whatever is chunked, dropped, stopped or resumed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import lrbench as lb
from lrbench.engine.engine import Engine
from lrbench.errors import StudyError
from lrbench.execution.checkpoints import Checkpoints
from lrbench.execution.execute import execute
from lrbench.results.places import FolderPlace
from lrbench.results.trained import Trained
from lrbench.study.grid import of_study
from lrbench.study.ladder import earlier, ladder, of_curve
from lrbench.study.spec import read

STUDY = {
    "name": "hits",
    "steps": 40,
    "evaluate_every": 40,
    "seeds": 2,
    "problem": ["rosenbrock", "quadratic"],
    # Schedule-free runs are evaluated elsewhere than where the gradient is.
    "optimizer": ["sgd", "adam", "schedule_free_sgd"],
    "learning_rate": {"values": [1e-3, 0.1, 1.0, 1e3, 1e8]},
    "probes": [],
    "first_hits": True,
}


def _slowly(values: np.ndarray, step: np.ndarray, floor: float) -> np.ndarray:
    """First hits, a loss at a time."""
    hits = np.full((len(values), 200), -1)
    for run, curve in enumerate(values):
        start = curve[0] - values.dtype.type(floor)
        for at, loss in zip(step, curve, strict=True):
            for rung in range(200):
                low = values.dtype.type(10 ** (-(rung + 1) / 25)) * start
                if hits[run, rung] < 0 and loss - values.dtype.type(floor) <= low:
                    hits[run, rung] = at
    return hits


def test_a_curve_gives_its_first_hits() -> None:
    curve = np.array([[11.0, 12.0, 10.0, 2.0, 5.0, 1.0, np.nan], [1.0] * 7, [0.5] * 7, [11.0] + [np.nan] * 6])
    step = np.array([0, 2, 4, 6, 8, 10, 12])
    found = of_curve(curve, step, 1.0)
    np.testing.assert_array_equal(found, _slowly(curve, step, 1.0))
    # (10 − 1) / (11 − 1) = 0.9 meets the first rung, 0.912, and (2 − 1) / 10 meets 0.1, the 25th, and none below.
    assert found[0, [0, 1, 24, 25, 199]].tolist() == [4, 6, 6, 10, 10]
    # A run that starts at the floor or below it has nothing to go.
    assert (found[1:3] == 0).all()
    assert (found[3] == -1).all()


def test_the_earlier_hit_counts_and_one_that_never_came_does_not() -> None:
    one, other = np.array([[-1, -1, 3, 5]]), np.array([[-1, 4, -1, 2]])
    assert earlier(one, other).tolist() == [[-1, 4, 3, 2]]


def test_the_ladder_is_fixed() -> None:
    rungs = ladder()
    assert len(rungs) == 200
    np.testing.assert_allclose(rungs[[0, 24, 49, 199]], [10**-0.04, 0.1, 0.01, 1e-8], rtol=1e-14)
    np.testing.assert_allclose(np.diff(np.log10(rungs)), -0.04, rtol=1e-10)


@pytest.mark.slow
def test_lanes_keep_what_an_evaluation_at_every_step_shows(train: Callable[..., Any]) -> None:
    engine, kept = train(STUDY)
    shown = train({**STUDY, "evaluate_every": 1})[1]
    assert len({each.first_hits.max() for each in kept}) > 2
    for pack, mine, other in zip(engine.grid.packs([1000] * 6), kept, shown, strict=True):
        assert len(mine.step) == 2
        problem = engine.problems[engine.grid.programs[pack.program].problem]
        expected = _slowly(other.curves["train_loss"], other.step, problem.optimum)
        np.testing.assert_array_equal(mine.first_hits, expected)
        np.testing.assert_array_equal(other.first_hits, expected)
    # Among them runs that diverged, and had met rungs before.
    diverged = np.concatenate([each.diverged_step for each in kept])
    assert np.isfinite(diverged).sum() > 3


@pytest.mark.slow
def test_hits_are_the_same_in_any_chunk_and_on_any_device(train: Callable[..., Any]) -> None:
    """Of losses that do not depend on how lanes are vectorised: a power of two as the rate keeps every product exact."""
    study = {**STUDY, "problem": "quadratic", "optimizer": "sgd", "seeds": 3, "evaluate_every": 5}
    study["learning_rate"] = {"values": [2.0**power for power in range(-6, 30, 5)]}
    (expected,) = train(study, devices=1)[1]
    assert np.isfinite(expected.diverged_step).any()
    for lanes, devices in ((2, 4), (3, 1), (5, 2)):
        (found,) = train({**study, "lanes_per_chunk": lanes}, devices=devices)[1]
        np.testing.assert_array_equal(found.first_hits, expected.first_hits)


class _Stop(Exception):
    pass


def test_a_pack_that_goes_on_from_a_checkpoint_has_the_same_hits(tmp_path: Path) -> None:
    """With a race, in which runs are stopped, and with runs that diverged and gave up their lanes."""
    study = read(
        {
            **STUDY,
            "problem": "quadratic",
            "optimizer": "adam",
            "evaluate_every": 2,
            "race": True,
            "lanes_per_chunk": 2,
            "learning_rate": {"values": [1e-5, 1e-4, 1e-2, 0.1, 1.0, 1e19, 1e21, 1e25]},
        }
    )
    grid = of_study(study)
    engine = Engine(study, grid)
    (pack,) = grid.packs([1000])
    whole = engine.run(pack, 1000)
    assert np.isfinite(whole.stopped_step).any()
    assert np.isfinite(whole.diverged_step).any()
    assert whole.first_hits is not None
    late = whole.first_hits > np.fmin(whole.stopped_step, whole.diverged_step)[:, None]
    assert not late.any()

    def train(stop: int | None) -> Trained:
        moves: list[int] = []

        def moved(runs: int, steps: int) -> None:
            moves.append(steps)
            if len(moves) == stop:
                raise _Stop

        kept = Checkpoints(FolderPlace(tmp_path), pack.pack_id, 1e-9, lambda text: None)
        return engine.run(pack, 1000, moved, kept)

    for stop in (3, 9, 7):
        with pytest.raises(_Stop):
            train(stop)
    np.testing.assert_array_equal(train(None).first_hits, whole.first_hits)


@pytest.mark.slow
def test_problems_with_data_are_looked_at_in_evaluations(train: Callable[..., Any]) -> None:
    """By the loss that runs are judged by, and not by those of minibatches."""
    study = {**STUDY, "problem": "breast_cancer_logistic", "optimizer": "sgd", "evaluate_every": 1}
    for objective, column in (("auto", "valid_loss"), ("train_loss", "train_loss")):
        engine, (found,) = train({**study, "objective": objective})
        expected = _slowly(found.curves[column], found.step, 0.0)
        np.testing.assert_array_equal(found.first_hits, expected)
        recipe = engine.instances.recipe(engine.grid.programs[0])
        assert recipe.floor is None


def test_noise_in_the_loss_is_no_hit(train: Callable[..., Any]) -> None:
    """A problem without data may draw noise at every step; evaluations always draw the same."""

    def noisy(w: Any, batch: Any, key: Any) -> Any:
        return jnp.sum(w**2) * (1 + 0.9 * jax.random.uniform(key, minval=-1, maxval=1))

    problem = lb.problem(name="noisy", init=lambda key: jnp.ones(2), loss=noisy, optimum=0.0)
    study = {**STUDY, "problem": problem, "optimizer": "sgd", "learning_rate": {"values": [1e-3, 0.1]}}
    (kept,), (shown,) = train(study)[1], train({**study, "evaluate_every": 1})[1]
    np.testing.assert_array_equal(kept.first_hits, _slowly(shown.curves["train_loss"], shown.step, 0.0))


def test_rare_evaluations_of_data_are_refused_with_one_line() -> None:
    study = read({**STUDY, "steps": 1000, "evaluate_every": 20, "problem": ["quadratic", "house_prices"]})
    said = (
        "hits: evaluate_every = 20: must be 10 or less with first_hits = true, because the hits of house_prices, which has data, "
        "are those of its evaluations, and runs have 1,000 steps"
    )
    with pytest.raises(StudyError) as caught:
        Engine(study, of_study(study))
    assert str(caught.value) == said
    few = read({**STUDY, "steps": 30, "evaluate_every": 1, "problem": "house_prices"})
    Engine(few, of_study(few))


def test_without_first_hits_nothing_is_kept(train: Callable[..., Any]) -> None:
    study = {**STUDY, "problem": "quadratic", "optimizer": "sgd", "first_hits": False}
    engine, (found,) = train(study)
    assert found.first_hits is None
    program = engine.grid.programs[0]
    assert engine.instances.recipe(program).floor is None
    with_hits = train({**study, "first_hits": True})[0]
    np.testing.assert_array_equal(with_hits.grid.run_ids, engine.grid.run_ids)
    assert with_hits.instances.lane_bytes(program) - engine.instances.lane_bytes(program) == 4 * 201


def test_runs_of_before_have_no_rows(tmp_path: Path) -> None:
    """As with a probe that is added: runs are not trained again, and those that are new have what is new."""
    study = {**STUDY, "problem": "quadratic", "optimizer": "sgd", "seeds": 1, "first_hits": False}

    def run(**changes: Any) -> lb.Results:
        return execute(read({**study, **changes}), tmp_path / "study", report=False).results

    assert run().first_hits.empty
    assert not (tmp_path / "study" / "first_hits.csv").exists()
    found = run(seeds=2, first_hits=True)
    table = found.first_hits
    assert list(table.columns) == ["run_id", "target", "step"]
    new = found.runs.loc[found.runs["seed"] == 1, "run_id"]
    assert table["run_id"].tolist() == [each for each in new for _ in range(200)]
    np.testing.assert_array_equal(
        table["target"].to_numpy().reshape(-1, 200), np.tile(ladder(), (len(new), 1))
    )
    csv = (tmp_path / "study" / "first_hits.csv").read_text().splitlines()
    assert len(csv) == len(table) + 1
    rows = table[table["run_id"] == new.iloc[1]]
    final = found.runs.set_index("run_id").loc[new.iloc[1]]
    met = rows.loc[rows["step"].notna(), "target"].min()
    assert met >= final["best_train_loss"] / final["initial_train_loss"]
