"""Options of every optimizer, what optimizers may ask of their run, and where runs are evaluated."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import lrbench as lb
from lrbench.engine import lane
from lrbench.engine.engine import Engine
from lrbench.errors import StudyError
from lrbench.results.run_lookup import RunLookup
from lrbench.study import catalog, requires
from lrbench.study.grid import of_study
from lrbench.study.spec import read

START = jnp.array([3.0, 4.0])
BOWL = lb.problem(
    name="bowl", init=lambda key: START, loss=lambda w, batch, key: 0.5 * jnp.sum(w**2), optimum=0.0
)
"""The gradient is w: one step at rate η from [3, 4], whose norm is 5, is easily done by hand."""


def study(optimizer: Any, **more: Any) -> dict[str, Any]:
    asked = {
        "name": "x",
        "steps": 2,
        "evaluate_every": 1,
        "seeds": 1,
        "problem": [BOWL],
        "optimizer": optimizer,
    }
    return asked | {"learning_rate": {"values": [0.1]}} | more


def losses(train: Callable[..., Any], optimizer: Any, **more: Any) -> np.ndarray:
    _, curves = train(study(optimizer, **more))
    return np.concatenate([each.curves["train_loss"] for each in curves])


def test_clip_and_weight_decay_by_hand(train: Callable[..., Any]) -> None:
    """w = [3, 4]·s: each step is s ← s − η·min(s, c/5) − η·λ·s, and the loss 12.5·s²."""
    found = losses(train, {"name": "sgd", "clip": [0, 1.0, 100.0], "weight_decay": [0.0, 0.5]})
    expected = []
    for clip in (0.0, 1.0, 100.0):
        for decay in (0.0, 0.5):
            s = [1.0]
            for _ in range(2):
                gradient = min(s[-1], clip / 5) if clip else s[-1]
                s.append(s[-1] - 0.1 * gradient - 0.1 * decay * s[-1])
            expected.append(12.5 * np.square(s))
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_decay_follows_the_schedule(train: Callable[..., Any]) -> None:
    found = losses(train, {"name": "sgd", "weight_decay": 0.5}, schedule=[{"name": "step", "step_size": 1}])
    np.testing.assert_allclose(found[0], 12.5 * np.square([1, 0.85, 0.85 * 0.985]), rtol=1e-5)


def test_options_that_are_not_set_are_not_in_the_program() -> None:
    asked = read(study([{"name": "sgd"}, {"name": "sgd", "momentum": 0.5, "clip": [1.0, 2.0]}]), trust=True)
    grid = of_study(asked)
    engine = Engine(asked, grid)
    plain, clipped = grid.programs
    assert engine.instances.numeric(plain) == ("momentum",)
    assert engine.instances.numeric(clipped) == ("momentum", "clip")
    assert len(clipped.runs) == 2
    made = engine.instances.recipe(plain).optimizer(0.1, {"momentum": 0.0})
    assert made.update is not None
    assert made.update.__module__.startswith("optax")


def test_an_option_that_is_off_is_the_same_run() -> None:
    def ids(optimizer: Any) -> set[bytes]:
        return set(of_study(read(study(optimizer), trust=True)).run_ids)

    assert ids("sgd") == ids({"name": "sgd", "clip": 0}) < ids({"name": "sgd", "clip": [0, 1.0]})
    assert ids({"name": "adamw", "weight_decay": 0}).isdisjoint(ids("adamw"))
    with pytest.raises(StudyError, match="is listed twice"):
        ids(["sgd", {"name": "sgd", "weight_decay": [0.0, 0.1]}])


def test_options_are_columns_and_survive_the_manifest() -> None:
    results = lb.sweep(
        BOWL,
        optimizers=["adam", lb.Optimizer("sgd", clip=[0, 1.0])],
        learning_rates=[0.1],
        seeds=1,
        steps=2,
    )
    assert results.runs["optimizer_clip"].tolist()[1:] == [0.0, 1.0]
    assert np.isnan(results.runs["optimizer_clip"][0])


@pytest.mark.parametrize(
    ("optimizer", "message"),
    [
        ({"name": "sgd", "clip": -1}, "optimizer.clip = -1: must be 0, which is off, or more"),
        (
            {"name": "adam", "weight_decay": [0.0, -1e-4]},
            "weight_decay = [0.0, -0.0001]: must be 0, which is",
        ),
        (
            {"name": "sgd", "clipp": 1},
            "allowed: momentum, nesterov, clip, weight_decay, no_decay; did you mean 'clip'?",
        ),
    ],
)
def test_what_options_refuse(optimizer: Any, message: str) -> None:
    with pytest.raises(StudyError) as caught:
        read(study(optimizer), trust=True)
    assert message in str(caught.value)


def test_an_optimizer_keeps_a_parameter_of_an_options_name(train: Callable[..., Any]) -> None:
    """adadelta's weight decay is added to the gradient, that of others is not; dpsgd clips each example."""
    assert list(catalog.get("optimizer", "adadelta").options) == ["clip", "no_decay"]
    assert list(catalog.get("optimizer", "dpsgd").options) == ["weight_decay", "no_decay"]

    def mine(learning_rate: Any, *, clip: float = 7.0) -> Any:
        return optax.sgd(learning_rate * clip)

    np.testing.assert_allclose(losses(train, mine)[0, 1], 12.5 * 0.3**2, rtol=1e-5)
    found = losses(train, {"name": mine, "clip": 1.0, "weight_decay": 1.0})
    np.testing.assert_allclose(found[0, 1], 12.5 * 0.8**2, rtol=1e-5)


