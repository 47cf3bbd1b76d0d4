"""The engine against a plain loop, against itself in other layouts, and against theory."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import lrbench as lb
from lrbench.engine import layout, seeds
from lrbench.engine.engine import Engine
from lrbench.errors import LaunchError, ProblemError, StudyError
from lrbench.results.run_lookup import RunLookup
from lrbench.study.grid import of_study
from lrbench.study.spec import read

SMALL = {
    "name": "small",
    "steps": 12,
    "evaluate_every": 5,
    "seeds": 2,
    "problem": ["breast_cancer_logistic"],
    "optimizer": [{"name": "adam", "b1": [0.8, 0.9]}],
    "schedule": ["constant", "warmup_cosine"],
    "learning_rate": {"min": 1e-3, "max": 1e-1, "num": 3},
    "probes": ["gradient_norm"],
}


def _by_run(engine: Engine, curves: list[Any], name: str) -> np.ndarray:
    runs = RunLookup(engine.grid.run_ids).numbers(np.concatenate([each.run_ids for each in curves]))
    return np.concatenate([each.curves[name] for each in curves])[np.argsort(runs)]


@pytest.mark.slow
def test_a_lane_equals_the_same_run_in_a_plain_loop(train: Callable[..., Any]) -> None:
    """optax stepped by hand with its own schedule, one model, one Python loop."""
    engine, curves = train(SMALL)
    grid, problem = engine.grid, engine.problems[0]
    losses = _by_run(engine, curves, "valid_loss")
    for run in (0, 7, len(grid) - 1):
        at = {axis: int(positions[0]) for axis, positions in grid.positions(np.array([run])).items()}
        optimizer, schedule, rate, seed = (at[k] for k in ("optimizer", "schedule", "learning_rate", "seed"))
        shape = optax.constant_schedule(1.0)
        if schedule == 1:
            shape = optax.warmup_cosine_decay_schedule(0.0, 1.0, 1, 12, 0.0)
        peak = grid.learning_rates[rate]
        tx = optax.adam(lambda t, s=shape, p=peak: p * s(t), b1=grid.optimizers[optimizer].params["b1"])
        params = jax.tree.map(lambda leaf: leaf[0], seeds.Initial(problem).of([seed]))
        state = tx.init(params)
        order = seeds.orders(problem, [seed], 0, 12)[0]
        train_x, train_y = problem.data.train
        for examples in order:
            part = (jnp.asarray(train_x[examples]), jnp.asarray(train_y[examples]))
            gradient = jax.jit(jax.grad(problem.loss))(params, part, jax.random.key(0))
            updates, state = tx.update(gradient, state, params)
            params = optax.apply_updates(params, updates)
        alone = problem.loss(params, jax.tree.map(jnp.asarray, problem.data.valid), jax.random.key(0))
        np.testing.assert_allclose(losses[run, -1], alone, rtol=2e-4)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("change", "devices"),
    [({"lanes_per_chunk": 1}, 3), ({"lanes_per_chunk": 5}, 1), ({"lanes_per_chunk": 64}, 2)],
)
def test_results_do_not_hang_on_chunks_and_devices(
    train: Callable[..., Any], change: dict[str, int], devices: int
) -> None:
    engine, expected = train({**SMALL, "lanes_per_chunk": 3})
    _, found = train({**SMALL, **change}, devices=devices, lanes_per_pack=10)
    for name in expected[0].curves:
        np.testing.assert_allclose(
            _by_run(engine, found, name), _by_run(engine, expected, name), rtol=1e-3, atol=1e-6
        )


@pytest.mark.slow
def test_deterministic_results_are_the_same_on_any_devices(train: Callable[..., Any]) -> None:
    """Also where runs diverge, whose places go to others without it; and adam's powers are what fusing moves first."""
    wide = {"problem": ["digits_softmax"], "schedule": "constant", "probes": [], "deterministic": True}
    wide |= {"learning_rate": {"min": 1e-2, "max": 1e30, "num": 9}, "optimizer": ["adam"], "seeds": 3}
    engine, expected = train({**SMALL, **wide}, devices=1)
    assert np.isfinite(expected[0].diverged_step).any()
    for devices in (2, 3):
        _, found = train({**SMALL, **wide}, devices=devices)
        for name in expected[0].curves:
            np.testing.assert_array_equal(_by_run(engine, found, name), _by_run(engine, expected, name))


