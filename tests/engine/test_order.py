"""The order of the examples: what each order trains on, that it is part of a run's identity, and what is refused."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest

import lrbench as lb
from lrbench.engine import seeds
from lrbench.engine.engine import Engine
from lrbench.errors import LrbenchError, ProblemError
from lrbench.study.grid import of_study
from lrbench.study.spec import read

ORDERS = ("reshuffled", "fixed", "given")
STUDY = {
    "name": "order",
    "steps": 11,
    "evaluate_every": 4,
    "seeds": [3, 5],
    "optimizer": "sgd",
    "learning_rate": {"values": [0.01, 0.1]},
    "probes": [],
}


def _mean(order: str = "reshuffled", batch_size: int | None = 3, examples: int = 10) -> lb.Problem:
    """A mean that is fitted to numbers, whose gradient shows the examples of each step."""
    return lb.problem(
        name="mean",
        init=lambda key: jnp.zeros(()),
        loss=lambda w, batch, key: jnp.mean((w - batch) ** 2),
        train=np.arange(examples, dtype=np.float32) ** 2,
        batch_size=batch_size,
        order=order,  # type: ignore[arg-type]
    )


def test_a_fixed_order_is_that_of_the_first_epoch_in_every_epoch() -> None:
    fixed = seeds.orders(_mean("fixed"), [4, 5], 0, 9)
    np.testing.assert_array_equal(fixed[:, :3], seeds.orders(_mean(), [4, 5], 0, 3))
    for epoch in (1, 2):
        np.testing.assert_array_equal(fixed[:, 3 * epoch : 3 * epoch + 3], fixed[:, :3])
    assert (fixed[0] != fixed[1]).any()
    assert len(set(fixed[0].ravel())) == 9  # the same remainder of 10 = 3 · 3 + 1 is left out of every epoch
    reshuffled = seeds.orders(_mean(), [4], 0, 6)[0]
    assert (reshuffled[:3] != reshuffled[3:]).any()


def test_a_given_order_is_that_of_the_data_for_all_seeds() -> None:
    given = seeds.orders(_mean("given"), [4, 5], 0, 6)
    np.testing.assert_array_equal(given, np.tile(np.arange(9).reshape(3, 3), (2, 2, 1)))


@pytest.mark.parametrize("order", ORDERS)
def test_an_order_does_not_depend_on_where_training_goes_on(order: str) -> None:
    whole = seeds.orders(_mean(order), [4], 0, 12)
    parts = [seeds.orders(_mean(order), [4], start, 4) for start in (0, 4, 8)]
    np.testing.assert_array_equal(np.concatenate(parts, axis=1), whole)


@pytest.mark.parametrize("order", ORDERS)
def test_a_run_of_an_order_is_that_of_a_plain_loop(train: Callable[..., Any], order: str) -> None:
    """Whatever the chunks, the packs and the devices."""
    problem = {"name": _mean(), "order": order}
    for layout in ({}, {"devices": 3, "lanes_per_pack": 2}):
        engine, curves = train({**STUDY, "problem": problem}, **layout)
        values = {
            run: loss
            for each in curves
            for run, loss in zip(each.run_ids, each.curves["train_loss"], strict=True)
        }
        for run in range(len(engine.grid)):
            place = {axis: int(at[0]) for axis, at in engine.grid.positions(np.array([run])).items()}
            rate = engine.grid.learning_rates[place["learning_rate"]]
            data, weight = _mean().data.train, 0.0
            for examples in seeds.orders(_mean(order), [(3, 5)[place["seed"]]], 0, 11)[0]:
                weight -= rate * 2 * np.mean(weight - data[examples])
            alone = np.mean((weight - data) ** 2)
            np.testing.assert_allclose(values[engine.grid.run_ids[run]][-1], alone, rtol=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("order", ["fixed", "given"])
def test_batch_sizes_of_equal_epochs_have_the_order(tmp_path: Path, order: str) -> None:
    study = {**STUDY, "budget": "epochs", "steps": 18}
    problem = {"name": "diabetes_linear", "batch_size": [32, 50], "order": order}
    runs = lb.run({**study, "problem": problem}, tmp_path / "out", report=False).runs
    assert set(runs["problem_order"]) == {order}
    assert set(runs["steps"]) == {18, 12}
    again = lb.run({**study, "problem": problem, "seeds": [3, 5, 6]}, tmp_path / "out", report=False).runs
    assert set(runs["run_id"]) < set(again["run_id"])


def _built(table: dict[str, Any]) -> Engine:
    study = read(table, trust=True)
    return Engine(study, of_study(study), None)


def _identities(problem: Any) -> list[str]:
    return [str(run) for run in of_study(read({**STUDY, "problem": problem}, trust=True)).run_ids]


@pytest.mark.parametrize("name", ["diabetes_linear", "digits_mlp"])
def test_the_default_order_is_no_part_of_the_identity(name: str) -> None:
    plain = _identities(name)
    assert _identities({"name": name, "order": "reshuffled"}) == plain
    others = [_identities({"name": name, "order": order}) for order in ("fixed", "given")]
    assert len({*plain, *others[0], *others[1]}) == 3 * len(plain)
    grid = of_study(read({**STUDY, "problem": name}, trust=True))
    assert '"order"' not in grid.problems[0].identity


def test_the_order_of_an_own_problem_is_part_of_its_identity_unless_it_is_the_default() -> None:
    for version in ("", "1"):
        problem = dataclasses.replace(_mean(), version=version)
        plain = _identities(problem)
        assert _identities({"name": problem, "order": "reshuffled"}) == plain
        own = _identities(dataclasses.replace(problem, order="fixed"))
        assert len({*plain, *own, *_identities({"name": problem, "order": "fixed"})}) == 3 * len(plain)


def test_an_own_function_with_a_parameter_of_that_name_keeps_it(train: Callable[..., Any]) -> None:
    def sorted_by(*, order: int = 1) -> lb.Problem:
        return dataclasses.replace(_mean(), name=f"sorted_by_{order}")

    engine, _ = train({**STUDY, "problem": {"name": sorted_by, "order": 7}})
    assert engine.problems[0].name == "sorted_by_7"
    assert engine.problems[0].order == "reshuffled"


def test_full_batches_have_no_order(train: Callable[..., Any]) -> None:
    found = [
        train({**STUDY, "problem": {"name": _mean(batch_size=None), "order": order}})[1][0].curves[
            "train_loss"
        ]
        for order in ORDERS
    ]
    np.testing.assert_array_equal(found[0], found[1])
    np.testing.assert_array_equal(found[0], found[2])


@pytest.mark.parametrize(
    ("problem", "message"),
    [
        (
            {"name": "quadratic", "order": "fixed"},
            'order: problem.0: quadratic: order = "fixed": has no training data that have an order; leave it out',
        ),
        (
            {"name": "diabetes_linear", "order": "sorted"},
            'study: problem.order = \'sorted\': must be one of "reshuffled", "fixed", "given"',
        ),
        (
            {"name": _mean("fixed"), "order": "given"},
            'order: problem.0: mean: order = "given": the problem itself has order = "fixed"; leave out one of them',
        ),
        (
            {"name": _mean("fixed"), "order": "reshuffled"},
            'order: problem.0: mean: order = "reshuffled": the problem itself has order = "fixed"; leave out one of them',
        ),
    ],
)
def test_what_is_refused(problem: dict[str, Any], message: str) -> None:
    with pytest.raises(LrbenchError) as caught:
        _built({**STUDY, "problem": problem})
    assert str(caught.value) == message


def test_what_a_problem_of_ones_own_refuses() -> None:
    with pytest.raises(ProblemError) as caught:
        _mean("sorted")
    assert str(caught.value) == 'order = \'sorted\': must be one of "reshuffled", "fixed", "given"'
    with pytest.raises(ProblemError, match="has no training data"):
        lb.problem(init=lambda key: 0.0, loss=lambda w, b, k: w, order="fixed")