def test_clipping_holds_for_gradients_elsewhere(train: Callable[..., Any]) -> None:
    """The gradient at the worst point nearby, which sam steps by, has the norm 1 too."""
    np.testing.assert_allclose(
        losses(train, {"name": "sam", "clip": 1.0})[0], 12.5 * np.square([1, 0.98, 0.96]), rtol=1e-5
    )


def test_runs_are_evaluated_where_the_optimizer_says(train: Callable[..., Any]) -> None:
    """Schedule-free by hand: z ← z − η·y, x ← the mean of all z so far, y = 0.1·z + 0.9·x, all factors of [3, 4]."""
    z = x = y = 1.0
    expected = [1.0]
    for step in range(1, 5):
        z -= 0.1 * y
        x += (z - x) / step
        y = 0.1 * z + 0.9 * x
        expected.append(x)
    found = losses(train, "schedule_free_sgd", steps=4)
    np.testing.assert_allclose(found[0], 12.5 * np.square(expected), rtol=1e-4)
    slow = losses(train, {"name": "lookahead", "sync_period": 2}, steps=3)
    np.testing.assert_allclose(slow[0], 12.5 * np.square([1, 1, 0.905, 0.905]), rtol=1e-4)


@pytest.mark.slow
def test_a_users_own_transformation_gets_what_it_wants(train: Callable[..., Any]) -> None:
    """momo by object, undeclared; what it does here is a Polyak step, which halves w."""
    np.testing.assert_allclose(
        losses(train, optax.contrib.momo, learning_rate={"values": [9.0]})[0, 1], 12.5 / 4, rtol=1e-5
    )

    @lb.asks("value", "grad", "value_fn")
    def newton(learning_rate: Any) -> Any:
        return optax.lbfgs(learning_rate)

    assert losses(train, newton, learning_rate={"values": [1.0]})[0, 1] < 12.5

    @lb.evaluated_at(lambda state, params: jax.tree.map(jnp.zeros_like, params))
    @lb.asks("example_grads")
    def nowhere(learning_rate: Any) -> Any:
        def update(gradient: Any, state: Any, params: Any, *, example_grads: Any) -> Any:
            return jax.tree.map(lambda leaf: -learning_rate * leaf.sum(0), example_grads), state

        return optax.GradientTransformationExtraArgs(optax.init_empty_state, update)

    _, (curves,) = train(study(nowhere))
    np.testing.assert_array_equal(curves.curves["train_loss"][0], 0.0)
    np.testing.assert_allclose(curves.curves["parameter_norm"][0], [5, 4.5, 4.05], rtol=1e-5)