def test_one_trace_for_all_rates_seeds_and_schedules() -> None:
    """The loss is traced a fixed number of times, however many runs and packs there are."""
    traces = []

    def loss(params: jax.Array, data: Any, key: jax.Array) -> jax.Array:
        traces.append(1)
        return jnp.sum(params**2)

    bowl = lb.problem(name="bowl", init=lambda key: jnp.ones(3), loss=loss)

    def count(rates: int, lanes_per_pack: int) -> tuple[int, int]:
        traces.clear()
        asked = {"name": "bowl", "steps": 6, "evaluate_every": 3, "seeds": 2, "problem": [bowl]}
        asked |= {"optimizer": ["adam"], "schedule": ["constant", "cosine"]}
        study = read(asked | {"learning_rate": {"min": 0.01, "max": 1, "num": rates}}, trust=True)
        grid = of_study(study)
        engine = Engine(study, grid)
        for pack in grid.packs([lanes_per_pack]):
            engine.run(pack, lanes_per_pack)
        return len(traces), len(engine.programs.compiled)

    few, many = count(2, 100), count(30, 16)
    assert few == many
    assert many[1] == 1


@pytest.mark.parametrize(
    ("change", "evaluations"),
    [
        ({}, 1),
        ({"optimizer": ["sgd", "adam", "schedule_free_sgd"]}, 2),  # evaluated at parameters of its own
        ({"probes": ["gradient_cosine"]}, 2),  # of the loss after the step
        ({"schedule": ["reduce_on_plateau"]}, 2),  # its state is the optimizer's business
    ],
)
def test_one_evaluation_serves_all_optimizers(change: dict[str, Any], evaluations: int) -> None:
    asked = {"name": "x", "steps": 4, "evaluate_every": 2, "seeds": 1, "problem": ["quadratic"]}
    asked |= {"optimizer": ["sgd", "adam"], "learning_rate": {"values": [0.1]}, "lanes_per_chunk": 1}
    study = read(asked | change)
    grid = of_study(study)
    engine = Engine(study, grid)
    for pack in grid.packs([8] * len(grid.programs)):
        engine.run(pack, 8)
    compiled = [future.result() for future in engine.programs.compiled.values()]
    assert len({id(each.evaluation) for each in compiled}) == evaluations


def test_columns_are_in_the_order_of_the_probes(train: Callable[..., Any], table: dict[str, Any]) -> None:
    """Wherever they are measured: in the evaluation of all optimizers, or with one optimizer's step."""
    probes = ["update_norm", "gradient_norm", "layer_update_norm", "parameter_norm"]
    _, (curves,) = train({**table, "probes": probes})
    assert list(curves.curves)[-4:] == [*probes[:2], "layer_update_norm/all", probes[3]]


def test_a_run_that_is_not_finite_is_recorded_and_frozen(
    train: Callable[..., Any], table: dict[str, Any]
) -> None:
    table |= {"steps": 60, "evaluate_every": 20, "learning_rate": {"values": [0.1, 1e6]}, "seeds": 1}
    _, (curves,) = train(table)
    assert np.isnan(curves.diverged_step[0])
    # Every step multiplies the largest coordinate by about 1e6, and its square leaves float32 within four steps.
    assert 2 <= curves.diverged_step[1] <= 6
    assert np.isfinite(curves.curves["train_loss"][0]).all()
    assert np.isfinite(curves.curves["train_loss"][1, 0])
    assert np.isnan(curves.curves["train_loss"][1, 1:]).all()


