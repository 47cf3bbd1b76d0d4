"""What every entry of the catalogue has to hold; a new entry is picked up by itself. Optimizers: test_optimizers.py."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from lrbench import catalog, schedules
from lrbench.engine import lane, seeds
from lrbench.problems._problem import Problem

ENTRIES = [(kind, name) for kind in catalog.ROOMS for name in catalog.names(kind)]
STEPS = 40


def _problem(name: str) -> Problem:
    return catalog.get("problem", name).load()()


def _batch(problem: Problem) -> Any:
    return jax.tree.map(lambda leaf: jnp.asarray(leaf[:8]), problem.data.train)


@pytest.mark.parametrize(("kind", "name"), ENTRIES)
def test_entry_is_documented(kind: str, name: str) -> None:
    entry = catalog.get(kind, name)
    assert entry.summary.endswith(".")
    assert len(entry.summary) > 20
    for parameter in entry.settings.values():
        assert parameter.doc, f"{name}: {parameter.name} has no line under Args"
    if kind in {"problem", "optimizer", "schedule"}:
        assert "Formula:" in entry.doc
        assert "Source:" in entry.doc


@pytest.mark.parametrize(("kind", "name"), ENTRIES)
def test_entry_loads_and_defaults_have_their_type(kind: str, name: str) -> None:
    entry = catalog.get(kind, name)
    assert callable(entry.load())
    for parameter in entry.settings.values():
        if parameter.default is not catalog.REQUIRED:
            assert parameter.coerce(parameter.default) == parameter.default


@pytest.mark.parametrize("name", catalog.names("problem"))
def test_problem(name: str) -> None:
    problem = _problem(name)
    key = jax.random.key(1)
    assert problem.name == name
    first, again = problem.init(key), problem.init(key)
    jax.tree.map(np.testing.assert_array_equal, first, again)
    loss = problem.loss(first, _batch(problem), key)
    assert loss.shape == ()
    assert jnp.isfinite(loss)
    many = jax.tree.map(lambda leaf: jnp.stack([leaf, 0.5 * leaf]), first)
    vmapped = jax.vmap(problem.loss, (0, None, None))(many, _batch(problem), key)
    looped = [problem.loss(jax.tree.map(lambda leaf: leaf[i], many), _batch(problem), key) for i in range(2)]  # noqa: B023
    np.testing.assert_allclose(vmapped, looped, rtol=1e-5)


FORMS = [(name, form) for name in catalog.names("problem") for form in _problem(name).forms]


@pytest.mark.parametrize(("name", "form"), FORMS)
def test_forms_of_a_problem_compute_the_same(name: str, form: str) -> None:
    problem, other = _problem(name), _problem(name).in_form(form)
    key = jax.random.key(1)
    params, batch = problem.init(key), _batch(problem)
    expected, found = (jax.value_and_grad(each.loss)(params, batch, key) for each in (problem, other))
    jax.tree.map(lambda x, y: np.testing.assert_allclose(x, y, rtol=1e-3, atol=1e-5), expected, found)
    if problem.predict is not None and other.predict is not None:
        predictions = problem.predict(params, batch), other.predict(params, batch)
        np.testing.assert_allclose(*predictions, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("name", catalog.names("problem"))
def test_named_rates_cover_the_parameters(name: str) -> None:
    problem = _problem(name)
    if problem.rates is not None:
        params = problem.init(jax.random.key(0))
        labels = jax.tree.broadcast(problem.rates, params)
        assert set(jax.tree.leaves(labels)) == set(problem.rate_names)


@pytest.mark.parametrize("name", catalog.names("problem"))
def test_known_optimum_is_one(name: str) -> None:
    problem = _problem(name)
    if problem.optimum is None:
        pytest.skip("no known optimum")
    step = jax.jit(jax.grad(problem.loss))
    params = problem.init(jax.random.key(0))
    for _ in range(500):
        params = jax.tree.map(lambda w, g: w - 0.5 * g, params, step(params, None, jax.random.key(0)))
    reached = float(problem.loss(params, None, jax.random.key(0)))
    assert problem.optimum <= reached < problem.optimum + 1e-3


@pytest.mark.parametrize("name", catalog.names("schedule"))
@pytest.mark.parametrize("steps", [1, 2, STEPS])
def test_schedule(name: str, steps: int) -> None:
    """The peak is 1, and every factor finite and not negative."""
    shape = schedules._tabulate(catalog.get("schedule", name).load()(steps), steps)
    assert shape.shape == (steps,)
    assert np.isfinite(shape).all()
    assert (shape >= 0).all()
    assert shape.max() <= 1 + 1e-6
    if steps == STEPS:
        assert shape.max() == pytest.approx(1, abs=1e-3)


@pytest.mark.parametrize("name", catalog.names("probe"))
def test_probe(name: str) -> None:
    problem = _problem("quadratic")
    recipe = lane.Recipe(
        problem, lambda rate, numeric: optax.sgd(rate), {name: catalog.get("probe", name).load()}
    )
    hyper = lane.Hyper({"": jnp.float32(0.1)}, jnp.int32(0), {})
    state = lane.init(recipe, hyper, problem.init(jax.random.key(0)))
    noise = seeds.key(seeds.noise([0])[0])
    _, found = lane.evaluate(recipe, hyper, jnp.float32(1), state, jnp.int32(0), None, noise)
    assert found[name].shape == ()
    assert jnp.isfinite(found[name])


def test_schedules_equal_their_formulas() -> None:
    """Values of PyTorch's StepLR(3, 0.1), CosineAnnealingLR(10) and OneCycleLR(1, 10), computed by hand."""

    def shape(name: str, **params: Any) -> np.ndarray:
        return schedules._tabulate(catalog.get("schedule", name).load()(10, **params), 10)

    np.testing.assert_allclose(
        shape("step", step_size=3)[[0, 2, 3, 6, 9]], [1, 1, 0.1, 0.01, 0.001], rtol=1e-6
    )
    np.testing.assert_allclose(shape("cosine")[[0, 5]], [1, 0.5], atol=1e-6)
    one = shape("onecycle_cosine")
    np.testing.assert_allclose(one[[0, 1, 2, 9]], [0.04, 0.52, 1.0, 4e-6], rtol=1e-5)
    np.testing.assert_allclose(shape("exponential", final=0.01)[5], 0.1, rtol=1e-5)
    np.testing.assert_allclose(shape("warmup_cosine", warmup=0.2)[[0, 1, 2]], [0, 0.5, 1], atol=1e-6)