def test_noise_of_optimizers_is_shared_by_the_runs_of_a_seed(train: Callable[..., Any]) -> None:
    """On a flat loss the path is the noise times the rate."""
    flat = lb.problem(name="flat", init=lambda key: jnp.zeros(3), loss=lambda w, batch, key: 0.0 * jnp.sum(w))
    for name in ("noisy_sgd", "dpsgd"):
        asked = study(name, problem=[flat], seeds=2, learning_rate={"values": [1.0, 2.0]})
        engine, (trained,) = train(asked)
        order = np.argsort(RunLookup(engine.grid.run_ids).numbers(trained.run_ids))
        norm = trained.curves["parameter_norm"][order, -1].reshape(2, 2)  # [rate, seed]
        np.testing.assert_allclose(norm[1], 2 * norm[0], rtol=1e-5)
        assert norm[0, 0] != norm[0, 1]
        assert norm.all()


def test_what_a_lane_gives_is_what_is_offered() -> None:
    params, key = START, jax.random.key(0)
    state = lane.State(params, (), jnp.int32(-1))
    context = lane.StepContext(jnp.float32(1), jnp.int32(3), None, key)
    more = lane.extra_arguments(BOWL, tuple(requires.OFFERED), state, context, jnp.float32(12.5), params)
    assert set(more) == set(requires.OFFERED)
    assert more["step"] == 3
    np.testing.assert_array_equal(more["example_grads"], params[None])
    assert more["value_fn"](2 * params) == more["obj_fn"](2 * params) == 50.0
    np.testing.assert_array_equal(more["grad_fn"](2 * params, 0), 2 * params)
    with pytest.raises(StudyError, match=r"unknown argument of update 'values'.*did you mean 'value'"):
        requires.asks("values")


def test_the_gradient_of_an_example_is_that_of_a_batch_of_it_alone() -> None:
    curve = lb.problem(
        name="curve",
        init=lambda key: jnp.float32(3),
        loss=lambda w, batch, key: jnp.mean(0.5 * jnp.square(w * batch)),
        train=np.arange(4.0),
        batch_size=2,
    )
    batch, w = jnp.array([1.0, 2.0]), jnp.float32(3)
    state = lane.State(w, (), jnp.int32(-1))
    context = lane.StepContext(jnp.float32(1), jnp.int32(0), batch, jax.random.key(0))
    more = lane.extra_arguments(curve, ("example_grads",), state, context, jnp.float32(11.25), 2.5 * w)
    np.testing.assert_allclose(more["example_grads"], w * batch**2)


@pytest.mark.parametrize(
    ("optimizer", "message"),
    [
        (
            "lbfgs",
            "learning_rate.output: lbfgs requires grad, value_fn, and so one learning rate for all parameters",
        ),
        (
            "lookahead",
            "learning_rate.output: lookahead requires an evaluation at other parameters, and so one learning",
        ),
        (
            {"name": "lookahead", "base": "sam"},
            "base = 'sam': must be an optimizer that requires only the gradient",
        ),
        ({"name": "mechanize", "base": "sgdd"}, "unknown optimizer 'sgdd'"),
    ],
)
def test_what_cannot_go_together_is_one_line(optimizer: Any, message: str) -> None:
    more: dict[str, Any] = {"learning_rate": {"values": [0.1], "output": {"values": [0.1]}}}
    asked = read(study(optimizer, problem=["fractal"], **more), trust=True)
    with pytest.raises(StudyError) as caught:
        Engine(asked, of_study(asked))
    assert message in str(caught.value)


def test_parts_with_rates_of_their_own_may_look_at_the_loss(train: Callable[..., Any]) -> None:
    more: dict[str, Any] = {"learning_rate": {"values": [0.1], "output": {"values": [0.1]}}}
    found = losses(
        train, [{"name": "momo", "clip": 1.0}], problem=[{"name": "fractal", "samples": 20}], **more
    )
    assert found[0, -1] < found[0, 0]


def test_a_study_of_all_optimizers() -> None:
    named = {choice.entry.name for choice in read("optimizers").optimizer}
    assert named == set(catalog.names("optimizer"))