def test_float64_is_a_choice_of_the_study(train: Callable[..., Any], table: dict[str, Any]) -> None:
    _, (narrow,) = train(table)
    _, (wide,) = train({**table, "precision": "float64"})
    assert narrow.curves["train_loss"].dtype == np.float32
    assert wide.curves["train_loss"].dtype == np.float64
    np.testing.assert_allclose(narrow.curves["train_loss"], wide.curves["train_loss"], rtol=1e-5)
    assert not jax.config.jax_enable_x64  # type: ignore[attr-defined]


def test_an_epoch_sees_every_example_once() -> None:
    data = np.arange(10.0)
    problem = lb.problem(init=lambda key: 0.0, loss=lambda w, b, k: w, train=data, batch_size=3)
    order = seeds.orders(problem, [4], 0, 7)[0]
    assert order.shape == (7, 3)
    for epoch in (order[:3], order[3:6]):
        assert len(set(epoch.ravel())) == 9
    np.testing.assert_array_equal(seeds.orders(problem, [4], 2, 4)[0], order[2:6])
    assert (seeds.orders(problem, [5], 0, 7)[0] != order).any()


def test_runs_of_a_seed_start_alike_and_seeds_differ(train: Callable[..., Any]) -> None:
    engine, curves = train(SMALL)
    first = _by_run(engine, curves, "valid_loss")[:, 0].reshape(-1, 2)
    np.testing.assert_allclose(first, np.broadcast_to(first[:1], first.shape), rtol=1e-6)
    assert first[0, 0] != first[0, 1]


def test_noise_of_the_loss_is_shared_by_the_runs_of_a_seed(train: Callable[..., Any]) -> None:
    noisy = lb.problem(
        name="noisy",
        init=lambda key: jnp.zeros(()),
        loss=lambda w, b, key: jnp.square(w) + jax.random.normal(key),
    )
    asked = {"name": "n", "steps": 4, "seeds": 2, "problem": [noisy], "optimizer": ["sgd"]}
    engine, curves = train({**asked, "learning_rate": {"values": [0.1, 0.2]}})
    start = _by_run(engine, curves, "train_loss")[:, 0]
    assert start[0] == start[2]
    assert start[1] == start[3]
    assert start[0] != start[1]


def test_evaluation_in_pieces_equals_the_whole(
    monkeypatch: pytest.MonkeyPatch, train: Callable[..., Any]
) -> None:
    from lrbench.engine import lane

    engine, whole = train(SMALL)
    monkeypatch.setattr(lane, "EVALUATION_BATCH", 50)
    _, pieces = train(SMALL)
    # F1 and AUC are no means over examples: the mean of those of the pieces is another number.
    for name in ("train_loss", "valid_loss", "valid_accuracy", "valid_f1", "valid_auc"):
        np.testing.assert_allclose(_by_run(engine, pieces, name), _by_run(engine, whole, name), rtol=1e-4)


def test_no_more_examples_are_evaluated_at_once_than_fit(
    monkeypatch: pytest.MonkeyPatch, train: Callable[..., Any]
) -> None:
    from lrbench.engine import lane

    seen: set[int] = set()

    def loss(params: jax.Array, batch: jax.Array, key: jax.Array) -> jax.Array:
        seen.add(len(batch))
        return jnp.mean(params * batch)

    line = lb.problem(
        name="line",
        init=lambda key: jnp.zeros(()),
        loss=loss,
        train=np.arange(120.0),
        valid=np.arange(70.0),
        batch_size=3,
    )
    monkeypatch.setattr(lane, "EVALUATION_BATCH", 50)
    _, (curves,) = train({**SMALL, "problem": [line], "optimizer": ["sgd"], "schedule": ["constant"]})
    assert {"train_loss", "valid_loss"} <= curves.curves.keys()  # without a metric, too
    assert seen == {3, 50, 20}  # a minibatch, a piece, and what is left of both sets


