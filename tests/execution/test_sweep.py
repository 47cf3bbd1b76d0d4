"""`sweep`: what its arguments may be, what it says of others, and problems that are chosen by name."""

from __future__ import annotations

import copy
import dataclasses
import pickle
from typing import Any

import jax.numpy as jnp
import numpy as np
import optax
import pytest

import lrbench as lb
from lrbench.errors import StudyError
from lrbench.execution import sweep
from lrbench.study.spec import read


def bowl(*, width: int = 2) -> lb.Problem:
    return lb.problem(
        name="bowl", init=lambda key: jnp.ones(width), loss=lambda weights, batch, key: jnp.sum(weights**2)
    )


def _squares(weights: Any, batch: Any, key: Any) -> Any:
    return jnp.sum(weights["a"] ** 2) + jnp.sum(weights["b"] ** 2)


def rates_of(given: Any) -> list[float]:
    """The rates of a study that is asked for in this way."""
    table = {"name": "x", "steps": 1, "problem": "quadratic", "optimizer": "sgd"}
    return list(read({**table, "learning_rate": sweep._axes(given)}).learning_rate.rates())


READY = (
    "is a ready optax transformation, whose learning rate is fixed; pass a function of the rate, "
    "such as lambda learning_rate: optax.adam(learning_rate)"
)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"optimizers": optax.adam(1e-3)}, f"optimizer: {READY}"),
        ({"optimizers": ["sgd", lb.Optimizer(optax.adam(1e-3))]}, f"optimizer.1: {READY}"),
        (
            {"optimizers": lb.Optimizer("adam", learning_rate=1e-3)},
            "optimizer.learning_rate = 0.001: is no parameter of an optimizer, but an axis of the study; "
            "give learning_rates= in Python, [learning_rate] in a study file",
        ),
        (
            {"optimizer": "adam"},
            "takes optimizers=, not optimizer=: optimizers='adam'",
        ),
        (
            {"learning_rate": {"min": 0.1, "max": 1, "num": 2}},
            "takes learning_rates=, not learning_rate=: learning_rates={'min': 0.1, 'max': 1, 'num': 2}",
        ),
        ({"schedule": "constant"}, "takes schedules=, not schedule=: "),
        ({"problem": "quadratic"}, "takes problems=, not problem=: "),
        ({"seed": 3}, "unknown argument 'seed'; nearest: seeds, most_seeds, schedules"),
        (
            {"learning_rates": "fast"},
            "learning_rates = 'fast': must be \"auto\", rates such as lb.logspace(1e-5, 10, 100), "
            'or a dict such as {"min": 1e-5, "max": 10, "num": 100}',
        ),
        (
            {"learning_rates": {"min": 0.1, "mx": 1}},
            "learning_rate.mx = 1: unknown key 'mx'; allowed: min, max, ",
        ),
        (
            {"learning_rates": {"from": 0.1, "to": 1}},
            "learning_rates = {'from': 0.1, 'to': 1}: must also have a key \"\", for the rates of all other parameters; "
            "or be a range, with min, max and num",
        ),
        (
            {
                "optimizers": [lambda rate: optax.adam(rate, 0.5), lambda rate: optax.adam(rate, 0.8)],
                "learning_rates": 0.1,
            },
            "optimizer.1: another optimizer is also called <lambda>; write yours as def my_optimizer(...), whose name is "
            "that of the optimizer",
        ),
        ({"lr": 0.1}, "takes learning_rates=, not lr=: learning_rates=0.1"),
        (
            {"optimizers": lb.Optimizer("adam", lr=1e-3)},
            "optimizer.lr = 0.001: is no parameter of an optimizer, but an axis of the study; ",
        ),
        ({"steps": 2.5}, "steps = 2.5: must be a valid integer"),
        ({"seeds": 2.5}, 'seeds = 2.5: must be a count, a list of whole numbers below 2**30, or "enough"'),
        ({"seeds": [0, 0.5]}, 'seeds = [0, 0.5]: must be a count, a list of whole numbers below 2**30, or "'),
    ],
)
def test_what_is_not_an_argument_is_explained(wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(StudyError) as caught:
        lb.sweep("quadratic", **wrong)
    assert str(caught.value).startswith(f"sweep: {message}")


def test_a_problem_is_required() -> None:
    with pytest.raises(StudyError, match=r"sweep: takes problems=, not problem=.*: problems='quadratic'"):
        lb.sweep(problem="quadratic")
    with pytest.raises(
        StudyError, match=r"sweep: problems: missing; give a name, .* or a problem of your own"
    ):
        lb.sweep(optimizers="sgd")


def test_rates_are_given_in_any_of_these_ways() -> None:
    assert rates_of({"min": 0.01, "max": 1.0, "num": 3}) == [0.01, 0.1, 1.0]
    assert rates_of({"min": 0.01, "max": 1.0, "per_decade": 1}) == [0.01, 0.1, 1.0]
    for values in ([0.01, 0.1], np.array([0.1, 0.01]), jnp.array([0.5, 0.25]), lb.logspace(0.1, 1, 2)):
        expected = sorted(float(value) for value in values)
        assert rates_of(values) == rates_of({"values": values}) == expected
    other = lb.problem(
        init=lambda key: {"a": jnp.ones(2), "b": jnp.ones(2)}, loss=_squares, rates={"a": "", "b": "b"}
    )
    for given in (
        {"": [0.1], "b": {"min": 0.1, "max": 1, "num": 2}},
        {"values": [0.1], "b": {"values": np.array([0.1, 1])}},
    ):
        runs = lb.sweep(other, optimizers="sgd", learning_rates=given, seeds=1, steps=1).runs
        assert runs["learning_rate_b"].tolist() == [0.1, 1.0]
    assert rates_of(0.5) == rates_of({"": 0.5}) == rates_of({"": {"values": [0.5]}}) == [0.5]


def test_parameters_have_names() -> None:
    with pytest.raises(StudyError) as caught:
        lb.Optimizer("adam", 0.9)
    assert str(caught.value) == "Optimizer('adam', 0.9): must name the parameter that 0.9 is the value of"


@pytest.mark.slow
def test_counts_of_numpy_are_whole_numbers() -> None:
    steps, seeds = np.int64(2), np.array([3, 5])
    assert lb.sweep("quadratic", learning_rates=0.1, seeds=1.0, steps=1e1).runs["steps"].tolist() == [10]  # type: ignore[arg-type]
    runs = lb.sweep("quadratic", optimizers="sgd", learning_rates=0.1, seeds=seeds, steps=steps).runs
    assert runs["seed"].tolist() == [3, 5]
    runs = lb.sweep("quadratic", optimizers="sgd", learning_rates=0.1, seeds=np.int64(2), steps=steps).runs
    assert runs["seed"].tolist() == [0, 1]


@pytest.mark.slow
def test_a_problem_is_chosen_as_an_optimizer_is() -> None:
    named = lb.Problem("house_prices", batch_size=[16, 64])
    assert named == {"name": "house_prices", "batch_size": [16, 64]}
    assert lb.Problem(name="house_prices", version="2") == {"name": "house_prices", "code_version": "2"}
    runs = lb.sweep([named, lb.Problem(bowl, width=[2, 3])], learning_rates=0.1, seeds=1, steps=2).runs
    assert runs["problem"].tolist() == ["house_prices"] * 2 + ["bowl"] * 2
    assert runs["problem_batch_size"].dropna().tolist() == [16, 64]
    assert runs["problem_width"].dropna().tolist() == [2, 3]
    with pytest.raises(
        StudyError, match=r"problem.batchsize = 16: unknown parameter of house_prices 'batchsi"
    ):
        lb.sweep(lb.Problem("house_prices", batchsize=16))


def test_a_problem_of_functions_stays_a_record() -> None:
    loss = bowl().loss
    made = lb.Problem("bowl", bowl().init, loss)
    assert isinstance(made, lb.Problem)
    assert made == lb.Problem(name="bowl", init=made.init, loss=loss)
    assert dataclasses.replace(made, optimum=0.0).optimum == 0.0
    assert copy.copy(made) == made
    with pytest.raises(TypeError, match="missing 1 required positional argument: 'loss'"):
        lb.Problem("bowl", init=made.init)  # type: ignore[call-arg]
    empty = lb.Problem("bowl", jnp.ones, jnp.sum)
    assert pickle.loads(pickle.dumps(empty)).name == "bowl"