def test_arrange_gives_every_run_one_place() -> None:
    seed = np.repeat([0, 1, 2], [5, 1, 7])
    size = layout.Size(chunks=3, lanes=3, seeds=3, segment=1)
    found = layout.arrange(seed, 2, size)
    used = found.runs[found.runs >= 0]
    assert sorted(used) == list(range(13))
    assert found.counts.sum() == 6
    for place, runs in zip(found.seeds, found.runs, strict=True):
        assert all(seed[run] == place for run in runs if run >= 0)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"schedule": [{"name": "warmup_cosine", "warmup": 1.5}]},
            "schedule.0: warmup_cosine: warmup = 1.5: must be",
        ),
        (
            {"problem": [{"name": "quadratic", "mu": 2.0}]},
            "problem.0: quadratic: mu = 2.0, lam = 1.0: curvatures",
        ),
        (
            {"problem": [{"name": "digits_mlp", "batch_size": 5000}]},
            "batch_size = 5000: must be from 1 to the 1438",
        ),
        ({"problem": [{"name": "digits_mlp", "hidden": [0]}]}, "every width must be 1 or more"),
        ({"optimizer": [lambda learning_rate: 3]}, "it must return an optax GradientTransformation"),
        ({"problem": [lambda: 3]}, "it must return a Problem"),
    ],
)
def test_what_problems_schedules_and_optimizers_refuse(
    table: dict[str, Any], change: dict[str, Any], message: str
) -> None:
    study = read({**table, **change}, trust=True)
    with pytest.raises((StudyError, ProblemError)) as caught:
        Engine(study, of_study(study))
    assert message in str(caught.value)


def test_too_many_devices_are_refused(table: dict[str, Any]) -> None:
    study = read(table)
    with pytest.raises(LaunchError, match="--devices 99: this process has 4 cpu device"):
        Engine(study, of_study(study), 99)


def test_a_loss_that_is_no_scalar_fails_with_one_line(table: dict[str, Any]) -> None:
    vector = lb.problem(name="vector", init=lambda key: jnp.ones(2), loss=lambda w, b, k: w)
    study = read({**table, "problem": [vector]}, trust=True)
    grid = of_study(study)
    engine = Engine(study, grid)
    with pytest.raises(ProblemError, match="vector: could not be compiled"):
        engine.run(next(grid.packs([10])), 10)


def test_a_pack_in_which_every_run_breaks_goes_on_to_its_end(train: Callable[..., Any]) -> None:
    rates = {"values": [1e20, 1e21, 1e22]}
    study = {"steps": 12, "evaluate_every": 3, "problem": ["quadratic"], "optimizer": ["sgd"]}
    _, (curves,) = train(SMALL | study | {"schedule": ["constant"], "learning_rate": rates})
    assert (curves.diverged_step < 6).all()
    losses = curves.curves["train_loss"]
    assert np.isfinite(losses[:, 0]).all()
    assert np.isnan(losses[:, -2:]).all()
    assert curves.saved_lane_steps > 0


def test_dead_lanes_are_dropped_and_nothing_else_moves(train: Callable[..., Any]) -> None:
    """Two thirds of the runs diverge at once; the others give what they give without them."""
    asked = {
        **SMALL,
        "optimizer": ["sgd"],
        "schedule": ["constant"],
        "lanes_per_chunk": 2,
        "evaluate_every": 3,
    }
    calm, wild = [0.01, 0.03, 0.1], [1e20, 2e20, 3e20, 4e20, 5e20, 6e20]
    _, (alone,) = train({**asked, "learning_rate": {"values": calm}})
    _, (among,) = train({**asked, "learning_rate": {"values": calm + wild}})
    kept = [index for index in range(len(among.run_ids)) if np.isnan(among.diverged_step[index])]
    assert len(kept) == len(alone.run_ids) == 6
    for name, values in alone.curves.items():
        np.testing.assert_allclose(among.curves[name][kept], values, rtol=1e-5)
    assert np.isnan(np.delete(among.curves["valid_loss"], kept, axis=0)[:, -1]).all()
    assert alone.saved_lane_steps == 0
    assert (
        among.saved_lane_steps == 12 * 9
    )  # twelve runs, dropped after the first of four segments of three steps


def test_a_state_with_empty_arrays_is_spread_over_devices(train: Callable[..., Any]) -> None:
    """GaLore has an empty projector for a vector; on two devices, with lanes that are dropped, it is Adam."""
    table: dict[str, Any] = {
        "name": "empty",
        "steps": 12,
        "evaluate_every": 3,
        "seeds": 1,
        "problem": "parabola",
        "learning_rate": {"values": [0.01, 0.1, *(1e25 * 2.0**each for each in range(6))]},
        "probes": [],
        "lanes_per_chunk": 1,
    }
    _, (galore,) = train({**table, "optimizer": {"name": "galore", "rank": 2}}, 2)
    _, (adam,) = train({**table, "optimizer": "adam"}, 2)
    assert galore.curves["train_loss"].shape == (8, 5)
    assert np.isnan(galore.curves["train_loss"][2:, -1]).all()
    np.testing.assert_allclose(galore.curves["train_loss"][:2], adam.curves["train_loss"][:2], rtol=1e-4)


@pytest.mark.slow
def test_parameters_with_rates_of_their_own(train: Callable[..., Any]) -> None:
    """Gradient descent on both layers by hand, each at its rate; adam by two optimizers of optax."""
    study: dict[str, Any] = {
        "name": "layers",
        "steps": 5,
        "evaluate_every": 5,
        "seeds": 1,
        "problem": [{"name": "fractal", "samples": 20, "width": 4}],
        "optimizer": ["sgd", "adam"],
        "schedule": ["cosine"],
        "learning_rate": {"values": [0.01, 0.1], "output": {"values": [0.5, 2.0]}},
    }
    engine, curves = train(study)
    problem, grid = engine.problems[0], engine.grid
    losses = _by_run(engine, curves, "train_loss")
    data = jax.tree.map(lambda leaf: jnp.asarray(leaf, jnp.float32), problem.data.train)
    shape = optax.cosine_decay_schedule(1.0, 5)
    rates = grid.rates(np.arange(len(grid)))
    assert len(grid) == 8
    for run in range(8):
        params = jax.tree.map(lambda leaf: jnp.asarray(leaf[0]), seeds.Initial(problem).of([0]))
        make = optax.sgd if run < 4 else optax.adam
        tx = {
            "hidden": make(lambda t, r=run: rates[""][r] * shape(t)),
            "output": make(lambda t, r=run: rates["output"][r] * shape(t)),
        }
        state = {name: tx[name].init(leaf) for name, leaf in params.items()}
        for _ in range(5):
            gradient = jax.grad(problem.loss)(params, data, jax.random.key(0))
            for name, each in tx.items():
                update, state[name] = each.update(gradient[name], state[name])
                params[name] = params[name] + update
        np.testing.assert_allclose(losses[run, -1], problem.loss(params, data, jax.random.key(0)), rtol=1e-4)


def test_a_rate_that_no_problem_has_is_one_line() -> None:
    study = read(
        {
            "name": "layers",
            "steps": 5,
            "problem": ["digits_mlp"],
            "optimizer": ["sgd"],
            "learning_rate": {"values": [0.01], "output": {"values": [0.5]}},
        }
    )
    with pytest.raises(StudyError) as caught:
        Engine(study, of_study(study))
    assert str(caught.value) == (
        "layers: learning_rate.output: digits_mlp has no learning rate of that name, and no parameter that it matches; its rates: "
        "none; its parameters: 0/bias, 0/weight, 1/bias, 1/weight"
    )
